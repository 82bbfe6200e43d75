"""Give two changes one id.

Refused by collect: the id postings-reference is taken already, in 0002_references.py
"""

from bascule.schema import AddIndex

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

release = "3"
changes = (AddIndex(id="postings-reference", table="accounts", name="ix_accounts_owner", columns=["owner"]),)


def upgrade() -> None:
    """Do nothing: `changes` are made online."""


def downgrade() -> None:
    """Nobody comes this far."""
