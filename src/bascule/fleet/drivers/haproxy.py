"""HAProxy as the balancer, through its runtime API: instances take and leave free slots of a `server-template`.

The backend needs slots that start disabled, for example `server-template slot 1-8 127.0.0.1:1 check disabled`, and
the global section an admin socket: `stats socket PATH mode 600 level admin`. Nothing is reloaded, so that no
established connection is touched. Source: HAProxy management guide, sections "set server" and "show servers state".
"""

import csv
import os
import socket as sockets
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bascule.fleet.balancer import BalancerError

__all__ = ["HAProxy"]

_ANSWER_TIMEOUT_S = 5.0
_UP_TIMEOUT_S = 15.0
_POLL_S = 0.05
_MAINT = 0x01 | 0x02 | 0x20 | 0x40  # forced, inherited, by a failed resolution; 0x04 only says "disabled at first"
_DRAIN = 0x08 | 0x10
_RUNNING = 2


@dataclass(frozen=True, slots=True)
class _Slot:
    """A server line of the backend, as `show servers state` tells it."""

    name: str
    host: str
    port: str
    running: bool
    maintenance: bool
    draining: bool

    @property
    def takes_traffic(self) -> bool:
        return self.running and not self.maintenance and not self.draining

    def is_at(self, address: str) -> bool:
        return (self.host, self.port) == _host_and_port(address)


class HAProxy:
    """One backend of a running HAProxy; `socket` is the admin socket's path, or host:port.

    An instance is known to HAProxy by its address only, which must be an IP address and a port.
    """

    drains_by_itself = False

    def __init__(self, socket: str, backend: str) -> None:
        self._socket = socket
        self._backend = backend
        self._choosing = threading.Lock()  # two instances that join at once must not choose the same free slot

    def prepare(self) -> None:
        """Make sure that HAProxy answers as admin and has the backend with slots. Changes nothing."""
        if not self._slots():
            raise NoFreeSlot(self._backend, 0)

    def join(self, instance: str, address: str) -> None:
        """Give the instance traffic; returns when HAProxy counts it as up.

        Raises: NoFreeSlot, NeverUp, HAProxyUnreachable. Safe to call again, also after it was interrupted.
        """
        with self._choosing:
            slot = self._slot_for(address)
            host, port = _host_and_port(address)
            if not slot.is_at(address):
                self._tell(f"set server {self._backend}/{slot.name} addr {host} port {port}")
            self._tell(f"set server {self._backend}/{slot.name} state ready")
        if not _happens(lambda: self.is_joined(instance, address), _UP_TIMEOUT_S):
            raise NeverUp(self._backend, slot.name, instance, address)

    def leave(self, instance: str, address: str, *, timeout_s: float) -> None:
        """Take traffic from the instance; returns when nothing is in flight, with its slot free again.

        Raises: StillInFlight at the deadline; the instance then gets no new requests, and the call may be repeated.
        """
        for slot in [slot for slot in self._slots() if slot.is_at(address) and not slot.maintenance]:
            self._tell(f"set server {self._backend}/{slot.name} state drain")
            if not _happens(lambda name=slot.name: self._is_idle(name), timeout_s):  # type: ignore[misc]
                raise StillInFlight(instance, address, self._in_flight(slot.name), timeout_s)
            self._tell(f"set server {self._backend}/{slot.name} state maint")

    def stop(self) -> None:
        """Nothing to end: HAProxy is the operator's."""

    def is_joined(self, instance: str, address: str) -> bool:  # noqa: ARG002 (HAProxy knows addresses only)
        """Whether HAProxy sends requests to this address."""
        return any(slot.is_at(address) and slot.takes_traffic for slot in self._slots())

    def _slot_for(self, address: str) -> _Slot:
        slots = self._slots()
        # The slot that already has the address comes first: an interrupted join or leave is then taken up again.
        for slot in sorted(slots, key=lambda slot: slot.maintenance):
            if slot.is_at(address):
                return slot
        for slot in slots:
            if slot.maintenance:
                return slot
        raise NoFreeSlot(self._backend, len(slots))

    def _slots(self) -> list[_Slot]:
        answer = self._ask(f"show servers state {self._backend}")
        lines = [line for line in answer.splitlines() if line]
        header = next((line[1:].split() for line in lines if line.startswith("# be_id")), None)
        if header is None:
            known = [name for name in self._ask("show backend").split()[2:] if name]
            raise UnknownBackend(self._backend, known)
        rows = [dict(zip(header, line.split(), strict=False)) for line in lines if line[0].isdigit() and " " in line]
        return [
            _Slot(
                name=row["srv_name"],
                host=row["srv_addr"],
                port=row["srv_port"],
                running=int(row["srv_op_state"]) == _RUNNING,
                maintenance=bool(int(row["srv_admin_state"]) & _MAINT),
                draining=bool(int(row["srv_admin_state"]) & _DRAIN),
            )
            for row in rows
        ]

    def _is_idle(self, slot: str) -> bool:
        # Twice, since a request that has just been given to the slot shows in the counters a moment later.
        return all(self._in_flight(slot) == 0 and _pause() for _ in range(2))

    def _in_flight(self, slot: str) -> int:
        """Return the requests that the slot has been given and not answered, queued ones included."""
        rows = csv.DictReader(self._ask("show stat").lstrip("# ").splitlines())
        row = next(row for row in rows if (row["pxname"], row["svname"]) == (self._backend, slot))
        return max(int(row["scur"] or 0) + int(row["qcur"] or 0), self._used_connections(slot))

    def _used_connections(self, slot: str) -> int:
        lines = self._ask(f"show servers conn {self._backend}").splitlines()
        column = lines[0].lstrip("# ").split().index("used_cur")
        return sum(int(line.split()[column]) for line in lines[1:] if line.startswith(f"{self._backend}/{slot} "))

    def _tell(self, command: str) -> None:
        """Give an order. HAProxy answers a `state` order with nothing and an `addr` order with what it changed."""
        answer = self._ask(command)
        if answer and not answer.startswith(("IP changed", "port changed", "no need to change", "nothing changed")):
            raise OrderRefused(command, answer)

    def _ask(self, command: str) -> str:
        try:
            with closing(self._connect()) as connection:
                connection.sendall(f"{command}\n".encode())
                with connection.makefile("r", encoding="utf-8", errors="replace") as stream:
                    answer = stream.read().strip()
        except OSError as failed:
            raise HAProxyUnreachable(self._socket, failed.strerror or str(failed)) from failed
        if answer.startswith("Permission denied"):
            raise NotAdmin(self._socket)
        return answer

    def _connect(self) -> sockets.socket:
        if not self._socket.startswith("/") and ":" in self._socket:
            host, port = _host_and_port(self._socket)
            return sockets.create_connection((host, int(port)), timeout=_ANSWER_TIMEOUT_S)
        path = Path(self._socket)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        connection = sockets.socket(sockets.AF_UNIX)
        try:
            connection.settimeout(_ANSWER_TIMEOUT_S)
            connection.connect(f"/proc/self/fd/{directory}/{path.name}")  # a Unix socket's path may be 107 bytes long
        except BaseException:
            connection.close()
            raise
        finally:
            os.close(directory)
        return connection


