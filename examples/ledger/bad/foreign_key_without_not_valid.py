"""Check every row under a lock.

Refused by lint on postgresql: foreign-key-checked-at-once: reads all of postings
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Do it as if nobody were there."""
    op.create_foreign_key("fk_postings_account", "postings", "accounts", ["account_id"], ["id"])


def downgrade() -> None:
    """Nobody comes this far."""
