"""This machine as a node: subprocesses."""

import fcntl
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bascule.fleet.drivers.inherited import environment_with
from bascule.fleet.transport import CommandFailed, Completed, NodeUnreachable, OnLine

__all__ = ["LocalTransport"]

_POLL_S = 0.05


class LocalTransport:
    """Runs commands on this machine, as this user."""

    def __init__(self, node: str) -> None:
        self.node = node

    def reach(self, directory: Path) -> int:
        """Make our directory and return the free bytes there."""
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if not os.access(directory, os.W_OK):
                raise NodeUnreachable(self.node, f"its directory {directory} is not writable")
            return shutil.disk_usage(directory).free
        except OSError as broken:
            raise NodeUnreachable(self.node, f"its directory {directory}: {broken.strerror}") from broken

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        timeout_s: float,
        exclusive: Path | None = None,
        on_line: OnLine | None = None,
    ) -> Completed:
        """Run a command to its end; see Transport."""
        deadline = time.monotonic() + timeout_s
        lock = _take(exclusive, argv, deadline) if exclusive else None
        try:
            return self._run(argv, env, deadline, lock, on_line)
        finally:
            if lock is not None:
                os.close(lock)

    def _run(
        self, argv: Sequence[str], env: Mapping[str, str], deadline: float, lock: int | None, on_line: OnLine | None
    ) -> Completed:
        try:
            process = subprocess.Popen(
                argv,
                env=environment_with(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
                pass_fds=() if lock is None else (lock,),
            )
        except OSError as broken:
            raise CommandFailed(argv, 127, str(broken.strerror)) from broken
        stderr: list[str] = []
        with process:
            reader = threading.Thread(target=_read_lines, args=(process, stderr, on_line), daemon=True)
            reader.start()
            killer = threading.Timer(max(0.0, deadline - time.monotonic()), _kill, args=(process,))
            killer.start()
            try:
                stdout = process.stdout.read() if process.stdout else ""
                process.wait()
                reader.join()
            except BaseException:
                # Ctrl-C: the command may stop at a point of its own choosing.
                process.send_signal(signal.SIGINT)
                raise
            finally:
                overdue = not killer.is_alive()
                killer.cancel()
        if overdue and process.returncode == -signal.SIGKILL:
            raise CommandFailed(argv, None, last_line("\n".join(stderr)))
        return Completed(process.returncode, stdout, "\n".join(stderr))


def last_line(text: str) -> str:
    """Return the last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _take(path: Path, argv: Sequence[str], deadline: float) -> int:
    """Lock a file, waiting for an orphan of a killed run to end first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise CommandFailed(argv, None, f"another command still holds {path.name}") from None
            time.sleep(_POLL_S)
        else:
            return descriptor


def _kill(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def _read_lines(process: "subprocess.Popen[str]", into: list[str], on_line: OnLine | None) -> None:
    for line in process.stderr or ():
        into.append(line.rstrip("\n"))
        if on_line and line.strip():
            on_line(line.rstrip("\n"))
