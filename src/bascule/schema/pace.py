"""How fast a walk goes: how many rows the next batch takes, how long it pauses, and when it will be done."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Eta", "Pace", "PaceName", "Pacer"]

# fast: as quickly as writers barely notice. gentle: slower, so that they do not notice. off-hours: nobody is writing.
PaceName = Literal["fast", "gentle", "off-hours"]

_FEWEST_ROWS = 10
_LONGEST_PAUSE_S = 1.0  # a batch that hung once must not stop the walk for minutes
_FORGETS_AFTER_S = 10.0
_KNOWS_AFTER_S, _KNOWS_AFTER_BATCHES = 2.0, 5


@dataclass(frozen=True, slots=True)
class Pace:
    """How a walk goes: seconds per batch, rows of the first batch, the share of the time it works, rows of the largest.

    Longer batches keep a writer of the same rows waiting longer; more pauses leave the processors to others.
    """

    batch_s: float
    first_rows: int
    duty: float
    most_rows: int = 5_000


@dataclass(slots=True)
class Pacer:
    """Chooses the rows of the next batch from the time that the last one took, and the pause after it."""

    pace: Pace
    rows: int = field(init=False)

    def __post_init__(self) -> None:
        self.rows = self.pace.first_rows

    def after(self, batch_s: float, *, walked: int) -> float:
        """Take in how long a batch of so many rows took; return the seconds to pause."""
        pace = self.pace
        wanted = walked * pace.batch_s / max(batch_s, 0.0001)
        # At most doubled or halved: one slow batch among many users is not a trend.
        fewest = min(_FEWEST_ROWS, pace.first_rows)
        self.rows = int(min(max(wanted, self.rows / 2, fewest), self.rows * 2, pace.most_rows))
        return min(batch_s * (1 / pace.duty - 1), _LONGEST_PAUSE_S)


@dataclass(slots=True)
class Eta:
    """Tells when a walk ends, from how fast it went of late, pauses and waits included.

    The rate is an average that forgets: what happened ten seconds ago counts a third of what happens now.
    """

    clock: Callable[[], float]
    _since: float = field(init=False)
    _at: float = field(init=False)
    _rows_per_s: float = 0.0
    _weight: float = 0.0
    _batches: int = 0

    def __post_init__(self) -> None:
        self._since = self._at = self.clock()

    def walked(self, rows: int) -> None:
        """Take in that so many rows were walked since the last call."""
        now = self.clock()
        took_s, self._at = max(now - self._at, 1e-6), now
        kept = 0.5 ** (took_s / (_FORGETS_AFTER_S / 1.585))  # a third is left after that time
        self._rows_per_s = self._rows_per_s * kept + rows / took_s * (1 - kept)
        self._weight = self._weight * kept + (1 - kept)
        self._batches += 1

    def left_s(self, rows: int) -> float | None:
        """Return the seconds that so many more rows will take; nothing while too little is known."""
        if rows <= 0:
            return 0.0
        if self._batches < _KNOWS_AFTER_BATCHES or self._at - self._since < _KNOWS_AFTER_S or not self._rows_per_s:
            return None
        return rows * self._weight / self._rows_per_s
