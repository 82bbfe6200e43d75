"""Every kind of change, forth and back through all phases, on every database."""

from dataclasses import dataclass

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from support.people import QUICK, make_engine, phases, write

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
    Merge,
    Rename,
    Retype,
    SetNotNull,
)
from bascule.schema.databases import database_of
from bascule.schema.refusals import BadChange, RowsInTheWay, StatementFailed

ACCT = (
    "CREATE TABLE acct (id integer PRIMARY KEY, name varchar(50) NOT NULL, email varchar(50), amount integer, "
    "note varchar(50), first varchar(20), last varchar(20), owner_id integer, kept_by integer, "
    "CONSTRAINT ck_note CHECK (note <> 'bad'), CONSTRAINT uq_note UNIQUE (note), "
    "CONSTRAINT fk_kept FOREIGN KEY (kept_by) REFERENCES owner (id))"
)
TABLES = (
    "CREATE TABLE owner (id integer PRIMARY KEY, label varchar(20))",
    "CREATE TABLE unused (id integer PRIMARY KEY, label varchar(20))",
    ACCT,
    "CREATE INDEX ix_email ON acct (email)",
    "INSERT INTO owner VALUES (1, 'one'), (2, 'two')",
    "INSERT INTO acct VALUES (1, 'ada', 'a@x', 10, 'n1', 'Ada', 'King', 1, 1)",
    "INSERT INTO acct VALUES (2, 'eve', NULL, -5, NULL, 'Eve', 'Moss', 9, NULL)",
)
OLD_INSERT = "INSERT INTO acct (id, name, email, amount, note) VALUES ({id}, 'old', {email}, {amount}, {note})"


@dataclass(frozen=True)
class Case:
    """A change; what mends rows that are in its way; what works or fails once it binds, and once it is purged."""

    change: object
    mend: tuple[str, ...] = ()
    works: tuple[str, ...] = ()
    fails: tuple[str, ...] = ()
    new_write: str = ""
    unmend: tuple[str, ...] = ()
    gone: str = ""


