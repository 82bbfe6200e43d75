"""/healthcheck and /readiness: is the process up, and can it do its work."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from pathlib import Path
from typing import Any

import falcon

from bascule_keymanager.storage.database import Database

__all__ = ["Condition", "HealthResource", "MetricsResource", "ReadinessResource"]

_FRESH_S = 1.0
_PATIENCE_S = 3.0


class Condition:
    """How this process is. Asking is cheap however often it is done: the database is asked once a second at most."""

    def __init__(
        self, database: Database | None, disable_file: str | None = None, *, patience_s: float = _PATIENCE_S
    ) -> None:
        self._database, self._patience_s = database, patience_s
        self._disable_file = Path(disable_file) if disable_file else None
        self._draining = threading.Event()
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="readiness")
        self._lock = threading.Lock()
        self._pending: Future[str] | None = None
        self._answer, self._fresh_until = "", 0.0

    def drain(self) -> None:
        """Say from now on that this process takes no new work."""
        self._draining.set()

    def unhealthy(self) -> str | None:
        """Return why no more requests should be sent here, in oslo.middleware's words, or None."""
        if self._draining.is_set():
            return "DRAINING"
        if self._disable_file is not None and self._disable_file.exists():
            return "DISABLED BY FILE"
        return None

    def report(self) -> dict[str, str]:
        """Return what readiness consists of; everything says ok when the process is ready."""
        report = {"process": (self.unhealthy() or "ok").lower()}
        if self._database is not None:
            report["database"] = self._condition_of(self._database)
        return report

    def _condition_of(self, database: Database) -> str:
        """Ask in a thread of its own: a database that hangs must not hang whoever asks about it."""
        with self._lock:
            if time.monotonic() < self._fresh_until:
                return self._answer
            if self._pending is None or self._pending.done():
                self._pending = self._asking.submit(database.condition)
            pending = self._pending
        try:
            answer = pending.result(self._patience_s)
        except TookTooLong:
            answer = "no answer in time"
        with self._lock:
            self._answer, self._fresh_until = answer, time.monotonic() + _FRESH_S
        return answer


class HealthResource:
    """For balancers: the process answers, and nobody has taken it out."""

    def __init__(self, condition: Condition) -> None:
        self._condition = condition

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:  # noqa: ARG002 - falcon's signature
        """Say OK, or 503 and why not."""
        reason = self._condition.unhealthy()
        resp.status = 503 if reason else 200
        resp.content_type = "text/plain; charset=UTF-8"
        resp.text = reason or "OK"


class ReadinessResource:
    """For whoever starts and replaces processes: this one can do its work."""

    def __init__(self, condition: Condition) -> None:
        self._condition = condition

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:  # noqa: ARG002 - falcon's signature
        """Say what readiness consists of, with 200 or 503."""
        report = self._condition.report()
        ready = all(answer == "ok" for answer in report.values())
        resp.status = 200 if ready else 503
        resp.content_type = "application/json"
        resp.text = json.dumps({"ready": ready, **report})


class MetricsResource:
    """For Prometheus, where the operator gave it a path."""

    def __init__(self, render: Callable[[], bytes], content_type: str) -> None:
        self._render, self._content_type = render, content_type

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:  # noqa: ARG002 - falcon's signature
        """Show the figures of this process."""
        resp.content_type = self._content_type
        data: Any = self._render()  # Any: falcon takes bytes here
        resp.data = data
