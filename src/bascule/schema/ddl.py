"""How steps are run: in one transaction, in one each where they must be, or each by itself where DDL commits."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from bascule.schema.databases import Step
from bascule.schema.lease import Lease
from bascule.schema.refusals import LockNotGranted, StatementFailed

__all__ = ["run_steps"]

Work = Callable[[sa.Connection], None]


def run_steps(lease: Lease, table: str, steps: Sequence[Step], *, first: Work, last: Work, waits: bool = True) -> None:
    """Run `first`, the steps that the catalog still calls for, in their order, and `last`; harmless to run again.

    With transactional DDL, steps that may share a transaction do, `first` with the first of them and `last` with the
    last. Without it, each step is by itself. Before each, whoever has a transaction open on the table is waited for:
    a statement that waits in the queue for its lock keeps everybody behind it waiting too. `waits` is false for tables
    that nobody else uses.
    """
    session = lease.session
    groups = list(_groups(steps, together=session.database.transactional_ddl))
    joined = session.database.transactional_ddl
    before = first if joined and groups and not groups[0][0].alone else None
    after = last if joined and groups and not groups[-1][0].alone and not groups[-1][0].separate else None
    if before is None:
        session.transaction("begin", first)
    for number, group in enumerate(groups):
        if waits:
            session.wait_for_others(table, lambda: _renew(lease))
        first_work, last_work = before if number == 0 else None, after if number == len(groups) - 1 else None
        try:
            _run_group(lease, group, first_work, last_work)
        except LockNotGranted as error:
            blockers = session.long_transactions(table)
            raise LockNotGranted(error.what, error.tries, error.waited_s, blockers) from error
    if after is None:
        session.transaction("finish", last)


def _renew(lease: Lease) -> None:
    lease.session.transaction("renew the lease", lease.renew)


def _groups(steps: Sequence[Step], *, together: bool) -> Iterator[list[Step]]:
    """Return the steps in runs that may share a transaction."""
    group: list[Step] = []
    for step in steps:
        if step.alone or step.separate or not together:
            if group:
                yield group
            yield [step]
            group = []
        else:
            group.append(step)
    if group:
        yield group


def _run_group(lease: Lease, group: Sequence[Step], before: Work | None, after: Work | None) -> None:
    session, what = lease.session, "; ".join(step.what for step in group)
    if group[0].alone:
        session.transaction(what, lambda connection: lease.renew(connection, for_long=True))
        session.alone(what, _Run(lease, group[0], renews=False))
        session.transaction(what, lease.renew)
        return

    def run(connection: sa.Connection) -> None:
        if before is not None:
            before(connection)
        for step in group:
            _Run(lease, step)(connection)
        if after is not None:
            after(connection)

    session.transaction(what, run)


@dataclass(frozen=True, slots=True)
class _Run:
    """One step on a connection, journalled, if the catalog still calls for it."""

    lease: Lease
    step: Step
    renews: bool = True

    def __call__(self, connection: sa.Connection) -> None:
        step = self.step
        if self.renews:
            self.lease.renew(connection, for_long=step.impact.work != "instant")
        if not step.is_needed(connection):
            return
        statements = step.late(connection) if step.late else step.statements
        for number, sql in enumerate(statements):
            entry = self.lease.journal(connection, sql, undo="; ".join(step.undo) if number == 0 else None)
            self.lease.session.database.cut_short(connection, step)
            try:
                self._execute(connection, sql, step.fallback[number] if step.fallback else None)
            except DBAPIError:
                # Where DDL commits by itself, the statement of a killed engine may end in the server after we looked.
                if self.lease.session.database.transactional_ddl or step.is_needed(connection):
                    raise
            self.lease.journal_done(connection, entry)
        if step.late and step.is_needed(connection):
            raise StatementFailed(step.what, "no effect", "")

    def _execute(self, connection: sa.Connection, sql: str, fallback: str | None) -> None:
        # Called without parameters, no driver reads percent signs, of which an author's SQL may have any.
        plain = {"no_parameters": True}
        try:
            connection.exec_driver_sql(sql, execution_options=plain)
        except DBAPIError as error:
            if fallback is None or not self.lease.session.database.wants_fallback(error):
                raise
            connection.exec_driver_sql(fallback, execution_options=plain)
