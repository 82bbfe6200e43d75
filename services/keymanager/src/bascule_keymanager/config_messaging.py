"""The part of the configuration file that is about brokers: where one is, and what is shared with others there."""

from dataclasses import dataclass, field

from oslo_config import cfg

from bascule_keymanager.errors import ConfigRefused

__all__ = ["BarbicanQueue", "Messaging", "Notifications", "load_messaging"]

_DEFAULT = (cfg.StrOpt("transport_url", secret=True, help="The broker, as oslo.messaging writes it: rabbit://..."),)
_QUEUE = (
    cfg.BoolOpt("share_with_barbican", default=False, help="Barbican's workers take our orders, and ours take its."),
    cfg.StrOpt("topic", default="barbican.workers", help="Topic of Barbican's workers."),
    cfg.StrOpt("namespace", default="barbican", help="Namespace of their calls."),
    cfg.StrOpt("version", default="1.1", help="Version of their calls."),
    cfg.StrOpt("server_name", default="barbican.queue", help="Name of their one queue."),
)
_NOTIFICATIONS = (
    cfg.BoolOpt("enable", default=False, help="keymanager-listener does nothing without it."),
    cfg.StrOpt("control_exchange", default="keystone", help="Exchange of the identity service's notifications."),
    cfg.StrOpt("topic", default="notifications", help="Their topic."),
    cfg.StrOpt("pool_name", help="Name of a pool of listeners, for a queue of their own."),
    cfg.BoolOpt("allow_requeue", default=True, help="What failed comes again, rather than being forgotten."),
    cfg.StrOpt("version", default="1.0", help="Version of the notifications."),
    cfg.IntOpt("thread_pool_size", default=10, min=1, help="Kept for Barbican's files."),
)


@dataclass(frozen=True, slots=True)
class BarbicanQueue:
    """Where Barbican's API processes cast to its workers."""

    topic: str = "barbican.workers"
    namespace: str = "barbican"
    version: str = "1.1"
    server: str = "barbican.queue"

    @property
    def name(self) -> str:
        """The queue's name at the broker."""
        return f"{self.topic}.{self.server}"


@dataclass(frozen=True, slots=True)
class Notifications:
    """Where the identity service tells of what it deleted."""

    enabled: bool = False
    exchange: str = "keystone"
    topic: str = "notifications"
    pool: str | None = None
    requeues: bool = True
    version: str = "1.0"


@dataclass(frozen=True, slots=True)
class Messaging:
    """What is said of brokers; the URL, which has a password, never appears in the repr.

    `barbican` is the queue that we share with Barbican's workers, `barbican_queue` where they would be anyhow.
    """

    url: str | None = field(default=None, repr=False)
    barbican: BarbicanQueue | None = None
    barbican_queue: BarbicanQueue = field(default_factory=BarbicanQueue)
    notifications: Notifications = field(default_factory=Notifications)


def load_messaging(path: str) -> Messaging:
    """Read this part of the file; oslo.messaging registers options of these names too, hence a reading of its own."""
    conf = cfg.ConfigOpts()
    conf.register_opts(_DEFAULT)
    conf.register_opts(_QUEUE, group="queue")
    conf.register_opts(_NOTIFICATIONS, group="keystone_notifications")
    conf(args=[], project="keymanager", default_config_files=[path], default_config_dirs=[])
    queue, told = conf.queue, conf.keystone_notifications
    if not conf.transport_url and (queue.share_with_barbican or told.enable):
        option = "[queue] share_with_barbican" if queue.share_with_barbican else "[keystone_notifications] enable"
        raise ConfigRefused(path, f"{option} needs a broker, and transport_url is not set")
    theirs = BarbicanQueue(queue.topic, queue.namespace, queue.version, queue.server_name)
    return Messaging(
        url=conf.transport_url or None,
        barbican=theirs if queue.share_with_barbican else None,
        barbican_queue=theirs,
        notifications=Notifications(
            told.enable, told.control_exchange, told.topic, told.pool_name or None, told.allow_requeue, told.version
        ),
    )
