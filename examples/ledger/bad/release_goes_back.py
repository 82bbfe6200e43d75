"""Build an earlier release's changes on a later one's.

Refused by collect: releases must not go back
"""

from bascule.schema import AddIndex

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

release = "3"
changes = (AddIndex(id="accounts-by-branch", table="accounts", name="ix_accounts_branch", columns=["branch"]),)


def upgrade() -> None:
    """Do nothing: `changes` are made online."""


def downgrade() -> None:
    """Nobody comes this far."""
