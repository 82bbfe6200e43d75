"""Declare a change and make another by hand, on the same table.

Refused by collect: declare AddIndex(...) in `changes` instead
"""

import sqlalchemy as sa
from alembic import op

from bascule.schema import Rename

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

release = "2"
changes = (Rename(id="postings-reference", table="postings", old="memo", new="reference", type=sa.String(200)),)


def upgrade() -> None:
    """Do it as if nobody were there."""
    op.create_index("ix_postings_account_id", "postings", ["account_id"])


def downgrade() -> None:
    """Nobody comes this far."""
