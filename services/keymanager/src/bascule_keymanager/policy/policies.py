"""The policies in force: the defaults, and above them what the operator's files say, read again when they change."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oslo_config import cfg
from oslo_policy import opts, policy

from bascule.errors import LifecycleError
from bascule_keymanager.log import get_log
from bascule_keymanager.policy.compiler import Decide, EndlessRule, compile_rule
from bascule_keymanager.policy.credentials import Credentials
from bascule_keymanager.policy.defaults import list_rules

__all__ = ["GENERATION", "Policies", "PolicyRefused", "declare_options", "open_enforcer"]

log = get_log()

# What every target says besides itself; the defaults of the new generation ask for it.
GENERATION = "enforce_new_defaults"
_LOOK_EVERY_S = 1.0

# Path, time of change, size and inode: what tells one state of a file from another.
_Seen = tuple[tuple[str, int, int, int], ...]


class PolicyRefused(LifecycleError):
    """A policy file cannot be read as oslo.policy's."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(
            f"the policies in {path}, or in [oslo_policy] policy_dirs, cannot be read ({reason}): each file must be "
            "YAML or JSON that maps names of policies to rules"
        )


@dataclass(frozen=True, slots=True)
class _Table:
    """One reading of the files: every rule as a function, with the scopes that may ask for it."""

    rules: Mapping[str, tuple[Decide, frozenset[str] | None]]
    generation: bool


def declare_options(options: cfg.ConfigOpts) -> None:
    """Let these options know oslo.policy's; safe to call twice."""
    for section, known in opts.list_opts():
        options.register_opts(known, group=section)


def open_enforcer(options: cfg.ConfigOpts) -> policy.Enforcer:
    """Return oslo.policy's own enforcer with our defaults and the operator's files. Raises PolicyRefused."""
    enforcer = policy.Enforcer(options)
    enforcer.suppress_default_change_warnings = True  # an upgrade check says it better
    enforcer.register_defaults(list_rules())
    try:
        enforcer.load_rules()
    except (ValueError, TypeError, AttributeError, OSError, cfg.Error) as unreadable:
        # oslo.policy wraps neither what YAML refuses nor a file that is no mapping of rules.
        raise PolicyRefused(options.oslo_policy.policy_file, type(unreadable).__name__) from unreadable
    return enforcer


class Policies:
    """Answers what is allowed. Safe to share between threads."""

    def __init__(self, options: cfg.ConfigOpts, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Read everything once. Raises PolicyRefused."""
        self._options, self._clock = options, clock
        self._looking = threading.Lock()
        self._table = _read(options)
        self._seen = _fingerprint(options)
        self._next_look = clock() + _LOOK_EVERY_S
        self._warn_of_missing_file()

    def allows(self, rule: str, credentials: Credentials, facts: Mapping[str, Any]) -> bool:  # Any: as Decide
        """Whether somebody with these credentials may do what `rule` names to what `facts` describe.

        `facts` are flat, as in "target.secret.project_id"; the generation of defaults is among them already.
        """
        if self._clock() >= self._next_look:
            self._look()
        try:
            decide, scopes = self._table.rules[rule]
        except KeyError:
            raise AssertionError(f"no policy is called {rule}") from None
        if scopes is not None and credentials.scope not in scopes:
            return False
        try:
            return bool(decide(facts, credentials.values, credentials.roles))
        except EndlessRule:
            log.error("policy refers to itself", rule=rule, hint="correct the policy file")  # noqa: TRY400 - no trace
            return False

    @property
    def generation(self) -> bool:
        """Whether the new defaults are enforced; a fact of every target."""
        return self._table.generation

    def _look(self) -> None:
        """Read the files again if they changed; what cannot be read leaves the last good policies in force."""
        if not self._looking.acquire(blocking=False):
            return  # another thread looks
        try:
            self._next_look = self._clock() + _LOOK_EVERY_S
            seen = _fingerprint(self._options)
            if seen == self._seen:
                return
            self._seen = seen
            self._table = _read(self._options)
            log.info("policies read again", files=[path for path, *_rest in seen])
        except PolicyRefused as refusal:
            log.error("policies not read again", error=refusal.sentence, hint="those from before hold")  # noqa: TRY400
        finally:
            self._looking.release()

    def _warn_of_missing_file(self) -> None:
        options = self._options
        location = options.get_location("policy_file", "oslo_policy")
        if (
            location is not None
            and location.location.is_user_controlled
            and not options.find_file(options.oslo_policy.policy_file)
        ):
            log.warning("policy file not found", file=options.oslo_policy.policy_file, hint="the defaults are in force")


def _read(options: cfg.ConfigOpts) -> _Table:
    enforcer = open_enforcer(options)
    generation = bool(options.oslo_policy.enforce_new_defaults)
    constants = {GENERATION: str(generation)}
    rules = {
        name: (compile_rule(enforcer, name, constants), frozenset(rule.scope_types) if rule.scope_types else None)
        for name, rule in enforcer.registered_rules.items()
    }
    return _Table(rules, generation)


def _fingerprint(options: cfg.ConfigOpts) -> _Seen:
    paths: list[Path] = []
    file = options.find_file(options.oslo_policy.policy_file)
    if file:
        paths.append(Path(file))
    for name in options.oslo_policy.policy_dirs:
        directory = options.find_file(name)
        if directory and Path(directory).is_dir():
            paths += sorted(path for path in Path(directory).iterdir() if not path.name.startswith("."))
    return tuple(state for path in paths if (state := _state(path)) is not None)


def _state(path: Path) -> tuple[str, int, int, int] | None:
    try:
        found = path.stat()
    except OSError:  # it went away since it was listed: that is a change, too
        return None
    return str(path), found.st_mtime_ns, found.st_size, found.st_ino
