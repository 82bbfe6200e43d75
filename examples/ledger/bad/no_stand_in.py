"""Drop a column that new writers cannot leave out.

Refused by expand: accounts.branch is NOT NULL without a default, and new writers leave it out, so it needs a `stand_in`
"""

import sqlalchemy as sa

from bascule.schema import DropColumn

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

release = "2"
changes = (DropColumn(id="accounts-branch", table="accounts", column="branch", type=sa.String(20)),)


def upgrade() -> None:
    """Do nothing: `changes` are made online."""


def downgrade() -> None:
    """Nobody comes this far."""
