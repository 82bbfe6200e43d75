"""What the description says of one method of one path."""

from dataclasses import dataclass

from bascule_keymanager.api.schema import Schema

__all__ = ["Operation"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    `answers` are its good statuses, each with the name of what it holds (None: nothing); `refusals` are the statuses
    of its own beside those that every guarded operation has. `raw` are the types of a body that is no JSON.
    """

    method: str
    path: str
    summary: str
    answers: tuple[tuple[int, str | None], ...]
    body: Schema | None = None
    query: tuple[str, ...] = ()
    refusals: tuple[int, ...] = ()
    raw: tuple[str, ...] = ()
    guarded: bool = True
    deprecated: bool = False
