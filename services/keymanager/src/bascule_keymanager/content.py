"""Content types of payloads: which are accepted, how they are named when stored, and how they are asked for."""

__all__ = ["SPELLINGS", "SUPPORTED", "encodings_of", "normalise"]

_NAMES = {
    "text/plain": "text/plain",
    "text/plain;charset=utf-8": "text/plain",
    "text/plain; charset=utf-8": "text/plain",
    "application/octet-stream": "application/octet-stream",
    "application/pkcs8": "application/pkcs8",
    "application/aes": "application/aes",
}
SUPPORTED = ("text/plain", "application/octet-stream", "application/pkcs8")
# How Barbican spells what it supports when it refuses something else.
SPELLINGS = (
    "text/plain",
    "text/plain;charset=utf-8",
    "text/plain; charset=utf-8",
    "application/octet-stream",
    "application/pkcs8",
)

_ENCODINGS: dict[str, tuple[str, ...] | None] = {
    "text/plain": None,
    "application/octet-stream": ("base64", "binary"),
    "application/pkcs8": ("base64", "binary"),
}


def normalise(content_type: str) -> str:
    """Return the name that is stored; a type that nobody knows comes back as it is."""
    mime, _, parameter = (part.strip().lower() for part in content_type.partition(";"))
    if parameter and parameter.replace(" ", "") != "charset=utf-8":
        return content_type
    return _NAMES.get(mime, content_type)


def encodings_of(content_type: str) -> tuple[str, ...] | None:
    """Return the encodings of which a JSON payload of this supported type names one; None where it names none."""
    return _ENCODINGS[content_type]
