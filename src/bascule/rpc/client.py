"""The calling side: the newest version that the live pin allows, and nothing newer inside."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from bascule.release import Release
from bascule.rpc.interface import Interface, Method
from bascule.rpc.message import Call, Message, MethodTooNew, Sender, UnknownMethod
from bascule.rpc.reply import read_reply

__all__ = ["Caller", "Client"]

_TIMEOUT_S = 60.0
_IDS = uuid.UUID("5b7a1f0e-6d1c-5a3e-9d5e-0a8f3c1f7b52")  # the namespace of messages that are named by a key


class Caller(Sender, Protocol):
    """A transport that brings replies back, too."""

    def call(self, topic: str, message: Message, timeout_s: float) -> Any:  # Any: a reply's document
        """Send the message and return the reply. Raises CallTimedOut when none came in time."""


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What is called at the pin, with which arguments, and what makes of its result the one that was asked for."""

    method: Method
    arguments: dict[str, Any]  # Any: the arguments' own kinds
    pin: Release
    results: tuple[Callable[[Any], Any], ...] = ()


class Client:
    """Calls an interface through a transport; `pin` is asked at every call, so that no restart is needed.

    `release` is this process's own, which replies may use in full; without one they keep to the pin.
    """

    def __init__(
        self,
        interface: type[Interface],
        transport: Sender,
        *,
        pin: Callable[[], Release],
        release: Release | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.interface, self.transport, self.pin = interface, transport, pin
        self.release, self.clock = release, clock

    def cast(self, method: str, /, *, connection: Any = None, dedup: str | None = None, **arguments: Any) -> Message:
        """Send a message that nobody waits for, and return it.

        With `connection` (the transport's own kind; of EmbeddedTransport and Outbox an SQLAlchemy connection in a
        transaction) it is sent when that transaction commits, so that a row of work and its wake-up are one. With
        `dedup` two casts of the method with the same key are one message to whoever looks at ids. Arguments newer
        than the pin are left out. Raises MethodTooNew, UnknownMethod, TypeError for a wrong or missing value.
        """
        message = self.prepare(method, **arguments)
        if dedup is not None:
            named = f"{message.topic}/{message.method}/{dedup}"
            message = replace(message, id=str(uuid.uuid5(_IDS, named)))
        self.transport.send(self.interface.topic, message, connection=connection)
        return message

    def call(self, method: str, /, *, timeout_s: float = _TIMEOUT_S, **arguments: Any) -> Any:
        """Send a message, wait for the reply, and return what the method returned.

        A server that sees it after `timeout_s` does not begin it. Raises what `cast` raises, and CallTimedOut,
        CallFailed, ReleaseNeeded, ReplyUnreadable. The transport must be one that brings replies back.
        """
        chosen = self._choose(method, arguments)
        caller = self.transport
        if not hasattr(caller, "call"):
            raise TypeError(f"{type(caller).__name__} brings no replies back; cast, or call through another transport")
        call = Call(self.release or chosen.pin, self.clock() + timeout_s)
        message = replace(self._message(chosen), call=call)
        document = caller.call(self.interface.topic, message, timeout_s)
        result = read_reply(document, message, chosen.method, chosen.pin)
        for adapt in chosen.results:
            result = adapt(result)
        return result

    def prepare(self, method: str, /, **arguments: Any) -> Message:  # Any: the arguments' own kinds
        """Return the message that `cast` would send."""
        return self._message(self._choose(method, arguments))

    def _message(self, chosen: _Chosen) -> Message:
        known, pin = chosen.method, chosen.pin
        body = _body(known, chosen.arguments, pin)
        return Message(str(uuid.uuid4()), self.interface.topic, known.name, known.version_at(pin), body)

    def _choose(self, method: str, arguments: dict[str, Any]) -> _Chosen:
        """Walk the fallbacks down to the first method that the pin allows."""
        topic, pin = self.interface.topic, self.pin()
        known = self.interface.methods.get(method)
        results: list[Callable[[Any], Any]] = []
        if known is None:
            raise UnknownMethod(topic, f"method {method!r}")
        while True:
            if unknown := sorted(arguments.keys() - {each.name for each in known.arguments}):
                raise UnknownMethod(topic, f"argument {unknown[0]!r} of method {known.name!r}")
            if known.since <= pin:
                return _Chosen(known, arguments, pin, tuple(reversed(results)))
            if known.fallback is None:
                raise MethodTooNew(topic, known.name, known.since, pin)
            results.append(known.fallback.result)
            older = self.interface.methods[known.fallback.method]
            arguments = _for_older(topic, known, older, arguments, pin)
            known = older


def _for_older(
    topic: str, known: Method, older: Method, arguments: dict[str, Any], pin: Release
) -> dict[str, Any]:  # Any: the arguments' own kinds
    filled = {each.name: each.default for each in known.arguments if not each.required} | arguments
    if missing := [each.name for each in known.arguments if each.name not in filled]:
        raise TypeError(f"{known.name} lacks the argument {missing[0]!r}")
    if known.fallback is not None and known.fallback.arguments is not None:
        return known.fallback.arguments(filled)
    shared = {each.name for each in older.arguments}
    for each in known.arguments:
        if each.name not in shared and (each.required or filled[each.name] != each.default):
            raise MethodTooNew(topic, known.name, known.since, pin)
    return {name: value for name, value in filled.items() if name in shared}


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
