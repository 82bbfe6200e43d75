"""What a release's code must still say of an older release, compared with what that release froze."""

from collections.abc import Iterator, Mapping
from typing import Any

from bascule.documents.manifest import RpcMethod
from bascule.testing.compat.words import objects_in

__all__ = ["broken_methods", "broken_promises", "changed_without_version", "reused_names", "too_early", "unlisted"]

Schema = Mapping[str, Any]
"""Plain JSON values."""


def broken_promises(name: str, frozen: Schema, now: Schema | None) -> Iterator[str]:
    """Yield how the code of today sees the release's object otherwise than the release did."""
    if now is None:
        yield f"the object {name} is gone; keep it until no supported release has it"
        return
    for key in ("version", "namespace", "prefix"):
        if key in frozen and frozen[key] != now[key]:
            yield f"the {key} was {frozen[key]} and is {now[key]} now; say since= and until= of what changed"
    before, after = frozen["fields"], now["fields"]
    for field in before.keys() - after.keys():
        yield f"the field {field} is gone; say until= of it, or keep it until no supported release has it"
    for field in after.keys() - before.keys():
        yield f"the field {field} was not there; say since= of it"
    for field in before.keys() & after.keys():
        if before[field] != after[field]:
            yield f"{field} was {before[field]} and is {after[field]} now; give the new kind a field or word of its own"
    for field in set(frozen.get("read_only", ())) & after.keys() - set(now["read_only"]):
        yield f"{field} was read-only; the release counts on that, so let it stay so until no supported release does"


def too_early(then: Mapping[str, Schema], frozen: Mapping[str, Schema]) -> Iterator[str]:
    """Yield the objects that the code takes for the release's, and the release has not."""
    for name in then.keys() - frozen.keys():
        yield f"the release has no object {name}; say since= of its class"


def changed_without_version(name: str, frozen: Schema, now: Schema | None) -> Iterator[str]:
    """Yield what differs although the version is the same, for classes that write their versions by hand."""
    if now is None:
        yield f"the object {name} is gone; keep it until no supported release has it"
    elif (
        "fingerprint" in frozen and frozen["version"] == now["version"] and frozen["fingerprint"] != now["fingerprint"]
    ):
        yield from broken_promises(name, frozen, now)
    for key in ("namespace", "prefix"):
        if now is not None and key in frozen and frozen[key] != now[key]:
            yield f"the {key} was {frozen[key]} and is {now[key]} now; nobody who knows the old one reads it"


def reused_names(frozen: Schema, now: Schema) -> Iterator[str]:
    """Yield fields of today that an older release had as another kind: its data may still be about."""
    for field in frozen["fields"].keys() & now["fields"].keys():
        if frozen["fields"][field] != now["fields"][field] and not _widened(
            frozen["fields"][field], now["fields"][field]
        ):
            yield f"{field} was {frozen['fields'][field]} once and is {now['fields'][field]} now; take another name"


def _widened(before: str, after: str) -> bool:
    """Whether the later kind holds all that the earlier one did: more words of a choice, or null as well."""
    if f"{before}|null" == after:
        return True
    if not (before.startswith("one of ") and after.startswith("one of ")):
        return False
    words = [set(text.removeprefix("one of ").removesuffix("|null").split(",")) for text in (before, after)]
    return words[0] <= words[1]


def unlisted(schemas: Mapping[str, Schema]) -> Iterator[str]:
    """Yield kinds that look like objects which are not among those that are compared."""
    for name, schema in schemas.items():
        for field, text in schema["fields"].items():
            bare = text.split("[")[-1].split("]")[0].removesuffix("|null").removesuffix(" or a subclass")
            if bare[:1].isupper() and not bare.startswith("IPv") and not objects_in(bare, schemas):
                yield f"{name}.{field} holds {bare}, which is not among the objects; compare it, too"


def broken_methods(frozen: Mapping[str, RpcMethod], now: Mapping[str, RpcMethod]) -> Iterator[str]:
    """Yield how the code of today sees the release's RPC methods otherwise than the release did."""
    for name, before in frozen.items():
        after = now.get(name)
        if after is None:
            yield f"the method {name} is gone, or newer than the release; keep it until no supported release calls it"
        elif (before.version, before.arguments) != (after.version, after.arguments):
            yield f"the method {name} was {before.version}{before.arguments}, and is {after.version}{after.arguments}"
    for name in now.keys() - frozen.keys():
        yield f"the method {name} was not there; say since= of it"
