"""What the load knows to exist: live and deleted keys, and orders, with the fingerprints that they must show."""

import random
from collections import deque
from dataclasses import dataclass

__all__ = ["Key", "Keyring", "Order"]

RECENT = 50
RECENT_SHARE = 0.4  # of the reads go to keys just written: that is where staleness and mixed formats show


@dataclass(slots=True)
class Key:
    """One acknowledged key. `doomed` since a delete of it was sent; `fixed` ones are never deleted."""

    ref: str
    name: str
    fixed: bool = False
    doomed: bool = False


@dataclass(slots=True)
class Order:
    """One accepted order; `made` is the path of what it made and `read` the path that reads it, once it is done."""

    ref: str
    name: str
    over: bool = False
    made: str | None = None
    polls: int = 0


class Keyring:
    """Draws keys for requests; every draw is O(1), so it does not disturb the load."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._live: list[Key] = []
        self._place: dict[str, int] = {}
        self._recent: deque[Key] = deque(maxlen=RECENT)
        self.deleted: list[Key] = []
        self.orders: list[Order] = []

    def __len__(self) -> int:
        return len(self._live)

    @property
    def live(self) -> tuple[Key, ...]:
        """Return the keys that must be readable now."""
        return tuple(self._live)

    def add(self, key: Key) -> None:
        """Take up an acknowledged key."""
        self._place[key.ref] = len(self._live)
        self._live.append(key)
        self._recent.append(key)

    def draw(self) -> Key | None:
        """Return a live key, often a recent one; None when there is none."""
        if not self._live:
            return None
        if self._rng.random() < RECENT_SHARE:
            key = self._rng.choice(self._recent)
            if not key.doomed:
                return key
        return self._rng.choice(self._live)

    def draw_deleted(self) -> Key | None:
        """Return a key whose delete was acknowledged; it must never be seen again."""
        return self._rng.choice(self.deleted) if self.deleted else None

    def doom(self) -> Key | None:
        """Take a live key out for deletion, before the request is sent; None when all are fixed."""
        for _ in range(20):
            key = self._rng.choice(self._live) if self._live else None
            if key is not None and not key.fixed:
                self._remove(key)
                key.doomed = True
                return key
        return None

    def _remove(self, key: Key) -> None:
        place = self._place.pop(key.ref)
        last = self._live.pop()
        if last is not key:
            self._live[place] = last
            self._place[last.ref] = place
