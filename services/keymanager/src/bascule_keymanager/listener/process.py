"""The listener process: what it opens when it starts, and how it says goodbye."""

import threading
from typing import Any

from bascule.lifecycle import Member
from bascule.rpc.rabbitmq.oslo_parts import oslo
from bascule_keymanager.config import Settings
from bascule_keymanager.errors import ConfigRefused
from bascule_keymanager.listener.notifications import ProjectDeletions
from bascule_keymanager.log import get_log
from bascule_keymanager.service import Parts
from bascule_keymanager.storage.project_end import ProjectEnd

__all__ = ["ListenerProcess"]

log = get_log()


class ListenerProcess:
    """One listener process, from `start` to `stop`."""

    def __init__(self, settings: Settings) -> None:
        if not settings.messaging.notifications.enabled:
            raise ConfigRefused(None, "[keystone_notifications] enable is not True, so there is nothing to listen to")
        self._settings, self._parts = settings, Parts(settings)
        self._member: Member | None = None
        self._transport: Any = None  # Any: the library has no types
        self._listener: Any = None  # Any: as above
        self._stopping = threading.Event()

    def start(self) -> None:
        """Open the database, register, and listen; raises what Parts.join raises."""
        parts, told = self._parts, self._settings.messaging.notifications
        self._member = parts.join("listener")
        ending = ProjectEnd(parts.database, parts.projects, parts.secrets)
        endpoint = ProjectDeletions(ending, requeues=told.requeues, stopping=self._stopping)
        self._transport = oslo.get_notification_transport(self._settings.options, url=self._settings.messaging.url)
        target = oslo.Target(exchange=told.exchange, topic=told.topic, version=told.version)
        self._listener = oslo.get_notification_listener(
            self._transport, [target], [endpoint], pool=told.pool, allow_requeue=told.requeues
        )
        self._listener.start()
        log.info("listening", exchange=told.exchange, topic=told.topic, pool=told.pool)

    def step(self) -> bool:
        """Do nothing: the library's threads do the work."""
        return False

    def drain(self) -> None:
        """Tell the others that this process takes no new work."""
        self._stopping.set()
        if self._member is not None:
            self._member.draining()

    def stop(self) -> None:
        """Finish the notification in hand, say goodbye and close the database; safe to call again."""
        self._stopping.set()
        if self._listener is not None:
            self._listener.stop()
            self._listener.wait()
            self._transport.cleanup()
            self._listener = None
        if self._member is not None:
            self._member.leave()
        self._parts.database.dispose()
