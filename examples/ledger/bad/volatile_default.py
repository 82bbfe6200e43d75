"""Add a column whose default differs per row.

Refused by lint on postgresql: volatile-default: rewrites accounts and all its indexes
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Do it as if nobody were there."""
    op.add_column("accounts", sa.Column("token", sa.Uuid, server_default=sa.text("gen_random_uuid()")))


def downgrade() -> None:
    """Nobody comes this far."""
