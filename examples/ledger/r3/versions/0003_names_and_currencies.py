"""First and last names, a currency for each account, a reference for each posting."""

import sqlalchemy as sa

from bascule.schema import AddColumn, SetNotNull, Split

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

release = "3"
changes = (
    Split(
        id="accounts-names",
        table="accounts",
        old={"owner": sa.String(100)},
        new={"first_name": sa.String(100), "last_name": sa.String(100)},
        up={
            "first_name": {
                "sqlite": "substr({o.owner}, 1, instr({o.owner} || ' ', ' ') - 1)",
                "postgresql": "split_part({o.owner}, ' ', 1)",
                "mysql": "substring_index({o.owner}, ' ', 1)",
            },
            "last_name": {
                "sqlite": "substr({o.owner}, instr({o.owner} || ' ', ' ') + 1)",
                "postgresql": "substr({o.owner}, strpos({o.owner} || ' ', ' ') + 1)",
                "mysql": "substring({o.owner}, locate(' ', concat({o.owner}, ' ')) + 1)",
            },
        },
        down={
            "owner": {
                "sqlite": "{n.first_name} || ' ' || {n.last_name}",
                "postgresql": "{n.first_name} || ' ' || {n.last_name}",
                "mysql": "concat({n.first_name}, ' ', {n.last_name})",
            }
        },
        lossy="a name without a blank gets one at its end",
    ),
    AddColumn(
        id="accounts-currency",
        table="accounts",
        column="currency",
        type=sa.String(3),
        nullable=False,
        default="EUR",
    ),
    SetNotNull(id="postings-reference-given", table="postings", column="reference", type=sa.String(200), fill="''"),
)


def upgrade() -> None:
    """Do nothing: `changes` are made online."""


def downgrade() -> None:
    """Do nothing: `ledger.manage rollback` is the way back."""
