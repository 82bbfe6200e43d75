"""The engine's process: runs phases as told; a run that shall be killed is a child of it, killed in earnest."""

import itertools
import json
import os
import re
import signal
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe

import sqlalchemy as sa
from support import schema_fuzz_faults
from support.schema_fuzz_model import TWINS
from support.schema_fuzz_processes import Outcome

from bascule.errors import BasculeError
from bascule.schema import Options, Pace, Retry, SchemaEngine
from bascule.schema.databases import sqlite

__all__ = ["Order", "main"]

# The engine's own lock timeouts are for people's transactions; here a lock that is held stays held until we are told.
_SHORTER = ((re.compile(r"'500ms'"), "'30ms'"), (re.compile(r"(lock_wait_timeout) = 1\b"), r"\1 = 0"))
_BEGINS_TO_FILL = re.compile(r"UPDATE bascule_change SET cursor=")
_WALKED = "walked "


@dataclass(frozen=True, slots=True)
class Order:
    """A run, what it works on, and how long it tries to get locks; `stall_at` batches it waits for a word."""

    run: object
    changes: tuple[str, ...]
    within_s: float
    stall_at: int | None = None


class _Silent(SchemaEngine):
    """Spares the second connection that the answer of each phase takes; the judge asks the database itself."""

    def status(self):
        return ()


def main(descriptor):
    """Be an engine: run what comes over the socket until it is closed."""
    pipe = Pipe(descriptor)
    address, fault = pipe.recv()
    sqlite._BUSY_TIMEOUT_MS = 30
    if fault is not None:
        schema_fuzz_faults.plant(fault)
    db = _connect(address)
    while True:
        try:
            (order,) = pipe.recv()
        except EOFError:
            return
        if order.run.kill_at is None:
            pipe.send(_run(db, order, pipe))
        else:
            pipe.send(_run_in_child(db, order))


def _connect(address):
    db = sa.create_engine(address.url, poolclass=sa.NullPool)
    sa.event.listen(db, "before_cursor_execute", _shorten, retval=True)
    if address.kind == "sqlite":
        sa.event.listen(db, "connect", lambda driver, _: driver.execute("PRAGMA synchronous = OFF"))
    return db


def _shorten(_connection, _cursor, statement, parameters, _context, _many):
    for pattern, text in (*_SHORTER, *schema_fuzz_faults.REWRITES):
        statement = pattern.sub(text, statement)
    return statement, parameters


def _run_in_child(db, order):
    ours, theirs = os.pipe()
    child = os.fork()  # no connection is open that two processes could share
    if child == 0:
        outcome = Outcome("crashed")
        try:
            _die_at(db, order.run.kill_at)
            outcome = _run(db, order, None, lambda *batch: os.write(theirs, f"{_WALKED}{json.dumps(batch)}\n".encode()))
        finally:
            os.write(theirs, f"{outcome.name}\n{outcome.said}".encode())
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as answer:
        lines = answer.read().splitlines()
    _, status = os.waitpid(child, 0)
    walked = tuple(tuple(json.loads(line[len(_WALKED) :])) for line in lines if line.startswith(_WALKED))
    name, *said = [line for line in lines if not line.startswith(_WALKED)] or ["killed"]
    return Outcome("killed" if os.WIFSIGNALED(status) else name, "\n".join(said), walked)


def _die_at(db, number):
    seen, filling = itertools.count(1), []

    def count(_connection, _cursor=None, statement="", *_arguments):
        if number < 0 and not filling:
            filling.append(True) if _BEGINS_TO_FILL.search(statement) else None
        elif next(seen) == abs(number):
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(db, "before_cursor_execute", count)
    sa.event.listen(db, "commit", count)


def _run(db, order, pipe, note=lambda *_batch: None):
    run, walked = order.run, []
    looks = itertools.count(1)

    def live(_release):
        return ["api-1"] if run.alive == "yes" or (run.alive == "later" and next(looks) > 1) else []

    def tell(progress):
        if progress.activity == "backfill":
            walked.append((progress.change, progress.done))
            note(*walked[-1])
            if order.stall_at == len(walked):
                pipe.send("stalled")
                pipe.recv()

    copies_from = 0 if run.copies else None
    retry = Retry(within_s=order.within_s, first_s=0.002, longest_s=0.02, sleep=lambda s: time.sleep(min(s, 0.01)))
    schema = _Silent(
        db,
        release="2027.1",
        changes=[TWINS[name].change for name in order.changes],
        live_older=live,
        live_same=live,
        options=Options(
            lease_s=30.0,
            lease_wait_s=10.0,
            retry=retry,
            pace=Pace(0.0001, 2, 1.0),
            watch_s=0.0,
            copies_from=copies_from,
        ),
    )
    batches = itertools.count()
    arguments = {
        "migrate": {
            "progress": tell,
            "prefer": run.prefer,
            "should_stop": lambda: run.batches is not None and next(batches) >= run.batches,
        },
        "rollback": {"accept_loss": run.accept_loss},
        "fence": {"mode": "refuse" if run.refuse else "count"},
        "restore": {"keep_synced": True},
    }
    verb = "rollback" if run.verb == "restore" else run.verb
    try:
        getattr(schema, verb)(**arguments.get(run.verb, {}))
    except BasculeError as error:
        return Outcome(type(error).__name__, str(error), tuple(walked))
    except Exception as error:  # noqa: BLE001 # a bug, told to the judge
        return Outcome("crashed", f"{type(error).__name__}: {error}", tuple(walked))
    return Outcome("ok", "", tuple(walked))
