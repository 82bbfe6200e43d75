"""In which phases each verb may stand: expand only adds, migrate only fills, contract only removes."""

from collections.abc import Mapping, Sequence
from typing import get_args

from bascule.schema.lint.actions import Action
from bascule.schema.lint.declarations import declared_in
from bascule.schema.lint.findings import Phase

__all__ = ["DDL", "LOCKS_NOTHING", "WRITES", "home_of", "is_taken_back", "phases_of"]

_E: frozenset[Phase] = frozenset({"expand"})
_C: frozenset[Phase] = frozenset({"contract"})
_M: frozenset[Phase] = frozenset({"migrate"})
_ANY = _E | _M | _C

# What is not named here may stand anywhere, or has a rule that refuses it everywhere.
_PHASES: Mapping[str, frozenset[Phase]] = {
    **dict.fromkeys(("create table", "add column", "create index", "add index", "create trigger", "create object"), _E),
    **dict.fromkeys(("add enum value", "replace object", "attach partition", "add partition"), _E),
    **dict.fromkeys(("add foreign key", "add check", "add unique", "add exclude", "add primary key"), _E | _C),
    **dict.fromkeys(("drop not null", "set default", "change type", "add identity", "rename column"), _E | _C),
    **dict.fromkeys(("modify column", "change column", "rename table", "rename index", "rewrite storage"), _E | _C),
    **dict.fromkeys(("convert charset", "disable trigger", "row security", "rename enum value"), _E | _C),
    **dict.fromkeys(("drop column", "drop table", "drop index", "drop constraint", "drop primary key"), _C),
    **dict.fromkeys(("drop object", "drop database", "drop partition", "detach partition", "set not null"), _C),
    **dict.fromkeys(("drop default", "truncate"), _C),
    **dict.fromkeys(("update", "delete", "insert select", "create table as"), _M),
    "insert": _E | _M,
}
WRITES = frozenset({"update", "delete", "insert select"})
LOCKS_NOTHING = frozenset({"create table", "create object", "add enum value", "replace object", "drop object"})
DDL = frozenset(_PHASES) - WRITES - {"insert", "create table as"}


def phases_of(action: Action) -> frozenset[Phase]:
    """Return the phases in which the action may stand: the declared one, or those of its verb."""
    declared = declared_in(action.statement.comments).phase
    if declared:
        return frozenset({declared})
    if action.verb in {"modify column", "change column"} and action.was and not action.was.keeps_nullable:
        return _C if action.has("NOT NULL") else _E | _C
    return _PHASES.get(action.verb, _ANY)


def home_of(action: Action, phase: Phase | None) -> Phase:
    """Return the phase where the action belongs: the one it is meant for, or else the first that may hold it."""
    possible = phases_of(action)
    return phase if phase in possible else next(known for known in get_args(Phase) if known in possible)


def is_taken_back(action: Action, others: Sequence[Action]) -> bool:
    """Say that what is removed was made by the same script, so no release ever used it."""
    makers = {"drop constraint": "add ", "drop index": "create index", "drop column": "add column"}
    makers["drop default"] = "add column"
    maker = makers.get(action.verb)
    if maker is None:
        return False
    before = others[: others.index(action)] if action in others else others
    return any(other.verb.startswith(maker) and other.name == action.name for other in before)
