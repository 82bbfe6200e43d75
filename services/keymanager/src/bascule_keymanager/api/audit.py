"""CADF audit events of the API, by keystonemiddleware's filter: Barbican's map file and options."""

import contextlib

from oslo_config import cfg

with contextlib.suppress(ImportError):  # then there is no oslo.messaging, and events can only go to the log
    import bascule.rpc.rabbitmq  # noqa: F401 - first: it loads oslo.messaging without eventlet

from keystonemiddleware.audit import AuditMiddleware

from bascule_keymanager.api.wsgi import WsgiApp
from bascule_keymanager.errors import ConfigRefused

__all__ = ["audited"]


def audited(app: WsgiApp, map_file: str, options: cfg.ConfigOpts) -> WsgiApp:
    """Return the application with an event for every request and every answer. Raises ConfigRefused."""
    try:
        middleware: WsgiApp = AuditMiddleware(
            app, audit_map_file=map_file, service_name="key-manager", oslo_config_config=options
        )
    except Exception as refused:  # the map's own errors, and those of whatever sends the events
        raise ConfigRefused(None, f"audit_map_file = {map_file} cannot be used ({type(refused).__name__})") from refused
    return middleware
