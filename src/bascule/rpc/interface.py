"""What a service's processes ask of each other: methods, the release they exist since, and their arguments."""

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from bascule.documents.manifest import RpcMethod
from bascule.objects.kinds import Kind, kind_of
from bascule.release import Release, Train
from bascule.rpc.fallback import Fallback

__all__ = ["Argument", "Interface", "Method", "arg", "is_declaration", "manifest", "method"]

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__bascule_method__"
_OF_THE_CLIENT = frozenset({"connection", "ctxt", "dedup", "method", "timeout_s"})


@dataclass(frozen=True, slots=True)
class Declared:
    """What `arg(...)` leaves as the default of a parameter until the interface is made."""

    since: Release
    default: Any  # Any: a value of the argument's own kind


def arg(*, since: str, default: Any) -> Any:  # Any: so that the annotation of the parameter stands
    """Declare an argument that a later release added; below it, the argument is not sent and `default` holds."""
    return Declared(Release.parse(since), default)


def method(*, since: str, version: str = "1.0", fallback: str | Fallback | None = None) -> Callable[[F], F]:
    """Make a method of an interface callable from other processes, by this name since this release.

    `version` is the one it was born with; each release that added an argument makes it one minor more. What the
    annotations say travels; a method that returns something can be called, and all can be cast. While the pin is
    below `since`, a client calls `fallback` in its place: an older method's name, or a Fallback that converts.
    """
    instead = Fallback(fallback) if isinstance(fallback, str) else fallback

    def mark(function: F) -> F:
        setattr(function, _MARK, (Release.parse(since), version, instead))
        return function

    return mark


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a method."""

    name: str
    kind: Kind
    since: Release
    required: bool
    default: Any = None  # Any: a value of the argument's own kind


@dataclass(frozen=True, slots=True)
class Method:
    """One method in all its versions: `first` of the release `since`, one minor more per release after it.

    `returns` is None for a method that returns nothing.
    """

    name: str
    since: Release
    first: tuple[int, int]
    arguments: tuple[Argument, ...]
    returns: Kind | None = None
    fallback: Fallback | None = None

    @property
    def train(self) -> Train:
        """The releases after the first that added arguments."""
        return Train.of(each.since for each in self.arguments if each.since > self.since)

    def version_at(self, release: Release | None = None) -> str:
        """Return the version that a release speaks; without one, the newest."""
        later = [each for each in self.train.releases if release is None or each <= release]
        return f"{self.first[0]}.{self.first[1] + len(later)}"

    def arguments_at(self, release: Release | None = None) -> tuple[Argument, ...]:
        """Return the arguments that a release knows; without one, all."""
        return tuple(each for each in self.arguments if release is None or each.since <= release)

    def release_of(self, version: str) -> Release | None:
        """Return the release whose version this is, or None when it is not one of ours."""
        for release in (self.since, *self.train.releases):
            if self.version_at(release) == version:
                return release
        return None


class Interface:
    """Base of interfaces: `class WorkerApi(Interface, topic="worker")` with methods marked by `@method`.

    Who answers is a subclass that overrides the methods; it may come without `topic`.
    """

    topic: ClassVar[str] = ""
    methods: ClassVar[dict[str, Method]] = {}

    def __init_subclass__(cls, *, topic: str | None = None) -> None:
        super().__init_subclass__()
        cls.topic = topic or cls.topic
        own = {name: _method_of(function) for name, function in vars(cls).items() if hasattr(function, _MARK)}
        cls.methods = {**cls.methods, **own}
        for each in own.values():
            _check_fallback(each, cls.methods)


def manifest(interface: type[Interface], release: Release | None = None) -> dict[str, RpcMethod]:
    """Return the manifest's `rpc` table: the interface as a release speaks it; default: the newest."""
    return {
        name: RpcMethod(
            since=each.since,
            version=each.version_at(release),
            arguments=tuple(argument.name for argument in each.arguments_at(release)),
        )
        for name, each in interface.methods.items()
        if release is None or each.since <= release
    }


def is_declaration(function: Callable[..., Any]) -> bool:
    """Whether the function only declares a method of an interface, and answers nothing."""
    return hasattr(function, _MARK)


def _method_of(function: Callable[..., Any]) -> Method:
    since, version, fallback = getattr(function, _MARK)
    major, _, minor = version.partition(".")
    hints = typing.get_type_hints(function)
    arguments = []
    for name, parameter in list(inspect.signature(function).parameters.items())[1:]:
        if parameter.kind not in {parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD}:
            raise TypeError(f"{function.__qualname__}: {name} must be an argument with a name")
        if name in _OF_THE_CLIENT:
            raise TypeError(f"{function.__qualname__}: the name {name} is the client's own; choose another")
        declared = parameter.default
        required = declared is inspect.Parameter.empty
        if isinstance(declared, Declared):
            arguments.append(
                Argument(name, kind_of(hints[name]), declared.since, required=False, default=declared.default)
            )
        else:
            default = None if required else declared
            arguments.append(Argument(name, kind_of(hints[name]), since, required=required, default=default))
    returned = hints.get("return", type(None))
    returns = None if returned is type(None) else kind_of(returned)
    return Method(function.__name__, since, (int(major), int(minor)), tuple(arguments), returns, fallback)


def _check_fallback(each: Method, methods: dict[str, Method]) -> None:
    if each.fallback is None:
        return
    older = methods.get(each.fallback.method)
    if older is None or older.since >= each.since:
        raise TypeError(f"{each.name} falls back to {each.fallback.method}, which is no older method here")
