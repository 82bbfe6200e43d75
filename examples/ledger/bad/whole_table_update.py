"""Write every row in one transaction.

Refused by lint on sqlite: whole-table-write: writes every row in one transaction
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Do it as if nobody were there."""
    op.execute("UPDATE postings SET memo = upper(memo)")


def downgrade() -> None:
    """Nobody comes this far."""
