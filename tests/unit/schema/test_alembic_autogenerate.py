"""Autogenerate proposes changes in place of operations that users would notice, and its files load back."""

import ast
import re

import pytest
import sqlalchemy as sa
from alembic.operations import ops
from sqlalchemy.dialects import sqlite
from support.alembic_project import Project
from support.quick_sqlite import without_disk

from bascule.schema import (
    AddCheck,
    AddColumn,
    AddForeignKey,
    AddIndex,
    AddTable,
    AddUnique,
    DropCheck,
    DropColumn,
    DropForeignKey,
    DropIndex,
    DropNotNull,
    DropTable,
    DropUnique,
    Rename,
    Retype,
    SetNotNull,
)
from bascule.schema.alembic import StillUndecided, collect_changes, include_name, read_revisions
from bascule.schema.alembic.propose import Choice, Maker, propose

HOOKS = """
from bascule.schema.alembic import online_changes
options = online_changes(release="2027.1")
"""

OLD = """
CREATE TABLE owners (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(50) NOT NULL);
CREATE TABLE accounts (
    id INTEGER NOT NULL PRIMARY KEY, owner VARCHAR(50) NOT NULL, amount FLOAT, note TEXT, parent INTEGER,
    CONSTRAINT uq_owner UNIQUE (owner), CONSTRAINT fk_parent FOREIGN KEY (parent) REFERENCES owners (id));
CREATE INDEX ix_note ON accounts (note)
"""


@pytest.fixture(autouse=True, scope="module")
def quick():
    with without_disk():
        yield


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path, f"sqlite:///{tmp_path / 'service.db'}", hooks=HOOKS)
    project.revision("first", upgrade=f"for sql in {OLD.strip().split(';')!r}:\n    op.execute(sql)")
    project.alembic("upgrade", "head")
    return project


def models(project, *, drop=(), add=(), without_owners=False, **columns):
    """The models of the project, with columns by name that stand in place of the old ones, or None."""
    project.metadata.clear()
    if not without_owners:
        sa.Table(
            "owners",
            project.metadata,
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("name", sa.String(50), nullable=False),
        )
    kept = {
        "id": sa.Column("id", sa.Integer, primary_key=True),
        "owner": sa.Column("owner", sa.String(50), nullable=False),
        "amount": sa.Column("amount", sa.Float),
        "note": sa.Column("note", sa.Text),
        "parent": sa.Column("parent", sa.Integer),
    } | columns
    constraints = {
        "uq_owner": sa.UniqueConstraint("owner", name="uq_owner"),
        "fk_parent": sa.ForeignKeyConstraint(["parent"], ["owners.id"], name="fk_parent"),
        "ix_note": sa.Index("ix_note", "note"),
    }
    arguments = [column for column in kept.values() if column is not None]
    arguments += [one for name, one in constraints.items() if name not in drop]
    sa.Table("accounts", project.metadata, *arguments, *add)


def proposed(project):
    """What autogenerate writes, loaded back; nothing is left in upgrade() for Alembic to do."""
    text, path = project.autogenerate()
    ast.parse(text)
    (upgrade,) = [part for part in ast.parse(text).body if getattr(part, "name", "") == "upgrade"]
    assert isinstance(upgrade.body[-1], ast.Pass), text
    changes = collect_changes(project.ini, "sqlite")
    assert {change.release for change in changes} == {"2027.1"}
    path.unlink()
    return changes


def same(change, expected):
    """Compare with types by their SQL: types have no equality."""

    def plain(one):
        names = type(one).__dataclass_fields__
        values = {name: getattr(one, name) for name in names}
        return {
            name: str(value.compile()) if isinstance(value, sa.types.TypeEngine) else value
            for name, value in values.items()
        }

    assert type(change) is type(expected)
    assert plain(change) == plain(expected)


