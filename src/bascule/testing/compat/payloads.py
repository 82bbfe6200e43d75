"""Envelopes made from schemas, and envelopes compared with schemas to the letter."""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bascule.testing.compat.family import Schemas
from bascule.testing.compat.words import Sampler, complaints

__all__ = ["envelope_complaints", "make_payload", "resampled", "settled"]

Plain = Any
"""Plain JSON values."""


def make_payload(
    schemas: Schemas, name: str, number: int, chance: random.Random, values: Mapping[str, Sequence[Plain]]
) -> dict[str, Plain]:
    """Return an envelope with every field set, as these schemas say; `number` decides how ordinary it is."""
    schema = schemas[name]
    prefix = schema.get("prefix", "versioned_object")
    inner = Sampler(
        lambda child: make_payload(schemas, child, number, chance, values), tuple(schemas), number, chance, values
    )
    data = {field: inner.of(text) for field, text in schema["fields"].items()}
    return {
        f"{prefix}.name": name,
        f"{prefix}.namespace": schema.get("namespace"),
        f"{prefix}.version": schema["version"],
        f"{prefix}.data": data,
        f"{prefix}.changes": sorted(chance.sample(sorted(data), k=len(data) // 2)),
    }


def resampled(
    schemas: Schemas,
    name: str,
    sent: Mapping[str, Plain],
    kept: frozenset[str],
    number: int,
    chance: random.Random,
    values: Mapping[str, Sequence[Plain]],
) -> Mapping[str, Plain]:
    """Return what was sent with other values, drawn from the release's own schema, but for the fields to keep.

    Fields with objects and kinds of the service's own are kept as well; `*` keeps all.
    """
    if "*" in kept:
        return sent
    (key,) = (each for each in sent if each.endswith(".data"))
    sampler = Sampler(_no_object, (), number, chance, values)
    data = dict(sent[key])
    for field in data.keys() & schemas[name]["fields"].keys() - kept:
        try:
            data[field] = sampler.of(schemas[name]["fields"][field])
        except LookupError:
            continue  # an object, or a kind without samples: what was sent is one
    return {**sent, key: data}


def _no_object(name: str) -> Plain:
    raise LookupError(name)


def envelope_complaints(schemas: Schemas, name: str, sent: Plain, *, inside: bool = False) -> Iterator[str]:
    """Yield how an envelope differs from what the release's schema says of the object.

    What an object inside tells of changes is not looked at: oslo.versionedobjects leaves new names there, and readers
    leave them out.
    """
    schema = schemas.get(name)
    if schema is None:
        yield f"the release does not know the object {name}"
        return
    prefix = schema.get("prefix", _prefix_of(sent))
    wanted = {f"{prefix}.{key}" for key in ("name", "namespace", "version", "data")}
    if not isinstance(sent, dict) or not wanted <= sent.keys() <= {*wanted, f"{prefix}.changes"}:
        yield f"{name} is no envelope with the prefix {prefix}"
        return
    for key in ("version", "namespace"):
        if key in schema and sent[f"{prefix}.{key}"] != schema[key]:
            yield f"{name} is sent with {key} {sent[f'{prefix}.{key}']}, and the release's is {schema[key]}"
    data, fields = sent[f"{prefix}.data"], schema["fields"]
    if not isinstance(data, dict):
        yield f"{name} has no data"
        return
    yield from (f"{name}.{field} is not known to the release" for field in sorted(data.keys() - fields.keys()))
    yield from (f"{name}.{field} is missing" for field in sorted(fields.keys() - data.keys()))
    for field in fields.keys() & data.keys():
        found = complaints(
            fields[field], data[field], lambda *child: envelope_complaints(schemas, *child, inside=True), tuple(schemas)
        )
        yield from (f"{name}.{field} {each}" for each in found)
    if not inside and not set(sent.get(f"{prefix}.changes", ())) <= fields.keys():
        yield f"{name} tells of changes of fields that are not known to the release"


def settled(schemas: Schemas, sent: Plain) -> Plain:
    """Return the plain JSON with sets and the names of changes in order, and of changes only what is known."""
    if isinstance(sent, list):
        return [settled(schemas, item) for item in sent]
    if not isinstance(sent, dict):
        return sent
    prefix = _prefix_of(sent)
    fields = schemas.get(str(sent.get(f"{prefix}.name")), {}).get("fields", {})
    data = {key: settled(schemas, value) for key, value in sent.items()}
    for field, value in data.get(f"{prefix}.data", {}).items() if fields else ():
        if fields.get(field, "").startswith("set[") and isinstance(value, list):
            data[f"{prefix}.data"][field] = sorted(value, key=repr)
    if fields:
        changes = sorted(fields.keys() & data.pop(f"{prefix}.changes", ()))
        data |= {f"{prefix}.changes": changes} if changes else {}
    return data


def _prefix_of(sent: Plain) -> str:
    names = [key for key in sent if str(key).endswith(".name")] if isinstance(sent, dict) else []
    return str(names[0]).removesuffix(".name") if names else "versioned_object"
