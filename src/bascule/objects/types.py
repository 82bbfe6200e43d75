"""Annotations of fields for what Python has no word for: identifiers, hardware addresses, bounded numbers, flags."""

import re
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Annotated, Any, TypeAlias

from bascule.objects.kinds.raw import AnyJson
from bascule.objects.kinds.scalars import AtLeast, Flag, Plain
from bascule.objects.kinds.texts import Newer, Pattern

__all__ = [
    "FlexibleBool",
    "IPAddress",
    "IPInterface",
    "IPNetwork",
    "Json",
    "MacAddress",
    "Newer",
    "NonNegativeFloat",
    "NonNegativeInt",
    "PciAddress",
    "Uuid",
    "VersionPredicate",
    "matching",
]


def matching(pattern: str, name: str | None = None) -> Pattern:
    """Return what makes a string in `Annotated[str, ...]` one that matches as a whole.

    `name` stands for the pattern in a frozen schema, so that a pattern may be written better without a new version.
    """
    return Pattern(name or pattern, re.compile(pattern))


_HEX_OR_NOT = "[0-9a-fA-F]"
_RELATION = r"\s*(?:<=|>=|<|>|!=|==)\s*[0-9][^\s,]*\s*"

Uuid: TypeAlias = Annotated[str, matching("-?".join(f"{_HEX_OR_NOT}{{{count}}}" for count in (8, 4, 4, 4, 12)), "uuid")]
MacAddress: TypeAlias = Annotated[
    str,
    Pattern("mac", re.compile("[0-9a-f]{2}(?::[0-9a-f]{2}){5}"), lambda value: value.lower().replace("-", ":")),
]
PciAddress: TypeAlias = Annotated[
    str, Pattern("pci", re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-1][0-9a-f]\.[0-7]"), str.lower)
]
VersionPredicate: TypeAlias = Annotated[str, matching(f"{_RELATION}(?:,{_RELATION})*", "version predicate")]
NonNegativeInt: TypeAlias = Annotated[int, AtLeast(Plain(int), 0)]
NonNegativeFloat: TypeAlias = Annotated[float, AtLeast(Plain(float), 0)]
Json: TypeAlias = Annotated[Any, AnyJson()]  # Any: what JSON may be
FlexibleBool: TypeAlias = Annotated[bool, Flag()]
IPAddress: TypeAlias = IPv4Address | IPv6Address
IPInterface: TypeAlias = IPv4Interface | IPv6Interface
IPNetwork: TypeAlias = IPv4Network | IPv6Network
