"""Faults planted into an engine's process, each a small break of a trigger or a guard, for the fuzz to find."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from bascule.schema import backfill, change_run, keyset, lease, phases, rows, rule, surroundings
from bascule.schema.databases.mariadb import MariaDB
from bascule.schema.databases.postgresql import PostgreSQL
from bascule.schema.databases.sqlite import SQLite
from bascule.schema.state import CHANGES

__all__ = ["FAULTS", "REWRITES", "Fault", "plant"]

REWRITES = []  # (pattern, replacement) of every statement that this process issues
ALL = ("sqlite", "postgresql", "mariadb")


@dataclass(frozen=True, slots=True)
class Fault:
    """A break, and the databases on which it breaks anything."""

    break_it: Callable[[], None]
    databases: tuple[str, ...] = ALL


FAULTS = {}


def plant(name):
    """Break this process's engine."""
    FAULTS[name].break_it()


def _fault(name, *databases):
    def remember(break_it):
        FAULTS[name] = Fault(break_it, databases or ALL)
        return break_it

    return remember


# The rule of the triggers.


@_fault("an old write follows although the new side says the same", "sqlite")
def _():
    _condition(
        "upd_old",
        lambda self, row: [
            self._changed(self.split.old, row),
            f"NOT {self._changed(self.split.new, row)}",
            self.differs_forward(row),
        ],
    )


@_fault("of both sides, the old one wins", "postgresql", "mariadb")  # SQLite's new-side trigger acts once more
def _():
    _condition(
        "upd_old",
        lambda self, row: [
            self._changed(self.split.old, row),
            self.differs_forward(row),
            self.differs_backward(row),
        ],
    )


@_fault("a partial new write does not fill the rest first")
def _():
    rule.Rule.filled = lambda self, row="NEW.": self.columns(self.split.new, row)


@_fault("case and blanks do not count")
def _():
    SQLite.differs = lambda self, left, right, kind=None: f"{left} IS NOT {right}"
    PostgreSQL.differs = lambda self, left, right, kind=None: f"{left} IS DISTINCT FROM {right}"
    MariaDB.differs = lambda self, left, right, kind=None: f"NOT ({left} <=> {right})"


@_fault("NULL does not count")
def _():
    for database in (SQLite, PostgreSQL, MariaDB):
        database.differs = lambda self, left, right, kind=None: f"{left} <> {right}"


@_fault("an update trigger watches one column of two")
def _():
    REWRITES.append((re.compile(r"UPDATE OF (\w+), \w+ ON"), r"UPDATE OF \1 ON"))
    right = rule.Rule._changed  # servers watch by the condition alone
    rule.Rule._changed = lambda self, names, row: right(self, tuple(names)[:1], row)


def _without_trigger(event):
    def break_it():
        REWRITES.append((re.compile(rf"CREATE (?:OR REPLACE )?TRIGGER \S*_{event} .*", re.DOTALL), "SELECT 1"))
        phases.PhaseRun._missing_triggers = lambda *_arguments, **_keywords: ()

    return break_it


for _event in ("ins_old", "ins_new", "upd_old", "upd_new"):
    _fault(f"expand forgets the trigger {_event}")(_without_trigger(_event))


def _condition(event, conditions):
    right = rule.Rule.condition
    rule.Rule.condition = lambda self, asked, row="NEW.": (
        f"({' AND '.join(conditions(self, row))})" if asked == event else right(self, asked, row)
    )


# The backfill.


@_fault("the backfill overwrites what new writers wrote")
def _():
    rows.SyncRows.fill = lambda self, connection, here, prefer: self._update(connection, here, self.rule.new_from_old())


@_fault("the backfill decides for the old side where both disagree")
def _():
    rows.SyncRows.fill = lambda self, connection, here, prefer: self._update(
        connection, sa.and_(here, self.stale()), self.rule.new_from_old()
    )


@_fault("the backfill writes to rows that it chose a moment ago")
def _():
    def fill(self, connection, here, prefer):
        wanted = sa.and_(here, rows.sql(self.rule.virgin()), self.stale())
        chosen = connection.scalars(sa.select(sa.column("id")).select_from(sa.table(self.table)).where(wanted)).all()
        _commit_and_begin(connection)
        if chosen:
            self._update(connection, sa.column("id").in_(chosen), self.rule.new_from_old())

    rows.SyncRows.fill = fill


