"""Under which pins the whole of Barbican's API is there: every version of it, pairs of keys, and orders over a broker.

2026.2 and 2027.1 shipped with a part of it. 2027.2 has all of it, and so has 2026.2.1, made after them: 2027.2's
service on Barbican's tables as they are, to adopt a running Barbican with (docs/decisions/0011).
"""

from bascule.release import Release

__all__ = ["has_whole_api"]

_SINCE = Release.parse("2027.2")
_ON_BARBICANS_TABLES, _RENAMED = Release.parse("2026.2.1"), Release.parse("2027.1")


def has_whole_api(pin: Release) -> bool:
    """Whether every process that may live under this pin has it."""
    return pin >= _SINCE or _ON_BARBICANS_TABLES <= pin < _RENAMED
