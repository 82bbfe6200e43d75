"""What a client calls while the pin does not allow what it was asked to call."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Fallback"]


def _same(value: Any) -> Any:  # Any: whatever the older method returns
    return value


@dataclass(frozen=True, slots=True)
class Fallback:
    """An older method, and how a call of the newer one becomes a call of it.

    `arguments` gets the newer method's arguments, defaults filled in, and returns the older one's. Without it those
    of the same name are passed on, and the newer method is refused as too new when another has not its default.
    `result` gets what the older method returned, and returns what the newer one would have.
    """

    method: str
    arguments: Callable[[dict[str, Any]], dict[str, Any]] | None = None  # Any: the arguments' own kinds
    result: Callable[[Any], Any] = _same
