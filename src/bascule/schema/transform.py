"""What a data migration wants of the rows of its table, and the call of the author's function on a batch of them.

No value of a row gets into any text from here on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from bascule.schema.changes import Becomes, Blocked, ColumnType, Row, Stale, Transform
from bascule.schema.refusals import TransformFailed
from bascule.schema.rows import Prefer, sql

__all__ = ["Pass", "TransformRows", "apply"]


@dataclass(frozen=True, slots=True)
class Pass:
    """One way through a data migration: which rows, read from which columns, written to which.

    `wanting` is SQL that tells the rows; `also` is SQL for columns that are written with the others.
    """

    change: str
    table: str
    transform: Transform
    sources: Mapping[str, ColumnType | None]
    targets: Mapping[str, ColumnType | None]
    wanting: str
    also: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TransformRows:
    """The rows of a data migration: `up` makes the new side, `down` the old one where only the new one was written."""

    change: str
    table: str
    up: Pass
    down: Pass | None
    lost: str

    def fill(self, connection: sa.Connection, here: sa.ColumnElement[bool], prefer: Prefer | None) -> None:
        """Never called: a function of the author's must not run inside a transaction."""
        del connection, here, prefer
        raise AssertionError("a data migration has no SQL that fills its rows")

    def filling(self) -> tuple[str, Mapping[str, str]]:
        """Return nothing that SQL could put into a column."""
        return self.up.wanting, {}

    def stale(self, *, only_written: bool = False) -> sa.ColumnElement[bool]:
        """Say that a row has no new side; `only_written`, that it has nothing else, and cannot be taken down."""
        return sql(self.lost if only_written else self.up.wanting)


def apply(
    change: str, transform: Transform, rows: Sequence[Row], targets: Sequence[str]
) -> tuple[list[Becomes], list[Blocked]]:
    """Return what each row becomes, and the rows that are blocked: together all that were given.

    Raises: TransformFailed, with the key of the first bad row.
    """
    blocked: list[Blocked] = []
    waiting = list(rows)
    while waiting:
        answer = _attempt(transform, waiting)
        if isinstance(answer, Stale):
            if all(row.pk != answer.pk for row in waiting):
                raise TransformFailed(change, answer.pk, "was called stale, but is not in the batch")
            blocked.append(Blocked(answer.pk, answer.reason))
            waiting = [row for row in waiting if row.pk != blocked[-1].pk]
        elif isinstance(answer, Exception):
            bad = _first_bad(transform, waiting)
            raise TransformFailed(change, bad.pk, f"made the transform raise {type(answer).__name__}")
        else:
            done, more = _sort(change, answer, waiting, targets)
            return done, blocked + more
    return [], blocked


def _attempt(transform: Transform, rows: Sequence[Row]) -> list[Becomes | Blocked] | Exception:
    """Return what the transform gives, or what it raises: raised anew here, its text would travel as the context."""
    try:
        return list(transform(rows))
    except Exception as error:  # noqa: BLE001 # an author's code may raise anything; only the class is told
        return error


def _first_bad(transform: Transform, rows: Sequence[Row]) -> Row:
    """Find the first row that the transform raises at, halving the batch; the last one when no row fails alone."""
    low, high = 0, len(rows)
    while high - low > 1:
        middle = (low + high) // 2
        answer = _attempt(transform, rows[low:middle])
        if isinstance(answer, Exception) and not isinstance(answer, Stale):
            high = middle
        else:
            low = middle
    return rows[low]


def _sort(
    change: str, answers: Sequence[object], rows: Sequence[Row], targets: Sequence[str]
) -> tuple[list[Becomes], list[Blocked]]:
    """Return the answers by their kind. Raises TransformFailed for a row without exactly one answer that will do."""
    by_pk: dict[object, Becomes | Blocked] = {}
    given = {row.pk for row in rows}
    for answer in answers:
        if not isinstance(answer, Becomes | Blocked):
            raise TransformFailed(change, rows[0].pk, "or another of its batch got neither `becomes` nor `blocked`")
        if answer.pk not in given or answer.pk in by_pk:
            raise TransformFailed(change, answer.pk, "is not in the batch, or got two answers")
        by_pk[answer.pk] = answer
    done: list[Becomes] = []
    blocked: list[Blocked] = []
    for row in rows:
        match by_pk.get(row.pk):
            case None:
                raise TransformFailed(change, row.pk, "got no answer from the transform")
            case Blocked() as one:
                blocked.append(one)
            case Becomes(values=values) as one:
                if set(values) != set(targets):
                    raise TransformFailed(change, row.pk, f"must be given exactly {', '.join(targets)}")
                if all(value is None for value in values.values()):
                    raise TransformFailed(change, row.pk, "was given only NULL, which says that it was never migrated")
                done.append(one)
    return done, blocked