def test_a_column_that_goes_where_one_like_it_comes_is_a_rename_and_not_null_follows(project):
    models(project, drop=["uq_owner"], owner=sa.Column("owner_name", sa.String(50), nullable=False))
    text, path = project.autogenerate()
    rename, strict, unique = collect_changes(project.ini, "sqlite")
    same(
        rename,
        Rename(
            id="accounts-owner-name",
            table="accounts",
            old="owner",
            new="owner_name",
            type=sa.String(50),
            release="2027.1",
        ),
    )
    same(
        strict,
        SetNotNull(
            id="accounts-owner-name-not-null",
            table="accounts",
            column="owner_name",
            type=sa.String(50),
            release="2027.1",
        ),
    )
    assert type(unique) is DropUnique
    lines = text.splitlines()
    at = lines.index("changes = (")
    assert (
        lines[at + 1]
        == "    # Taken for one column, since owner goes and owner_name comes. If it is not, use the lines below."
    )
    kinds = re.findall(r"^    ((?:# )?\w+)\(", "\n".join(lines[at + 2 :]), re.MULTILINE)
    assert kinds[:3] == ["Rename", "# DropColumn", "# AddColumn"]
    assert path.exists()


def test_what_may_be_a_rename_or_not_is_a_choice_that_fails_while_it_is_open(project):
    models(project, note=None, drop=["ix_note"], add=[sa.Column("memo", sa.Text), sa.Column("remark", sa.Text)])
    text, path = project.autogenerate()
    with pytest.raises(StillUndecided, match="accounts: note may have become memo, remark; say below"):
        collect_changes(project.ini, "sqlite")
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if "Undecided(" in line and "accounts: note" in line)
    options = [line.split("(")[0].strip() for line in lines[start + 1 : start + 6]]
    assert options == ["# Rename", "# Rename", "# DropColumn", "# AddColumn", "# AddColumn"]
    rename, add = lines[start + 1].replace("# ", ""), lines[start + 5].replace("# ", "")
    chosen = [*lines[:start], rename, add, *lines[start + 6 :]]
    path.write_text("\n".join(chosen))
    found = [(type(change), getattr(change, "new", "")) for change in collect_changes(project.ini, "sqlite")]
    assert found == [(Rename, "memo"), (AddColumn, "")]


def test_a_type_cannot_change_in_place_so_it_gets_another_name(project):
    models(project, amount=sa.Column("amount", sa.BigInteger))
    text, _ = project.autogenerate()
    with pytest.raises(
        StillUndecided, match=r"change accounts-amount-bigint of revision .* SQL that makes amount_bigint"
    ):
        collect_changes(project.ini, "sqlite")
    assert 'amount = mapped_column("amount_bigint", ...)' in text
    ((change,),) = [one.changes for one in read_revisions(project.ini)]
    assert (type(change), change.old, change.new) == (Retype, "amount", "amount_bigint")


def test_a_type_that_holds_the_same_values_needs_no_expressions(project):
    models(project, owner=sa.Column("owner", sa.String(100), nullable=False))
    (retype, strict) = proposed(project)
    expected = Retype(
        id="accounts-owner-varchar",
        table="accounts",
        old="owner",
        old_type=sa.VARCHAR(50),
        new="owner_varchar",
        type=sa.String(100),
        release="2027.1",
    )
    same(retype, expected)
    assert type(strict) is SetNotNull


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            {"note": sa.Column("note", sa.Text, nullable=False)},
            SetNotNull(id="accounts-note-not-null", table="accounts", column="note", type=sa.TEXT(), release="2027.1"),
        ),
        (
            {"owner": sa.Column("owner", sa.String(50))},
            DropNotNull(
                id="accounts-owner-null", table="accounts", column="owner", type=sa.VARCHAR(50), release="2027.1"
            ),
        ),
        (
            {"currency": sa.Column("currency", sa.String(3))},
            AddColumn(id="accounts-currency", table="accounts", column="currency", type=sa.String(3), release="2027.1"),
        ),
        (
            {"currency": sa.Column("currency", sa.String(3), nullable=False, server_default="EUR")},
            AddColumn(
                id="accounts-currency",
                table="accounts",
                column="currency",
                type=sa.String(3),
                nullable=False,
                default="EUR",
                release="2027.1",
            ),
        ),
        (
            {"closed": sa.Column("closed", sa.Integer, nullable=False, server_default=sa.text("0"))},
            AddColumn(
                id="accounts-closed",
                table="accounts",
                column="closed",
                type=sa.Integer(),
                nullable=False,
                default=0,
                release="2027.1",
            ),
        ),
        (
            {"closed": sa.Column("closed", sa.Integer, nullable=False, default=7)},
            AddColumn(
                id="accounts-closed",
                table="accounts",
                column="closed",
                type=sa.Integer(),
                nullable=False,
                default=7,
                release="2027.1",
            ),
        ),
        (
            {"amount": None},
            DropColumn(id="accounts-drop-amount", table="accounts", column="amount", type=sa.FLOAT(), release="2027.1"),
        ),
    ],
)
def test_each_change_of_a_column_has_its_kind(project, columns, expected):
    models(project, **columns)
    (change,) = proposed(project)
    same(change, expected)


