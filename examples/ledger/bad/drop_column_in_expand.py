"""Drop a column while the old release reads it.

Refused by lint --phase expand on mariadb: drop-column: the old release's statements that name branch fail
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Do it as if nobody were there."""
    op.drop_column("accounts", "branch")


def downgrade() -> None:
    """Nobody comes this far."""
