"""Kill a schema phase at its n-th statement or commit, run it again, and compare with a run that was not killed.

A program, so that the kill is a real SIGKILL of a real process, and the hook that deals it exists nowhere else:
    BASCULE_TEST_KILL_EVERY=3 python killed_phase.py URL PHASE      prints {"kills": ..., "different": [...]}
"""

import itertools
import json
import os
import signal
import sys

import sqlalchemy as sa
from support.people import create_people, make_engine, people, phases, write

ROWS = [(f"key-{number:02}", f"First{number} Last é{number}", f"nick {number}") for number in range(9)]
BEFORE = {
    "expand": (),
    "migrate": ("expand",),
    "contract": ("expand", "migrate"),
    "rollback": ("expand", "migrate"),
}


def connect(url):
    db = sa.create_engine(url, poolclass=sa.NullPool)
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
    create_people(db, ROWS)
    write(db, "CREATE INDEX ix_nick ON people (nick)")
    schema = make_engine(db)
    for earlier in BEFORE[phase]:
        getattr(schema, earlier)()


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
        getattr(make_engine(dying), phase)()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, f"{phase} failed by itself"
    return False


def live_on(db, phase):
    """While the killed phase lies there, the service goes on: the release that is running must be able to write."""
    if phase == "contract":
        write(db, "INSERT INTO people (id, first, last, alias) VALUES ('later', 'Ada', 'Byron', 'ada')")
        write(db, "UPDATE people SET last = 'King' WHERE id = 'key-03'")
        return
    write(db, "INSERT INTO people (id, fullname, nick) VALUES ('later', 'Ada Byron', 'ada')")
    write(db, "UPDATE people SET fullname = 'Ada King', nick = NULL WHERE id = 'later'")
    write(db, "UPDATE people SET fullname = 'Other Name' WHERE id = 'key-03'")


def picture(db, phase):
    """Return everything that must be the same in the end."""
    schema = make_engine(db)
    if phase == "expand":
        schema.migrate()  # until then, a row's new columns tell whether it was written before or after the kill
    if phase == "contract":
        schema.purge()  # until then, an old column tells whether it was written before or after the kill
    inspector = sa.inspect(db)
    return {
        "columns": sorted(column["name"] for column in inspector.get_columns("people")),
        "indexes": sorted((index["name"], *index["column_names"]) for index in inspector.get_indexes("people")),
        "rows": people(db),
        "phases": phases(schema.verify()),
    }


def main(url, phase):
    db = connect(url)
    start_over(db, phase)
    live_on(db, phase)
    getattr(make_engine(db), phase)()
    expected, different, kills = picture(db, phase), [], 0
    for number in itertools.count(1, int(os.environ.get("BASCULE_TEST_KILL_EVERY", "1"))):
        start_over(db, phase)
        killed = kill_at(db, phase, number)
        if not killed:
            break
        kills += 1
        live_on(db, phase)
        getattr(make_engine(db), phase)()
        if picture(db, phase) != expected:
            different.append(number)
    print(json.dumps({"kills": kills, "different": different}))  # the result of this program


if __name__ == "__main__":
    main(*sys.argv[1:])
