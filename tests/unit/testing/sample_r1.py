"""A small service's objects as of its release 2026.2: what the mistakes and evolutions of the next one start from."""

import datetime as dt
from typing import Literal

from bascule.objects import Object, change, field, types
from bascule.rpc import Interface, arg, method


class Child(Object, namespace="sample"):
    a: int
    tag: str | None
    # child


class Other(Object, namespace="sample"):
    a: int
    tag: str | None


class Secret(Object, namespace="sample"):
    id: types.Uuid = field(read_only=True)
    name: str | None
    mode: Literal["a", "b"]
    count: str
    size: int = 1
    at: dt.datetime
    marks: set[str] = field(default=set())
    words: list[str] = field(default=[])
    kid: Child
    kids: list[Child]
    byname: dict[str, Child]
    # secret


class Api(Interface, topic="sample"):
    @method(since="2026.2")
    def store(self, secret: Secret, wait: bool) -> None:
        """Store it."""

    # api


OBJECTS = (Child, Other, Secret)
INTERFACES = (Api,)
USED = (change, arg)
