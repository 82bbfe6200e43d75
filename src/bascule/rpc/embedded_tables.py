"""The tables of the transport without a broker. Releases in the field read them: add tables, never columns."""

import sqlalchemy as sa

from bascule.rpc.tables import LONG_TEXT

__all__ = ["CALL", "MESSAGE"]

METADATA = sa.MetaData()

MESSAGE = sa.Table(
    "bascule_message",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("topic", sa.String(64), nullable=False),
    sa.Column("version", sa.String(16), nullable=False),
    sa.Column("method", sa.String(128), nullable=False),
    sa.Column("body", LONG_TEXT, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("taken_by", sa.String(255), nullable=True),
    sa.Column("taken_at", sa.Double, nullable=True),
    sa.Column("refused_by", sa.String(255), nullable=False),  # releases, each between commas: ",2026.2,"
)

CALL = sa.Table(
    "bascule_call",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),  # the message's
    sa.Column("release", sa.String(64), nullable=False),  # the caller's
    sa.Column("deadline", sa.Double, nullable=False),
    sa.Column("reply", LONG_TEXT, nullable=True),
)
