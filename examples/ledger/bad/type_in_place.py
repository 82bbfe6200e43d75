"""Change a type under everybody's feet.

Refused by lint on postgresql: change-type: may rewrite postings while nobody can read or write it
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Do it as if nobody were there."""
    op.alter_column("postings", "amount", existing_type=sa.Double(), type_=sa.Numeric(12, 2))


def downgrade() -> None:
    """Nobody comes this far."""