META = sa.MetaData()
CASES = {
    "merge": Case(
        Merge(
            id="c",
            table="acct",
            old={"first": sa.String(20), "last": sa.String(20)},
            new="fullname",
            type=sa.String(41),
            up={"mysql": "concat({o.first}, ' ', {o.last})", "sqlite": "{o.first} || ' ' || {o.last}"}
            | {"postgresql": "{o.first} || ' ' || {o.last}"},
            down={
                "first": {
                    "mysql": "substring_index({n.fullname}, ' ', 1)",
                    "postgresql": "split_part({n.fullname}, ' ', 1)",
                    "sqlite": "substr({n.fullname}, 1, instr({n.fullname} || ' ', ' ') - 1)",
                },
                "last": {
                    "mysql": "substring({n.fullname}, locate(' ', concat({n.fullname}, ' ')) + 1)",
                    "postgresql": "substr({n.fullname}, strpos({n.fullname} || ' ', ' ') + 1)",
                    "sqlite": "substr({n.fullname}, instr({n.fullname} || ' ', ' ') + 1)",
                },
            },
        ),
        new_write="INSERT INTO acct (id, name, fullname) VALUES (50, 'new', 'New One')",
        gone="first",
    ),
    "retype": Case(
        Retype(
            id="c",
            table="acct",
            old="amount",
            old_type=sa.Integer(),
            new="cents",
            type=sa.BigInteger(),
            up="{o.amount} * 100",
            down={"mysql": "{n.cents} DIV 100", "postgresql": "{n.cents} / 100", "sqlite": "{n.cents} / 100"},
            lossy="cents",
        ),
        new_write="INSERT INTO acct (id, name, cents) VALUES (50, 'new', 700)",
        gone="amount",
    ),
    "add a nullable column": Case(
        AddColumn(id="c", table="acct", column="extra", type=sa.String(10)),
        new_write="UPDATE acct SET extra = 'x' WHERE id = 1",
    ),
    "add a column with a default": Case(
        AddColumn(id="c", table="acct", column="tenant", type=sa.String(20), nullable=False, default="it's 5%"),
        new_write="UPDATE acct SET tenant = 'x' WHERE id = 1",
        fails=("UPDATE acct SET tenant = NULL WHERE id = 1",),
    ),
    "add a computed column": Case(
        AddColumn(id="c", table="acct", column="handle", type=sa.String(50), nullable=False, fill="upper({row.name})"),
        new_write="INSERT INTO acct (id, name, handle) VALUES (50, 'new', 'H')",
        fails=("UPDATE acct SET handle = NULL WHERE id = 1",),
    ),
    "drop a column": Case(
        DropColumn(id="c", table="acct", column="name", type=sa.String(50), stand_in="nobody"),
        new_write="INSERT INTO acct (id, email) VALUES (50, 'new')",
        gone="name",
    ),
    "set not null with a fill": Case(
        SetNotNull(id="c", table="acct", column="email", type=sa.String(50), fill="'none'"),
        fails=("UPDATE acct SET email = NULL WHERE id = 1",),
        works=("UPDATE acct SET email = 'b@x' WHERE id = 1",),
    ),
    "set not null": Case(
        SetNotNull(id="c", table="acct", column="email", type=sa.String(50)),
        mend=("UPDATE acct SET email = '' WHERE email IS NULL",),
        fails=("INSERT INTO acct (id, name) VALUES (60, 'x')",),
    ),
    "drop not null": Case(
        DropNotNull(id="c", table="acct", column="name", type=sa.String(50)),
        works=("INSERT INTO acct (id, name) VALUES (60, NULL)",),
        unmend=("UPDATE acct SET name = 'x' WHERE name IS NULL",),
    ),
    "add a check": Case(
        AddCheck(id="c", table="acct", name="ck_amount", check="{row.amount} >= 0"),
        mend=("UPDATE acct SET amount = 0 WHERE amount < 0",),
        works=("UPDATE acct SET amount = NULL WHERE id = 1", "INSERT INTO acct (id, name) VALUES (60, 'null passes')"),
        fails=("UPDATE acct SET amount = -1 WHERE id = 1", "INSERT INTO acct (id, name, amount) VALUES (61, 'x', -1)"),
    ),
    "add a check that the old release keeps to": Case(
        AddCheck(id="c", table="acct", name="ck_name", check="{row.name} <> ''", old_release_obeys=True),
        fails=("UPDATE acct SET name = '' WHERE id = 1",),
    ),
    "drop a check": Case(
        DropCheck(id="c", table="acct", name="ck_note", check="{row.note} <> 'bad'"),
        works=("UPDATE acct SET note = 'bad' WHERE id = 1",),
        unmend=("UPDATE acct SET note = 'good' WHERE note = 'bad'",),
    ),
    "add a unique constraint": Case(
        AddUnique(id="c", table="acct", name="uq_email", columns=["email"]),
        mend=("UPDATE acct SET email = 'free' WHERE id = 31",),
        works=("INSERT INTO acct (id, name, email) VALUES (60, 'x', NULL)",),
        fails=("INSERT INTO acct (id, name, email) VALUES (61, 'x', 'a@x')",),
    ),
    "drop a unique constraint": Case(
        DropUnique(id="c", table="acct", name="uq_note", columns=["note"]),
        works=("INSERT INTO acct (id, name, note) VALUES (60, 'x', 'n1')",),
        unmend=("UPDATE acct SET note = NULL WHERE id = 60",),
    ),
    "add a foreign key": Case(
        AddForeignKey(id="c", table="acct", name="fk_owner", columns=["owner_id"], refers_to="owner"),
        mend=("UPDATE acct SET owner_id = 2 WHERE owner_id = 9",),
        works=("UPDATE acct SET owner_id = NULL WHERE id = 1",),
        fails=("UPDATE acct SET owner_id = 77 WHERE id = 1",),
    ),
    "drop a foreign key": Case(
        DropForeignKey(id="c", table="acct", name="fk_kept", columns=["kept_by"], refers_to="owner"),
        works=("UPDATE acct SET kept_by = 77 WHERE id = 1",),
        unmend=("UPDATE acct SET kept_by = 1 WHERE id = 1",),
    ),
    "add an index": Case(AddIndex(id="c", table="acct", name="ix_amount", columns=["amount", "name"])),
    "drop an index": Case(DropIndex(id="c", table="acct", name="ix_email", columns=["email"])),
    "add a table": Case(
        AddTable(
            id="c",
            table="label",
            definition=sa.Table(
                "label",
                META,
                sa.Column("id", sa.Integer, primary_key=True),
                sa.Column("word", sa.String(20), index=True),
            ),
        ),
        new_write="INSERT INTO label (id, word) VALUES (1, 'x')",
    ),
    "drop a table": Case(DropTable(id="c", table="unused")),
}


