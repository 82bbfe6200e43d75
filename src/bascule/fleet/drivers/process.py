"""Plain processes as a runtime.

Every process inherits a locked file, and so do its children: the lock ends with the last of them. That makes
"is it alive?" exact without trusting process ids, and makes a second start impossible even when the starter was
killed between fork and exec. The pid in the run directory is only used while the lock is held.
"""

import contextlib
import fcntl
import json
import os
import signal
import time
from pathlib import Path

from bascule.errors import StepFailed
from bascule.fleet.drivers.inherited import environment_with
from bascule.fleet.drivers.local import last_line
from bascule.fleet.runtime import InstanceName, StartSpec, Stopped
from bascule.release import Release

__all__ = ["ProcessRuntime"]

_POLL_S = 0.02
# The shell writes its own pid before it becomes the program, so the pid is on disk even if we die right now.
_WRAPPER = 'cd "$0" && echo $$ > pid && echo $$ >> starts && exec "$@"'


class ProcessRuntime:
    """The processes below one run directory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._children: dict[Path, int] = {}

    def directory(self, instance: InstanceName) -> Path:
        """Return the run directory of an instance."""
        return self._root / str(instance)

    def start(self, spec: StartSpec, *, timeout_s: float) -> None:
        """Start the process unless it runs; wait for a predecessor under the same name that is stopping."""
        directory = self.directory(spec.instance)
        directory.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + timeout_s
        while (lock := _try_lock(directory)) is None:
            if self._is_alive(directory):
                if not (directory / "stopping").exists():
                    return
                self._signal_again(directory)
            if time.monotonic() > deadline:
                raise StepFailed(
                    f"{spec.instance} is still stopping after {timeout_s:.0f} s", next_command="bascule upgrade status"
                )
            time.sleep(_POLL_S)
        try:
            self._spawn(spec, directory, lock)
        finally:
            os.close(lock)

    def _spawn(self, spec: StartSpec, directory: Path, lock: int) -> None:
        for name in ("stopping", "signalled", "pid", "ready"):
            (directory / name).unlink(missing_ok=True)
        facts = {"role": spec.role, "address": spec.address, "started_at": time.time()}
        _write(directory / "meta.json", json.dumps(facts))
        self._reap(directory)
        log = os.open(directory / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            for descriptor in (lock, spec.listen_fd):
                if descriptor is not None:
                    os.set_inheritable(descriptor, True)
            # Not a Popen: the process is meant to outlive us, and nothing here may wait for it when we end.
            self._children[directory] = os.posix_spawn(
                "/bin/sh",
                ["/bin/sh", "-c", _WRAPPER, str(directory), *spec.argv],
                environment_with(spec.env),
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, log, 1),
                    (os.POSIX_SPAWN_DUP2, log, 2),
                ],
                setsid=True,
            )
        finally:
            os.close(log)

    def stop(self, instance: InstanceName, *, signal_name: str, timeout_s: float) -> Stopped:
        """Signal the process once and wait for the end of its whole group. Safe to call again.

        A successor that somebody starts as soon as the process is gone is left alone.
        """
        directory = self.directory(instance)
        began = time.monotonic()
        if not self._is_alive(directory):
            return Stopped(0.0, killed=False)
        start = _start_of(directory)
        (directory / "stopping").touch()
        if not (directory / "signalled").exists():
            self._signal(directory, getattr(signal, f"SIG{signal_name}"), deadline=began + timeout_s)
            (directory / "signalled").touch()
        while self._is_alive(directory) and _start_of(directory) == start:
            if time.monotonic() - began > timeout_s:
                self._kill_group(directory, start)
                self._reap(directory, start)
                return Stopped(time.monotonic() - began, killed=True)
            time.sleep(_POLL_S)
        self._reap(directory, start)
        return Stopped(time.monotonic() - began, killed=False)

    def alive(self) -> dict[InstanceName, str]:
        """Return the running processes and their roles."""
        found = {}
        for directory in sorted(self._root.glob("*@*")):
            if self._is_alive(directory):
                name, release = directory.name.rsplit("@", 1)
                found[InstanceName(name, Release.parse(release))] = str(_meta(directory).get("role", ""))
        return found

    def address(self, instance: InstanceName) -> str | None:
        """Return the address that the instance was started with."""
        address = _meta(self.directory(instance)).get("address")
        return str(address) if address else None

    def is_ready_file_written(self, instance: InstanceName) -> bool:
        """Whether the process has said that it is ready."""
        return (self.directory(instance) / "ready").exists()

    def age_s(self, instance: InstanceName) -> float:
        """Return the seconds since the process was started."""
        return time.time() - float(str(_meta(self.directory(instance)).get("started_at", time.time())))

    def last_words(self, instance: InstanceName) -> str:
        """Return the last line of the instance's log."""
        log = self.directory(instance) / "log"
        if not log.exists():
            return ""
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            return last_line(file.read().decode(errors="replace"))

    def _is_alive(self, directory: Path) -> bool:
        # A shared lock: those who only look do not stand in each other's way, nor pass for a process.
        lock = _try_lock(directory, fcntl.LOCK_SH)
        if lock is None:
            return True
        os.close(lock)
        return False

    def _signal(self, directory: Path, number: int, *, deadline: float) -> None:
        """Send a signal to the group's leader, whose pid may appear a moment after its start."""
        while True:
            pid = _pid(directory)
            if pid is not None:
                break
            if time.monotonic() > deadline or not self._is_alive(directory):
                return
            time.sleep(_POLL_S)
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            # The leader has ended and its children have not: they get the signal themselves.
            self._signal_group(pid, number)

    def _signal_again(self, directory: Path) -> None:
        """Make up for a stop that was killed between its intent and its signal."""
        if not (directory / "signalled").exists():
            self._signal(directory, signal.SIGTERM, deadline=time.monotonic())
            (directory / "signalled").touch()

    def _kill_group(self, directory: Path, start: object) -> None:
        while self._is_alive(directory) and _start_of(directory) == start:
            pid = _pid(directory)
            if pid is not None:
                self._signal_group(pid, signal.SIGKILL)
            time.sleep(_POLL_S)

    @staticmethod
    def _signal_group(pid: int, number: int) -> None:
        try:
            os.killpg(pid, number)
        except ProcessLookupError:
            return  # nobody is left in the group, which is what was wanted

    def _reap(self, directory: Path, start: object = None) -> None:
        """Collect our own child, whose lock is gone, so that it does not stay behind as a zombie.

        With a start, only the child of that one: a successor is not to be waited for.
        """
        if start is not None and _start_of(directory) != start:
            return  # whoever started the successor has collected its predecessor
        child = self._children.pop(directory, None)
        if child is not None:
            with contextlib.suppress(ChildProcessError):  # somebody who waits for any child was faster
                os.waitpid(child, 0)


def _try_lock(directory: Path, how: int = fcntl.LOCK_EX) -> int | None:
    """Lock the run directory's file; None while someone else holds it."""
    try:
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _pid(directory: Path) -> int | None:
    try:
        text = (directory / "pid").read_text().strip()
    except FileNotFoundError:
        return None
    return int(text) if text else None


def _meta(directory: Path) -> dict[str, object]:
    try:
        facts: dict[str, object] = json.loads((directory / "meta.json").read_text())
    except FileNotFoundError:
        return {}
    return facts


def _start_of(directory: Path) -> object:
    """Return what tells one process of an instance from the next."""
    return _meta(directory).get("started_at")


def _write(path: Path, text: str) -> None:
    """Replace a file in one move, so that nobody ever reads half of it."""
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(path)
