"""Connections to a KMIP server. One of the library's is one thread's, and opening it is a handshake of TLS."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from kmip.core.enums import ResultReason
from kmip.pie.client import ProxyKmipClient
from kmip.pie.exceptions import KmipOperationFailure
from kmip.services.kmip_client import KMIPProxy

from bascule_keymanager.config_stores import KmipSettings
from bascule_keymanager.errors import StoreFailed, StoreLacks

__all__ = ["Connections", "Missing", "kmip_connections"]

T = TypeVar("T")
Client = Any  # Any: the library has no types

# Servers hang up on who says nothing for ten seconds or so.
_IDLE_S, _MOST_IDLE = 5.0, 8


class Missing(StoreLacks):
    """The server has no such object."""

    def __init__(self) -> None:
        super().__init__("[kmip_plugin] the KMIP server has no such object")


class Connections:
    """Open connections of this process. Safe to share between threads, each of which has one for itself."""

    def __init__(self, connect: Callable[[], Client], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._connect, self._monotonic = connect, monotonic
        self._idle: list[tuple[float, Client]] = []
        self._lock = threading.Lock()

    def once(self, work: Callable[[Client], T]) -> T:
        """Do what must not be done twice, on a connection of its own. Raises StoreFailed."""
        return self._asked(work, self._opened())

    def repeatable(self, work: Callable[[Client], T]) -> T:
        """Do what may be done twice: on a connection that is open, and where that is broken, on a new one.

        Raises Missing, StoreFailed.
        """
        client = self._waiting()
        if client is not None:
            try:
                return self._asked(work, client)
            except Missing:
                raise
            except StoreFailed as failed:
                if isinstance(failed.__cause__, KmipOperationFailure):  # the server said so: it is there
                    raise
        return self._asked(work, self._opened())

    def _asked(self, work: Callable[[Client], T], client: Client) -> T:
        try:
            answer = work(client)
        except KmipOperationFailure as refused:
            self._put_back(client)
            if refused.reason == ResultReason.ITEM_NOT_FOUND:
                raise Missing from refused
            # The reason's name alone: a message may quote what was sent.
            raise StoreFailed(f"[kmip_plugin] the KMIP server refused: {refused.reason.name}") from refused
        except Exception as broken:  # of sockets, of TLS, of the library's own reading: it has no tree of errors
            _close(client)
            raise StoreFailed(f"[kmip_plugin] failed with {type(broken).__name__}") from broken
        self._put_back(client)
        return answer

    def _opened(self) -> Client:
        try:
            client = self._connect()
            client.open()
        except Exception as unreachable:
            raise StoreFailed(f"[kmip_plugin] cannot be reached: {type(unreachable).__name__}") from unreachable
        return client

    def _waiting(self) -> Client | None:
        oldest = self._monotonic() - _IDLE_S
        with self._lock:
            since, client = self._idle.pop() if self._idle else (0.0, None)
            stale = [] if since >= oldest else self._idle
            if stale:  # the one used last comes first: the others have waited for longer
                self._idle = []
        if client is not None and since >= oldest:
            return client
        for old in (client, *(each for _, each in stale)):
            _close(old)
        return None

    def _put_back(self, client: Client) -> None:
        with self._lock:
            if len(self._idle) < _MOST_IDLE:
                self._idle.append((self._monotonic(), client))
                return
        _close(client)


def _close(client: Client) -> None:
    if client is None:
        return
    with contextlib.suppress(Exception):  # it is broken, or the other side is gone: there is nothing left to lose
        client.close()


def kmip_connections(settings: KmipSettings) -> Connections:
    """Return the server as these settings describe it; nothing is asked of it yet."""
    # It warns at every connection that it has no file of its own; the settings are ours.
    logging.getLogger("kmip.core.config_helper").setLevel(logging.ERROR)

    def connect() -> Client:
        client = ProxyKmipClient(hostname=settings.host, port=settings.port)
        client.proxy = _Proxy(
            host=settings.host,
            port=settings.port,
            certfile=settings.certfile,
            keyfile=settings.keyfile,
            ca_certs=settings.ca_certs,
            ssl_version=settings.ssl_version,
            username=settings.username,
            password=settings.password,
        )
        return client

    return Connections(connect)


class _Proxy(KMIPProxy):  # type: ignore[misc]  # the library has no types
    """The library's, which leaves a socket open when the other side is gone."""

    def close(self) -> None:
        """Close, whatever the other side does."""
        socket = self.socket
        super().close()
        if socket is not None:
            socket.close()
