"""Data migrations: batches of rows are read, given to the author's function, and written back if still the same.

No transaction is open while the function works: it may take its time, and keeps no writer waiting.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from bascule.schema.backfill import Walk
from bascule.schema.catalog import Table
from bascule.schema.changes import Becomes, Blocked, ColumnType, Row
from bascule.schema.databases import Database
from bascule.schema.keyset import Keyset, decode, encode
from bascule.schema.lease import Lease
from bascule.schema.march import March, Progress
from bascule.schema.pace import Pace, Pacer
from bascule.schema.refusals import StatementFailed, TransformFailed
from bascule.schema.rows import sql
from bascule.schema.set_write import SetWrite, token
from bascule.schema.transform import Pass, apply

__all__ = ["transform_rows"]

_FIRST_ROWS, _MOST_ROWS = 50, 1_000
_BATCH_S = 1.0  # mostly of the author's function: whoever asks to stop waits as long
_MOST_PASSES = 5  # over rows that others write faster than we do


def transform_rows(lease: Lease, work: Pass, walk: Walk, *, from_start: bool = False) -> tuple[Blocked, ...]:
    """Give every row that wants it to the author's function, and return those that are blocked.

    Each batch is one short transaction that moves the cursor with the rows, and writes only rows whose columns are
    still as they were read; the others are taken again. Safe to kill and to run again.
    Raises: Stopped, at the edge of a batch; TransformFailed; StatementFailed.
    """
    session = lease.session
    table = session.read("read the table", lambda c: _look(c, session.database, work.table, walk.keyset.key))
    row = session.read("read the cursor", lease.row)
    wanting = session.read("count rows", lambda c: _count(c, work))
    total = max(row.rows_total, wanting)
    march = March(lease, walk, "backfill", total - wanting, total)
    pace = session.pace
    march.pacer = Pacer(Pace(_BATCH_S, min(_FIRST_ROWS, pace.first_rows), pace.duty, min(_MOST_ROWS, pace.most_rows)))
    walk.tell(Progress(work.change, "backfill", march.done, total))
    run = _Run(lease, work, _Shape(session.database, table, work), march, None if from_start else row.cursor)
    for _ in range(_MOST_PASSES):
        march.go(run.batch, renews=True)
        # Rows that others wrote behind our back, between our look and our write, or before a cursor that we took over.
        if session.read("count rows", lambda c: _count(c, work)) <= len(run.blocked):
            break
        run.cursor = None
    keyless = session.read("look for rows without a key", run.shape.keyless)
    return (*run.blocked.values(), *(Blocked(pk, "its key is NULL") for pk in keyless))


@dataclass(slots=True)
class _Run:
    lease: Lease
    work: Pass
    shape: "_Shape"
    march: March
    cursor: str | None
    blocked: dict[object, Blocked] = field(default_factory=dict)

    def batch(self, size: int) -> int:
        """Do the next rows, and return how many; none at the end of the table."""
        session = self.lease.session
        lines = session.read(f"read {self.work.table}", lambda c: self.shape.read(c, self.cursor, size))
        if not lines:
            return 0
        fresh = [row for row in self.shape.rows(lines) if row.pk not in self.blocked]
        becomes, blocked = apply(self.work.change, self.work.transform, fresh, [*self.work.targets])
        self.blocked.update({one.pk: one for one in blocked})
        cursor, writes = self.shape.cursor(lines), self.shape.writes(lines, becomes)
        written = self._write(cursor, writes)
        self.cursor = cursor
        self.march.done += written - len(lines)  # all were walked, but blocked and overtaken ones are not done
        return len(lines)

    def _write(self, cursor: str, writes: Sequence[tuple[object, ...]]) -> int:
        def write(connection: sa.Connection) -> int:
            # The cursor first: it locks the change's row, so an engine that took over waits or fences us off.
            done = min(self.march.done + len(writes), self.march.total)
            self.lease.write(connection, cursor=cursor, rows_done=done)
            return self.shape.write.run(connection, writes)

        try:
            return self.lease.session.transaction(f"write {self.work.table}", write)
        except StatementFailed as error:
            refused = StatementFailed(error.what, error.kind, error.code)
        # Out here, so that the driver's error, whose text may quote values, does not travel as the context.
        raise refused


class _Shape:
    """What is read of a row and in which order: its key, the sources as the driver gives them, and their tokens."""

    def __init__(self, database: Database, table: Table, work: Pass) -> None:
        self.database, self.table, self.work = database, table, work
        self.keys = len(table.key)
        tokens = {name: token(database, table.columns[name]) for name in work.sources}
        self.tokens = {name: text for name, text in tokens.items() if text is not None}
        self.keyset = Keyset(table.name, table.key)
        self.write = SetWrite(database, table, tuple(work.targets), tuple(work.sources), work.wanting, work.also)

    def read(self, connection: sa.Connection, after: str | None, rows: int) -> list[tuple[object, ...]]:
        plain = [sa.column(name, sa.types.NullType()) for name in (*self.table.key, *self.work.sources)]
        tokens = [sa.literal_column(text, sa.types.NullType()) for text in self.tokens.values()]
        keys = plain[: self.keys]
        query = (
            sa.select(*plain, *tokens)
            .select_from(sa.table(self.table.name))
            # A NULL in the key, as SQLite has it, would end the walk.
            .where(sql(self.work.wanting), self.keyset.after(decode(after)), *(key.is_not(None) for key in keys))
            .order_by(*keys)
            .limit(rows)
        )
        return [tuple(row) for row in connection.execute(query)]

    def keyless(self, connection: sa.Connection) -> list[object]:
        """Return the keys of rows that want it and cannot be found again: SQLite keeps NULL in keys."""
        if self.database.name != "sqlite":
            return []
        keys: list[sa.ColumnClause[object]] = [sa.column(name) for name in self.table.key]
        query = sa.select(*keys).select_from(sa.table(self.table.name)).where(sql(self.work.wanting))
        rows = connection.execute(query.where(sa.or_(*(key.is_(None) for key in keys))))
        return [self._pk(tuple(row)) for row in rows]

    def cursor(self, batch: Sequence[tuple[object, ...]]) -> str:
        """Return where the batch ends."""
        return encode(batch[-1][: self.keys])

    def rows(self, batch: Sequence[tuple[object, ...]]) -> list[Row]:
        """Return what the author's function gets. Raises TransformFailed where a value is not of its type."""
        readers = [_reader(self.database, kind) for kind in self.work.sources.values()]
        names, found = tuple(self.work.sources), []
        for line in batch:
            pk, raw = self._pk(line), line[self.keys : self.keys + len(names)]
            failure = ""
            try:
                values = [read(value) for read, value in zip(readers, raw, strict=True)]
            except Exception as error:  # noqa: BLE001 # a type of the author's may raise anything
                failure = type(error).__name__
            if failure:
                raise TransformFailed(self.work.change, pk, f"cannot be read as declared ({failure})")
            found.append(Row(pk, dict(zip(names, values, strict=True))))
        return found

    def writes(self, batch: Sequence[tuple[object, ...]], becomes: Sequence[Becomes]) -> list[tuple[object, ...]]:
        """Return what is written. Raises TransformFailed where a value is not of its type."""
        by_pk = {self._pk(line): line for line in batch}
        writers = [_writer(self.database, kind) for kind in self.work.targets.values()]
        return [
            (*(line := by_pk[one.pk])[: self.keys], *self._bound(one, writers), *self._seen(line)) for one in becomes
        ]

    def _bound(self, one: Becomes, writers: "Sequence[_Convert]") -> list[object]:
        failure = ""
        try:
            return [write(one.values[name]) for name, write in zip(self.work.targets, writers, strict=True)]
        except Exception as error:  # noqa: BLE001 # as above
            failure = type(error).__name__
        raise TransformFailed(self.work.change, one.pk, f"was given what is not of the declared type ({failure})")

    def _seen(self, line: tuple[object, ...]) -> list[object]:
        """Return by what each source is compared: its token, or itself."""
        end = self.keys + len(self.work.sources)
        raw = dict(zip(self.work.sources, line[self.keys : end], strict=True))
        return list((raw | dict(zip(self.tokens, line[end:], strict=True))).values())

    def _pk(self, line: tuple[object, ...]) -> object:
        return line[0] if self.keys == 1 else line[: self.keys]


class _Convert:
    """A type's own conversion, towards the driver or back; none for what needs none."""

    def __init__(self, convert: object) -> None:
        self._convert = convert

    def __call__(self, value: object) -> object:
        return self._convert(value) if callable(self._convert) else value


def _reader(database: Database, kind: ColumnType | None) -> _Convert:
    return _Convert(
        None if kind is None else kind.dialect_impl(database.dialect).result_processor(database.dialect, None)
    )


def _writer(database: Database, kind: ColumnType | None) -> _Convert:
    return _Convert(None if kind is None else kind.dialect_impl(database.dialect).bind_processor(database.dialect))


def _look(connection: sa.Connection, database: Database, table: str, key: tuple[str, ...]) -> Table:
    return Table(table, database.columns(connection, table), key, (), {})


def _count(connection: sa.Connection, work: Pass) -> int:
    query = sa.select(sa.func.count()).select_from(sa.table(work.table)).where(sql(work.wanting))
    return int(connection.scalar(query) or 0)
