"""What may hold a walk back: the lag of replicas, or whatever a command of the operator's measures.

A throttle that cannot tell says so and holds the walk back: not knowing is no reason to go on.
"""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import sqlalchemy as sa

from bascule.errors import SchemaError
from bascule.schema.session import Session

__all__ = ["Probe", "ReplicaLag", "Throttle", "ThrottleUnusable"]

_POLL_S = 0.05
_MIB = 1 << 20
_LAST_NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?\s*\Z")


class ThrottleUnusable(SchemaError):
    """A throttle can never answer here; waiting for it would be waiting for ever."""

    def __init__(self, throttle: str, why: str) -> None:
        self.throttle, self.why = throttle, why
        super().__init__(f"{throttle} cannot be used: {why}", next_command="migrate")


class Throttle(Protocol):
    """Something that is asked about once a second, between batches, whether the walk may go on."""

    def why_wait(self, session: Session, should_stop: Callable[[], bool]) -> str | None:
        """Return what to wait for, in words; nothing when the walk may go on.

        Comes back soon once `should_stop` says so; the answer then does not matter. Raises: ThrottleUnusable.
        """


@dataclass(frozen=True, slots=True)
class ReplicaLag:
    """Holds back while any replica of this PostgreSQL replays later than `most_s`, or has `most_mib` left to replay.

    Both are asked, since a replica whose replay stands still reports no new lag. One that is not connected is not seen.
    """

    most_s: float
    most_mib: int = 256

    def why_wait(self, session: Session, should_stop: Callable[[], bool]) -> str | None:
        """Ask the primary, which knows what its replicas have told it."""
        del should_stop
        if session.database.name != "postgresql":
            name = session.database.name
            raise ThrottleUnusable("replica lag", f"{name} does not tell it on the primary; use a probe command")
        rows = session.read("read the replicas' lag", lambda connection: connection.execute(_REPLICAS).all())
        for name, is_hidden, lag_s, behind in rows:
            if is_hidden:
                raise ThrottleUnusable("replica lag", "this account may not see it; grant it pg_read_all_stats")
            if lag_s > self.most_s:
                return f"replica {name}, {lag_s:.1f} s late"
            if behind > self.most_mib * _MIB:
                return f"replica {name}, {behind / _MIB:.0f} MiB behind"
        return None


# Backups and log receivers replay nothing, so they have no replay position.
_REPLICAS = sa.text(
    "SELECT coalesce(nullif(application_name, ''), client_addr::text, 'local'), state IS NULL, "
    "coalesce(extract(epoch FROM replay_lag)::double precision, 0), "
    "coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn), 0)::double precision "
    "FROM pg_stat_replication WHERE state IS NULL OR replay_lsn IS NOT NULL"
)


@dataclass(frozen=True, slots=True)
class Probe:
    """Runs a command: it holds back when that fails, or when the last number it printed is above `limit`.

    The command is run without a shell, once a second, and killed after `timeout_s`.
    """

    command: tuple[str, ...]
    limit: float | None = None
    timeout_s: float = 5.0

    @classmethod
    def parse(cls, line: str, *, limit: float | None = None, timeout_s: float = 5.0) -> "Probe":
        """Take a command line as one types it. Raises: ThrottleUnusable."""
        try:
            words = tuple(shlex.split(line))
        except ValueError as error:
            raise ThrottleUnusable(f"probe {line!r}", str(error)) from error
        if not words:
            raise ThrottleUnusable("the probe", "it is empty")
        return cls(words, limit, timeout_s)

    def why_wait(self, session: Session, should_stop: Callable[[], bool]) -> str | None:
        """Run the command, and judge how it ended and what it printed."""
        name = f"probe {shlex.join(self.command)}"
        with tempfile.TemporaryFile() as output:
            code = self._run(name, output.fileno(), session, should_stop)
            output.seek(0)
            printed = output.read(64 * 1024).decode(errors="replace").strip()
        if code is None:
            return f"{name}, which did not answer within {self.timeout_s:g} s"
        if code != 0:
            return f"{name}, which ended with {code}"
        if self.limit is None:
            return None
        number = _LAST_NUMBER.search(printed)
        if number is None:
            return f"{name}, which printed no number"
        value = float(number.group())
        return f"{name}, {value:g} above {self.limit:g}" if value > self.limit else None

    def _run(self, name: str, output: int, session: Session, should_stop: Callable[[], bool]) -> int | None:
        """Return its exit code; nothing when it was killed, because it took too long or we were asked to stop."""
        try:
            process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL, start_new_session=True
            )
        except OSError as error:
            raise ThrottleUnusable(name, f"it cannot be run ({error.strerror})") from error
        deadline = session.retry.clock() + self.timeout_s
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return process.wait(_POLL_S)
                if should_stop() or session.retry.clock() >= deadline:
                    return None
        finally:
            if process.returncode is None:
                _kill(process)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End the command and what it started: it leads a group of its own, and is not reaped before."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
