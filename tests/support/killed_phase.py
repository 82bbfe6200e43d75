"""Kill a schema phase at its n-th statement or commit, run it again, and compare with a run that was not killed.

A program, so that the kill is a real SIGKILL of a real process, and the hook that deals it exists nowhere else:
    BASCULE_TEST_KILLS=5 python killed_phase.py URL PHASE      prints {"kills": ..., "different": [...], ...}
With BASCULE_TEST_KILLS=0 it kills at the first statement, the second, and so on, until a run gets by unkilled; how far
it is stands on stderr meanwhile.
"""

import itertools
import json
import os
import pathlib
import shutil
import signal
import sys

import sqlalchemy as sa
from support.people import ALIAS, NAMES, columns, create_people, make_engine, people, phases, write

from bascule.schema import (
    AddCheck,
    AddColumn,
    AddIndex,
    AddTable,
    AddUnique,
    DropColumn,
    DropIndex,
    DropNotNull,
    Options,
    Pace,
    Retry,
    SetNotNull,
)
from bascule.schema.databases import database_of

ROWS = [(f"key-{number:02}", f"First{number} Last é{number}", f"nick {number}") for number in range(9)]
# Batches of three rows, however fast the machine is just now: a phase has as many statements each time.
STEADY = Options(
    lease_s=5.0,
    lease_wait_s=0.0,
    retry=Retry(within_s=20.0),
    pace=Pace(0.0, 3, 1.0, 3),
    watch_s=0.0,
    copies_from=0 if os.environ.get("BASCULE_TEST_COPIES") else None,
)
UP_TO_SYNCED = ("expand", "migrate")
BEFORE = {
    "expand": (),
    "migrate": ("expand",),
    "fence": UP_TO_SYNCED,
    "contract": UP_TO_SYNCED,
    "purge": (*UP_TO_SYNCED, "contract"),
    "rollback": UP_TO_SYNCED,
    "restore": (*UP_TO_SYNCED, "contract"),
}
LABEL = sa.Table("label", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("word", sa.String(9)))
# One of each way to derive a change, on columns that do not touch each other.
CHANGES = (
    NAMES,
    ALIAS,
    AddColumn(id="k-tenant", table="people", column="tenant", type=sa.String(9), nullable=False, default="legacy"),
    AddColumn(id="k-handle", table="people", column="handle", type=sa.String(50), nullable=False, fill="{row.id}"),
    SetNotNull(id="k-age", table="people", column="age", type=sa.Integer(), fill="0"),
    DropNotNull(id="k-town", table="people", column="town", type=sa.String(20)),
    DropColumn(id="k-gone", table="people", column="gone", type=sa.String(20), stand_in="none"),
    AddCheck(id="k-check", table="people", name="ck_age", check="{row.age} >= 0"),
    AddUnique(id="k-unique", table="people", name="uq_id_age", columns=["id", "age"]),
    AddIndex(id="k-index", table="people", name="ix_age", columns=["age"]),
    DropIndex(id="k-noindex", table="people", name="ix_town", columns=["town"]),
    AddTable(id="k-table", table="label", definition=LABEL),
)


def engine(db):
    chosen = CHANGES[: int(os.environ.get("BASCULE_TEST_KILL_CHANGES", len(CHANGES)))]
    return make_engine(db, chosen, options=STEADY)


def connect(url, **options):
    db = sa.create_engine(url, **{"poolclass": sa.NullPool, **options})
    if db.dialect.name == "sqlite":
        sa.event.listen(db, "connect", lambda driver, _: driver.execute("PRAGMA synchronous = OFF"))
    return db


def start_over(db, phase):
    """Empty the database, and bring it to where the phase begins."""
    for table in sa.inspect(db).get_table_names():
        write(db, f"DROP TABLE {table}")
    if db.dialect.name == "postgresql":
        with db.begin() as connection:
            for name in connection.scalars(sa.text("SELECT proname FROM pg_proc WHERE proname LIKE 'bsc%'")).all():
                connection.exec_driver_sql(f"DROP FUNCTION {name}()")
            for name in connection.scalars(sa.text("SELECT relname FROM pg_class WHERE relkind = 'S'")).all():
                connection.exec_driver_sql(f"DROP SEQUENCE IF EXISTS {name} CASCADE")
    if db.dialect.name == "mysql":
        for name in ("bsc_people_names_wire", "bsc_people_alias_wire"):
            write(db, f"DROP SEQUENCE IF EXISTS {name}")
    create_people(db, ROWS)
    write(db, "ALTER TABLE people ADD COLUMN town varchar(20) NOT NULL DEFAULT 'here'")
    write(db, "ALTER TABLE people ADD COLUMN gone varchar(20) NOT NULL DEFAULT ''")
    write(db, "CREATE INDEX ix_nick ON people (nick)")
    write(db, "CREATE INDEX ix_town ON people (town)")
    schema = engine(db)
    for earlier in BEFORE[phase]:
        getattr(schema, earlier)()


