"""One message as the broker delivered it: what is in it, and what may be done with it."""

from dataclasses import dataclass, field, replace
from typing import Any

from bascule.errors import ReleaseError
from bascule.release import Release
from bascule.rpc.message import Call, Message

__all__ = ["CONTEXT", "Delivery", "context_of"]

CONTEXT = "bascule"
"""Where what is ours travels: in oslo's context, so that the rest stays what any oslo.messaging process reads."""

_ID, _RELEASE, _DEADLINE, _REFUSED_BY = "id", "release", "deadline", "refused_by"


def context_of(message: Message) -> dict[str, Any]:  # Any: plain JSON values
    """Return the context to send with a message."""
    ours: dict[str, Any] = {_ID: message.id}
    if message.call is not None:
        ours |= {_RELEASE: str(message.call.release), _DEADLINE: message.call.deadline}
    return {CONTEXT: ours}


@dataclass(eq=False, slots=True)
class Delivery:
    """A delivery that is not acknowledged yet.

    `raw` acknowledges and requeues; `channel` is the one it came by, and nothing can be said of it on another.
    """

    raw: Any = field(repr=False)  # Any: the library's own
    channel: Any = field(repr=False)
    content: dict[str, Any] = field(repr=False)  # Any: plain JSON values, as they were sent

    @property
    def ours(self) -> dict[str, Any]:  # Any: plain JSON values
        """What a client of bascule sent along; nothing of another client."""
        ours = self.content.get(f"_context_{CONTEXT}")
        return ours if isinstance(ours, dict) else {}

    @property
    def refused_by(self) -> tuple[str, ...]:
        """The releases that could not read it."""
        return tuple(self.ours.get(_REFUSED_BY, ()))

    def refused_also_by(self, refuser: str) -> dict[str, Any]:  # Any: plain JSON values
        """Return the content with one more release that could not read it."""
        refused = [*self.refused_by, *([] if refuser in self.refused_by else [refuser])]
        return {**self.content, f"_context_{CONTEXT}": {**self.ours, _REFUSED_BY: refused}}

    def message(self, topic: str) -> Message | None:
        """Return the message, or None when it is none. An oslo client's has the id that oslo gave it."""
        content, ours = self.content, self.ours
        method, version, body = content.get("method"), content.get("version", "1.0"), content.get("args", {})
        key = ours.get(_ID, content.get("_unique_id"))
        if not (isinstance(method, str) and isinstance(version, str) and isinstance(body, dict)):
            return None
        message = Message(str(key), topic, method, version, body)
        if _RELEASE not in ours:
            return message
        try:
            call = Call(Release.parse(str(ours[_RELEASE])), float(ours[_DEADLINE]))
        except (ReleaseError, KeyError, TypeError, ValueError):
            return None
        return replace(message, call=call)