@pytest.fixture
def base(any_db):
    if any_db.dialect.name == "sqlite":
        sa.event.listen(any_db, "connect", lambda driver, _: driver.execute("PRAGMA foreign_keys = ON"))
        any_db.dispose()
    for sql in TABLES:
        if any_db.dialect.name == "sqlite" and sql is ACCT:
            # What SQLite calls unique by a constraint cannot be dropped; a unique index can.
            write(any_db, ACCT.replace("CONSTRAINT uq_note UNIQUE (note), ", ""))
            write(any_db, "CREATE UNIQUE INDEX uq_note ON acct (note)")
        else:
            write(any_db, sql)
    return any_db


def picture(db):
    """Return the whole schema as the database tells it, but for the state tables."""
    with db.begin() as connection:
        inspector = sa.inspect(connection)
        tables = [table for table in sorted(inspector.get_table_names()) if not table.startswith("bascule_")]
        columns, indexes, unique, checks, keys = (
            {table: items for (_, table), items in look(filter_names=tables).items()}
            for look in (
                inspector.get_multi_columns,
                inspector.get_multi_indexes,
                inspector.get_multi_unique_constraints,
                inspector.get_multi_check_constraints,
                inspector.get_multi_foreign_keys,
            )
        )
        return {
            table: {
                "columns": [(c["name"], str(c["type"]), c["nullable"], str(c["default"])) for c in columns[table]],
                "indexes": sorted((i["name"], tuple(i["column_names"]), bool(i["unique"])) for i in indexes[table]),
                "unique": sorted((u["name"] or "", tuple(u["column_names"])) for u in unique[table]),
                "checks": sorted((c["name"] or "", c["sqltext"]) for c in checks[table]),
                "keys": sorted((k["name"] or "", tuple(k["constrained_columns"])) for k in keys[table]),
                "triggers": sorted(database_of(connection.dialect).triggers(connection, table)),
            }
            for table in tables
        }


def refused(db, sql):
    try:
        write(db, sql)
    except DBAPIError:
        return True
    return False


def old_writes(db, first):
    """Write as the old release does: all of it must work until the change binds."""
    for number, (email, amount, note) in enumerate((("NULL", -1, "NULL"), ("'a@x'", 5, "'x'"))):
        note = note if note == "NULL" else f"'o{first + number}'"  # noqa: PLW2901 # unique
        write(db, OLD_INSERT.format(id=first + number, email=email, amount=amount, note=note))
    write(db, f"UPDATE acct SET email = NULL, amount = 3, first = 'F', last = 'L' WHERE id = {first + 1}")
    write(db, f"UPDATE acct SET email = 'a@x' WHERE id = {first + 1}")
    write(db, f"UPDATE acct SET owner_id = 9 WHERE id = {first}")


def mended_migrate(db, schema, case):
    """Migrate; rows that nobody but a person can mend are named first."""
    if case.mend:
        with pytest.raises(RowsInTheWay) as told:
            schema.migrate()
        assert told.value.rows > 0
        for sql in case.mend:
            write(db, sql)
    return schema.migrate()


