"""Functions made from source: what generated code may name, and how it becomes callable.

The source is built from field names, which are identifiers, and from names that `bind` hands out; no value from
outside ever becomes part of it.
"""

from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["Code"]


class Code:
    """One piece of generated code: the values that it names, and its fresh variables.

    `marked` says that it reads envelopes with marks for heads; see `marked.py`.
    """

    def __init__(self, *, marked: bool = False) -> None:
        self.marked = marked
        self.names: dict[str, Any] = {}  # Any: whatever the code calls or compares with
        self._by_id: dict[int, str] = {}
        self._fresh = 0

    def bind(self, value: Any, hint: str = "bound") -> str:  # Any: as above
        """Return a name under which the generated code finds the value; the same one for the same value."""
        known = self._by_id.get(id(value))
        if known is not None:
            return known
        name = f"{hint}_{len(self.names)}"
        self.names[name] = value  # also keeps the value alive, so that its id stays its own
        self._by_id[id(value)] = name
        return name

    def variable(self) -> str:
        """Return a variable that nothing else in this code uses."""
        self._fresh += 1
        return f"v{self._fresh}"

    def function(self, name: str, parameters: str, lines: Iterable[str]) -> Callable[..., Any]:  # Any: generated
        """Return the function whose body is `lines`."""
        body = "\n".join(f"    {line}" for line in lines)
        source = f"def {name}({parameters}):\n{body}\n"
        exec(compile(source, f"<generated {name}>", "exec"), self.names)  # noqa: S102  # see the module's docstring
        made: Callable[..., Any] = self.names[name]
        return made
