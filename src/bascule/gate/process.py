"""Starting, watching and stopping the load as a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from bascule.errors import GateError
from bascule.gate.client import Target
from bascule.gate.history import HistoryTail
from bascule.gate.workload import read_workload

__all__ = ["LoadDied", "LoadProcess"]

POLL_S = 0.05


class LoadDied(GateError):
    """The load process ended, or did nothing, when it should have been at work."""

    def __init__(self, what: str, log: Path) -> None:
        self.what, self.log = what, log
        lines = log.read_text().strip().splitlines() if log.exists() else []
        said = f": {lines[-1]}" if lines else ""
        super().__init__(f"the load {what}{said}", next_command=f"cat {log}")


class LoadProcess:
    """One load against one target; its history, log and ready file stand in `directory`.

    Checks workload and target before anything starts (WorkloadInvalid, NotLoopback). As a context manager it never
    leaves the process behind; the process also ends by itself when its parent dies.
    """

    def __init__(
        self,
        workload: Path,
        target: str,
        directory: Path,
        *,
        rate: float = 60.0,
        seed: int = 1,
        preload: int = 0,
        concurrency: int = 8,
        idle_max_s: float = 4.0,
        orders_s: float = 60.0,
        max_seconds: float = 3600.0,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        read_workload(workload, variables)
        Target.parse(target)
        self.history = directory / "history.jsonl"
        self.log = directory / "load.log"
        self._ready = directory / "load.ready"
        self._process: subprocess.Popen[bytes] | None = None
        self._arguments = [sys.executable, "-m", "bascule.gate.load", "--workload", str(workload), "--target", target]
        self._arguments += ["--history", str(self.history), "--ready-file", str(self._ready)]
        self._arguments += ["--rate", str(rate), "--seed", str(seed), "--preload", str(preload)]
        self._arguments += ["--concurrency", str(concurrency), "--idle-max", str(idle_max_s)]
        self._arguments += ["--orders-seconds", str(orders_s), "--max-seconds", str(max_seconds)]
        for name, value in (variables or {}).items():
            self._arguments += ["--variable", f"{name}={value}"]

    def start(self) -> None:
        """Start the process; it preloads first."""
        self._ready.unlink(missing_ok=True)
        with self.log.open("wb") as log:
            arguments = [*self._arguments, "--parent", str(os.getpid())]
            # Its own session: an operator's Ctrl-C ends the upgrade, and the upgrade then ends the load.
            self._process = subprocess.Popen(arguments, stdout=log, stderr=log, start_new_session=True)

    @property
    def is_ready(self) -> bool:
        """Whether the preload is done and the load has begun."""
        return self._ready.exists()

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    def tail(self) -> HistoryTail:
        """Return a follower of the history, for live progress."""
        return HistoryTail(self.history)

    def wait_ready(self, timeout_s: float = 180.0) -> None:
        """Return once the load has begun. Raises LoadDied when it ends first, or takes longer."""
        deadline = time.monotonic() + timeout_s
        while not self.is_ready:
            if not self.is_running:
                raise LoadDied("ended before it had begun", self.log)
            if time.monotonic() > deadline:
                raise LoadDied(f"had not begun after {timeout_s:g} s", self.log)
            time.sleep(POLL_S)

    def stop(self, timeout_s: float = 300.0) -> None:
        """End the arrivals and return when everything has been read back. Raises LoadDied when it did not end well."""
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired as late:
            self.kill()
            raise LoadDied(f"had not read everything back after {timeout_s:g} s", self.log) from late
        self._process = None
        if code != 0:
            raise LoadDied(f"ended with {code}", self.log)

    def kill(self) -> None:
        """End the process at once; its history then has no read-back."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
