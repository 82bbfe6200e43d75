"""Writers of the old release, each in a process of its own: open loop, latency counted from when a write was due.

As a program it is one writer: a line of JSON on stdin says what to write and where, the end of stdin says stop, and the
samples come out on stdout. A writer that waits does not write less: what it missed is due at once, and counts as late.
"""

import json
import math
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa

# Of ten writes: what the change is about, what it is not about, and a new row.
STATEMENTS = (
    *["UPDATE users SET fullname = {0} WHERE id = {1}"] * 7,
    *["UPDATE users SET visits = visits + {0} WHERE id = {1}"] * 2,
    "INSERT INTO users (fullname, email, note, visits) VALUES ({0}, 'new@example.org', {1}, 0)",
)
LONGEST_WAIT_S = 60


@dataclass(frozen=True)
class Sample:
    """One write: when it was due (monotonic seconds), how late it was done (seconds), and the error, if any."""

    due: float
    late_s: float
    error: str = ""


@dataclass(frozen=True)
class Writer:
    """What one writer does: where, over how many rows, how often, and from which moment on."""

    url: str
    rows: int
    per_s: float
    seed: int
    first_due: float


class OpenLoop:
    """Writers that run while the block runs; `samples` holds all of theirs afterwards."""

    def __init__(self, url: str, rows: int, *, per_s: float, writers: int = 4) -> None:
        self.url, self.rows, self.per_s, self.writers = url, rows, per_s, writers
        self.samples: list[Sample] = []
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        first_due = time.monotonic() + 1.5  # all have connected by then
        for number in range(self.writers):
            offset = number / self.per_s
            writer = Writer(self.url, self.rows, self.per_s / self.writers, number, first_due + offset)
            process = subprocess.Popen(
                [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            self._processes.append(process)
            assert process.stdin is not None
            process.stdin.write(json.dumps(asdict(writer)) + "\n")
            process.stdin.flush()
        time.sleep(3.0)  # and are warm by then
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in self._processes:
            assert process.stdout is not None
            self.samples += [Sample(*item) for item in json.loads(process.stdout.read() or "[]")]
            if process.wait(LONGEST_WAIT_S) and kind is None:
                raise RuntimeError("a writer failed; what it said is above")

    def between(self, start: float, end: float) -> list[Sample]:
        """Return the writes that were due in that time."""
        return [sample for sample in self.samples if start <= sample.due < end]


def p99_ms(samples: Sequence[Sample]) -> float:
    """Return the 99th percentile of the lateness, errors included: whoever got one had waited, too."""
    return percentile([sample.late_s for sample in samples], 0.99) * 1000


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def connect(url: str) -> tuple[Callable[[str, tuple[Any, ...]], object], str]:
    """Return what runs a statement on a plain driver connection, and the driver's placeholder."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        file = sqlite3.connect(str(parsed.database), timeout=LONGEST_WAIT_S, isolation_level=None)
        return file.execute, "?"
    where = {"host": parsed.host, "port": parsed.port, "user": parsed.username, "password": parsed.password}
    if parsed.get_backend_name() == "postgresql":
        import psycopg  # noqa: PLC0415  # only the driver that is needed

        return psycopg.connect(**where, dbname=parsed.database, autocommit=True).execute, "%s"
    import pymysql  # noqa: PLC0415  # as above

    return pymysql.connect(**where, database=parsed.database, autocommit=True).cursor().execute, "%s"


def write_until(writer: Writer, stop: threading.Event) -> list[Sample]:
    """Write at the due times until told to stop."""
    execute, placeholder = connect(writer.url)
    statements = [statement.format(placeholder, placeholder) for statement in STATEMENTS]
    chance, samples, due = random.Random(writer.seed), [], writer.first_due
    while not stop.is_set():
        if (ahead := due - time.monotonic()) > 0:
            time.sleep(ahead)
        statement = chance.choice(statements)
        value: object = chance.randrange(9) if "visits +" in statement else f"Old{chance.randrange(10**6)} Name"
        error = ""
        try:
            execute(statement, (value, chance.randint(1, writer.rows)))
        except Exception as failure:  # noqa: BLE001  # counted, and told with the result
            error = f"{type(failure).__name__}: {failure}"[:200]
        samples.append(Sample(due, time.monotonic() - due, error))
        due += 1 / writer.per_s
    return samples


def main() -> None:
    writer = Writer(**json.loads(sys.stdin.readline()))
    stop = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    print(json.dumps([[sample.due, sample.late_s, sample.error] for sample in write_until(writer, stop)]))


if __name__ == "__main__":
    main()
