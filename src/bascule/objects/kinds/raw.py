# ruff: noqa: D102  # the methods are those of `Kind`, which says what each returns
"""Values without a schema: bytes, and any JSON."""

import base64
import binascii
import json
import math
from dataclasses import dataclass
from typing import Any

from bascule.objects.code import Code
from bascule.objects.kinds.kind import Kind
from bascule.objects.tracked import Place, TrackedDict, TrackedList
from bascule.release import Release

__all__ = ["AnyJson", "Binary"]

_DEEPEST = 100
_JSON = json.JSONEncoder(separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Binary(Kind):
    """Bytes; they travel as base64."""

    text = "bytes"

    def checked(self, value: Any) -> Any:
        if isinstance(value, bytes):
            return value if type(value) is bytes else bytes(value)
        raise ValueError(f"must be bytes, not {type(value).__name__}")

    def to_wire(self, value: Any, pin: Release | None) -> Any:  # noqa: ARG002  # of every release
        return base64.b64encode(value).decode("ascii")

    def from_wire(self, data: Any) -> Any:
        try:
            return base64.b64decode(data, validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise ValueError(f"must be bytes in base64, and this {type(data).__name__} is not") from None


@dataclass(frozen=True, slots=True)
class AnyJson(Kind):
    """Any JSON value; changes are seen in all of its lists and dicts. No release can convert what is in it."""

    text = "json"

    def checked(self, value: Any) -> Any:
        return self._copied(value, 0)

    def to_wire(self, value: Any, pin: Release | None) -> Any:  # noqa: ARG002  # of every release
        return self._copied(value, 0)

    def owned(self, value: Any, changed: set[str], place: Place) -> Any:
        if isinstance(value, dict):
            return TrackedDict({key: self.owned(item, changed, place) for key, item in value.items()}).own(
                changed, place, self
            )
        if isinstance(value, list):
            return TrackedList(self.owned(item, changed, place) for item in value).own(changed, place, self)
        return value

    def collects(self) -> bool:
        return True

    def json_code(self, code: Code, value: str, pin: Release | None) -> str:  # noqa: ARG002  # of every release
        return f"{code.bind(_JSON.encode)}({value})"

    def _copied(self, value: Any, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError(f"must not be deeper than {_DEEPEST} lists and tables")
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return {str.__str__(key): self._copied(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list):
            return [self._copied(item, depth + 1) for item in value]
        if value is None or type(value) in {str, int, bool} or (type(value) is float and math.isfinite(value)):
            return value
        raise ValueError(f"must be JSON, and this {type(value).__name__} is not")
