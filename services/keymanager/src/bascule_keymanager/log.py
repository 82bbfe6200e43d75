"""JSON lines on stderr, one per event; never a payload, never a key."""

import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, TextIO, cast

import structlog

from bascule_keymanager.identity import RELEASE, instance_name
from bascule_keymanager.log_lines import LogLines

__all__ = ["configure_log", "gather_lines", "get_log"]

# What every record of the standard library has; the rest is what the caller added.
_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "event", "level"}


_lines = LogLines(lambda: sys.stderr)


def gather_lines() -> Callable[[], None]:
    """Have this process's lines written some at a time from here on; return what ends that, and writes what waits."""
    _lines.gather()
    return _lines.stop


def configure_log(program: str) -> None:
    """Send this program's events, and the library's warnings, to stderr as JSON lines. Safe to call twice."""
    structlog.configure(
        processors=[
            _Sign(program),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _lines)),
        cache_logger_on_first_use=True,
    )
    handler = _Forward()
    root = logging.getLogger()
    if not any(isinstance(known, _Forward) for known in root.handlers):
        root.addHandler(handler)
    root.setLevel(logging.INFO)
    for noisy in ("sqlalchemy", "oslo_config", "gunicorn.access"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    # It repeats what Keystone said of a bad token, in which an old Keystone names the token.
    logging.getLogger("keystonemiddleware.auth_token").setLevel(logging.WARNING)


def get_log() -> Any:  # Any: structlog's lazy logger has no narrower public type
    """Return the logger; what `configure_log` bound comes with every event."""
    return structlog.get_logger()


class _Sign:
    """Adds who speaks to every event; not by context variables, which the threads of a server do not inherit."""

    def __init__(self, program: str) -> None:
        self._who = {"program": program, "release": str(RELEASE), "instance": instance_name()}

    def __call__(self, _logger: object, _level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.update(self._who)
        return event


class _Forward(logging.Handler):
    """Turns the standard library's records into the same JSON lines."""

    def flush(self) -> None:
        _lines.write_out()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
            event = record.getMessage()
            structlog.get_logger().log(
                record.levelno, event, **{**extra, "logger": record.name}, exc_info=record.exc_info or None
            )
        except Exception:  # noqa: BLE001 - a broken log line must never stop a request; logging reports it
            self.handleError(record)
