"""The calling side: the newest version that the live pin allows, and nothing newer inside."""

import uuid
from collections.abc import Callable
from typing import Any

from bascule.release import Release
from bascule.rpc.interface import Interface, Method
from bascule.rpc.message import Message, MethodTooNew, Sender, UnknownMethod

__all__ = ["Client"]


class Client:
    """Calls an interface through a transport; `pin` is asked at every call, so that no restart is needed."""

    def __init__(self, interface: type[Interface], transport: Sender, *, pin: Callable[[], Release]) -> None:
        self.interface, self.transport, self.pin = interface, transport, pin

    def cast(self, method: str, /, *, connection: Any = None, **arguments: Any) -> Message:
        """Send a message that nobody waits for, and return it.

        With `connection` (the transport's own kind; of EmbeddedTransport an SQLAlchemy connection in a transaction)
        it is sent when that transaction commits, so that a row of work and its wake-up are one. Arguments newer
        than the pin are left out. Raises MethodTooNew, UnknownMethod, TypeError for a wrong or missing value.
        """
        message = self.prepare(method, **arguments)
        self.transport.send(self.interface.topic, message, connection=connection)
        return message

    def prepare(self, method: str, /, **arguments: Any) -> Message:  # Any: the arguments' own kinds
        """Return the message that `cast` would send."""
        known = self.interface.methods.get(method)
        topic, pin = self.interface.topic, self.pin()
        if known is None:
            raise UnknownMethod(topic, f"method {method!r}")
        if known.since > pin:
            raise MethodTooNew(topic, method, known.since, pin)
        if unknown := sorted(arguments.keys() - {each.name for each in known.arguments}):
            raise UnknownMethod(topic, f"argument {unknown[0]!r} of method {method!r}")
        body = _body(known, arguments, pin)
        return Message(str(uuid.uuid4()), topic, method, known.version_at(pin), body)


def _body(method: Method, arguments: dict[str, Any], pin: Release) -> dict[str, Any]:
    body = {}
    for each in method.arguments_at(pin):
        if each.required and each.name not in arguments:
            raise TypeError(f"{method.name} lacks the argument {each.name!r}")
        try:
            value = each.kind.checked(arguments.get(each.name, each.default))
        except ValueError as wrong:
            raise TypeError(f"{method.name}: {each.name} {wrong}") from None
        body[each.name] = each.kind.to_wire(value, pin)
    return body