def _host_and_port(address: str) -> tuple[str, str]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), port


def _happens(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        _pause()
    return True


def _pause() -> bool:
    time.sleep(_POLL_S)
    return True


class HAProxyUnreachable(BalancerError):
    """The admin socket does not answer."""

    def __init__(self, socket: str, why: str) -> None:
        self.socket, self.why = socket, why
        super().__init__(
            f"HAProxy's admin socket {socket} cannot be reached: {why}; nothing was changed by this call",
            next_command="systemctl status haproxy",
        )


class NotAdmin(BalancerError):
    """The socket answers, but may not change anything."""

    def __init__(self, socket: str) -> None:
        self.socket = socket
        super().__init__(
            f"HAProxy's socket {socket} has no admin level; it needs `stats socket {socket} mode 600 level admin`",
            next_command="edit the global section of haproxy.cfg, then systemctl reload haproxy",
        )


class UnknownBackend(BalancerError):
    """HAProxy has no such backend."""

    def __init__(self, backend: str, known: list[str]) -> None:
        self.backend, self.known = backend, known
        super().__init__(
            f"HAProxy has no backend {backend!r}; it has {', '.join(known) or 'none'}",
            next_command="set backend in [balancer] of fleet.toml",
        )


class NoFreeSlot(BalancerError):
    """Every server slot of the backend is taken."""

    def __init__(self, backend: str, slots: int) -> None:
        self.backend, self.slots = backend, slots
        super().__init__(
            f"HAProxy's backend {backend} has no free server slot (it has {slots}); while a role is rolled it needs one"
            " more than instances",
            next_command="raise the number in server-template of haproxy.cfg, then systemctl reload haproxy",
        )


class NeverUp(BalancerError):
    """A joined instance is not counted as up by HAProxy's own check."""

    def __init__(self, backend: str, slot: str, instance: str, address: str) -> None:
        self.backend, self.slot, self.instance, self.address = backend, slot, instance, address
        super().__init__(
            f"{instance} at {address} joined as {backend}/{slot}, but HAProxy's check does not find it up",
            next_command="bascule upgrade status",
        )


class StillInFlight(BalancerError):
    """A leaving instance still has requests to answer at the deadline."""

    def __init__(self, instance: str, address: str, in_flight: int, waited_s: float) -> None:
        self.instance, self.address, self.in_flight, self.waited_s = instance, address, in_flight, waited_s
        super().__init__(
            f"{instance} at {address} still has {in_flight} requests in flight after {waited_s:.0f} s;"
            " no new ones go there",
            next_command="bascule upgrade apply",
        )


class OrderRefused(BalancerError):
    """HAProxy answered an order with something else than success."""

    def __init__(self, order: str, answer: str) -> None:
        self.order, self.answer = order, answer
        super().__init__(f"HAProxy refused {order!r}: {answer}", next_command="bascule fleet status")
