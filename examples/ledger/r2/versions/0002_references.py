"""A memo is a reference, and postings are found by their account."""

import sqlalchemy as sa

from bascule.schema import AddIndex, Rename

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

release = "2"
changes = (
    Rename(id="postings-reference", table="postings", old="memo", new="reference", type=sa.String(200)),
    AddIndex(id="postings-by-account", table="postings", name="ix_postings_account_id", columns=["account_id"]),
)


def upgrade() -> None:
    """Do nothing: `changes` are made online."""


def downgrade() -> None:
    """Do nothing: `ledger.manage rollback` is the way back."""
