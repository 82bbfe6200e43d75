"""One message: which method, at which version, with which arguments."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from bascule.errors import RpcError
from bascule.release import Release

__all__ = ["Call", "MalformedMessage", "Message", "MethodTooNew", "Sender", "UnknownMethod", "UnsupportedVersion"]


@dataclass(frozen=True, slots=True)
class Call:
    """What somebody waits for: a reply that `release` can read, until `deadline` (seconds since the epoch)."""

    release: Release
    deadline: float


@dataclass(frozen=True, slots=True)
class Message:
    """A message on its way; `body` maps arguments to plain JSON values and never shows in `repr`.

    With `call` it is one half of a call, and somebody waits for the other; without, it is a cast.
    """

    id: str
    topic: str
    method: str
    version: str
    body: dict[str, Any] = field(repr=False)  # Any: plain JSON values
    call: Call | None = None


class Sender(Protocol):
    """Where a client puts its casts."""

    def send(self, topic: str, message: Message, *, connection: Any = None) -> None:  # Any: the transport's own
        """Send the message, inside the caller's transaction when one is given and the transport can."""


class MethodTooNew(RpcError):
    """A method is called that the pin does not allow yet, and that has no fallback for these arguments."""

    def __init__(self, topic: str, method: str, since: Release, pin: Release) -> None:
        self.topic, self.method, self.since, self.pin = topic, method, since, pin
        super().__init__(f"{topic}.{method} exists since {since}, and the pin is {pin}; wait until the pin is lifted")


class UnknownMethod(RpcError):
    """A method or argument is called that the interface does not have."""

    def __init__(self, topic: str, what: str) -> None:
        self.topic, self.what = topic, what
        super().__init__(f"{topic} has no {what}; correct the caller")


class UnsupportedVersion(RpcError):
    """A message is newer than this release: its sender did not keep the pin. It stays for a newer process."""

    def __init__(self, message: Message, reason: str) -> None:
        self.message, self.reason = message, reason
        super().__init__(f"{message.topic}.{message.method} {message.version} cannot be handled here: {reason}")


class MalformedMessage(RpcError):
    """A message of a known version does not hold what that version must hold."""

    def __init__(self, message: Message, reason: str) -> None:
        self.message, self.reason = message, reason
        super().__init__(f"{message.topic}.{message.method} {message.version} is malformed: {reason}")