@pytest.mark.parametrize("default", [{}, {"server_default": sa.func.now()}, {"default": lambda: "x"}])
def test_a_not_null_column_without_a_constant_fails_until_somebody_says_what_stands_in_old_rows(project, default):
    models(project, since=sa.Column("since", sa.DateTime, nullable=False, **default))
    text, path = project.autogenerate()
    with pytest.raises(StillUndecided, match="`default`, a constant, or `fill`"):
        collect_changes(project.ini, "sqlite")
    start, end = text.index("default=Undecided("), text.index('")', text.index("default=Undecided(")) + 2
    path.write_text(text[:start] + 'fill="{row.note}"' + text[end:])
    (change,) = collect_changes(project.ini, "sqlite")
    assert (change.column, change.nullable, change.fill) == ("since", False, "{row.note}")


def test_a_column_that_old_readers_need_a_value_in_fails_until_somebody_gives_one(project):
    models(project, drop=["uq_owner"], owner=None)
    project.autogenerate()
    with pytest.raises(StillUndecided, match=r"what the old release reads in accounts\.owner"):
        collect_changes(project.ini, "sqlite")


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (
            {"add": [sa.Index("ix_accounts_parent", "parent", "owner")]},
            AddIndex(
                id="accounts-ix-parent",
                table="accounts",
                name="ix_accounts_parent",
                columns=["parent", "owner"],
                release="2027.1",
            ),
        ),
        (
            {"drop": ["ix_note"]},
            DropIndex(id="accounts-drop-ix-note", table="accounts", name="ix_note", columns=["note"], release="2027.1"),
        ),
        (
            {"add": [sa.UniqueConstraint("parent", "note")]},
            AddUnique(
                id="accounts-uq-parent-note",
                table="accounts",
                name="uq_accounts_parent_note",
                columns=["parent", "note"],
                release="2027.1",
            ),
        ),
        (
            {"add": [sa.Index("ux_parent", "parent", unique=True)]},
            AddUnique(
                id="accounts-ux-parent", table="accounts", name="ux_parent", columns=["parent"], release="2027.1"
            ),
        ),
        (
            {"drop": ["uq_owner"]},
            DropUnique(
                id="accounts-drop-uq-owner", table="accounts", name="uq_owner", columns=["owner"], release="2027.1"
            ),
        ),
        (
            {"add": [sa.ForeignKeyConstraint(["id"], ["owners.id"], ondelete="cascade")]},
            AddForeignKey(
                id="accounts-fk-id",
                table="accounts",
                name="fk_accounts_id",
                columns=["id"],
                refers_to="owners",
                refers_columns=["id"],
                on_delete="CASCADE",
                release="2027.1",
            ),
        ),
        (
            {"drop": ["fk_parent"]},
            DropForeignKey(
                id="accounts-drop-fk-parent",
                table="accounts",
                name="fk_parent",
                columns=["parent"],
                refers_to="owners",
                refers_columns=["id"],
                release="2027.1",
            ),
        ),
    ],
)
def test_each_change_of_an_index_or_a_constraint_has_its_kind(project, how, expected):
    models(project, **how)
    (change,) = proposed(project)
    same(change, expected)


def test_a_new_table_comes_with_its_indexes_and_may_refer_to_any_other(project, db):
    models(project)
    sa.Table(
        "postings",
        project.metadata,
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("account", sa.ForeignKey("accounts.id"), nullable=False, index=True),
        sa.Column("at", sqlite.DATETIME, unique=True),
    )
    (change,) = proposed(project)
    assert (type(change), change.id, change.table) == (AddTable, "postings", "postings")
    assert [column.name for column in change.definition.columns] == ["id", "account", "at"]
    assert [index.name for index in change.definition.indexes] == ["ix_postings_account"]
    with db.begin() as connection:
        connection.execute(sa.schema.CreateTable(change.definition))
    assert sa.inspect(db).get_foreign_keys("postings")[0]["referred_table"] == "accounts"


