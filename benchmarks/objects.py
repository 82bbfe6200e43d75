"""How fast versioned objects are beside oslo.versionedobjects, on the same object with the same wire.

An object of 20 fields, among them one object, a list of ten objects, a dict of five strings and three moments. Each
round times both sides one right after the other on CPU time, so that a busy machine slows both; the ratio is theirs.
Below that, the same classes of oslo.versionedobjects with `adopt` beside those without.
A target counts as met when the median of the rounds is there; a missed one is said, and does not fail the command.
"""

import argparse
import datetime as dt
import gc
import json
import statistics
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from oslo_versionedobjects import base as ovo
from oslo_versionedobjects import fields as ovo_fields

from bascule.objects import Object, field
from bascule.objects.oslo import adopt
from bascule.objects.types import Uuid
from bascule.release import Release

NAMESPACE = "bench"
OLD = Release.parse("2026.2")


class Kid(Object, namespace=NAMESPACE):
    """A child."""

    id: int
    name: str
    size: int
    ready: bool
    note: str | None = field(since="2027.1", default=None)


class Top(Object, namespace=NAMESPACE):
    """The measured object."""

    id: int
    uuid: Uuid
    name: str
    owner: str
    state: str
    size: int
    tries: int
    weight: float
    ready: bool
    locked: bool
    summary: str | None
    reason: str | None
    created_at: dt.datetime
    updated_at: dt.datetime
    deleted_at: dt.datetime | None
    tags: dict[str, str]
    first: Kid
    kids: list[Kid]
    note: str | None = field(since="2027.1", default=None)
    limit: int = field(since="2027.1", default=0)


def ovo_classes(prefix: str) -> tuple[type[Any], type[Any]]:
    """Return the child and the measured object, as they are written for oslo.versionedobjects."""

    @ovo.VersionedObjectRegistry.register
    class OvoKid(ovo.VersionedObject):
        """The child, as it is written for oslo.versionedobjects."""

        VERSION = "1.1"
        OBJ_PROJECT_NAMESPACE = NAMESPACE
        fields = {  # noqa: RUF012  # oslo's form
            "id": ovo_fields.IntegerField(),
            "name": ovo_fields.StringField(),
            "size": ovo_fields.IntegerField(),
            "ready": ovo_fields.BooleanField(),
            "note": ovo_fields.StringField(nullable=True),
        }

        @classmethod
        def obj_name(cls) -> str:  # oslo's
            return prefix + "Kid"

        def obj_make_compatible(self, primitive: dict[str, Any], target_version: str) -> None:  # oslo's
            super().obj_make_compatible(primitive, target_version)
            if target_version == "1.0":
                primitive.pop("note", None)

    @ovo.VersionedObjectRegistry.register
    class OvoTop(ovo.VersionedObject):
        """The measured object, as it is written for oslo.versionedobjects."""

        VERSION = "1.1"
        OBJ_PROJECT_NAMESPACE = NAMESPACE
        fields = {  # noqa: RUF012  # oslo's form
            "id": ovo_fields.IntegerField(),
            "uuid": ovo_fields.UUIDField(),
            "name": ovo_fields.StringField(),
            "owner": ovo_fields.StringField(),
            "state": ovo_fields.StringField(),
            "size": ovo_fields.IntegerField(),
            "tries": ovo_fields.IntegerField(),
            "weight": ovo_fields.FloatField(),
            "ready": ovo_fields.BooleanField(),
            "locked": ovo_fields.BooleanField(),
            "summary": ovo_fields.StringField(nullable=True),
            "reason": ovo_fields.StringField(nullable=True),
            "created_at": ovo_fields.DateTimeField(),
            "updated_at": ovo_fields.DateTimeField(),
            "deleted_at": ovo_fields.DateTimeField(nullable=True),
            "tags": ovo_fields.DictOfStringsField(),
            "first": ovo_fields.ObjectField(prefix + "Kid"),
            "kids": ovo_fields.ListOfObjectsField(prefix + "Kid"),
            "note": ovo_fields.StringField(nullable=True),
            "limit": ovo_fields.IntegerField(),
        }

        @classmethod
        def obj_name(cls) -> str:  # oslo's
            return prefix + "Top"

        def obj_make_compatible(self, primitive: dict[str, Any], target_version: str) -> None:  # oslo's
            super().obj_make_compatible(primitive, target_version)
            if target_version == "1.0":
                primitive.pop("note", None)
                primitive.pop("limit", None)

    return OvoKid, OvoTop


