"""The history of a run: one JSON line per operation, written as it ends and read by checker, verdict and report.

A line never holds a payload: only the first 16 hex digits of its sha256.
"""

import dataclasses
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from bascule.documents.codec import canonical
from bascule.errors import GateError

__all__ = ["HistoryTail", "HistoryUnreadable", "HistoryWriter", "Operation", "digest", "read_history"]

Outcome = Literal["ok", "fail", "info"]
Phase = Literal["preload", "load", "probe", "final"]
State = Literal["present", "absent", "done", "pending", "failed"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One request from its scheduled time to its answer; times are seconds since the epoch.

    `info`: a write that may or may not have happened. `key` is the path of the reference, None for a create that
    was never acknowledged. `hash` is the payload's, `meta` that of the compared fields; on a create or an order they
    say what must be found later. `state` is what the answer says of the key or the order; `made` what an order
    has made. `upload_s` is the part of the time that the client itself took on purpose. `seen` are the keys on a
    page, `total` a count. `makes` says by how much a create or an order raises that count.
    """

    n: int
    op: str
    kind: str
    phase: Phase
    at: float
    start: float
    end: float
    outcome: Outcome
    key: str | None = None
    status: int | None = None
    error: str | None = None
    release: str | None = None
    instance: str | None = None
    connection: str = ""
    bytes: int = 0
    hash: str | None = None
    meta: str | None = None
    state: State | None = None
    made: str | None = None
    upload_s: float = 0.0
    seen: tuple[str, ...] = ()
    total: int | None = None
    makes: int = 0

    @property
    def latency_s(self) -> float:
        """Return the seconds from the scheduled time to the answer, without what the client took on purpose."""
        return max(0.0, self.end - self.at - self.upload_s)

    def said(self) -> str:
        """Return the operation in one phrase, for reasons: what it was, what came back, and from whom."""
        who = f" from {self.instance or 'an unnamed process'} of {self.release}" if self.release else ""
        what = f"status {self.status}" if self.status is not None else (self.error or "no answer")
        return f"{self.op} #{self.n} ({self.connection} connection): {what}{who}"


_NAMES = frozenset(field.name for field in fields(Operation))
_DEFAULTS = {f.name: f.default for f in fields(Operation) if f.default is not dataclasses.MISSING}


class HistoryUnreadable(GateError):
    """A history cannot be read, or a line of it is none."""

    def __init__(self, path: Path, why: str) -> None:
        self.path = path
        super().__init__(f"history {path} cannot be read: {why}", next_command="run the load again")


def digest(value: bytes | Any) -> str:  # Any: plain JSON values
    """Return the short fingerprint that stands in a history for a payload, or for plain values."""
    data = value if isinstance(value, bytes) else canonical(value).encode()
    return hashlib.sha256(data).hexdigest()[:16]


def encode(operation: Operation) -> str:
    """Return the line of an operation, without what has its default."""
    plain = {name: getattr(operation, name) for name in _NAMES}
    lean = {name: value for name, value in plain.items() if name not in _DEFAULTS or value != _DEFAULTS[name]}
    for name in ("at", "start", "end"):
        lean[name] = round(lean[name], 6)
    return json.dumps(lean, separators=(",", ":"), sort_keys=True) + "\n"


def decode(line: str) -> Operation:
    """Return the operation of a line; keys of newer writers are dropped. Raises ValueError or TypeError."""
    plain = {name: value for name, value in json.loads(line).items() if name in _NAMES}
    if "seen" in plain:
        plain["seen"] = tuple(plain["seen"])
    return Operation(**plain)


def read_history(path: Path) -> tuple[Operation, ...]:
    """Return all operations in the order in which they ended.

    A last line without its end is left out: the writer was killed in the middle of it. Raises HistoryUnreadable.
    """
    try:
        text = path.read_text()
    except OSError as fault:
        raise HistoryUnreadable(path, str(fault)) from fault
    whole = text[: text.rfind("\n") + 1]
    return tuple(_decode_lines(path, whole))


def _decode_lines(path: Path, text: str) -> Iterator[Operation]:
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            yield decode(line)
        except (ValueError, TypeError, AttributeError) as fault:
            raise HistoryUnreadable(path, f"line {number} is not an operation ({fault})") from fault


class HistoryWriter:
    """Collects lines; `flush` hands them to other processes, whole lines at a time."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w")
        self._lines: list[str] = []

    def add(self, operation: Operation) -> None:
        """Remember one operation until the next flush."""
        self._lines.append(encode(operation))

    def flush(self) -> None:
        """Write what was added; another process then reads it."""
        lines, self._lines = self._lines, []
        self._file.write("".join(lines))
        self._file.flush()

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        self._file.close()


class HistoryTail:
    """Follows a history that another process is writing; each `read` returns only what is new."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: io.TextIOWrapper | None = None
        self._rest = ""

    def read(self) -> tuple[Operation, ...]:
        """Return the operations since the last call; none while the file does not exist yet."""
        if self._file is None:
            if not self.path.exists():
                return ()
            self._file = self.path.open()
        text = self._rest + self._file.read()
        whole, self._rest = text[: text.rfind("\n") + 1], text[text.rfind("\n") + 1 :]
        return tuple(_decode_lines(self.path, whole))

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
