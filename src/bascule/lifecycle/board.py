"""A few bytes that a server's main process and its worker share, so that the exit code tells the truth."""

import enum
import mmap

__all__ = ["Board", "Outcome"]

_SIZE = 4096


class Outcome(enum.IntEnum):
    """How far the worker has come; the main process's exit code follows from it."""

    NOT_SERVING = 0
    SERVING = 1
    DRAINED = 2
    ABANDONED = 3
    REFUSED = 4


class Board:
    """Written by the worker after the fork, read by the main process at its end, also when the worker was killed."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _SIZE)

    @property
    def outcome(self) -> Outcome:
        """What the worker wrote last."""
        return Outcome(self._memory[0])

    @outcome.setter
    def outcome(self, outcome: Outcome) -> None:
        self._memory[0] = int(outcome)

    @property
    def sentence(self) -> str:
        """Why the worker refused to start."""
        return self._memory[1:].rstrip(b"\0").decode(errors="replace")

    def refuse(self, sentence: str) -> None:
        """Keep the sentence for the end, where the main process prints it as its last words."""
        text = sentence.encode()[: _SIZE - 1]
        self._memory[1 : 1 + len(text)] = text
        self.outcome = Outcome.REFUSED
