"""Leave open what autogenerate asked.

Refused by collect: is still undecided: what the old release reads in accounts.branch
"""

import sqlalchemy as sa

from bascule.schema import DropColumn
from bascule.schema.alembic import Undecided

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

release = "2"
changes = (
    DropColumn(
        id="accounts-branch",
        table="accounts",
        column="branch",
        type=sa.String(20),
        stand_in=Undecided("what the old release reads in accounts.branch"),
    ),
)


def upgrade() -> None:
    """Do nothing: `changes` are made online."""


def downgrade() -> None:
    """Nobody comes this far."""
