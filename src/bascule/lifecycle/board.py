"""What a server's main process and its worker share, so that the exit code tells the truth and names what was lost."""

import enum
import mmap
import struct
import threading

__all__ = ["Board", "Ledger", "Outcome"]

_SENTENCE = 4096
_LINE = 256
_LINES = 512


class Outcome(enum.IntEnum):
    """How far the worker has come; the main process's exit code follows from it."""

    NOT_SERVING = 0
    SERVING = 1
    DRAINED = 2
    ABANDONED = 3
    REFUSED = 4


class Ledger:
    """One line for each request in hand, readable by the main process after its worker was killed.

    With more than 512 requests in hand the newest are not written; a line is cut at 254 bytes.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _LINE * _LINES)
        self._free = list(range(_LINES - 1, -1, -1))
        self._places: dict[int, int] = {}
        self._lock = threading.Lock()

    def write(self, number: int, text: str) -> None:
        """Write, or write anew, the line of this request."""
        data = text.encode(errors="replace")[: _LINE - 2]
        with self._lock:
            if number not in self._places:
                if not self._free:
                    return
                self._places[number] = self._free.pop()
            at = self._places[number] * _LINE
            self._memory[at : at + 2 + len(data)] = struct.pack("<H", len(data)) + data

    def erase(self, number: int) -> None:
        """Take the line of this request away."""
        with self._lock:
            place = self._places.pop(number, None)
            if place is not None:
                self._memory[place * _LINE : place * _LINE + 2] = b"\0\0"
                self._free.append(place)

    def take_all(self) -> list[str]:
        """Return every line and erase them; for the main process, once the worker is gone."""
        found = []
        for at in range(0, _LINE * _LINES, _LINE):
            (length,) = struct.unpack("<H", self._memory[at : at + 2])
            if length:
                found.append(self._memory[at + 2 : at + 2 + length].decode(errors="replace"))
                self._memory[at : at + 2] = b"\0\0"
        return found


class Board:
    """Written by the worker after the fork, read by the main process at its end, also when the worker was killed."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _SENTENCE)
        self._pulse = mmap.mmap(-1, 8)
        self.ledger = Ledger()

    @property
    def outcome(self) -> Outcome:
        """What the worker wrote last."""
        return Outcome(self._memory[0])

    @outcome.setter
    def outcome(self, outcome: Outcome) -> None:
        self._memory[0] = int(outcome)

    @property
    def pulse(self) -> int:
        """A number that changes as long as the worker is not stuck."""
        (number,) = struct.unpack("<Q", self._pulse[:])
        return int(number)

    def beat(self) -> None:
        """Say in the worker that it is not stuck."""
        self._pulse[:] = struct.pack("<Q", self.pulse + 1)

    @property
    def sentence(self) -> str:
        """Why the worker refused to start, or to go on."""
        return self._memory[1:].rstrip(b"\0").decode(errors="replace")

    def refuse(self, sentence: str) -> None:
        """Keep the sentence for the end, where the main process prints it as its last words."""
        text = sentence.encode()[: _SENTENCE - 1]
        self._memory[1 : 1 + len(text)] = text
        self.outcome = Outcome.REFUSED
