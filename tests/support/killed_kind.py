"""Kill a phase of one kind of change at its n-th statement or commit, run it again, compare with one never killed.

A program, so that the kill is a real SIGKILL of a real process:
    BASCULE_TEST_KILL_EVERY=7 python killed_kind.py URL WORLD [PHASE ...]
It prints {"kills": {phase: ...}, "different": [...]}.
WORLD is a module of `support` with `start(db)`, `engine(db)`, `live_on(db, phase)` and `picture(db)`.
"""

import importlib
import itertools
import json
import os
import signal
import subprocess
import sys

import sqlalchemy as sa
from support.killed_phase import connect
from support.killing import TESTS

BEFORE = {
    "expand": (),
    "migrate": ("expand",),
    "contract": ("expand", "migrate"),
    "rollback": ("expand", "migrate", "contract"),
    "purge": ("expand", "migrate", "contract"),
}


def run_killed_kind(url, world, *phases, every):
    """Kill each of the phases, or all, at every n-th statement; return {"kills": {phase: ...}, "different": [...]}."""
    done = subprocess.run(
        [sys.executable, __file__, url, world, *phases],
        env={**os.environ, "PYTHONPATH": str(TESTS), "BASCULE_TEST_KILL_EVERY": str(every)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def empty(db):
    """Drop everything, whatever a killed phase left."""
    with db.begin() as connection:
        if db.dialect.name == "postgresql":
            connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA public")
            return
        off = {"mysql": "SET foreign_key_checks = 0", "sqlite": "PRAGMA foreign_keys = OFF"}[db.dialect.name]
        connection.exec_driver_sql(off)
        for name in sa.inspect(connection).get_view_names():
            connection.exec_driver_sql(f"DROP VIEW {name}")
        for name in sa.inspect(connection).get_table_names():
            connection.exec_driver_sql(f"DROP TABLE {name}")


def start_over(db, world, phase):
    empty(db)
    world.start(db)
    for earlier in BEFORE[phase]:
        getattr(world.engine(db), earlier)()


def kill_at(db, world, phase, number):
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
        getattr(world.engine(dying), phase)()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, f"{phase} failed by itself"
    return False


def finish(db, world, phase):
    """Run the phase to its end, while the service has gone on; return what must be the same."""
    world.live_on(db, phase)
    getattr(world.engine(db), phase)()
    if phase == "expand":
        world.engine(db).migrate()
    return repr(world.picture(db))


def main(url, name, *phases):
    world = importlib.import_module(f"support.{name}")
    db = connect(url)
    every, kills, different = int(os.environ.get("BASCULE_TEST_KILL_EVERY", "1")), {}, []
    for phase in phases or BEFORE:
        start_over(db, world, phase)
        expected, kills[phase] = finish(db, world, phase), 0
        for number in itertools.count(1 + every // 2, every):
            start_over(db, world, phase)
            if not kill_at(db, world, phase, number):
                break
            kills[phase] += 1
            if finish(db, world, phase) != expected:
                different.append([phase, number])
    print(json.dumps({"kills": kills, "different": different}))  # the result of this program


if __name__ == "__main__":
    main(*sys.argv[1:])
