"""The DDL of each phase as steps, and how steps are run: in one transaction, or each by itself where DDL commits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from bascule.schema.changes import Change, Rename, Split, as_split
from bascule.schema.databases import Database, Step
from bascule.schema.lease import Lease
from bascule.schema.preflight import Table

__all__ = ["contract_steps", "expand_steps", "rollback_steps", "run_steps"]

Work = Callable[[sa.Connection], None]


def expand_steps(database: Database, change: Change, table: Table) -> list[Step]:
    """Return the steps that add columns, then their indexes, then the triggers that write into them."""
    split, steps = as_split(change), []
    for name, kind in split.new.items():
        type_sql = database.compile(kind)
        if isinstance(change, Rename):
            type_sql += database.charset_of(table.columns[change.old])
        steps.append(database.add_column(split.table, name, type_sql))
    steps += [database.create_index(split.table, index.twin, index.columns) for index in table.indexes]
    return steps + database.trigger_steps(split, table.key)


def contract_steps(database: Database, split: Split, table: Table) -> list[Step]:
    """Return the steps that remove triggers and old columns, in the order in which no write ever fails.

    Where DDL commits by itself, a column that a trigger still names must not go first: every write would fail. And
    before the triggers go, new writers must be able to leave out the old column.
    """
    old = [table.columns[name] for name in split.old if name in table.columns]
    steps = [step for column in old if (step := database.release_old_column(split.table, column)) is not None]
    steps += database.untrigger_steps(split)
    steps += [database.drop_index(split.table, index.name) for index in table.indexes]
    return steps + [database.drop_column(split.table, name) for name in split.old]


def rollback_steps(database: Database, split: Split, table: Table) -> list[Step]:
    """Return the steps that remove triggers and new columns."""
    steps = database.untrigger_steps(split)
    steps += [database.drop_index(split.table, index.twin) for index in table.indexes]
    return steps + [database.drop_column(split.table, name) for name in split.new]


def run_steps(lease: Lease, steps: Sequence[Step], *, first: Work, last: Work) -> None:
    """Run `first`, the steps that the catalog still calls for, and `last`; harmless to run again after any cut.

    With transactional DDL all of it is one transaction, unless a step must be alone: then `last` waits for it.
    """
    session = lease.session
    alone = [step for step in steps if step.alone]
    together = [step for step in steps if not step.alone]
    if not session.database.transactional_ddl:
        session.transaction("begin", first)
        for step in steps:
            session.transaction(step.what, _Run(lease, step))
        session.transaction("finish", last)
        return

    def run_together(connection: sa.Connection) -> None:
        first(connection)
        for step in together:
            _Run(lease, step)(connection)
        if not alone:
            last(connection)

    session.transaction("; ".join(step.what for step in together), run_together)
    for step in alone:
        session.transaction(step.what, lambda connection: lease.renew(connection, for_long=True))
        session.alone(step.what, _Run(lease, step, renews=False))
    if alone:
        session.transaction("finish", last)


@dataclass(frozen=True, slots=True)
class _Run:
    """One step on a connection, journalled, if the catalog still calls for it."""

    lease: Lease
    step: Step
    renews: bool = True

    def __call__(self, connection: sa.Connection) -> None:
        if self.renews:
            self.lease.renew(connection)
        if not self.step.is_needed(connection):
            return
        for number, sql in enumerate(self.step.statements):
            entry = self.lease.journal(connection, sql)
            try:
                self._execute(connection, sql, self.step.fallback[number] if self.step.fallback else None)
            except DBAPIError:
                # Where DDL commits by itself, the statement of a killed engine may end in the server after we looked.
                if self.lease.session.database.transactional_ddl or self.step.is_needed(connection):
                    raise
            self.lease.journal_done(connection, entry)

    def _execute(self, connection: sa.Connection, sql: str, fallback: str | None) -> None:
        # Called without parameters, no driver reads percent signs, of which an author's SQL may have any.
        plain = {"no_parameters": True}
        try:
            connection.exec_driver_sql(sql, execution_options=plain)
        except DBAPIError as error:
            if fallback is None or not self.lease.session.database.wants_fallback(error):
                raise
            connection.exec_driver_sql(fallback, execution_options=plain)
