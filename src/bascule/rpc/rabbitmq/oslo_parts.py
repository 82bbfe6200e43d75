"""oslo.messaging, loaded without eventlet, and with options of our own instead of the process-wide ones.

Verified with oslo.messaging 18.3: the driver's insides that this package uses are named in decision 0007, and
tests/integration/rpc looks at each.
"""

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from oslo_config import cfg

__all__ = ["amqpdriver", "oslo", "rpc_common", "rpc_transport"]

_EVENTLET = "eventlet"
_PREFETCH = "rabbit_qos_prefetch_count"


@contextlib.contextmanager
def _without_eventlet() -> Iterator[None]:
    """Keep eventlet out while oslo loads, unless the process has it already and so has chosen it."""
    if _EVENTLET in sys.modules:
        yield
        return
    sys.modules[_EVENTLET] = None  # type: ignore[assignment]  # Python's own way to say that a module is not there
    try:
        yield
    finally:
        del sys.modules[_EVENTLET]


with _without_eventlet(), warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of its own modules, by each other
    from oslo_service import backend as _backend

    with contextlib.suppress(_backend.exceptions.BackendAlreadySelected):  # the process has chosen, and knows why
        _backend.init_backend(_backend.BackendType.THREADING)
    import oslo_messaging as oslo
    from oslo_messaging._drivers import amqpdriver
    from oslo_messaging._drivers import common as rpc_common
    from oslo_messaging._drivers import impl_rabbit as _impl_rabbit  # noqa: F401  # or the driver's manager loads it
    from oslo_messaging._metrics import client as _metrics
    from oslo_messaging._tracing import client as _tracing


def rpc_transport(url: str, conf: cfg.ConfigOpts | None, *, prefetch: int) -> Any:  # Any: the library has no types
    """Return oslo's transport; without `conf`, with options of its own, in which queues outlive the broker."""
    own = conf is None
    if conf is None:
        conf = cfg.ConfigOpts()
        conf([], project="bascule", default_config_files=[], default_config_dirs=[])
    # Calls read these groups from the transport's options, and the library registers them on the global ones only.
    conf.register_opts(_tracing.oslo_messaging_tracing, group="oslo_messaging_tracing")
    conf.register_opts(_metrics.oslo_messaging_metrics, group="oslo_messaging_metrics")
    return oslo.get_rpc_transport(conf, _rabbit_url(url, conf, prefetch=prefetch, durable=own))


def _rabbit_url(url: str, conf: cfg.ConfigOpts, *, prefetch: int, durable: bool) -> Any:  # Any: the library's own
    """Return the URL with what we need of the driver in its query, where it counts for this transport alone."""
    parsed = oslo.TransportURL.parse(conf, url)
    parsed.query.setdefault(_PREFETCH, str(prefetch))
    if durable:
        parsed.query.setdefault("amqp_durable_queues", "true")
    return parsed
