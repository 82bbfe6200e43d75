"""Rename a column that is not there.

Refused by expand: table postings has no column memmo
"""

import sqlalchemy as sa

from bascule.schema import Rename

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

release = "2"
changes = (Rename(id="postings-reference", table="postings", old="memmo", new="reference", type=sa.String(200)),)


def upgrade() -> None:
    """Do nothing: `changes` are made online."""


def downgrade() -> None:
    """Nobody comes this far."""
