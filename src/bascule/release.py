"""Release names, their order, and the pin that caps what a mixed fleet speaks."""

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from bascule.errors import ReleaseError

__all__ = ["Pin", "Release", "Train"]

_NAME = re.compile(r"[0-9]+(?:\.[0-9]+)*")


@functools.total_ordering
@dataclass(frozen=True, slots=True)
class Release:
    """A release name made of dotted numbers, such as 2026.2 or 14.0.2; ordered number by number."""

    numbers: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a release name from outside. Raises ReleaseError when it is not dotted numbers."""
        if not _NAME.fullmatch(text):
            raise ReleaseError(f"{text!r} is not a release name; a release is dotted numbers, such as 2027.1")
        return cls(tuple(int(number) for number in text.split(".")))

    def __str__(self) -> str:
        return ".".join(str(number) for number in self.numbers)

    def __repr__(self) -> str:
        return f"Release({self})"

    def __lt__(self, other: "Release") -> bool:
        return self.numbers < other.numbers


@dataclass(frozen=True, slots=True)
class Pin:
    """The release that caps API, RPC, objects and stored formats together.

    The rule (architecture.md): the lowest release among live processes; unknown or empty means the
    lowest supported, never the newest.
    """

    release: Release

    @classmethod
    def of_live(cls, live: Iterable[Release], *, lowest_supported: Release) -> Self:
        """Return the pin for these live processes; with none at all, the lowest supported release."""
        return cls(min(live, default=lowest_supported))

    def allows(self, since: Release) -> bool:
        """Whether something that exists since `since` may be sent, stored or advertised."""
        return since <= self.release

    def __str__(self) -> str:
        return str(self.release)


@dataclass(frozen=True, slots=True)
class Train:
    """The releases of one service in order, oldest first."""

    releases: tuple[Release, ...]

    @classmethod
    def of(cls, releases: Iterable[Release]) -> Self:
        """Sort the releases and drop doubles."""
        return cls(tuple(sorted(set(releases))))

    def between(self, start: Release, end: Release) -> tuple[Release, ...]:
        """Return the releases after `start` up to and with `end`, in order."""
        return tuple(release for release in self.releases if start < release <= end)
