"""Forbid what old rows are full of.

Refused by migrate: rows of postings break ck_postings_amount; mend or delete them
"""

from bascule.schema import AddCheck

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

release = "2"
changes = (AddCheck(id="postings-positive", table="postings", name="ck_postings_amount", check="{row.amount} > 0"),)


def upgrade() -> None:
    """Do nothing: `changes` are made online."""


def downgrade() -> None:
    """Nobody comes this far."""
