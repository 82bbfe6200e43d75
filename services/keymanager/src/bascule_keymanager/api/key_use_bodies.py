"""What requests that use a key may hold: one item, or several in `items`, of the same schema."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bascule_keymanager.api.errors import BodyRefused, IssueSeen
from bascule_keymanager.api.schema import Schema
from bascule_keymanager.transit.ciphertext import ALGORITHMS

__all__ = ["DATA_KEY", "DECRYPTION", "ENCRYPTION", "REWRAP", "UNWRAP", "WRAP", "ItemSchema"]

Item = dict[str, Any]  # Any: JSON that was checked

# What clients send is never repeated to them, nor to the log: hence `writeOnly` even for the context.
_TEXT: dict[str, Any] = {"type": "string", "minLength": 1, "writeOnly": True}  # Any: JSON, in all of this file
_BASE64: dict[str, Any] = {"type": "string", "contentEncoding": "base64", "writeOnly": True}
_CONTEXT: dict[str, Any] = {"type": "string", "maxLength": 4_096, "writeOnly": True}
_ALGORITHM: dict[str, Any] = {"type": "string", "enum": list(ALGORITHMS)}


@dataclass(frozen=True, slots=True)
class ItemSchema:
    """The schema of one item, and of a body that holds either one or several."""

    item: Schema
    body: Schema

    @classmethod
    def of(cls, name: str, properties: dict[str, Any], required: Sequence[str] = ()) -> "ItemSchema":  # Any: JSON
        """Return the schemas for items of these properties. What is not among them is refused: it may be a context."""
        item = {"type": "object", "properties": properties, "additionalProperties": False, "required": list(required)}
        several = {"type": "array", "items": item, "writeOnly": True}
        body = {"type": "object", "properties": {**properties, "items": several}, "additionalProperties": False}
        return cls(Schema(name, item), Schema(name, body))

    def items(self, body: object, most: int) -> tuple[list[Item], bool]:
        """Return the items of a body, and whether it is a list of them. Raises BodyRefused, IssueSeen."""
        self.body.check(body)
        if not isinstance(body, dict) or "items" not in body:
            self.item.check(body)
            return [body] if isinstance(body, dict) else [], False
        if len(body) > 1:
            raise BodyRefused(self.body.name, "nothing stands beside 'items'", "items")
        if not body["items"]:
            raise BodyRefused(self.body.name, "the list is empty", "items")
        if len(body["items"]) > most:
            raise IssueSeen(413, f"A request has at most {most} items")
        return body["items"], True


ENCRYPTION = ItemSchema.of("Encryption", {"plaintext": _BASE64, "context": _CONTEXT}, ["plaintext"])
DECRYPTION = ItemSchema.of("Decryption", {"ciphertext": _TEXT, "context": _CONTEXT}, ["ciphertext"])
WRAP = ItemSchema.of(
    "Wrap", {"key": {**_BASE64, "minLength": 1}, "algorithm": _ALGORITHM, "context": _CONTEXT}, ["key"]
)
UNWRAP = ItemSchema.of("Unwrap", {"wrapped": _TEXT, "context": _CONTEXT}, ["wrapped"])
DATA_KEY = ItemSchema.of(
    "Data Key",
    {"bit_length": {"type": "integer", "enum": [128, 192, 256, 512]}, "algorithm": _ALGORITHM, "context": _CONTEXT},
)
REWRAP = ItemSchema.of("Rewrap", {"ciphertext": _TEXT, "context": _CONTEXT}, ["ciphertext"])