def keep(db, phase):
    """Return what brings back the database as it is now: by a copy where that is quicker than to start over."""
    db.dispose()
    if db.dialect.name == "sqlite":
        here = pathlib.Path(db.url.database)
        kept = shutil.copy(here, here.with_suffix(".kept"))

        def bring_back():
            for log in ("-wal", "-shm"):
                pathlib.Path(f"{here}{log}").unlink(missing_ok=True)
            shutil.copy(kept, here)

        return bring_back
    if db.dialect.name != "postgresql":
        return lambda: start_over(db, phase)
    here, kept = db.url.database, f"{db.url.database}_kept"

    def copy(source, target):
        db.dispose()
        admin = sa.create_engine(db.url.set(database="postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {target} WITH (FORCE)")
            connection.exec_driver_sql(f"CREATE DATABASE {target} TEMPLATE {source}")

    copy(here, kept)
    return lambda: copy(kept, here)


def run(schema, phase):
    if phase == "restore":
        schema.rollback(keep_synced=True)
    else:
        getattr(schema, phase)()


def kill_at(db, phase, number):
    """Run the phase in a child that dies at that statement; return whether it died."""
    db.dispose()
    child = os.fork()
    if child == 0:
        dying = connect(db.url)
        seen = itertools.count(1)

        def count(*_arguments, **_keywords):
            if next(seen) == number:
                os.kill(os.getpid(), signal.SIGKILL)

        sa.event.listen(dying, "before_cursor_execute", count)
        sa.event.listen(dying, "commit", count)
        run(engine(dying), phase)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, f"{phase} failed by itself"
    return False


def live_on(db, phase):
    """While the killed phase lies there, the service goes on: the release that is running must be able to write."""
    if phase in ("contract", "purge", "restore"):
        handle = ", handle" if "handle" in columns(db) else ""
        value = ", 'l'" if handle else ""
        names = f"id, first, last, alias, age{handle}"
        write(db, f"INSERT INTO people ({names}) VALUES ('l', 'Ada', 'Byron', 'ada', 1{value})")
        write(db, "UPDATE people SET last = 'King' WHERE id = 'key-03'")
        return
    write(db, "INSERT INTO people (id, fullname, nick, age) VALUES ('l', 'Ada Byron', 'ada', 1)")
    write(db, "UPDATE people SET fullname = 'Ada King', nick = NULL WHERE id = 'l'")
    write(db, "UPDATE people SET fullname = 'Other Name' WHERE id = 'key-03'")


def picture(db, phase):
    """Return everything that must be the same in the end."""
    schema = engine(db)
    if phase == "expand":
        schema.migrate()  # until then, a row's new columns tell whether it was written before or after the kill
    if phase == "contract":
        schema.purge()  # until then, an old column tells whether it was written before or after the kill
    inspector = sa.inspect(db)
    with db.connect() as connection:
        triggers = sorted(database_of(db.dialect).triggers(connection, "people"))
    return {
        "columns": sorted(
            (column["name"], column["nullable"], column["name"] == "town" or str(column["default"]))
            for column in inspector.get_columns("people")
        ),
        "indexes": sorted((index["name"], *index["column_names"]) for index in inspector.get_indexes("people")),
        "tables": sorted(inspector.get_table_names()),
        "checks": sorted(check["name"] or "" for check in inspector.get_check_constraints("people")),
        "triggers": triggers,
        "rows": people(db),
        "phases": phases(schema.verify()),
    }


def main(url, phase):
    db = connect(url, poolclass=sa.QueuePool)
    start_over(db, phase)
    bring_back = keep(db, phase)
    statements = count_statements(db, phase)
    expected, different, kills = finish(db, phase), [], 0
    for number in numbers(statements):
        bring_back()
        if not kill_at(db, phase, number):
            break
        kills += 1
        if finish(db, phase) != expected:
            different.append(number)
        if kills % 25 == 0:
            print(f"{phase}: {kills} kills in {statements} statements, different: {different}", file=sys.stderr)
    # The result of this program.
    print(json.dumps({"statements": statements, "kills": kills, "different": different}))


def finish(db, phase):
    """Run the phase again, after the service has gone on; return what must be the same."""
    live_on(db, phase)
    run(engine(db), phase)
    return picture(db, phase)


def count_statements(db, phase):
    """Run the phase undisturbed; return how many statements and commits it makes."""
    counted = connect(db.url)
    seen = itertools.count()
    sa.event.listen(counted, "before_cursor_execute", lambda *_arguments, **_keywords: next(seen) and None)
    sa.event.listen(counted, "commit", lambda *_arguments: next(seen) and None)
    run(engine(counted), phase)
    return next(seen)


def numbers(statements):
    """Return where to kill: at every statement, or at as many as BASCULE_TEST_KILLS says, evenly spread."""
    kills = int(os.environ.get("BASCULE_TEST_KILLS", "0"))
    if not kills:
        return itertools.count(1)
    step = max(statements / kills, 1.0)
    return sorted({1 + int(step * (number + 0.5)) for number in range(kills) if step * (number + 0.5) < statements})


if __name__ == "__main__":
    main(*sys.argv[1:])
