"""The table by which a project's secrets are counted, as release 2028.2 adds it; it is never edited once it shipped."""

import sqlalchemy as sa

from bascule.schema import AddTable

__all__ = ["SECRET_COUNTS"]

_metadata = sa.MetaData()
sa.Table("projects", _metadata, sa.Column("id", sa.String(36), primary_key=True))  # Barbican's; a foreign key names it

# A project has several rows, so that two transactions that note something at once seldom wait for each other.
_counts = sa.Table(
    "bascule_secret_counts",
    _metadata,
    sa.Column("project_id", sa.String(36), sa.ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("part", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("living", sa.Integer, nullable=False),
    sa.Column("expiring_changes", sa.Integer, nullable=False),
    sa.Column("changes", sa.BigInteger, nullable=False),
    mysql_engine="InnoDB",
)

SECRET_COUNTS = AddTable(id="secret-counts", release="2028.2", table=_counts.name, definition=_counts)