@pytest.mark.parametrize("name", CASES)
def test_the_plan_holds_every_statement_that_is_run(base, name):
    db, case = base, CASES[name]
    schema = make_engine(db, [case.change], options=QUICK)
    whole = planned(schema, "expand", "fence", "contract", "purge")
    before = picture(db)
    assert picture(db) == before
    for sql in case.mend:
        write(db, sql)
    ran = []
    for phase in ("expand", "migrate", "fence", "contract", "purge"):
        told = planned(schema, phase)
        getattr(schema, phase)()
        fresh = [entry.statement for entry in schema.history()][len(ran) :]
        assert set(fresh) <= set(told), phase
        ran += fresh
    assert planned(schema, "expand", "migrate", "fence", "contract", "purge") == []
    if name not in ("add a computed column", "drop a column"):  # their contract or purge depends on what expand did
        assert set(ran) <= {*whole, *planned_late(ran)}


def planned(schema, *names):
    return [one.sql for phase in schema.plan().phases if phase.phase in names for one in phase.statements]


def planned_late(ran):
    """Return what cannot be told before expand: SQLite's rewritten table texts, and the proofs of migrate."""
    return [sql for sql in ran if sql.startswith(("UPDATE sqlite_master", "ALTER TABLE acct VALIDATE"))]


@pytest.mark.parametrize("name", CASES)
def test_a_change_goes_forth_and_back_through_every_phase(base, name):
    db, case = base, CASES[name]
    schema = make_engine(db, [case.change], options=QUICK)
    back_from_expanded(db, schema, case)
    bring_back(db, name)
    assert phases(mended_migrate(db, schema, case)) == {"c": "synced"}
    synced = picture(db)
    schema.fence()
    schema.rollback(keep_synced=True)
    assert picture(db) == synced
    contracted = contract_and_look(db, schema, case)
    schema.rollback(keep_synced=True)
    if (name, db.dialect.name) == ("drop a check", "mysql"):
        # The way back holds it by triggers: to add a CHECK would copy the table and keep every writer waiting.
        assert refused(db, "UPDATE acct SET note = 'bad' WHERE id = 1")
    else:
        assert picture(db) == synced
    schema.contract()
    assert picture(db) == contracted
    if case.new_write and not name.startswith("add"):
        write(db, case.new_write)
    assert phases(schema.purge()) == {"c": "purged"}
    schema.verify()
    assert not case.gone or case.gone not in [column["name"] for column in sa.inspect(db).get_columns("acct")]
    assert schema.history()[-1].finished is not None


def back_from_expanded(db, schema, case):
    """Expand under writes of both releases, roll back, and expand again."""
    before = picture(db)
    old_writes(db, 10)
    schema.expand()
    old_writes(db, 20)
    if case.new_write:
        write(db, case.new_write)
    schema.rollback()
    assert picture(db) == before
    write(db, "UPDATE acct SET email = NULL WHERE id > 1")
    schema.expand()


def bring_back(db, name):
    """Write once more in the old shape; of twins, only as many as one statement can part."""
    write(db, "DELETE FROM acct WHERE id = 50")
    if name == "add a unique constraint":
        write(db, "INSERT INTO acct (id, name, email) VALUES (31, 'twice', 'a@x')")
    else:
        old_writes(db, 30)


def contract_and_look(db, schema, case):
    """Contract; what binds now is refused, and what the way back cannot keep stands in its way."""
    assert phases(schema.contract()) == {"c": "contracted"}
    contracted = picture(db)
    for sql in case.works:
        write(db, sql)
    for sql in case.fails:
        assert refused(db, sql), sql
    if case.unmend:
        with pytest.raises(RowsInTheWay):
            schema.rollback(keep_synced=True)
        assert picture(db) == contracted
        for sql in case.unmend:
            write(db, sql)
    return contracted


