"""Amounts in cents, each of an account that is there; branches are closed."""

import sqlalchemy as sa

from bascule.schema import AddCheck, AddForeignKey, DropColumn, Retype, SetNotNull

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

release = "4"
changes = (
    Retype(
        id="postings-cents",
        table="postings",
        old="amount",
        old_type=sa.Double(),
        new="amount_cents",
        type=sa.BigInteger(),
        up={
            "sqlite": "CAST(round({o.amount} * 100) AS INTEGER)",
            "postgresql": "CAST(round({o.amount} * 100) AS bigint)",
            "mysql": "CAST(round({o.amount} * 100) AS signed)",
        },
        down={
            "sqlite": "{n.amount_cents} / 100.0",
            "postgresql": "{n.amount_cents} / CAST(100 AS double precision)",
            "mysql": "{n.amount_cents} / 100e0",
        },
        lossy="fractions of a cent",
    ),
    SetNotNull(id="postings-cents-given", table="postings", column="amount_cents", type=sa.BigInteger()),
    AddCheck(id="postings-amount", table="postings", name="ck_postings_amount", check="{row.amount_cents} <> 0"),
    AddForeignKey(
        id="postings-account",
        table="postings",
        name="fk_postings_account",
        columns=["account_id"],
        refers_to="accounts",
    ),
    DropColumn(id="accounts-branch", table="accounts", column="branch", type=sa.String(20), stand_in="main"),
)


def upgrade() -> None:
    """Do nothing: `changes` are made online."""


def downgrade() -> None:
    """Do nothing: `ledger.manage rollback` is the way back."""
