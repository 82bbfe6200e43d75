"""The base of kinds: one kind of value, as it is kept, as it travels, and as code that does both."""

from json.encoder import encode_basestring_ascii
from typing import Any

from bascule.objects.code import Code
from bascule.objects.tracked import Place
from bascule.release import Release

__all__ = ["Kind", "json_text"]

json_text = encode_basestring_ascii
"""A string as JSON; written in C where the interpreter has it."""


class Kind:
    """One kind of value. `Any` stands for plain JSON values on the wire, and for what the annotation says in Python.

    `checked`, `to_wire` and `from_wire` say what holds; the `..._code` methods return expressions that do the same
    for a value in a variable, fast for the good case. A subclass overrides those that pay.
    """

    __slots__ = ()

    text: str
    """The kind in the words of a frozen schema."""

    def text_at(self, release: Release | None) -> str:  # noqa: ARG002  # only some kinds grew
        """Return the kind in the words of that release's frozen schema."""
        return self.text

    def checked(self, value: Any) -> Any:
        """Return the value as it is kept. Raises ValueError when it is of another kind, without quoting it."""
        raise NotImplementedError

    def to_wire(self, value: Any, pin: Release | None) -> Any:  # noqa: ARG002  # most kinds are of every release
        """Return the value as plain JSON, with nothing in it that is newer than the pin."""
        return value

    def from_wire(self, data: Any) -> Any:
        """Return the value. Raises ValueError when it is of another kind, without quoting it."""
        return self.checked(data)

    def owned(self, value: Any, changed: set[str], place: Place) -> Any:  # noqa: ARG002  # collections only
        """Return a checked value as one that adds its field to `changed` when it changes."""
        return value

    def collects(self) -> bool:
        """Whether the value is a list, dict or set, which shares the object's set of changed names."""
        return False

    def has_changes(self, value: Any) -> bool:  # noqa: ARG002  # objects and collections of them only
        """Whether an object in the value has changed."""
        return False

    def forget_changes(self, value: Any) -> None:
        """Take the objects in the value for unchanged."""

    def classes(self) -> tuple[Any, ...]:  # Any: classes of objects, which this layer does not name
        """Return the classes of objects that the value may hold."""
        return ()

    def releases(self) -> tuple[Release, ...]:
        """Return the releases that changed what the kind may hold."""
        return ()

    def check_code(self, code: Code, value: str, place: Place) -> str:
        """Return the expression of `owned(checked(value))`; `changed` is in scope."""
        return self._owned_code(code, f"{code.bind(self.checked)}({value})", place)

    def read_code(self, code: Code, value: str, place: Place) -> str:
        """Return the expression of `owned(from_wire(value))`; `changed` is in scope."""
        return self._owned_code(code, f"{code.bind(self.from_wire)}({value})", place)

    def read_all_code(self, code: Code, values: str, place: Place) -> str:
        """Return the expression of a list with `read_code` of each of `values`."""
        item = code.variable()
        return f"[{self.read_code(code, item, place)} for {item} in {values}]"

    def write_code(self, code: Code, value: str, pin: Release | None) -> str:
        """Return the expression of `to_wire(value, pin)`."""
        return f"{code.bind(self.to_wire)}({value}, {code.bind(pin)})"

    def json_code(self, code: Code, value: str, pin: Release | None) -> str:
        """Return the expression of `to_wire(value, pin)` as JSON text; here for kinds that travel as a string."""
        return f"{code.bind(json_text)}({self.write_code(code, value, pin)})"

    def json_part_code(self, code: Code, value: str, pin: Release | None) -> str:
        """Return the same for a place in an f-string, which makes text of numbers by itself, and sooner."""
        return self.json_code(code, value, pin)

    def changes_code(self, code: Code, value: str) -> str | None:  # noqa: ARG002  # as has_changes
        """Return the expression that is true when `has_changes(value)`, or None when it never is."""
        return None

    def _owned_code(self, code: Code, checked: str, place: Place) -> str:
        if type(self).owned is Kind.owned:
            return checked
        return f"{code.bind(self.owned)}({checked}, changed, {code.bind(place)})"
