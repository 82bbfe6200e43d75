"""Rename a column at once.

Refused by lint on postgresql: rename-column: every statement of the old release that names memo fails at once
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Do it as if nobody were there."""
    op.alter_column("postings", "memo", new_column_name="reference")


def downgrade() -> None:
    """Nobody comes this far."""