WRONG = {
    "a column that is there": (
        AddColumn(id="c", table="acct", column="note", type=sa.Text()),
        "already has a column note",
    ),
    "a column that is not": (DropColumn(id="c", table="acct", column="x", type=sa.Text()), "has no column x"),
    "a key column": (DropColumn(id="c", table="acct", column="id", type=sa.Integer()), "part of the primary key"),
    "no stand-in": (DropColumn(id="c", table="acct", column="name", type=sa.Text()), "needs a `stand_in`"),
    "a column that refers": (
        DropColumn(id="c", table="acct", column="kept_by", type=sa.Integer()),
        "a foreign key of acct uses the column",
    ),
    "not null twice": (SetNotNull(id="c", table="acct", column="name", type=sa.Text()), "forbids NULL already"),
    "null twice": (DropNotNull(id="c", table="acct", column="note", type=sa.Text()), "allows NULL already"),
    "an index that is there": (
        AddIndex(id="c", table="acct", name="ix_email", columns=["note"]),
        "already has an index ix_email",
    ),
    "an index that is not": (DropIndex(id="c", table="acct", name="ix", columns=["note"]), "has no index ix"),
    "another index": (
        DropIndex(id="c", table="acct", name="ix_email", columns=["note"]),
        "is not a plain index on note",
    ),
    "no table": (AddIndex(id="c", table="nothing", name="ix", columns=["a"]), "there is no table nothing"),
    "a table that is there": (
        AddTable(id="c", table="owner", definition=sa.Table("owner", META, sa.Column("id", sa.Integer))),
        "there is a table owner already",
    ),
    "a table in use": (DropTable(id="c", table="owner"), "a foreign key of acct refers to it"),
    "nothing to refer to": (
        AddForeignKey(
            id="c", table="acct", name="fk", columns=["owner_id"], refers_to="owner", refers_columns=["nothing"]
        ),
        "owner has no column nothing",
    ),
    "unique nothing": (AddUnique(id="c", table="acct", name="uq", columns=["x"]), "has no column x"),
}


def test_a_change_that_does_not_fit_the_table_is_refused_and_changes_nothing(base):
    before = picture(base)
    for name, (change, why) in WRONG.items():
        schema = make_engine(base, [change], options=QUICK)
        with pytest.raises(BadChange, match=why):
            schema.expand()
        assert picture(base) == before, name
        assert schema.history() == (), name


def test_what_the_definition_of_a_table_on_sqlite_makes_unique_cannot_be_dropped(any_db):
    write(any_db, "CREATE TABLE acct (id integer PRIMARY KEY, note varchar(9), CONSTRAINT uq_note UNIQUE (note))")
    schema = make_engine(any_db, [CASES["drop a unique constraint"].change], options=QUICK)
    if any_db.dialect.name == "sqlite":
        with pytest.raises(BadChange, match="SQLite cannot take apart"):
            schema.expand()
        return
    for phase in ("expand", "migrate", "contract"):
        getattr(schema, phase)()
    write(any_db, "INSERT INTO acct VALUES (1, 'x'), (2, 'x')")


def test_a_fill_of_what_another_change_brings_reaches_the_old_side_too(base):
    changes = [
        Rename(id="c1", table="acct", old="email", new="mail", type=sa.String(50)),
        SetNotNull(id="c2", table="acct", column="mail", type=sa.String(50), fill="'none'"),
    ]
    schema = make_engine(base, changes, options=QUICK)
    for phase in ("expand", "migrate", "contract"):
        getattr(schema, phase)()
    with base.begin() as connection:
        found = connection.exec_driver_sql("SELECT email, mail FROM acct ORDER BY id").all()
    assert [tuple(row) for row in found] == [("a@x", "a@x"), ("none", "none")]


def test_a_check_in_nonsense_sql_fails_and_leaves_the_table_as_it_was(base):
    change = AddCheck(id="c", table="acct", name="ck", check="{row.amount} >>> nonsense(", old_release_obeys=True)
    before = picture(base)
    with pytest.raises(StatementFailed):
        make_engine(base, [change], options=QUICK).expand()
    assert picture(base) == before
    write(base, "INSERT INTO acct (id, name) VALUES (70, 'still works')")
