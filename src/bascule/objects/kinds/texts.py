# ruff: noqa: D102  # the methods are those of `Kind`, which says what each returns
"""Kinds that travel as a string of a certain form: identifiers, addresses, moments, one of several words."""

import enum
import ipaddress
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bascule.objects.code import Code
from bascule.objects.kinds.kind import Kind
from bascule.objects.tracked import Place
from bascule.release import Release

__all__ = ["ADDRESSES", "Address", "Choice", "Member", "Moment", "Newer", "Pattern"]


@dataclass(frozen=True, slots=True)
class Pattern(Kind):
    """A string that matches a pattern as a whole, after `normal` brought it into its one form."""

    text: str
    pattern: re.Pattern[str]
    normal: Callable[[str], str] | None = None

    def checked(self, value: Any) -> Any:
        if isinstance(value, str):
            form = self.normal(value) if self.normal else str.__str__(value)
            if self.pattern.fullmatch(form):
                return form
        raise ValueError(f"must be of the form {self.text}, and this {type(value).__name__} is not")

    def write_code(self, code: Code, value: str, pin: Release | None) -> str:  # noqa: ARG002  # travels as it is
        return value

    def check_code(self, code: Code, value: str, place: Place) -> str:
        slow = Kind.check_code(self, code, value, place)
        if self.normal:
            return slow
        matches = code.bind(self.pattern.fullmatch)
        return f"{value} if type({value}) is str and {matches}({value}) else {slow}"

    read_code = check_code


_TWO = tuple(f"{number:02}" for number in range(100))


@dataclass(frozen=True, slots=True)
class Moment(Kind):
    """A moment, kept in UTC; without a zone it is taken for UTC. The wire carries whole seconds, as oslo's does."""

    text = "datetime"

    def checked(self, value: Any) -> Any:
        if not isinstance(value, datetime):
            raise ValueError(f"must be a datetime, not {type(value).__name__}")  # noqa: TRY004  # the one error of kinds
        if value.tzinfo is UTC:
            return value
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    def to_wire(self, value: Any, pin: Release | None) -> Any:  # noqa: ARG002  # of every release
        return _moment_on_the_wire(value)

    def from_wire(self, data: Any) -> Any:
        try:
            moment = datetime.fromisoformat(data)
            return moment if moment.tzinfo is UTC else self.checked(moment)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"must be a moment in ISO form, and this {type(data).__name__} is not") from None

    def check_code(self, code: Code, value: str, place: Place) -> str:
        utc, slow = code.bind(UTC), Kind.check_code(self, code, value, place)
        return f"{value} if type({value}) is {code.bind(datetime)} and {value}.tzinfo is {utc} else {slow}"

    def read_code(self, code: Code, value: str, place: Place) -> str:  # noqa: ARG002  # moments cannot change inside
        moment, parse, utc = code.variable(), code.bind(datetime.fromisoformat), code.bind(UTC)
        return f"{moment} if ({moment} := {parse}({value})).tzinfo is {utc} else {code.bind(self.checked)}({moment})"

    def write_code(self, code: Code, value: str, pin: Release | None) -> str:  # noqa: ARG002  # of every release
        return f"{code.bind(_moment_on_the_wire)}({value})"

    def json_code(self, code: Code, value: str, pin: Release | None) -> str:
        return f"'\"' + {self.write_code(code, value, pin)} + '\"'"


def _moment_on_the_wire(value: datetime, two: tuple[str, ...] = _TWO) -> str:
    """Return the moment in UTC, to the second; three times as fast as strftime."""
    year = value.year
    return (
        f"{two[year // 100]}{two[year % 100]}-{two[value.month]}-{two[value.day]}"
        f"T{two[value.hour]}:{two[value.minute]}:{two[value.second]}Z"
    )


