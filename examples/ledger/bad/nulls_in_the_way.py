"""Forbid NULL where there is one, and do not say what to put there.

Refused by migrate: 3 rows of postings have NULL in memo
"""

import sqlalchemy as sa

from bascule.schema import SetNotNull

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

release = "2"
changes = (SetNotNull(id="postings-memo-given", table="postings", column="memo", type=sa.String(200)),)


def upgrade() -> None:
    """Do nothing: `changes` are made online."""


def downgrade() -> None:
    """Nobody comes this far."""
