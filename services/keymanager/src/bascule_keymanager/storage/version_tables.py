"""The columns of our own tables of secret versions, as this release reads and writes them."""

import sqlalchemy as sa

__all__ = ["secret_labels", "secret_rotations", "secret_versions", "versioned_secrets"]

_metadata = sa.MetaData()


def _times() -> tuple[sa.Column[object], ...]:
    return sa.Column("created_at", sa.DateTime), sa.Column("updated_at", sa.DateTime)


# One row for each secret that has more than the one payload that it was made with: see migrations.secret_versions.
versioned_secrets = sa.Table(
    "bascule_versioned_secrets",
    _metadata,
    sa.Column("secret_id", sa.String(36), primary_key=True),
    sa.Column("revision", sa.Integer),
    *_times(),
)

secret_versions = sa.Table(
    "bascule_secret_versions",
    _metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("secret_id", sa.String(36)),
    sa.Column("number", sa.Integer),
    *_times(),
    sa.Column("creator_id", sa.String(255)),
    sa.Column("origin", sa.String(20)),
    sa.Column("content_type", sa.String(255)),
    sa.Column("destroyed_at", sa.DateTime),
    sa.Column("plugin_name", sa.String(255)),
    sa.Column("store_metadata", sa.Text),
    sa.Column("kek_id", sa.String(36)),
    sa.Column("cypher_text", sa.Text),
    sa.Column("kek_meta_extended", sa.Text),
)

secret_labels = sa.Table(
    "bascule_secret_labels",
    _metadata,
    sa.Column("secret_id", sa.String(36), primary_key=True),
    sa.Column("label", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer),
    *_times(),
)

secret_rotations = sa.Table(
    "bascule_secret_rotations",
    _metadata,
    sa.Column("secret_id", sa.String(36), primary_key=True),
    sa.Column("interval_s", sa.Integer),
    sa.Column("turn", sa.Integer),
    sa.Column("next_at", sa.DateTime),
    sa.Column("last_at", sa.DateTime),
    sa.Column("failures", sa.Integer),
    sa.Column("failure", sa.String(255)),
    sa.Column("creator_id", sa.String(255)),
    *_times(),
)
