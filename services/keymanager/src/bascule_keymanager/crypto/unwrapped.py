"""Project keys that were unwrapped lately, so that a read costs one decryption and not two."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["UnwrappedKeys"]

K = TypeVar("K")


class UnwrappedKeys(Generic[K]):
    """A bounded table of unwrapped keys by the id of their row, safe for threads.

    `forget` is called, outside the lock, with a key that is thrown out, and may be destroyed where it is.
    """

    def __init__(
        self,
        *,
        most: int = 1_000,
        ttl_s: float | None = None,
        forget: Callable[[K], None] = lambda _key: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most, self._ttl_s, self._forget, self._monotonic = most, ttl_s, forget, monotonic
        self._keys: OrderedDict[str, tuple[float, K]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key_id: str) -> K | None:
        """Return the key of this row, unless it was never put here or has been here for too long."""
        with self._lock:
            known = self._keys.get(key_id)
            if known is None:
                return None
            if self._ttl_s is None or self._monotonic() - known[0] < self._ttl_s:
                self._keys.move_to_end(key_id)
                return known[1]
            del self._keys[key_id]
        self._forget(known[1])
        return None

    def put(self, key_id: str, key: K) -> None:
        """Keep a key; the one that was not asked for the longest makes room."""
        thrown_out = []
        with self._lock:
            before = self._keys.pop(key_id, None)
            if before is not None and before[1] is not key:
                thrown_out.append(before[1])
            self._keys[key_id] = (self._monotonic(), key)
            if len(self._keys) > self._most:
                thrown_out.append(self._keys.popitem(last=False)[1][1])
        for old in thrown_out:
            self._forget(old)

    def clear(self) -> None:
        """Forget all keys at once, without a word to `forget`: where they were is gone."""
        with self._lock:
            self._keys.clear()
