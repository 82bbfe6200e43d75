"""What the phases would do to this database, before anything runs: statements, locks, cost, the way back.

Nothing is written and no lock is taken that keeps anybody waiting. What a phase needs depends on what the phases before
it leave behind; where that cannot be told yet, the plan says so instead of guessing.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import sqlalchemy as sa

from bascule.schema.catalog import Table
from bascule.schema.changes import Change, Synced
from bascule.schema.databases import Column, Database, Impact, Step
from bascule.schema.derive import Known, SomeDerivation, derive
from bascule.schema.derive.chain import Link, place_of
from bascule.schema.keyset import Keyset
from bascule.schema.session import Session
from bascule.schema.state import ChangeRow, Phase
from bascule.schema.table_copy.copy import planned_copy

__all__ = ["PlannedPhase", "PlannedStatement", "SchemaPlan", "Size", "make_plan"]

PhaseName = Literal["expand", "migrate", "fence", "contract", "purge"]
_PHASES: tuple[PhaseName, ...] = ("expand", "migrate", "fence", "contract", "purge")
_ENDING: tuple[PhaseName, ...] = ("contract", "purge")
_FINISH_FIRST = "is {row.phase}: finish release {row.release} first, from its own environment, with its own contract"
_SAMPLE_ROWS = 20_000
# How much longer than reading a row once each kind of work takes, as measured on tables of 200,000 to 300,000 rows.
_TIMES_A_READ: Mapping[str, Mapping[str, float]] = {
    "postgresql": {"instant": 0, "scan": 1, "index": 10, "rebuild": 20, "backfill": 60},
    "mariadb": {"instant": 0, "scan": 1, "index": 4, "rebuild": 8, "backfill": 30, "copy": 12},
    "sqlite": {"instant": 0, "scan": 1, "index": 4, "rebuild": 8, "backfill": 60},
}


@dataclass(frozen=True, slots=True)
class Size:
    """A table's rows, by the catalog's estimate, and bytes."""

    table: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class PlannedStatement:
    """One statement: the lock it takes, whom that keeps waiting, the work done meanwhile, and what takes it back.

    `about_s` is predicted from reading a sample of the table; it tells seconds from minutes, and no more.
    """

    sql: str
    lock: str
    blocks: Literal["nobody", "writers", "everybody"]
    work: str
    about_s: float
    undo: str


@dataclass(frozen=True, slots=True)
class PlannedPhase:
    """One phase of one change. `note` says what statements cannot say; `loses` what the way back cannot keep."""

    phase: PhaseName
    change: str
    release: str
    table: str
    statements: tuple[PlannedStatement, ...]
    note: str = ""
    loses: str = ""


@dataclass(frozen=True, slots=True)
class SchemaPlan:
    """Everything that is left to do, phase by phase, in the order in which it would be done."""

    database: str
    release: str
    tables: tuple[Size, ...]
    phases: tuple[PlannedPhase, ...]
    format: int = 1


@dataclass(slots=True)
class _Future:
    """Tables as earlier steps of the plan will have left them, and the changes that will be live then."""

    columns: dict[str, dict[str, Column]]
    links: dict[str, list[Link]]

    def seen(self, table: Table) -> Table:
        return replace(table, columns={**table.columns, **self.columns.get(table.name, {})})

    def add(self, change: Change, derived: SomeDerivation) -> None:
        if isinstance(change, Synced):
            fresh = frozenset(change.as_split().new)
            link = Link(change.id, fresh, derived.known.depth, derived.seen_before())
            self.links.setdefault(change.table, []).append(link)
            new = {name: Column(name, nullable=True, has_default=False, type="") for name in change.as_split().new}
            self.columns.setdefault(change.table, {}).update(new)
        elif column := getattr(change, "column", None):
            self.columns.setdefault(change.table, {}).setdefault(
                column, Column(column, nullable=True, has_default=False, type="")
            )


def make_plan(
    session: Session,
    release: str,
    changes: Sequence[Change],
    rows: Mapping[str, ChangeRow],
    title: str,
    *,
    copies_from: int | None = None,
    unfinished: Sequence[ChangeRow] = (),
) -> SchemaPlan:
    """Return the plan for what is left to do; `copies_from` as in the engine's options.

    `unfinished` are changes of earlier releases that this one cannot finish: its contract waits for them.
    """
    tables = dict.fromkeys(change.table for change in changes)
    sizes = session.read(
        "read sizes", lambda c: {table: Size(table, *session.database.size(c, table)) for table in tables}
    )
    costs = session.read("read samples", lambda c: {table: _read_s(c, size) for table, size in sizes.items()})
    planner = _Planner(session, rows, sizes, costs, _Future({}, {}), copies_from)
    phases = session.read(
        "plan the phases",
        lambda c: [planned for phase in _PHASES for change in changes for planned in planner.phase(c, phase, change)],
    )
    first = next((number for number, planned in enumerate(phases) if planned.phase in _ENDING), len(phases))
    barriers = [
        PlannedPhase("contract", row.id, row.release, row.table_name, (), _FINISH_FIRST.format(row=row))
        for row in unfinished
    ]
    return SchemaPlan(title, release, tuple(sizes.values()), (*phases[:first], *barriers, *phases[first:]))


def _read_s(connection: sa.Connection, size: Size) -> float:
    """Return how long reading all rows once takes, from a sample."""
    if not size.rows:
        return 0.0
    some = sa.select(sa.text("*")).select_from(sa.table(size.table)).limit(_SAMPLE_ROWS).subquery()
    started = time.perf_counter()
    connection.scalar(sa.select(sa.func.count()).select_from(some))
    return (time.perf_counter() - started) * max(size.rows / _SAMPLE_ROWS, 1.0)


@dataclass(frozen=True, slots=True)
class _Planner:
    session: Session
    rows: Mapping[str, ChangeRow]
    sizes: Mapping[str, Size]
    costs: Mapping[str, float]
    future: _Future
    copies_from: int | None

    def phase(self, connection: sa.Connection, phase: PhaseName, change: Change) -> Iterator[PlannedPhase]:
        """Give the phase of a change, unless that is done."""
        row = self.rows.get(change.id)
        database = self.session.database
        known = Known() if row is None or row.phase in Phase.UNTOUCHED else row.known
        derived = derive(change, database, known)
        table = self.future.seen(derived.look(connection))
        if row is None or row.phase in Phase.UNTOUCHED:
            # What expand will have remembered of the table.
            place = place_of(change, self.future.links.get(change.table, ()))
            remembered = {**self._remembered(derived, table), "before": place.before}
            derived = derive(change, database, Known(place.depth, remembered))
        if row is not None and phase in _done(row):
            if phase == "expand" and row.phase in Phase.WITH_TRIGGERS:
                self.future.add(change, derived)
            return
        try:
            copied = self._copy_steps(connection, derived, table) if phase == "migrate" else []
            steps = [*copied, *self._steps(connection, phase, derived, table)]
            note = self._note(phase, derived, change, copies=bool(copied))
        except (LookupError, ValueError):
            steps, note = [], "its statements can be told once expand is done"
        if phase == "expand":
            self.future.add(change, derived)
        told = tuple(self._statement(database, sql, step, change.table) for step, sql in _statements(steps))
        if told or note:
            loses = derived.loses() if phase == "purge" else ""
            yield PlannedPhase(phase, change.id, change.release, change.table, told, note, loses)

    @staticmethod
    def _remembered(derived: SomeDerivation, table: Table) -> dict[str, object]:
        try:
            return derived.remember(table)
        except LookupError:  # a column that an earlier change is still to add
            return {}

    @staticmethod
    def _steps(connection: sa.Connection, phase: PhaseName, derived: SomeDerivation, table: Table) -> list[Step]:
        match phase:
            case "expand":
                return derived.expand(connection, table)
            case "migrate":
                return derived.prove(connection, table)
            case "fence":
                return derived.fence(connection, table, "count")
            case "contract":
                return derived.contract(connection, table)
            case "purge":
                return derived.purge(connection, table)

    def _copy_steps(self, connection: sa.Connection, derived: SomeDerivation, table: Table) -> list[Step]:
        """Return what makes a copy of the table and puts it in its place, where the rows are filled that way."""
        if (rows := derived.rows()) is None:
            return []
        paces = self.session.pace.duty >= 1
        return planned_copy(
            connection, self.session.database, rows, Keyset(table.name, table.key), self.copies_from, defers=paces
        )

    def _note(self, phase: PhaseName, derived: SomeDerivation, change: Change, *, copies: bool = False) -> str:
        size = self.sizes[change.table]
        times = _TIMES_A_READ[self.session.database.name]
        if copies:
            about = self.costs[change.table] * times["copy"]
            return (
                f"copies about {size.rows} rows in short transactions into a table that takes the place of this one, "
                f"{_time(about)}, with its triggers and what is written meanwhile, and counts what is stale; needs the "
                "room of both (migrate --in-place does not)"
            )
        if phase == "migrate" and derived.rows() is not None:
            about = self.costs[change.table] * times["backfill"]
            return f"goes over about {size.rows} rows in short transactions, {_time(about)}, and counts what is stale"
        if phase == "purge" and derived.removes():
            return f"removes {', '.join(derived.removes())}: the point of no return"
        return ""

    def _statement(self, database: Database, sql: str, step: Step, table: str) -> PlannedStatement:
        impact: Impact = step.impact
        about = self.costs[table] * _TIMES_A_READ[database.name][impact.work]
        undo = "; ".join(step.undo) if sql == step.statements[-1] else ""
        return PlannedStatement(sql, impact.lock, impact.blocks, impact.work, round(about, 3), undo)


def _done(row: ChangeRow) -> tuple[PhaseName, ...]:
    """Return the phases that a change is through with."""
    done = {
        Phase.EXPANDED: 1,
        Phase.BACKFILLING: 1,
        Phase.SYNCED: 2,
        Phase.FENCED: 3,
        Phase.CONTRACTING: 3,
        Phase.CONTRACTED: 4,
        Phase.PURGING: 4,
        Phase.PURGED: 5,
    }
    return _PHASES[: done.get(row.phase, 0)]


def _statements(steps: Sequence[Step]) -> Iterator[tuple[Step, str]]:
    for step in steps:
        for sql in step.statements:
            yield step, sql


def _time(seconds: float) -> str:
    if seconds < 1:
        return "in about a second"
    return f"in about {seconds:.0f} s" if seconds < 120 else f"in about {seconds / 60:.0f} min"