@dataclass(frozen=True, slots=True)
class Address(Kind):
    """An address or network of `ipaddress`, of one or both versions."""

    forms: tuple[type, ...]

    @property
    def text(self) -> str:  # type: ignore[override]  # derived
        return "|".join(each.__name__ for each in self.forms)

    def checked(self, value: Any) -> Any:
        if type(value) in self.forms:  # an interface is an address to Python, and not to who reads it
            return value
        raise ValueError(f"must be {self.text}, not {type(value).__name__}")

    def to_wire(self, value: Any, pin: Release | None) -> Any:  # noqa: ARG002  # of every release
        return _address_on_the_wire(value)

    def from_wire(self, data: Any) -> Any:
        if isinstance(data, str):
            for each in self.forms:
                try:
                    return each(data)
                except ValueError:
                    continue  # the next class may know it; the error below tells when none does
        raise ValueError(f"must be {self.text} as text, and this {type(data).__name__} is not")

    def write_code(self, code: Code, value: str, pin: Release | None) -> str:  # noqa: ARG002  # of every release
        return f"{code.bind(_address_on_the_wire)}({value})"


def _address_on_the_wire(value: Any) -> str:
    """Return the text that netaddr, and so oslo, has for it: with an embedded IPv4 address in its own form."""
    if value.version == 4:
        return str(value)
    if isinstance(value, ipaddress.IPv6Network):
        return f"{_ntop(value.network_address)}/{value.prefixlen}"
    if isinstance(value, ipaddress.IPv6Interface):
        return f"{_ntop(value.ip)}/{value.network.prefixlen}"
    return _ntop(value)


def _ntop(address: ipaddress.IPv6Address) -> str:
    text = socket.inet_ntop(socket.AF_INET6, address.packed)
    return f"{text}%{address.scope_id}" if address.scope_id else text


@dataclass(frozen=True, slots=True)
class Newer:
    """Say of one value of a Literal that a later release added it: below that, `below` is sent in its place."""

    value: str
    since: Release
    below: str

    def __init__(self, value: str, *, since: str, below: str) -> None:
        for name, given in (("value", value), ("since", Release.parse(since)), ("below", below)):
            object.__setattr__(self, name, given)


@dataclass(frozen=True, slots=True)
class Choice(Kind):
    """One of several words."""

    values: tuple[str, ...]
    newer: tuple[Newer, ...] = ()

    @property
    def text(self) -> str:  # type: ignore[override]  # derived
        return self.text_at(None)

    def text_at(self, release: Release | None) -> str:
        gone = self._replaced_at(release)
        return f"one of {','.join(value for value in self.values if value not in gone)}"

    def checked(self, value: Any) -> Any:
        if isinstance(value, str) and value in self.values:
            return str.__str__(value)
        raise ValueError(f"must be {self.text}, and this {type(value).__name__} is not")

    def to_wire(self, value: Any, pin: Release | None) -> Any:
        replaced = self._replaced_at(pin)
        while value in replaced:  # what stands in may itself be newer than the pin
            value = replaced[value]
        return value

    def releases(self) -> tuple[Release, ...]:
        return tuple(each.since for each in self.newer)

    def check_code(self, code: Code, value: str, place: Place) -> str:
        known = code.bind(frozenset(self.values))
        return (
            f"{value} if type({value}) is str and {value} in {known} else {Kind.check_code(self, code, value, place)}"
        )

    read_code = check_code

    def write_code(self, code: Code, value: str, pin: Release | None) -> str:
        return Kind.write_code(self, code, value, pin) if self._replaced_at(pin) else value

    def _replaced_at(self, pin: Release | None) -> dict[str, str]:
        return {each.value: each.below for each in self.newer if pin is not None and pin < each.since}


@dataclass(frozen=True, slots=True)
class Member(Kind):
    """A member of an Enum whose values are words."""

    of: type[enum.Enum]

    @property
    def text(self) -> str:  # type: ignore[override]  # derived
        return f"one of {','.join(each.value for each in self.of)}"

    def checked(self, value: Any) -> Any:
        if isinstance(value, self.of):
            return value
        raise ValueError(f"must be a {self.of.__name__}, not {type(value).__name__}")

    def to_wire(self, value: Any, pin: Release | None) -> Any:  # noqa: ARG002  # of every release
        return value.value

    def from_wire(self, data: Any) -> Any:
        try:
            return self.of(data)
        except ValueError:
            raise ValueError(f"must be {self.text}, and this {type(data).__name__} is not") from None

    def write_code(self, code: Code, value: str, pin: Release | None) -> str:  # noqa: ARG002  # of every release
        return f"{value}.value"


ADDRESSES: tuple[type, ...] = (
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
    ipaddress.IPv4Interface,
    ipaddress.IPv6Interface,
)
