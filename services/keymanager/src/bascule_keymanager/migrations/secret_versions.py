"""The tables of secret versions, as release 2028.1 adds them; they shipped with it and are never edited.

A version's rows go with its secret, also where an older release or Barbican removes the secret for good.
"""

from typing import Any

import sqlalchemy as sa

from bascule.schema import AddTable

__all__ = ["SECRET_VERSIONS"]

_RELEASE = "2028.1"
_metadata = sa.MetaData()

# What foreign keys name; the tables themselves are Barbican's.
for _name in ("secrets", "kek_data"):
    sa.Table(_name, _metadata, sa.Column("id", sa.String(36), primary_key=True))


def _of(target: str, name: str, **options: Any) -> sa.Column[str]:  # Any: Column's own keywords
    return sa.Column(name, sa.String(36), sa.ForeignKey(f"{target}.id", ondelete="CASCADE"), **options)


def _table(name: str, *items: Any) -> sa.Table:  # Any: columns and constraints
    return sa.Table(name, _metadata, *items, mysql_engine="InnoDB")


_versioned = _table(
    "bascule_versioned_secrets",
    _of("secrets", "secret_id", primary_key=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("updated_at", sa.DateTime, nullable=False),
)
# The payload of the current version is where Barbican keeps payloads; its row here has none.
_versions = _table(
    "bascule_secret_versions",
    sa.Column("id", sa.String(36), primary_key=True),
    _of("secrets", "secret_id", nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("updated_at", sa.DateTime, nullable=False),
    sa.Column("creator_id", sa.String(255)),
    sa.Column("origin", sa.String(20), nullable=False),
    sa.Column("content_type", sa.String(255)),
    sa.Column("destroyed_at", sa.DateTime, index=True),
    sa.Column("plugin_name", sa.String(255)),
    sa.Column("store_metadata", sa.Text),
    _of("kek_data", "kek_id", index=True),
    sa.Column("cypher_text", sa.Text),
    sa.Column("kek_meta_extended", sa.Text),
    sa.UniqueConstraint("secret_id", "number", name="uq_bascule_secret_versions_number"),
)
_labels = _table(
    "bascule_secret_labels",
    _of("secrets", "secret_id", primary_key=True),
    sa.Column("label", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("updated_at", sa.DateTime, nullable=False),
)
_rotations = _table(
    "bascule_secret_rotations",
    _of("secrets", "secret_id", primary_key=True),
    sa.Column("interval_s", sa.Integer, nullable=False),
    sa.Column("turn", sa.Integer, nullable=False),
    sa.Column("next_at", sa.DateTime, nullable=False, index=True),
    sa.Column("last_at", sa.DateTime),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("failure", sa.String(255)),
    sa.Column("creator_id", sa.String(255)),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("updated_at", sa.DateTime, nullable=False),
)

SECRET_VERSIONS: tuple[AddTable, ...] = tuple(
    AddTable(id=change, release=_RELEASE, table=table.name, definition=table)
    for change, table in (
        ("versioned-secrets", _versioned),
        ("secret-versions", _versions),
        ("secret-labels", _labels),
        ("secret-rotations", _rotations),
    )
)
