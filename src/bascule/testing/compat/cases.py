"""The matrix: every object of every supported release, compared as frozen, as sent down, and as read up."""

import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bascule.documents.manifest import Manifest
from bascule.release import Release
from bascule.testing.compat.family import Family, Schemas, family_of
from bascule.testing.compat.payloads import envelope_complaints, make_payload, resampled, settled
from bascule.testing.compat.rules import (
    broken_methods,
    broken_promises,
    changed_without_version,
    reused_names,
    too_early,
    unlisted,
)

__all__ = ["Case", "Incompatible", "check", "check_all", "compat_cases", "sample_payloads"]


class Incompatible(AssertionError):
    """What a case found, one sentence each; no sample is quoted."""

    def __init__(self, case: "Case", found: Sequence[str]) -> None:
        self.case, self.found = case, tuple(found)
        super().__init__("\n".join((f"{case}:", *(f"  - {each}" for each in found))))


@dataclass(frozen=True)
class Case:
    """One line of the matrix."""

    title: str
    look: Callable[[], Iterator[str]] = field(repr=False, compare=False)

    def __str__(self) -> str:
        return self.title


def check(case: Case) -> None:
    """Run the case. Raises Incompatible, which pytest shows as a failed assertion."""
    found = list(dict.fromkeys(case.look()))
    if found:
        raise Incompatible(case, found)


def compat_cases(
    objects: Iterable[type[Any]],  # Any: classes of bascule.objects or of oslo.versionedobjects
    frozen: Iterable[Manifest],
    *,
    since: str | None = None,
    interfaces: Iterable[type[Any]] = (),  # Any: of bascule.rpc, which is only imported for them
    values: Mapping[str, Sequence[Any]] | None = None,
    samples: int = 40,
) -> list[Case]:
    """Return the cases that show whether this code and each frozen release understand each other.

    Per release and object: `schema` (what the code says of the release is what the release froze), `down` (objects
    with every field set are sent as the release's schema says, to the letter), `up` (what the release may send is
    read whole, and goes back without loss). Per release: `objects` (no class is younger
    than it says), `names` (no name is used again for another kind, not even one of releases before `since`, which are
    no longer supported), `rpc` (methods and arguments of `interfaces`).

    `frozen` are the manifests as cut, see `frozen_manifests`. `values` gives samples of kinds of the service's own,
    as they travel. Samples are the same in every run. Raises ValueError when nothing would be compared.
    """
    manifests = sorted(frozen, key=lambda each: each.release)
    oldest = Release.parse(since) if since else None
    supported = [each for each in manifests if oldest is None or each.release >= oldest]
    family, found = family_of(objects), []
    for each in supported:
        found += _of_release(family, each, values or {}, samples)
    if not family.by_hand:
        found += [Case(f"names-{each.release}", partial(_names, family, each.objects)) for each in manifests]
    found += _of_interfaces(tuple(interfaces), supported)
    if not supported or not family.frozen(None):
        raise ValueError("no supported release or no object to compare; look at since=, and at where the manifests are")
    return [*found, Case("objects-now", lambda: unlisted(family.frozen(None)))]


def check_all(cases: Iterable[Case]) -> tuple[str, ...]:
    """Return what all cases find, for reports and for tests of tests."""
    return tuple(f"{case}: {each}" for case in cases for each in dict.fromkeys(case.look()))


def sample_payloads(
    objects: Iterable[type[Any]],  # Any: as in compat_cases
    name: str,
    *,
    values: Mapping[str, Sequence[Any]] | None = None,
    samples: int = 40,
) -> Iterator[Any]:
    """Return the envelopes at the newest version that the cases begin with, for tests of one's own."""
    return _payloads(family_of(objects).frozen(None), name, values or {}, samples)