OvoKid, OvoTop = ovo_classes("")
AdoptedKid, AdoptedTop = ovo_classes("Adopted")
MANIFEST = {name: "1.0" for prefix in ("", "Adopted") for name in (prefix + "Kid", prefix + "Top")}


@dataclass(frozen=True)
class Measured:
    """One line of the result; `ours` and `peer` are microseconds, the least of all rounds."""

    metric: str
    ours: float
    peer: float
    ratio_min: float
    ratio_median: float
    ratio_max: float
    target: float
    met: bool


def kid_row(number: int) -> dict[str, Any]:
    return {"id": number, "name": f"kid number {number}", "size": 4096, "ready": number % 2 == 0, "note": None}


def top_row(make_kid: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    moment = dt.datetime(2026, 3, 4, 5, 6, 7, tzinfo=dt.UTC)
    return {
        "id": 71,
        "uuid": str(uuid.UUID(int=0x1234567890ABCDEF1234567890ABCDEF)),
        "name": "a name of ordinary length",
        "owner": "5f1c7bd2e0a94a6c",
        "state": "active",
        "size": 1 << 34,
        "tries": 3,
        "weight": 0.75,
        "ready": True,
        "locked": False,
        "summary": 'a summary with "quotes" and ümlauts',
        "reason": None,
        "created_at": moment,
        "updated_at": moment + dt.timedelta(days=3),
        "deleted_at": moment + dt.timedelta(days=30),
        "tags": {f"tag-{number}": f"value-{number}" for number in range(5)},
        "first": make_kid(kid_row(0)),
        "kids": [make_kid(kid_row(number)) for number in range(1, 11)],
        "note": "new in 1.1",
        "limit": 10,
    }


def ovo_hydrate(cls: type[Any], row: dict[str, Any]) -> Any:
    made = cls()
    for name in cls.fields:
        setattr(made, name, row[name])
    made.obj_reset_changes()
    return made


def pairs() -> dict[str, tuple[Callable[[], Any], Callable[[], Any], float]]:
    """Return per metric what we do, what the peer does, and how many times as fast we must be."""
    our_row, peer_row = top_row(Kid.hydrate), top_row(lambda row: ovo_hydrate(OvoKid, row))
    ours, peer = Top.hydrate(our_row), ovo_hydrate(OvoTop, peer_row)
    ours.size, peer.size = 1 << 35, 1 << 35
    check_equal(ours, peer)
    return {
        **our_pairs(our_row, peer_row, ours, peer),
        **adopted_pairs(peer),
    }


def adopted_pairs(peer: Any) -> dict[str, tuple[Callable[[], Any], Callable[[], Any], float]]:
    """Return the same for classes of oslo.versionedobjects with and without `adopt`."""
    adopt([AdoptedKid, AdoptedTop])
    adopted = ovo_hydrate(AdoptedTop, top_row(lambda row: ovo_hydrate(AdoptedKid, row)))
    adopted.size = 1 << 35
    primitive, adopted_primitive = peer.obj_to_primitive(), adopted.obj_to_primitive()
    older = {"target_version": "1.0", "version_manifest": MANIFEST}
    for one, other in (
        (adopted_primitive, primitive),
        (adopted.obj_to_primitive(**older), peer.obj_to_primitive(**older)),
    ):
        if json.dumps(one).replace("Adopted", "") != json.dumps(other):
            sys.exit("adopted classes give something else; their times would not compare")
    return {
        "adopted: object to primitive": (adopted.obj_to_primitive, peer.obj_to_primitive, 10),
        "adopted: primitive to object": (
            lambda: AdoptedTop.obj_from_primitive(adopted_primitive),
            lambda: OvoTop.obj_from_primitive(primitive),
            2,
        ),
        "adopted: backport": (
            lambda: adopted.obj_to_primitive(**older),
            lambda: peer.obj_to_primitive(**older),
            3.5,
        ),
    }


def our_pairs(
    our_row: dict[str, Any], peer_row: dict[str, Any], ours: Top, peer: Any
) -> dict[str, tuple[Callable[[], Any], Callable[[], Any], float]]:
    """Return the same for `bascule.objects`."""
    primitive, text = ours.to_primitive(), ours.to_json()
    return {
        "hydrate from a row": (lambda: Top.hydrate(our_row), lambda: ovo_hydrate(OvoTop, peer_row), 6),
        "object to primitive": (ours.to_primitive, peer.obj_to_primitive, 25),
        "primitive to object": (
            lambda: Top.from_primitive(primitive),
            lambda: OvoTop.obj_from_primitive(primitive),
            9,
        ),
        "backport to the older release": (
            lambda: ours.to_primitive(OLD),
            lambda: peer.obj_to_primitive(target_version="1.0", version_manifest=MANIFEST),
            35,
        ),
        "object to JSON": (ours.to_json, lambda: json.dumps(peer.obj_to_primitive()), 25),
        "JSON to object": (
            lambda: Top.from_json(text),
            lambda: OvoTop.obj_from_primitive(json.loads(text)),
            8,
        ),
    }


def check_equal(ours: Top, peer: Any) -> None:
    """Stop when both sides do not do the same work."""
    same = [
        ours.to_primitive() == peer.obj_to_primitive(),
        ours.to_primitive(OLD) == peer.obj_to_primitive(target_version="1.0", version_manifest=MANIFEST),
        json.loads(ours.to_json()) == json.loads(json.dumps(peer.obj_to_primitive())),
        Top.from_primitive(peer.obj_to_primitive()) == ours == Top.from_json(ours.to_json()),
        OvoTop.obj_from_primitive(ours.to_primitive()).obj_to_primitive() == peer.obj_to_primitive(),
    ]
    if not all(same):
        sys.exit(f"the two sides differ: {same}; their times would not compare")


def measure(metric: str, ours: Callable[[], Any], peer: Callable[[], Any], target: float, rounds: int) -> Measured:
    per_chunk = max(1, round(0.01 / cpu_seconds(peer, 20)))
    ratios, best_ours, best_peer = [], float("inf"), float("inf")
    for _ in range(rounds):
        of_peer, of_ours = cpu_seconds(peer, per_chunk), cpu_seconds(ours, 8 * per_chunk)
        ratios.append(of_peer / of_ours)
        best_ours, best_peer = min(best_ours, of_ours), min(best_peer, of_peer)
    median = statistics.median(ratios)
    return Measured(
        metric,
        round(best_ours * 1e6, 2),
        round(best_peer * 1e6, 2),
        round(min(ratios), 1),
        round(median, 1),
        round(max(ratios), 1),
        target,
        median >= target,
    )


def cpu_seconds(work: Callable[[], Any], times: int) -> float:
    """Return the CPU seconds of one call, with its share of the garbage collector's, as in a service."""
    start = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - start) / times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--rounds", type=int, default=120)
    arguments = parser.parse_args()
    print(f"Python {sys.version.split()[0]}, oslo.versionedobjects {version('oslo.versionedobjects')}, CPU time")
    print(f"{'':32}{'ours µs':>9}{'peer µs':>9}{'ratio':>8}{'spread':>16}{'target':>8}")
    results = []
    gc.collect()
    gc.freeze()  # what the imports left behind is no part of either side's work
    for metric, (ours, peer, target) in pairs().items():
        each = measure(metric, ours, peer, target, arguments.rounds)
        results.append(asdict(each))
        spread = f"{each.ratio_min:.1f} - {each.ratio_max:.1f}"
        line = f"{metric:32}{each.ours:9.2f}{each.peer:9.2f}{each.ratio_median:7.1f}x{spread:>16}{target:7}x"
        print(line + ("" if each.met else "  MISSED"))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
