"""The directory and the processes of one private server, and how a killed run's leftovers are recognised."""

import contextlib
import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bascule.errors import BasculeError

__all__ = ["Instance", "ServerFailed", "clean_stale", "new_password"]

_PREFIX = "bascule-server-"
_RECORD = "processes.json"
_SETUP_TIMEOUT_S = 120.0


class ServerFailed(BasculeError):
    """A private server did not start; the sentence ends with the last lines that it logged."""

    def __init__(self, kind: str, what: str, log: str) -> None:
        self.kind = kind
        self.log = log
        super().__init__(f"the private {kind} {what}; it said: {log or 'nothing'}")


@dataclass(frozen=True, slots=True)
class _Mark:
    """What names a process for good: its id may be given to another, its id and start time may not."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """Return the mark of a process that runs now, else None."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return None
        fields = stat.rpartition(")")[2].split()  # the program's name may hold spaces, so count from its end
        return None if fields[0] == "Z" else cls(pid, f"{boot}:{fields[19]}")

    def is_alive(self) -> bool:
        """Whether exactly this process still runs."""
        return _Mark.of(self.pid) == self


class Instance:
    """A temporary directory and the processes that run in it, as the first of `accounts` that exists when we are root.

    `directory` belongs to us, `data` to the account. The processes are session leaders, so Ctrl-C in a terminal does
    not reach them before `close` does.
    """

    def __init__(self, kind: str, accounts: Sequence[str]) -> None:
        self.kind = kind
        account = _account(accounts)
        self._user = None if account is None else account.pw_uid
        self._group = None if account is None else account.pw_gid
        self._extra_groups: list[int] | None = None if account is None else []
        self.directory = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{kind}-"))
        self.directory.chmod(0o755)
        self.data = self.directory / "data"
        self.data.mkdir(mode=0o700)
        self.log = self.directory / "log"
        self.log.touch()
        self._give(self.data)
        self._processes: list[tuple[subprocess.Popen[bytes], signal.Signals]] = []
        self._record()

    def make_directory(self, name: str) -> Path:
        """Make a directory that only the account can use, and return its path."""
        path = self.data / name
        path.mkdir(mode=0o700)
        self._give(path)
        return path

    def write(self, name: str, text: str) -> Path:
        """Write a file that only the account can read, and return its path."""
        path = self.data / name
        path.touch(mode=0o600)
        path.write_text(text)
        self._give(path)
        return path

    def run(self, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> None:
        """Run a set-up command as the account. Raises: ServerFailed when it does not end with 0."""
        with self.log.open("ab") as log:
            code = subprocess.run(
                [str(word) for word in command],
                cwd=self.data,
                env=self._environment(environment),
                user=self._user,
                group=self._group,
                extra_groups=self._extra_groups,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=_SETUP_TIMEOUT_S,
                check=False,
            ).returncode
        if code != 0:
            raise ServerFailed(
                self.kind, f"could not be set up ({Path(command[0]).name} ended with {code})", self.tail()
            )

    def start(
        self,
        command: Sequence[str | Path],
        environment: Mapping[str, str] | None = None,
        *,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        """Start a process of the server as the account; `close` stops it with `stop_signal`."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [str(word) for word in command],
                cwd=self.data,
                env=self._environment(environment),
                user=self._user,
                group=self._group,
                extra_groups=self._extra_groups,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append((process, stop_signal))
        self._record()

    def kill_last(self) -> None:
        """Kill the process that was started last, and all of its session, as a power cut does."""
        process, _ = self._processes.pop()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._record()

    def wait_until(self, is_ready: Callable[[], bool], *, timeout_s: float = 60.0) -> None:
        """Return when the server answers. Raises: ServerFailed when a process of it ended, or at the deadline."""
        deadline = time.monotonic() + timeout_s
        while not is_ready():
            for process, _ in self._processes:
                if process.poll() is not None:
                    raise ServerFailed(self.kind, f"ended with {process.returncode} at its start", self.tail())
            if time.monotonic() > deadline:
                raise ServerFailed(self.kind, f"was not ready after {timeout_s:.0f} s", self.tail())
            time.sleep(0.05)

    def tail(self, lines: int = 5) -> str:
        """Return the last lines of the log, joined to one."""
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def close(self) -> None:
        """Stop what was started, last first, and remove the directory. Safe to call twice."""
        while self._processes:
            process, stop_signal = self._processes.pop()
            _stop(process, stop_signal)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _environment(self, extra: Mapping[str, str] | None) -> dict[str, str]:
        """Return a small environment: what a caller's shell exports must not change a private server."""
        base = {key: os.environ[key] for key in ("PATH", "TZ") if key in os.environ}
        return {**base, "LC_ALL": "C.UTF-8", "HOME": str(self.data), **(extra or {})}

    def _give(self, path: Path) -> None:
        if self._user is not None and self._group is not None:
            os.chown(path, self._user, self._group)

    def _record(self) -> None:
        """Write who owns this directory and what runs in it, for `clean_stale` of a later run."""
        marks = [_Mark.of(process.pid) for process, _ in self._processes]
        owner = _Mark.of(os.getpid())
        document = {
            "owner": None if owner is None else [owner.pid, owner.started],
            "processes": [[mark.pid, mark.started] for mark in marks if mark is not None],
        }
        temporary = self.directory / f".{_RECORD}"
        temporary.write_text(json.dumps(document))
        temporary.replace(self.directory / _RECORD)


def clean_stale() -> list[Path]:
    """Stop the servers of runs that were killed, and return the directories removed.

    Only what is proven is touched: the directory is ours, its owner is gone, and a process still has the id and the
    start time that were recorded. Anything else stays as it is.
    """
    removed = []
    for record in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_RECORD}"):
        try:
            if (
                record.is_symlink()
                or record.stat().st_uid != os.geteuid()
                or record.parent.stat().st_uid != os.geteuid()
            ):
                continue
            document = json.loads(record.read_text())
            owner = _Mark(*document["owner"])
            processes = [_Mark(*mark) for mark in document["processes"]]
        except (OSError, ValueError, TypeError, KeyError):
            continue  # no proof whose it is: leave it alone
        if owner.is_alive():
            continue
        for mark in reversed(processes):
            _kill_session(mark)
        shutil.rmtree(record.parent, ignore_errors=True)
        removed.append(record.parent)
    return removed


def new_password() -> str:
    """Return a password for a private server; it lives as long as the server."""
    return secrets.token_hex(12)


def _account(names: Sequence[str]) -> pwd.struct_passwd | None:
    """Return the account to run as: None (our own) unless we are root, whom servers refuse."""
    if os.geteuid() != 0:
        return None
    for name in (*names, "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise AssertionError("every Unix has the account nobody")


def _stop(process: "subprocess.Popen[bytes]", stop_signal: signal.Signals, *, timeout_s: float = 20.0) -> None:
    """Stop a process we started and whatever is left in its session; returns when it is gone."""
    if process.poll() is None:
        process.send_signal(stop_signal)
        deadline = time.monotonic() + timeout_s
        # WNOWAIT leaves the dead leader as a zombie: until we reap it, its id cannot become somebody else's group.
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() > deadline:
                process.kill()
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):  # raised when nothing was left, as it should be
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _kill_session(mark: _Mark) -> None:
    if mark.is_alive():
        os.killpg(mark.pid, signal.SIGKILL)  # each recorded process leads a session and group of its own
        deadline = time.monotonic() + 10
        while mark.is_alive() and time.monotonic() < deadline:
            time.sleep(0.02)
