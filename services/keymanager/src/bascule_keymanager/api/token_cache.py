"""Tokens that Keystone confirmed a short while ago, so that it is not asked again at every request."""

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bascule_keymanager.api.context import Caller

__all__ = ["Confirmed", "Inquiries", "TokenCache"]

_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What a token stands for, until a moment of the monotonic clock; `headers` only where somebody reads them."""

    caller: Caller
    until: float
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class TokenCache:
    """Remembers tokens by a keyed hash: neither a dump of this process nor an error shows one. Safe between threads."""

    def __init__(self, ttl_s: float, *, clock: Callable[[], float] = time.monotonic, most: int = _MOST) -> None:
        self._ttl_s, self._clock, self._most = ttl_s, clock, most
        self._salt = secrets.token_bytes(32)
        self._known: dict[bytes, Confirmed] = {}
        self._writing = threading.Lock()
        self.hits = self.misses = 0  # about right: threads do not wait for each other to count

    def key(self, token: str, service_token: str | None) -> bytes:
        """Return the name under which these tokens, sent together, are remembered."""
        text = token if service_token is None else f"{token}\0{service_token}"
        return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), key=self._salt, digest_size=20).digest()

    def find(self, key: bytes) -> Confirmed | None:
        """Return what is known of a token, if it is fresh."""
        known = self._known.get(key)
        if known is not None and known.until > self._clock():
            self.hits += 1
            return known
        self.misses += 1
        return None

    def keep(self, key: bytes, caller: Caller, valid_s: float, headers: Mapping[str, str]) -> None:
        """Remember a token that was just confirmed and is valid for so long; never for longer than the limit."""
        if self._ttl_s <= 0 or valid_s <= 0:
            return
        now = self._clock()
        confirmed = Confirmed(caller, now + min(self._ttl_s, valid_s), headers)
        with self._writing:
            self._known.pop(key, None)
            if len(self._known) >= self._most:
                self._make_room(now)
            self._known[key] = confirmed

    @property
    def remembers(self) -> bool:
        """Whether anything is remembered at all."""
        return self._ttl_s > 0

    def __len__(self) -> int:
        return len(self._known)

    def _make_room(self, now: float) -> None:
        stale = [key for key, known in self._known.items() if known.until <= now]
        for key in stale or [next(iter(self._known))]:  # else the one that was confirmed longest ago
            del self._known[key]


class Inquiries:
    """Which tokens Keystone is being asked about right now: one request asks, the others wait for what it learns.

    A process that has just started knows no token, and gets its full share of requests at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asking: dict[bytes, threading.Event] = {}

    def begin(self, key: bytes) -> tuple[threading.Event, bool]:
        """Return what is set when the answer is there, and whether the caller is the one who asks."""
        with self._lock:
            others = self._asking.get(key)
            if others is not None:
                return others, False
            own = self._asking[key] = threading.Event()
            return own, True

    def end(self, key: bytes, own: threading.Event) -> None:
        """Let the others go on, answer or not; safe to call again."""
        with self._lock:
            if self._asking.get(key) is own:
                del self._asking[key]
        own.set()
