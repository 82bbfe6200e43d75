"""Build an index while writers wait.

Refused by lint on postgresql: index-blocks-writers: nobody can write to postings while the index is built
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Do it as if nobody were there."""
    op.create_index("ix_postings_account_id", "postings", ["account_id"])


def downgrade() -> None:
    """Nobody comes this far."""
