"""Functions that differ by the pin."""

from collections.abc import Callable
from typing import Any

from bascule.release import Release

__all__ = ["ByPin"]

Function = Callable[..., Any]  # Any: objects and plain JSON values


class ByPin(dict[Release | None, Function]):
    """Writers by the pin; made when first asked for."""

    def __init__(self, make: Callable[[Release | None], Function]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, pin: Release | None) -> Function:
        self[pin] = made = self._make(pin)
        return made
