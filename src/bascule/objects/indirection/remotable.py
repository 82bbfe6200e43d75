"""Methods of a service's own that run where the database is."""

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from bascule.objects.base import Object
from bascule.objects.indirection.remote import Remote
from bascule.objects.kinds import Kind, kind_of
from bascule.release import Release

__all__ = ["Signature", "remotable", "signature_of"]

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "_bascule_remotable"


class Signature:
    """The kinds of a method's arguments after its store, and of what it returns."""

    def __init__(self, cls: type[Object], function: Callable[..., Any]) -> None:
        hints = {name: _resolved(each, cls) for name, each in _hints(function, cls).items()}
        self.function, self.signature = function, inspect.signature(function)
        names = list(self.signature.parameters)[2:]
        self.arguments: dict[str, Kind] = {name: kind_of(hints[name]) for name in names}
        returns = hints.get("return", type(None))
        self.result: Kind | None = None if returns is type(None) else kind_of(returns)
        self.classes: tuple[type[Object], ...] = (cls, *(self.result.classes() if self.result else ()))

    def to_wire(self, arguments: tuple[Any, ...], named: Mapping[str, Any], pin: Release | None) -> dict[str, Any]:
        """Return the arguments by name as they travel. Raises TypeError for what does not fit the signature."""
        bound = self.signature.bind(None, None, *arguments, **named).arguments
        try:
            return {
                name: kind.to_wire(kind.checked(bound[name]), pin)
                for name, kind in self.arguments.items()
                if name in bound
            }
        except ValueError as wrong:
            raise TypeError(f"{self.function.__name__}: an argument {wrong}") from None

    def from_wire(self, args: list[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments by name. Raises TypeError as `to_wire`."""
        bound = self.signature.bind(None, None, *args, **kwargs).arguments
        try:
            return {name: kind.from_wire(bound[name]) for name, kind in self.arguments.items() if name in bound}
        except ValueError as wrong:
            raise TypeError(f"{self.function.__name__}: an argument {wrong}") from None


def remotable(function: F) -> F:
    """Let a method of a `Stored` class run where the database is: `def claim(self, store, worker: str) -> bool`.

    With a Database for a store it runs here, with a Remote there. Below `@classmethod` it may stand, too. Arguments
    and result are annotated with kinds that fields may have, or None. What it changes in the object comes back.
    """

    @functools.wraps(function)
    def method(first: Any, store: Any, *arguments: Any, **named: Any) -> Any:
        if not isinstance(store, Remote):
            return function(first, store, *arguments, **named)
        cls = first if isinstance(first, type) else type(first)
        signature = signature_of(cls, function.__name__)
        kwargs = signature.to_wire(arguments, named, store.pin())
        if isinstance(first, type):
            result = store.act_on_class(cls, function.__name__, kwargs, signature.classes)
        else:
            result = store.act_on_object(first, function.__name__, kwargs, signature.classes)
        return None if signature.result is None else signature.result.from_wire(result)

    setattr(method, _MARK, function)
    return typing.cast("F", method)


def signature_of(cls: type[Object], name: str) -> Signature:
    """Return the signature of a remotable method. Raises TypeError when there is none of that name."""
    found = inspect.getattr_static(cls, name, None)
    function = getattr(found.__func__ if isinstance(found, classmethod) else found, _MARK, None)
    if function is None:
        raise TypeError(f"{cls.object_name()} has no remotable method {name!r}")
    return Signature(cls, function)


def _hints(function: Callable[..., Any], cls: type[Object]) -> dict[str, Any]:
    return typing.get_type_hints(function, localns={cls.__name__: cls}, include_extras=True)


def _resolved(annotation: Any, cls: type[Object]) -> Any:
    """Return the annotation with the class where it says Self."""
    if annotation is typing.Self:
        return cls
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if typing.Self not in _all_in(annotation):
        return annotation
    inside = tuple(_resolved(each, cls) for each in arguments)
    if origin in {typing.Union, types.UnionType}:
        return typing.Union[inside]  # noqa: UP007  # made at run time
    return origin[inside]


def _all_in(annotation: Any) -> list[Any]:
    return [annotation, *(each for inner in typing.get_args(annotation) for each in _all_in(inner))]
