"""Judge actions one by one with what went before, then the script as a whole."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bascule.schema.lint.actions import Action
from bascule.schema.lint.declarations import declared_in
from bascule.schema.lint.findings import Database, Finding, Phase, Severity
from bascule.schema.lint.phases import DDL, LOCKS_NOTHING, WRITES, home_of, is_taken_back, phases_of
from bascule.schema.lint.rules import ACTION_RULES, WHOLE_RULES, Around, Rule
from bascule.schema.lint.rules.rule import columns_of

__all__ = ["Setting", "judge"]

_WHOLE = {rule.code: rule for rule in WHOLE_RULES}
_NOT_LOCKING = frozenset({"create index", "drop index", "validate constraint", "rename index"})


@dataclass(frozen=True, slots=True)
class Setting:
    """Where statements run: `waits_briefly` says that the runner sets a lock timeout for each of them."""

    database: Database
    phase: Phase | None = None
    in_transaction: bool = False
    waits_briefly: bool = False
    allowed: Mapping[str, str] = field(default_factory=dict)


def judge(actions: Sequence[Action], setting: Setting) -> tuple[Finding, ...]:
    """Return the findings of one script or revision, in the order of its statements; the whole comes last."""
    around = Around(setting.database, setting.in_transaction)
    judged: list[_Judged] = []
    findings: list[Finding] = []
    phase = setting.phase or _only_phase(actions)
    for action in actions:
        new = _is_new(action, around)
        found = tuple(_judge_action(action, around, phase, setting, new=new))
        findings += found
        judged.append(_Judged(action, found, new=new, in_transaction=around.in_transaction))
        _learn(action, around)
    findings += _judge_whole(judged, setting)
    return tuple(dict.fromkeys(findings))


@dataclass(frozen=True, slots=True)
class _Judged:
    action: Action
    found: tuple[Finding, ...]
    new: bool
    in_transaction: bool

    @property
    def is_refused(self) -> bool:
        return any(finding.severity == "refuse" for finding in self.found)

    @property
    def is_allowed(self) -> bool:
        """Say that the author gave a reason why it may stand here."""
        return any(finding.allowed for finding in self.found)


def _judge_action(
    action: Action, around: Around, phase: Phase | None, setting: Setting, *, new: bool
) -> Iterator[Finding]:
    if action.verb == "unknown" and declared_in(action.statement.comments).phase:
        return
    for rule in ACTION_RULES:
        if action.verb not in rule.verbs or around.database not in rule.databases or (new and not rule.even_new):
            continue
        # A rebuild says what it does in PostgreSQL's SQL: only what breaks the old release counts, not the locks.
        if action.in_rebuild and not (rule.fine_in or rule.code.startswith("rename-")):
            continue
        if rule.when(action, around):
            severity: Severity = "warn" if phase in rule.fine_in else rule.severity
            yield _finding(rule, action, setting, severity)


def _finding(rule: Rule, action: Action, setting: Setting, severity: Severity | None = None) -> Finding:
    names = {"table": action.table or "the table", "name": action.name or "it", "to": action.to or "the other table"}
    allowed = {**setting.allowed, **declared_in(action.statement.comments).allowed}.get(rule.code, "")
    return Finding(
        rule.code,
        rule.databases,
        action.statement.shown,
        rule.happens.format(**names),
        rule.safe.format(**names),
        "warn" if allowed else severity or rule.severity,
        rule.phase if rule.verbs else home_of(action, setting.phase),
        allowed,
    )


def _is_new(action: Action, around: Around) -> bool:
    """Say that no release uses the table yet: it was made by this script."""
    return action.table in around.created and (action.to in around.created or action.verb != "add foreign key")


def _learn(action: Action, around: Around) -> None:
    if action.verb in {"create table", "create table as"}:
        around.created.add(action.table)
    elif action.verb == "add column":
        around.added.add((action.table, action.name))
    elif action.verb in {"add check", "add foreign key"}:
        around.added_here.add(action.name)
        for column in columns_of(action.text)[:1] if action.has("IS NOT NULL") else ():
            around.not_valid[action.name] = column
    elif action.verb == "validate constraint" and action.name in around.not_valid:
        around.never_null.add((action.table, around.not_valid[action.name]))
    elif action.verb in {"begin", "commit"}:
        around.in_transaction = action.verb == "begin"
        around.added_here.clear()
    elif action.verb == "set foreign key checks":
        around.ignores_foreign_keys = True


def _only_phase(actions: Sequence[Action]) -> Phase | None:
    """Return the phase in which all of the actions may stand, if it is only one."""
    left: set[Phase] = {"expand", "migrate", "contract"}
    for action in actions:
        left &= phases_of(action)
    return left.pop() if len(left) == 1 else None


def _judge_whole(judged: Sequence[_Judged], setting: Setting) -> Iterator[Finding]:
    old = [one for one in judged if not one.new]
    ddl = [one.action for one in old if one.action.verb in DDL]
    yield from _judge_phases(old, judged, setting)
    writes = [one.action for one in old if one.action.verb in WRITES]
    if writes and any(one.action.verb in DDL for one in judged):
        yield _finding(_WHOLE["data-with-ddl"], writes[0], setting)
    runner = [] if setting.waits_briefly else [action for action in ddl if action.verb not in LOCKS_NOTHING]
    verbs = {one.action.verb for one in judged}
    if setting.database != "sqlite" and runner and "set lock timeout" not in verbs and not _waits(runner):
        yield _finding(_WHOLE["no-lock-timeout"], runner[0], setting)
    altering = [action for action in runner if action.statement.text.startswith("ALTER TABLE")]
    unstated = [action for action in altering if "ALGORITHM" not in action.statement.text]
    if setting.database in {"mysql", "mariadb"} and unstated:
        yield _finding(_WHOLE["algorithm-unstated"], unstated[0], setting)
    locked = [one.action for one in old if one.in_transaction and _locks(one.action)]
    if setting.database == "postgresql" and len({action.table for action in locked}) > 1:
        yield _finding(_WHOLE["many-tables-locked"], locked[-1], setting)


def _judge_phases(old: Sequence[_Judged], judged: Sequence[_Judged], setting: Setting) -> Iterator[Finding]:
    everything = [one.action for one in judged]
    meant = [one for one in old if not one.is_allowed and not is_taken_back(one.action, everything)]
    if setting.phase:
        for one in meant:
            if setting.phase not in phases_of(one.action) and not one.is_refused:
                yield _finding(_WHOLE["wrong-phase"], one.action, setting)
        return
    adds = [one.action for one in judged if phases_of(one.action) == {"expand"}]
    removes = [one.action for one in meant if phases_of(one.action) == {"contract"}]
    if adds and removes:
        yield _finding(_WHOLE["mixed-phases"], removes[0], setting)


def _waits(actions: Sequence[Action]) -> bool:
    return all(" WAIT " in action.statement.text or " NOWAIT " in action.statement.text for action in actions)


def _locks(action: Action) -> bool:
    return action.verb in DDL and action.verb not in _NOT_LOCKING | LOCKS_NOTHING and action.table != ""
