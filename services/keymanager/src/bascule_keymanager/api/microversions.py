"""Versions of the API: which there are, which of them the fleet may show, and which one a request asks for."""

from collections.abc import Callable

from bascule.release import Release
from bascule_keymanager.whole_api import has_whole_api

__all__ = [
    "LATEST",
    "OLDEST",
    "AskedFor",
    "MalformedVersion",
    "Maximum",
    "UnservedVersion",
    "asked_version",
    "latest_at",
    "shown",
]

Version = tuple[int, int]
Maximum = Callable[[], Version]

# The numbers are Barbican's; we never add one of our own.
_SERVED = ((1, 0), (1, 1), (1, 2))
OLDEST, LATEST = _SERVED[0], _SERVED[-1]


class AskedFor(Exception):
    """A request asks for a version that it does not get."""

    status: int


class UnservedVersion(AskedFor):
    """The version is none of ours, or not shown yet."""

    status = 406

    def __init__(self, text: str) -> None:
        super().__init__(f"Invalid microversion: Unacceptable version header: {text}")


class MalformedVersion(AskedFor):
    """The version is not two numbers."""

    status = 400

    def __init__(self, text: str) -> None:
        super().__init__(f"Invalid microversion: invalid version string: {text}")


def latest_at(pin: Release) -> Version:
    """Return the newest version that every process under this pin serves."""
    return LATEST if has_whole_api(pin) else OLDEST


def shown(version: Version) -> str:
    """Return the version as clients read it."""
    return f"{version[0]}.{version[1]}"


def asked_version(header: str, service: str, maximum: Maximum) -> Version:
    """Return the version that an OpenStack-API-Version header names for the service, the oldest when it names none.

    `maximum` is asked only when it matters. Raises UnservedVersion and MalformedVersion.
    """
    text = _named(header, service)
    if text is None:
        return OLDEST
    if text == "latest":
        return maximum()
    major, _, minor = text.partition(".")
    try:
        version = int(major), int(minor)
    except ValueError:
        raise MalformedVersion(text) from None
    if version not in _SERVED or version > max(OLDEST, maximum()):
        raise UnservedVersion(text)
    return version


def _named(header: str, service: str) -> str | None:
    """Return what the last entry for this service says; headers sent twice arrive joined by commas."""
    for entry in reversed(header.split(",")):
        name, _, version = entry.strip().partition(" ")
        if name.lower() == service and version.strip():
            return version.strip()
    return None
