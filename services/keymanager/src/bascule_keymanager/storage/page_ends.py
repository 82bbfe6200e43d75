"""Where pages of a project's secrets ended, so that a later page need not be counted out from the first secret."""

import datetime as dt
from typing import NamedTuple

__all__ = ["PageEnd", "PageEnds"]

# One of them is kept for so many secrets, and so many of them for a project.
_STRIDE, _MOST = 50, 1_000


class PageEnd(NamedTuple):
    """The last secret of a page that was read when the project's notes came to so many changes.

    `offset` is that of the secret after it.
    """

    changes: int
    offset: int
    created_at: dt.datetime
    secret_id: str


class PageEnds:
    """What one process knows of one project, as long as nothing expires. Threads may share it.

    An end is good while nothing was added or deleted: whoever uses one compares the notes' changes with its own.
    """

    def __init__(self) -> None:
        self._ends: dict[int, PageEnd] = {}  # each look at it is one operation

    def before(self, offset: int) -> PageEnd | None:
        """Return the nearest end that is known at this offset or before it."""
        for number in range(min(offset // _STRIDE, _MOST), -1, -1):
            end = self._ends.get(number)
            if end is not None and end.offset <= offset:
                return end
        return None

    def keep(self, end: PageEnd) -> None:
        """Remember an end, unless there is one as good near it."""
        number = end.offset // _STRIDE
        known = self._ends.get(number)
        if number <= _MOST and (known is None or known.changes != end.changes or known.offset > end.offset):
            self._ends[number] = end

    def forget(self) -> None:
        """Forget them all: something was added or deleted."""
        self._ends.clear()
