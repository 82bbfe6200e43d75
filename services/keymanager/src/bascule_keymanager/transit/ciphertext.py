"""What a client keeps of what was sealed here: one line of text that says how it was sealed, and by which key.

    bascule:1:KIND:SECRET:FINGERPRINT:BODY

SECRET is the id of the secret that is the key; FINGERPRINT, 16 hexadecimal digits, tells the keys apart that a secret
has had; BODY is in URL-safe base64 without padding. The format is documented in docs/reference/keymanager-transit.md.
"""

import base64
import re
from dataclasses import dataclass, field
from typing import Literal, get_args

__all__ = ["ALGORITHMS", "Algorithm", "Ciphertext", "Kind", "NotACiphertext"]

Algorithm = Literal["aes-kw", "aes-kwp", "aes-gcm"]
Kind = Literal["encrypted"] | Algorithm

ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
_KINDS: dict[str, Kind] = {"encrypted": "encrypted", **{name: name for name in ALGORITHMS}}
_FORMAT = 1
_TEXT = re.compile(
    rf"bascule:{_FORMAT}:({'|'.join(_KINDS)})"
    r":([0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}):([0-9a-f]{16}):([A-Za-z0-9_-]+)"
)
_OTHER_FORMAT = re.compile(r"bascule:([0-9]{1,9}):")


class NotACiphertext(Exception):
    """The text is none of this format; `format_version` is the other one that it names, if it names one."""

    def __init__(self, format_version: int | None) -> None:
        self.format_version = format_version
        super().__init__("not a ciphertext of this format")


@dataclass(frozen=True, slots=True)
class Ciphertext:
    """A sealed text, taken apart."""

    kind: Kind
    key_id: str
    fingerprint: str
    body: bytes = field(repr=False)

    @property
    def header(self) -> str:
        """Everything before the body: what the seal is bound to."""
        return f"bascule:{_FORMAT}:{self.kind}:{self.key_id}:{self.fingerprint}"

    def __str__(self) -> str:
        """Return the text that a client keeps."""
        return f"{self.header}:{_encoded(self.body)}"

    @classmethod
    def parse(cls, text: str) -> "Ciphertext":
        """Take a text apart; it is exactly the text that this gives back. Raises NotACiphertext."""
        found = _TEXT.fullmatch(text)
        if found is None:
            other = _OTHER_FORMAT.match(text)
            named = int(other[1]) if other else _FORMAT
            raise NotACiphertext(named if named != _FORMAT else None)
        kind, key_id, fingerprint, encoded = found.groups()
        try:
            body = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        except ValueError:
            raise NotACiphertext(None) from None
        if _encoded(body) != encoded:  # bits that base64 does not look at: somebody changed the text
            raise NotACiphertext(None)
        return cls(_KINDS[kind], key_id, fingerprint, body)


def _encoded(body: bytes) -> str:
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode("ascii")
