"""Looks for a history that the engine does not survive, and makes it small."""

import time
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, given, seed, settings
from support.schema_fuzz_history import History, encode, histories
from support.schema_fuzz_world import Wrong

__all__ = ["Found", "search"]


@dataclass(frozen=True, slots=True)
class Found:
    """A history that went wrong, why, and how many went well before the first that did not."""

    history: History
    why: str
    after: int

    @property
    def word(self):
        """The history as one word, for a command line."""
        return encode(self.history)


class _EnoughError(BaseException):
    """Ends a search at once; no Exception, or hypothesis would take it for one more failure."""


def search(world, number, *, plays, shrink_s=0.0, tell=lambda: None, **sizes):
    """Play up to `plays` histories drawn with the seed `number`; return what was Found, or None.

    A failure is shrunk for `shrink_s`. Really concurrent writers need not fail twice; the smallest history that ever
    did is what is returned.
    """
    failures, began, played = [], [], []

    @seed(number)
    @settings(
        max_examples=plays,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(histories(**sizes))
    def play(history):
        if began and time.monotonic() > began[0] + shrink_s:
            raise _EnoughError
        tell()
        try:
            world.play(history)
        except Exception as error:
            began.append(time.monotonic())
            why = str(error) if isinstance(error, Wrong) else f"crashed: {type(error).__name__} {error}"
            failures.append(Found(history, why, len(played)))
            if not shrink_s:
                raise _EnoughError from None
            raise
        if not failures:
            played.append(1)

    try:
        play()
    except (Exception, _EnoughError):
        if not failures:
            raise
        smallest = min(failures, key=lambda found: len(found.why))
        return Found(smallest.history, smallest.why, failures[0].after)
    return None
