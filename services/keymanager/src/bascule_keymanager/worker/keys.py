"""Which keys can be ordered, and how one is made."""

import os
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["KeyNotSupported", "make_key"]

_ALGORITHMS = ("aes", "des", "3des", "hmacsha1", "hmacsha256", "hmacsha384", "hmacsha512")
_BIT_LENGTHS = (64, 128, 192, 256)


class KeyNotSupported(Exception):
    """Nobody here makes such a key: the order fails for good. Never leaves the worker."""


def make_key(meta: Mapping[str, Any], random: Callable[[int], bytes] = os.urandom) -> bytes:  # Any: an order's JSON
    """Return a new symmetric key as the order's meta asks for it. Raises KeyNotSupported."""
    algorithm, bits, mode = meta.get("algorithm"), meta.get("bit_length"), meta.get("mode")
    if not isinstance(algorithm, str) or algorithm.lower() not in _ALGORITHMS:
        raise KeyNotSupported
    # XTS uses two keys, and is ordered by the length of both.
    lengths = [2 * length for length in _BIT_LENGTHS] if str(mode).lower() == "xts" else _BIT_LENGTHS
    if not isinstance(bits, int) or bits not in lengths:
        raise KeyNotSupported
    return random(bits // 8)