def _of_release(family: Family, manifest: Manifest, values: Mapping[str, Sequence[Any]], samples: int) -> list[Case]:
    release, schemas = manifest.release, manifest.objects
    found = [Case(f"objects-{release}", lambda: too_early(family.frozen(release), schemas))]
    for name, schema in schemas.items():
        now = family.frozen(None)
        found.append(Case(f"{name}-schema-{release}", partial(_schema, family, release, name, schema)))
        if name not in now:
            continue  # the schema's case says so
        made = partial(_payloads, now, name, values, samples)
        found.append(Case(f"{name}-down-{release}", partial(_down, family, release, schemas, name, made)))
        found.append(Case(f"{name}-up-{release}", partial(_up, family, release, schemas, name, made, values)))
    return found


def _of_interfaces(interfaces: tuple[type[Any], ...], supported: list[Manifest]) -> list[Case]:
    if not interfaces:
        return []
    from bascule.rpc import manifest as methods_of  # noqa: PLC0415  # needs SQLAlchemy

    def look(manifest: Manifest) -> Iterator[str]:
        now = {name: each for one in interfaces for name, each in methods_of(one, manifest.release).items()}
        yield from broken_methods(manifest.rpc, now)

    return [Case(f"rpc-{each.release}", partial(look, each)) for each in supported]


def _schema(family: Family, release: Release, name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    if family.by_hand:
        yield from changed_without_version(name, schema, family.frozen(None).get(name))
    else:
        yield from broken_promises(name, schema, family.frozen(release).get(name))


def _names(family: Family, schemas: Schemas) -> Iterator[str]:
    now = family.frozen(None)
    for name in schemas.keys() & now.keys():
        yield from (f"{name}.{each}" for each in reused_names(schemas[name], now[name]))


def _payloads(now: Schemas, name: str, values: Mapping[str, Sequence[Any]], samples: int) -> Iterator[Any]:
    for number in range(samples):
        yield make_payload(now, name, number, random.Random(f"{name} {number}"), values)  # noqa: S311  # samples


def _down(
    family: Family, release: Release, schemas: Schemas, name: str, made: Callable[[], Iterator[Any]]
) -> Iterator[str]:
    try:
        payloads = list(made())
    except LookupError as missing:
        yield str(missing)
        return
    for payload in payloads:
        try:
            sent = family.write(family.read(name, payload), release, schemas)
        except Exception as wrong:  # noqa: BLE001  # whatever a conversion raises is its mistake
            yield f"cannot be sent: {type(wrong).__name__}: {wrong}"
            continue
        yield from envelope_complaints(schemas, name, sent)


def _up(
    family: Family,
    release: Release,
    schemas: Schemas,
    name: str,
    made: Callable[[], Iterator[Any]],
    values: Mapping[str, Sequence[Any]],
) -> Iterator[str]:
    converted = family.converted(name, release)
    try:
        payloads = list(made())
    except LookupError:
        return  # the case `down` tells it
    for number, payload in enumerate(payloads):
        try:
            sent = family.write(family.read(name, payload), release, schemas)
        except Exception:  # noqa: BLE001, S112  # the case `down` tells it
            continue
        chance = random.Random(f"{name} up {number}")  # noqa: S311  # samples
        sent = json.loads(json.dumps(resampled(schemas, name, sent, converted, number, chance, values)))
        try:
            read = family.read(name, sent)
            back = json.loads(json.dumps(family.write(read, release, schemas)))
        except Exception as wrong:  # noqa: BLE001  # as above
            yield f"what the release sends cannot be read and sent back: {type(wrong).__name__}: {wrong}"
            continue
        yield from (f"{each} is not set after reading" for each in family.incomplete(read, sent))
        yield from _losses(settled(schemas, sent), settled(schemas, back))


def _losses(sent: Mapping[str, Any], back: Mapping[str, Any]) -> Iterator[str]:
    for key in sent.keys() | back.keys():
        if key.endswith(".data"):
            changed = sorted(each for each in sent[key] if sent[key][each] != back[key].get(each))
            yield from (f"{each} is another after reading and sending back" for each in changed)
        elif sent.get(key) != back.get(key):
            yield f"the envelope's {key.rpartition('.')[2]} is another after reading and sending back"
