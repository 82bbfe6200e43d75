"""Writes that are known before they begin: a list of statements, of which none waits for what another one answered."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect

from bascule_keymanager.storage.rows import Values

__all__ = ["Insertion", "insert_as_one", "is_there", "run_insertions"]


@dataclass(frozen=True, slots=True)
class Insertion:
    """One statement, and the values of its parameters.

    `statement` is one that stays, not one made for these values: what is made of it is kept by its identity.
    """

    statement: sa.Insert
    values: Values = field(repr=False)


def run_insertions(connection: Connection, insertions: Sequence[Insertion]) -> None:
    """Run the statements one after the other, within the caller's transaction."""
    for insertion in insertions:
        connection.execute(insertion.statement, insertion.values)


def insert_as_one(connection: Connection, insertions: Sequence[Insertion]) -> bool:
    """Run a transaction of these insertions as one statement, on a connection to MariaDB that commits each one.

    Return False where the first inserted no row; then nothing was written. However it fails, the connection is
    closed: nothing of the transaction is left, neither rows nor locks.
    """
    block = _block_of(
        tuple(insertion.statement for insertion in insertions), tuple(map(_names, insertions)), connection.dialect
    )
    try:
        with connection.exec_driver_sql(block.sql, block.arguments(insertions)) as result:
            return not result.returns_rows
    except BaseException:
        connection.invalidate()
        raise


def is_there(connection: Connection, insertion: Insertion) -> bool:
    """Whether the row of an insertion is there, by its id; waits for whoever is about to commit or to take it back."""
    table = insertion.statement.table
    row = sa.select(table.c.id).where(table.c.id == insertion.values["id"])
    return connection.execute(row.with_for_update()).first() is not None


def _names(insertion: Insertion) -> tuple[str, ...]:
    return tuple(insertion.values)


@dataclass(frozen=True, slots=True)
class _Part:
    """One statement as the driver takes it: the names of its parameters in their order, and what is known of each."""

    sql: str
    names: tuple[str, ...]
    defaults: Values
    processors: dict[str, Any]  # Any: SQLAlchemy's own, by the names of those that need one

    def arguments(self, values: Values) -> list[Any]:  # Any: column values
        bound = {**self.defaults, **values}
        for name, process in self.processors.items():
            bound[name] = process(bound[name])
        return [bound[name] for name in self.names]


@dataclass(frozen=True, slots=True)
class _Block:
    sql: str
    parts: tuple[_Part, ...]

    def arguments(self, insertions: Sequence[Insertion]) -> tuple[Any, ...]:  # Any: column values
        pairs = zip(self.parts, insertions, strict=True)
        return tuple(value for part, insertion in pairs for value in part.arguments(insertion.values))


@lru_cache(maxsize=64)
def _block_of(statements: tuple[sa.Insert, ...], names: tuple[tuple[str, ...], ...], dialect: Dialect) -> _Block:
    # Names may stand for something else in each of them.
    by_position = copy.copy(dialect)
    by_position.positional, by_position.paramstyle = True, "format"
    parts = tuple(_part_of(*each, by_position) for each in zip(statements, names, strict=True))
    first, *others = (part.sql for part in parts)
    later = "".join(f"{each}; " for each in others)
    # Only a refusal has an answer with rows: what counts as affected by a block is not documented.
    sql = (
        f"BEGIN NOT ATOMIC START TRANSACTION; {first}; "
        f"IF ROW_COUNT() = 1 THEN {later}COMMIT; ELSE ROLLBACK; SELECT 0; END IF; END"
    )
    return _Block(sql, parts)


def _part_of(statement: sa.Insert, names: tuple[str, ...], dialect: Dialect) -> _Part:
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    order = compiled.positiontup or ()
    processors = {
        name: process
        for name in order
        if (process := compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect)) is not None
    }
    return _Part(str(compiled), tuple(order), dict(compiled.params), processors)
