"""Edit a change that was expanded: it was String(200).

Refused by expand after r2: change postings-reference is expanded in this database but was edited since
"""

import sqlalchemy as sa

from bascule.schema import Rename

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

release = "2"
changes = (Rename(id="postings-reference", table="postings", old="memo", new="reference", type=sa.String(20)),)


def upgrade() -> None:
    """Do nothing: `changes` are made online."""


def downgrade() -> None:
    """Nobody comes this far."""
