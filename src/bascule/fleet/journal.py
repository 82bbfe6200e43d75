"""The journal: what was intended, what came about, in one SQLite file that survives any kill.

Every state change is one transaction with synchronous=FULL, and appends one event to a hash chain. The run's mode
is a column, so pause, abort and roll-back hold whoever asks for them and whoever is running.
"""

import contextlib
import errno
import hashlib
import json
import sqlite3
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from bascule.documents.codec import canonical, from_plain
from bascule.documents.journal import JournalEvent, RunDocument, RunMode, StepRecord, StepState
from bascule.documents.plan import Plan
from bascule.errors import FleetError

__all__ = ["OPEN_MODES", "Journal", "JournalFull"]

OPEN_MODES: tuple[RunMode, ...] = ("forward", "paused", "aborted", "rollback")

_TABLES = """
create table if not exists run(
    id text primary key, service text not null, plan_hash text not null, plan text not null,
    mode text not null, created_at real not null);
create table if not exists step(
    run text not null, id text not null, position integer not null, state text not null, attempts integer not null,
    started_at real, ended_at real, seconds real not null default 0, error text, primary key(run, id));
create table if not exists event(
    number integer primary key autoincrement, run text not null, at real not null, step text not null,
    what text not null, data text not null, chain text not null);
"""


class Journal:
    """The runs of one fleet. Safe to open from several processes; one of them applies at a time (see lock.py)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with _translated(path):
            self._db = sqlite3.connect(path, isolation_level=None, timeout=10)
            self._db.row_factory = sqlite3.Row
            self._db.execute("pragma journal_mode=wal")
            self._db.execute("pragma synchronous=full")
            self._db.executescript(_TABLES)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def begin(self, plan: Plan) -> str:
        """Record a run of a plan and return its id; nothing has been done yet."""
        run = uuid.uuid4().hex[:12]
        with self._transaction():
            self._db.execute(
                "insert into run values(?,?,?,?,?,?)",
                (run, plan.service, plan.hash, canonical(plan), "forward", time.time()),
            )
            for position, step in enumerate(plan.steps):
                self._db.execute(
                    "insert into step(run,id,position,state,attempts) values(?,?,?,?,0)",
                    (run, step.id, position, "pending"),
                )
            self._event(run, "", "begun", {"plan": plan.hash, "target": str(plan.target)})
        return run

    def open_run(self) -> str | None:
        """Return the run that is neither finished nor rolled back, if there is one."""
        marks = ",".join("?" * len(OPEN_MODES))
        row = self._db.execute(f"select id from run where mode in ({marks})", OPEN_MODES).fetchone()  # noqa: S608
        return row["id"] if row else None

    def last_run(self) -> str | None:
        """Return the newest run."""
        row = self._db.execute("select id from run order by created_at desc limit 1").fetchone()
        return row["id"] if row else None

    def plan(self, run: str) -> Plan:
        """Return the plan that a run follows, as it was when it began."""
        row = self._db.execute("select plan from run where id=?", (run,)).fetchone()
        return from_plain(Plan, json.loads(row["plan"]))

    def mode(self, run: str) -> RunMode:
        """Return what the run is asked to do."""
        row = self._db.execute("select mode from run where id=?", (run,)).fetchone()
        return cast("RunMode", row["mode"])

    def set_mode(self, run: str, mode: RunMode, **data: Any) -> None:  # Any: plain JSON values
        """Ask the run to go on, pause, stop for good or go back; whoever applies looks before each step."""
        with self._transaction():
            self._db.execute("update run set mode=? where id=?", (mode, run))
            self._event(run, "", mode, data)

    def state(self, run: str, step: str) -> StepState:
        """Return the state of a step."""
        row = self._db.execute("select state from step where run=? and id=?", (run, step)).fetchone()
        return cast("StepState", row["state"])

    def set_state(self, run: str, step: str, state: StepState, **data: Any) -> None:  # Any: plain JSON values
        """Record a step's new state and the event, in one transaction."""
        now = time.time()
        with self._transaction():
            if state in ("running", "undoing"):
                self._db.execute(
                    "update step set state=?, attempts=attempts+1, started_at=coalesce(?, started_at), ended_at=null,"
                    " error=null where run=? and id=?",
                    (state, now, run, step),
                )
            else:
                self._db.execute(
                    "update step set state=?, ended_at=?, seconds=seconds+max(0, ?-coalesce(started_at, ?)), error=?"
                    " where run=? and id=?",
                    (state, now, now, now, data.get("error"), run, step),
                )
            self._event(run, step, state, data)

    def note(self, run: str, step: str, what: str, **data: Any) -> None:  # Any: plain JSON values
        """Append an event that changes no state."""
        with self._transaction():
            self._event(run, step, what, data)

    def document(self, run: str) -> RunDocument:
        """Return the run as a document."""
        plan = self.plan(run)
        planned = {step.id: step for step in plan.steps}
        records = []
        for row in self._db.execute("select * from step where run=? order by position", (run,)):
            step = planned[row["id"]]
            records.append(
                StepRecord(
                    id=step.id,
                    title=step.title,
                    phase=step.phase,
                    op=step.op,
                    target=step.target,
                    state=row["state"],
                    attempts=row["attempts"],
                    started_at=row["started_at"],
                    ended_at=row["ended_at"],
                    planned_s=step.estimate.p50_s,
                    actual_s=row["seconds"] if row["ended_at"] else None,
                    point_of_no_return=step.point_of_no_return,
                    error=row["error"],
                )
            )
        events = tuple(
            JournalEvent(row["number"], row["at"], row["step"], row["what"], json.loads(row["data"]), row["chain"])
            for row in self._db.execute("select * from event where run=? order by number", (run,))
        )
        return RunDocument(
            run, plan.service, plan.source, plan.target, plan.hash, self.mode(run), tuple(records), events
        )

    def durations(self) -> dict[str, list[float]]:
        """Return how many seconds done steps took, by the first part of the step's id (stage, expand, start-api)."""
        found: dict[str, list[float]] = {}
        for row in self._db.execute("select id, seconds from step where state='done' and attempts=1"):
            found.setdefault(row["id"].split(":")[0], []).append(row["seconds"])
        return found

    def _event(self, run: str, step: str, what: str, data: dict[str, Any]) -> None:
        last = self._db.execute("select chain from event order by number desc limit 1").fetchone()
        at = time.time()
        text = canonical(data)
        chain = chain_of(last["chain"] if last else "", at, step, what, text)
        self._db.execute(
            "insert into event(run,at,step,what,data,chain) values(?,?,?,?,?,?)", (run, at, step, what, text, chain)
        )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with _translated(self.path):
            self._db.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._db.execute("rollback")
                raise
            self._db.execute("commit")


def chain_of(before: str, at: float, step: str, what: str, data: str) -> str:
    """Return the chain value of an event."""
    return hashlib.sha256(f"{before}|{at!r}|{step}|{what}|{data}".encode()).hexdigest()


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as broken:
        raise JournalFull(path, str(broken)) from broken
    except OSError as broken:
        if broken.errno == errno.ENOSPC:
            raise JournalFull(path, "no space left on device") from broken
        raise


class JournalFull(FleetError):
    """The journal cannot be written; no effect happens without its intent, so nothing was changed since."""

    def __init__(self, path: Path, why: str) -> None:
        self.path, self.why = path, why
        super().__init__(
            f"the journal {path} cannot be written ({why}); nothing is done that it does not hold",
            next_command=f"df {path.parent}",
        )
