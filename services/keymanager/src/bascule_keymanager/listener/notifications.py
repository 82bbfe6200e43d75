"""Notifications of the identity service: a project that it deleted takes with it all that we keep for it."""

import threading
from typing import Any

from bascule.errors import BasculeError
from bascule.rpc.rabbitmq.oslo_parts import oslo
from bascule_keymanager.log import get_log
from bascule_keymanager.storage.project_end import ProjectEnd

__all__ = ["ProjectDeletions"]

_PAUSE_S = 1.0

log = get_log()


class ProjectDeletions:
    """The endpoint for notifications. What is none of a deleted project is passed over."""

    def __init__(self, ending: ProjectEnd, *, requeues: bool, stopping: threading.Event | None = None) -> None:
        self._ending, self._requeues = ending, requeues
        self._stopping = stopping or threading.Event()

    def info(self, _context: Any, _publisher: str, event: str, payload: Any, _metadata: Any) -> Any:  # Any: oslo's own
        """Delete what a project has; what cannot be deleted now is put back, to be tried again."""
        project = payload.get("resource_info") if isinstance(payload, dict) else None
        if not isinstance(project, str) or not project or event.lower().split(".")[-2:] != ["project", "deleted"]:
            return oslo.NotificationResult.HANDLED
        try:
            ended = self._ending.end(project)
        except Exception as failure:  # noqa: BLE001 - whatever it was, the notification must not be lost with it
            sentence = failure.sentence if isinstance(failure, BasculeError) else None
            log.warning("project not ended", project=project, error=type(failure).__name__, sentence=sentence)
            self._stopping.wait(_PAUSE_S)  # it comes again at once
            return oslo.NotificationResult.REQUEUE if self._requeues else oslo.NotificationResult.HANDLED
        if ended is not None:
            log.info("project ended", project=project, secrets=ended.secrets, containers=ended.containers)
        return oslo.NotificationResult.HANDLED
