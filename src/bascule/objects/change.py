"""Changes of an object that cannot be derived from `since` and `until`: renamed, retyped, split or merged fields."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bascule.release import Release

__all__ = ["Change", "change"]

Convert = Callable[[Mapping[str, Any]], Mapping[str, Any]]  # Any: plain JSON values, as they travel


@dataclass(frozen=True, slots=True)
class Change:
    """One release's change: `newer` fields came, `older` ones went, and what each side makes of the other's."""

    since: Release
    newer: tuple[str, ...]
    older: tuple[str, ...]
    down: Convert
    up: Convert


def change(since: str, *, newer: tuple[str, ...], older: tuple[str, ...], down: Convert, up: Convert) -> Change:
    """Declare a change by hand: `down` returns all `older` fields from the newer data, `up` all `newer` ones.

    Both get and return data as it travels, without names of envelopes. The fields are declared in the class with
    `since=` and `until=` of this release; the older ones are no attributes of objects. `up` meets what other
    processes sent, checked to be of the older kinds; a ValueError or KeyError in it refuses the payload.
    """
    return Change(Release.parse(since), newer, older, down, up)
