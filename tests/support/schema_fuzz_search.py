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
    did is what is returned. Each history is drawn afresh: of many in one go, hypothesis makes most by altering one.
    """
    simplest = _simplest(sizes)
    for play in range(plays):
        if failures := _failures(world, f"{number} {play}", simplest, shrink_s, tell, sizes):
            smallest = min(failures, key=lambda found: len(found[1]))
            return Found(*smallest, play)
    return None


def _failures(world, number, simplest, shrink_s, tell, sizes):
    """Play one history; return how it went wrong, and how the smaller ones did."""
    failures, began = [], []

    @_drawn(number, 2, sizes)
    def play(history):
        if history == simplest:  # hypothesis begins with it each time
            return
        if began and time.monotonic() > began[0] + shrink_s:
            raise _EnoughError
        tell()
        try:
            world.play(history)
        except Exception as error:
            began.append(time.monotonic())
            failures.append((history, str(error) if isinstance(error, Wrong) else _crash(error)))
            if not shrink_s:
                raise _EnoughError from None
            raise

    try:
        play()
    except (Exception, _EnoughError):
        if not failures:
            raise
    return failures


def _crash(error):
    return f"crashed: {type(error).__name__} {error}"


def _simplest(sizes):
    found = []
    _drawn("", 1, sizes)(found.append)()
    return found[0]


def _drawn(number, most, sizes):
    def decorate(play):
        chosen = settings(
            max_examples=most,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )

        def run(history):
            play(history)

        return seed(number)(chosen(given(histories(**sizes))(run)))

    return decorate