def test_a_table_goes_with_its_indexes(project):
    models(project, drop=["fk_parent"], without_owners=True)
    key, table = proposed(project)
    assert (type(key), type(table), table.id, table.table) == (DropForeignKey, DropTable, "owners-drop", "owners")


METADATA = sa.MetaData()
ACCOUNTS = sa.Table("accounts", METADATA, sa.Column("id", sa.Integer), sa.Column("amount", sa.Integer))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("amount >= 0 OR kind = 'amount {x}'", "{row.amount} >= 0 OR kind = 'amount {{x}}'"),
        (sa.text("accounts.amount > id"), "{row.amount} > {row.id}"),
        (ACCOUNTS.c.amount > 5, "{row.amount} > 5"),
    ],
)
def test_checks_that_something_else_found_are_changes_too(condition, expected):
    maker = Maker(sa.create_engine("postgresql+psycopg://").dialect, {"accounts": ["id", "amount"]})
    add = ops.CreateCheckConstraintOp("ck_accounts_amount", "accounts", condition)
    drop = ops.DropConstraintOp("ck_accounts_amount", "accounts", "check", _reverse=add)
    (adding, dropping), left = propose([add, drop], maker)
    for proposal, kind in ((adding, AddCheck), (dropping, DropCheck)):
        assert (proposal.kind, proposal.arguments["name"]) == (kind.__name__, "ck_accounts_amount")
        assert proposal.arguments["check"] == expected
    assert left == []


def test_what_has_no_change_is_left_to_alembic(project):
    models(
        project,
        amount=sa.Column("amount", sa.Float, server_default=sa.text("0")),
        double=sa.Column("double", sa.Integer, sa.Computed("amount * 2", persisted=False)),
        add=[sa.Index("ix_half", "note", sqlite_where=sa.text("note > ''"))],
    )
    text, _ = project.autogenerate()
    assert "changes =" not in text
    assert "sa.Computed('amount * 2'" in text
    assert "op.create_index('ix_half'" in text


def test_tables_of_named_schemas_are_left_alone():
    column = ops.AddColumnOp("t", sa.Column("c", sa.Integer), schema="other")
    key = ops.CreateForeignKeyOp("fk", "t", "u", ["a"], ["b"], referent_schema="other")
    found, left = propose([column, key], Maker(sqlite.dialect(), {}))
    assert (found, left) == ([], [column, key])


def test_changes_come_in_an_order_in_which_they_can_be_expanded():
    made = [
        ops.DropTableOp("gone"),
        ops.DropColumnOp("t", "old"),
        ops.CreateIndexOp("ix", "t", ["new"]),
        ops.AddColumnOp("t", sa.Column("new", sa.Integer)),
        ops.CreateTableOp("fresh", [sa.Column("id", sa.Integer)]),
    ]
    found, _ = propose(made, Maker(sqlite.dialect(), {}))
    kinds = [proposal.kind for proposal in found if not isinstance(proposal, Choice)]
    assert kinds == ["AddTable", "AddColumn", "AddIndex", "DropColumn", "DropTable"]


def test_an_id_that_an_earlier_revision_has_is_not_given_again(project):
    project.revision(
        "r1",
        'release = "2026.2"\nchanges = (AddColumn(id="accounts-currency", table="gone", column="x", type=sa.Text()),)',
        down="first",
    )
    project.alembic("upgrade", "head")
    models(project, currency=sa.Column("currency", sa.String(3)))
    text, _ = project.autogenerate()
    assert 'id="accounts-currency-2"' in text


def test_alembics_check_tells_of_what_was_not_declared_yet(project):
    models(project, currency=sa.Column("currency", sa.String(3)))
    with pytest.raises(Exception, match="AddColumn accounts-currency"):
        project.alembic("check")
    project.autogenerate()
    project.alembic("upgrade", "head")
    assert "No new upgrade operations detected" in project.alembic("check")


def test_our_tables_and_indexes_are_nobodys_models():
    assert not include_name("bascule_change", "table", {})
    assert not include_name("bsc_x_ix", "index", {})
    assert include_name("accounts", "table", {})
    assert include_name("bascule_column", "column", {})
    assert include_name(None, "schema", {})
