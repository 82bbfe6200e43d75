"""Declare NOT NULL without saying what the old release's rows get.

Refused by collect: writers of the old release leave the column out: give it `default` or `fill`
"""

import sqlalchemy as sa

from bascule.schema import AddColumn

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

release = "2"
changes = (AddColumn(id="accounts-currency", table="accounts", column="currency", type=sa.String(3), nullable=False),)


def upgrade() -> None:
    """Do nothing: `changes` are made online."""


def downgrade() -> None:
    """Nobody comes this far."""
