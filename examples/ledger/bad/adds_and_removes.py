"""Add for the new release and remove from the old one in one step.

Refused by lint on mariadb: mixed-phases: adds what the new release needs and removes what the old one uses
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Do it as if nobody were there."""
    op.add_column("accounts", sa.Column("closed", sa.Boolean))
    op.drop_column("accounts", "branch")


def downgrade() -> None:
    """Nobody comes this far."""
