"""The workload file: which requests make up a service's load, as data.

The gate knows a store with asynchronous work: keys are created, read, described, listed, counted and deleted; an
order is accepted, polled until it is done, and then has made something readable. How a service spells that in HTTP
stands in a TOML file; texts may hold `$name` variables (the file's own, and those listed in VARIABLES).
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any, Literal

from bascule.documents.codec import from_plain
from bascule.errors import DocumentError, GateError

__all__ = ["Kind", "Made", "Request", "Workload", "WorkloadInvalid", "read_workload", "render"]

Kind = Literal["create", "read", "describe", "list", "count", "delete", "order", "poll"]

VARIABLES: Mapping[str, frozenset[str]] = {
    "create": frozenset({"name", "payload"}),
    "read": frozenset({"ref", "name"}),
    "describe": frozenset({"ref", "name"}),
    "list": frozenset({"limit", "offset"}),
    "count": frozenset(),
    "delete": frozenset({"ref", "name"}),
    "order": frozenset({"name"}),
    "poll": frozenset({"ref", "name"}),
}
NEEDED: Mapping[str, tuple[str, ...]] = {
    "create": ("ref", "body"),
    "list": ("items", "item"),
    "count": ("total",),
    "order": ("ref", "body"),
    "poll": ("state", "done"),
}
SEVERAL = ("create", "order")
NEVER_DRAWN = ("poll", "count")


@dataclass(frozen=True, slots=True)
class Made:
    """What a finished order has made: the field of the answer with its reference, and the path that reads it.

    With `compare` the bytes must be the same at every read; without it, only readable.
    """

    name: str
    read: str = "$ref"
    headers: dict[str, str] = field(default_factory=dict)
    compare: bool = True


@dataclass(frozen=True, slots=True)
class Request:
    """One kind of request and how to read its answer.

    Fields of answers are named by dotted paths into JSON. `weight` is its share of the load. `ref` is where the
    answer holds the reference of what was made; only the path of an absolute URL is used. `compare` maps fields to
    the value that they must have (of a poll: once the order is done). `absent` are the statuses that say "there is
    no such key". `upload_s` makes a slow uploader: headers first, then the body in pieces over that many seconds.
    `makes` is by how much one order raises what `count` counts.
    """

    name: str
    kind: Kind
    path: str
    method: str = "GET"
    weight: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | None = None  # Any: JSON, its strings are templates
    expect: tuple[int, ...] = (200,)
    absent: tuple[int, ...] = (404,)
    ref: str = ""
    compare: dict[str, str] = field(default_factory=dict)
    items: str = ""
    item: str = ""
    total: str = ""
    limit: int = 10
    state: str = ""
    done: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    made: tuple[Made, ...] = ()
    makes: int = 1
    upload_s: tuple[float, ...] = ()
    pieces: int = 5

    def texts(self) -> Iterator[str]:
        """Yield every text that may hold variables, apart from those of `made` and `compare`."""
        yield self.path
        yield from self.headers.values()
        yield from _strings(self.body)


@dataclass(frozen=True, slots=True)
class Workload:
    """A whole workload file. The headers name the release and the instance that answered."""

    service: str
    operations: tuple[Request, ...]
    headers: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    release_header: str = "X-Bascule-Release"
    instance_header: str = "X-Bascule-Instance"
    payload_bytes: tuple[int, ...] = (16, 400)
    format: int = 1

    def of_kind(self, kind: Kind) -> tuple[Request, ...]:
        """Return the requests of a kind, in the order of the file."""
        return tuple(request for request in self.operations if request.kind == kind)

    def one(self, kind: Kind) -> Request | None:
        """Return the first request of a kind, if the file has one."""
        return next(iter(self.of_kind(kind)), None)

    def drawn(self) -> tuple[Request, ...]:
        """Return the requests that the load draws by weight."""
        return tuple(request for request in self.operations if request.weight > 0)


class WorkloadInvalid(GateError):
    """A workload file describes a load that cannot be run."""

    def __init__(self, path: Path, fault: str) -> None:
        self.path, self.fault = path, fault
        super().__init__(f"workload {path}: {fault}", next_command=f"edit {path}")


def read_workload(path: Path, variables: Mapping[str, str] | None = None) -> Workload:
    """Return the workload of a TOML file; `variables` override those of the file.

    Raises WorkloadInvalid: unreadable, an unknown key (its sentence names a near one), a kind that lacks a field,
    or a variable that nobody sets.
    """
    try:
        plain = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as fault:
        raise WorkloadInvalid(path, str(fault)) from fault
    plain["variables"] = {**plain.get("variables", {}), **(variables or {})}
    try:
        workload = from_plain(Workload, plain, strict=True, where="workload")
    except DocumentError as fault:
        raise WorkloadInvalid(path, fault.sentence) from fault
    for fault_found in _faults(workload):
        raise WorkloadInvalid(path, fault_found)
    return workload


def render(text: str, variables: Mapping[str, str]) -> str:
    """Return a text with its variables filled in; reading the file has shown that all are known."""
    return Template(text).substitute(variables)


def _faults(workload: Workload) -> Iterator[str]:
    if workload.format != 1:
        yield f"format {workload.format} is not known here; this release reads format 1"
    names = [request.name for request in workload.operations]
    for name in names:
        if names.count(name) > 1:
            yield f"operation {name!r} is described twice"
    for kind in ("create", "read"):
        if workload.one(kind) is None:
            yield f"there is no operation of kind {kind!r}, so nothing could be compared"
    if workload.of_kind("order") and workload.one("poll") is None:
        yield "orders are placed, but no operation of kind 'poll' would ever look at them"
    if not workload.drawn():
        yield "no operation has a weight, so there is no load"
    for request in workload.operations:
        yield from _request_faults(workload, request)


def _request_faults(workload: Workload, request: Request) -> Iterator[str]:
    said = f"operation {request.name!r} of kind {request.kind!r}"
    if request.kind not in SEVERAL and len(workload.of_kind(request.kind)) > 1:
        yield f"{said} is the second of its kind; only {' and '.join(SEVERAL)} may be there several times"
    for needed in NEEDED.get(request.kind, ()):
        if not getattr(request, needed):
            yield f"{said} lacks {needed!r}"
    if request.kind in NEVER_DRAWN and request.weight:
        yield f"{said} must have no weight: the load sends it when it is due"
    if request.upload_s and len(request.upload_s) != 2:
        yield f"{said}: upload_s must be two numbers of seconds, the least and the most"
    own = VARIABLES[request.kind] | workload.variables.keys()
    for text in (*request.texts(), *workload.headers.values()):
        yield from _text_faults(said, text, own)
    for text in request.compare.values():  # what must be found is known before the key has a reference
        yield from _text_faults(said, text, own - {"ref"})
    for made in request.made:
        for text in (made.read, *made.headers.values()):
            yield from _text_faults(said, text, own | {"ref"})


def _text_faults(said: str, text: str, known: frozenset[str]) -> Iterator[str]:
    template = Template(text)
    if not template.is_valid():
        yield f"{said}: {text!r} is not a text with $variables (a dollar sign itself is written $$)"
        return
    for name in template.get_identifiers():
        if name not in known:
            yield f"{said}: nobody sets the variable ${name}; known here are {', '.join(sorted(known)) or 'none'}"


def _strings(body: Any) -> Iterator[str]:  # Any: JSON
    if isinstance(body, str):
        yield body
    elif isinstance(body, Mapping):
        for item in body.values():
            yield from _strings(item)
    elif isinstance(body, list):
        for item in body:
            yield from _strings(item)
