"""JSON lines on stderr, one per event; never a payload, never a key."""

import logging
import sys
from typing import Any

import structlog

from bascule_keymanager.identity import RELEASE, instance_name

__all__ = ["configure_log", "get_log"]


def configure_log(program: str) -> None:
    """Send this program's events, and the library's warnings, to stderr as JSON lines. Safe to call twice."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(program=program, release=str(RELEASE), instance=instance_name())
    handler = _Forward()
    root = logging.getLogger()
    if not any(isinstance(known, _Forward) for known in root.handlers):
        root.addHandler(handler)
    root.setLevel(logging.INFO)
    for noisy in ("sqlalchemy", "oslo_config", "gunicorn.access"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


def get_log() -> Any:  # Any: structlog's lazy logger has no narrower public type
    """Return the logger; what `configure_log` bound comes with every event."""
    return structlog.get_logger()


class _Forward(logging.Handler):
    """Turns the standard library's records into the same JSON lines."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            structlog.get_logger().log(
                record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info or None
            )
        except Exception:  # noqa: BLE001 - a broken log line must never stop a request; logging reports it
            self.handleError(record)
