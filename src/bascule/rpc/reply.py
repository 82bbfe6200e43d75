"""The other half of a call: a result at the caller's release, or an error, as a plain JSON document."""

from typing import Any

from bascule.errors import BasculeError, RpcError
from bascule.objects import IncompatibleObject
from bascule.release import Release
from bascule.rpc.interface import Method
from bascule.rpc.message import Message, UnsupportedVersion

__all__ = [
    "CallFailed",
    "CallTimedOut",
    "ReleaseNeeded",
    "ReplyUnreadable",
    "error_document",
    "read_reply",
    "result_document",
]


class CallTimedOut(RpcError):
    """No reply came before the deadline; the work may be done, begun, or dropped unbegun."""

    def __init__(self, message: Message, timeout_s: float) -> None:
        self.message, self.timeout_s = message, timeout_s
        super().__init__(
            f"{message.topic}.{message.method} had no reply within {timeout_s:g} s; look whether a process serves "
            f"{message.topic}, and call again only what may be done twice"
        )


class CallFailed(RpcError):
    """The handler failed. `kind` is its error's class; `detail` its sentence, where it was meant for others."""

    def __init__(self, message: Message, kind: str, detail: str | None, next_command: str | None) -> None:
        self.message, self.kind, self.detail = message, kind, detail
        super().__init__(
            f"{message.topic}.{message.method} failed with {kind}" + (f": {detail}" if detail else ""),
            next_command=next_command,
        )


class ReleaseNeeded(RpcError):
    """The process that took the call is older than `needed`, and nothing was done: its sender did not keep the pin."""

    def __init__(self, message: Message, needed: Release) -> None:
        self.message, self.needed = message, needed
        super().__init__(
            f"{message.topic}.{message.method} {message.version} needs a process of {needed}, and an older one took "
            f"the call; finish replacing older processes, or call at their release"
        )


class ReplyUnreadable(RpcError):
    """A reply is not what the method returns; the work was done."""

    def __init__(self, message: Message, reason: str) -> None:
        self.message, self.reason = message, reason
        super().__init__(f"{message.topic}.{message.method} was done, and its reply cannot be read: {reason}")


def result_document(method: Method, result: Any, caller: Release) -> dict[str, Any]:  # Any: what the handler returned
    """Return the reply, with nothing in it that is newer than the caller.

    Raises TypeError when the handler did not return what the interface says, without quoting it.
    """
    if method.returns is None:
        return {"result": None}
    try:
        return {"result": method.returns.to_wire(method.returns.checked(result), caller)}
    except ValueError as wrong:
        raise TypeError(f"{method.name} returned what {wrong}") from None


def error_document(error: Exception) -> dict[str, Any]:  # Any: plain JSON values
    """Return the reply for a call that failed; only a BasculeError's sentence is meant for others."""
    document: dict[str, Any] = {"kind": type(error).__name__}
    if isinstance(error, BasculeError):
        document |= {"sentence": error.sentence, "next_command": error.next_command}
    if isinstance(error, UnsupportedVersion):
        document["too_new"] = "object" if isinstance(error.__cause__, IncompatibleObject) else "method"
    return {"error": document}


def read_reply(document: Any, message: Message, method: Method, pin: Release) -> Any:  # Any: JSON; the method's result
    """Return the result. Raises CallFailed, ReleaseNeeded, ReplyUnreadable."""
    if not isinstance(document, dict) or document.keys() not in ({"result"}, {"error"}):
        raise ReplyUnreadable(message, "it is neither a result nor an error")
    if "error" in document:
        raise _error_of(document["error"], message, method, pin)
    if method.returns is None:
        return None
    try:
        return method.returns.from_wire(document["result"])
    except IncompatibleObject as wrong:
        raise ReplyUnreadable(message, wrong.sentence) from wrong
    except ValueError as wrong:
        raise ReplyUnreadable(message, f"it {wrong}") from None


def _error_of(error: Any, message: Message, method: Method, pin: Release) -> RpcError:  # Any: plain JSON values
    if not isinstance(error, dict):
        return ReplyUnreadable(message, "its error is no document")
    if "too_new" in error:
        # A method's version says which release made it; an object inside may be as new as the pin.
        of_version = method.release_of(message.version) if error["too_new"] == "method" else None
        return ReleaseNeeded(message, of_version or pin)
    return CallFailed(message, str(error.get("kind")), error.get("sentence"), error.get("next_command"))