@_fault("the cursor is committed before its rows, and the proof does not mend")
def _():
    right, scan = rows.SyncRows.fill, backfill._scan
    backfill._scan = lambda held, work, walk, wanted, _mend=None: scan(held, work, walk, wanted)

    def fill(self, connection, here, prefer):
        _commit_and_begin(connection)
        right(self, connection, here, prefer)

    rows.SyncRows.fill = fill


@_fault("a batch leaves out its last row")
def _():
    def between(self, low, high):
        return sa.and_(self.after(low), sa.not_(self.after(high)), sa.column(self.key[0]) != high[0])

    keyset.Keyset.between = between


@_fault("migrate does not prove that no row is stale")
def _():
    _during("migrate", lambda: setattr(phases.PhaseRun, "_record_stale", lambda *_arguments: 0), "_record_stale")


def _commit_and_begin(connection):
    connection.exec_driver_sql("COMMIT")
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")


# The lease.


@_fault("a lost lease is not noticed")
def _():
    def write(self, connection, *, phase=None, **values):
        if phase is not None:
            values |= {"phase": phase, "phase_at": self.session.database.clock}
        values.setdefault("lease_until", self.session.database.clock + self.lease_s)
        connection.execute(sa.update(CHANGES).where(CHANGES.c.id == self.change).values(values))

    lease.Lease.write = write


@_fault("a lease that another engine holds is taken all the same")
def _():
    lease._died_here = lambda _owner: True


@_fault("whoever takes a lease over starts with the first row")
def _():
    right = lease._take

    def take(session, connection, change, *holder):
        left = connection.scalar(sa.select(CHANGES.c.lease_owner).where(CHANGES.c.id == change))
        if (taken := right(session, connection, change, *holder)) is not None and left is not None:
            connection.execute(sa.update(CHANGES).where(CHANGES.c.id == change).values(cursor=None, rows_done=0))
        return taken

    lease._take = take


# The guards of the phases.


@_fault("contract does not look for stale rows")
def _():
    _during("contract", lambda: setattr(phases.PhaseRun, "_count_stale", lambda *_arguments: 0), "_count_stale")


@_fault("contract does not ask who lives")
def _():
    surroundings.Fleet.require_no_older = lambda self: None


@_fault("contract does not ask again who lives")
def _():
    right, asked = surroundings.Fleet.require_no_older, []

    def ask_once(self):
        if not any(fleet is self for fleet in asked):
            asked.append(self)
            right(self)

    surroundings.Fleet.require_no_older = ask_once


@_fault("rollback does not ask who lives")
def _():
    surroundings.Fleet.require_none_since = lambda self, release: None


@_fault("rollback does not look for stale rows")
def _():
    right = phases.PhaseRun.rollback
    phases.PhaseRun.rollback = lambda self, **keywords: right(self, **{**keywords, "accept_loss": True})


@_fault("dropped triggers do not hinder contract")
def _():
    _during(
        "contract", lambda: setattr(phases.PhaseRun, "_require_triggers", lambda *_arguments: None), "_require_triggers"
    )


@_fault("rollback leaves a column")
def _():
    REWRITES.append((re.compile(r"ALTER TABLE people DROP COLUMN (first|alias|place)\b.*"), "SELECT 1"))


@_fault("expand does not start over after triggers were put back")
def _():
    right = lease.Lease.write

    def write(self, connection, *, phase=None, **values):
        if phase == "expanded" and self.row(connection).phase != "expanding":
            right(self, connection)
        else:
            right(self, connection, phase=phase, **values)

    lease.Lease.write = write


@_fault("expand says that it is done before its triggers are there", "mariadb")
def _():
    right = change_run.run_steps

    def run_steps(held, table, steps, *, first, last):
        def early(connection):
            first(connection)
            if held.row(connection).phase == "expanding":
                last(connection)

        right(held, table, steps, first=early, last=last)

    change_run.run_steps = run_steps


def _during(phase, break_it, name):
    """Break a method while that phase runs, and only then."""
    right, method = getattr(phases.PhaseRun, phase), getattr(phases.PhaseRun, name)

    def run(self, *arguments, **keywords):
        break_it()
        try:
            right(self, *arguments, **keywords)
        finally:
            setattr(phases.PhaseRun, name, method)

    setattr(phases.PhaseRun, phase, run)
