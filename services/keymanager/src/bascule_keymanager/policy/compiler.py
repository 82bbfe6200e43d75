"""Policies as closures: the tree that oslo.policy parsed, without what it does again at every check.

Answers are oslo.policy's own, rule for rule. What this module does not know, such as `http:` checks and those that an
operator registered, is called as oslo.policy would call it.
"""

import ast
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from oslo_policy import _checks, policy

__all__ = ["Decide", "EndlessRule", "compile_rule"]

# Values may be anything that policies compare: text, None, flags, lists.
Decide = Callable[[Mapping[str, Any], Mapping[str, Any], frozenset[str]], bool]
"""(what the request is about, who asks, their roles in lower case) -> allowed"""

_ONE_KEY = re.compile(r"%\(([^()%]+)\)s")


class EndlessRule(Exception):
    """The answer depends on itself: the operator's rules refer to each other in a circle."""


def compile_rule(enforcer: policy.Enforcer, name: str, constants: Mapping[str, str]) -> Decide:
    """Return the rule as one function; `constants` are those facts of every target that never change.

    The function raises EndlessRule where oslo.policy would run out of stack.
    """
    built = _Compiler(enforcer, name, constants).build(enforcer.rules[name], frozenset([name]))
    return _constant(built) if isinstance(built, bool) else built


def _endless(_target: Mapping[str, Any], _creds: Mapping[str, Any], _roles: frozenset[str]) -> bool:
    raise EndlessRule


def _constant(answer: bool) -> Decide:
    return lambda _target, _creds, _roles: answer


class _Compiler:
    """Builds the function of one rule; a bool stands for an answer that is known already."""

    def __init__(self, enforcer: policy.Enforcer, rule: str, constants: Mapping[str, str]) -> None:
        self._enforcer, self._rule, self._constants = enforcer, rule, constants
        self._is_foreign = False  # whether a check was met that only oslo.policy knows

    def build(self, check: _checks.BaseCheck, above: frozenset[str]) -> Decide | bool:
        """Return what this check answers; `above` are the rules that lead here."""
        kind = type(check)  # exactly: a subclass may answer differently
        if kind is _checks.TrueCheck:
            return True
        if kind is _checks.FalseCheck:
            return False
        if isinstance(check, _checks.AndCheck) and kind is _checks.AndCheck:
            return self._chain([self.build(part, above) for part in check.rules], stop=False)
        if isinstance(check, _checks.OrCheck) and kind is _checks.OrCheck:
            return self._chain([self.build(part, above) for part in check.rules], stop=True)
        if isinstance(check, _checks.NotCheck) and kind is _checks.NotCheck:
            return _negated(self.build(check.rule, above))
        if isinstance(check, _checks.RuleCheck) and kind is _checks.RuleCheck:
            return self._referred(check.match, above)
        if isinstance(check, _checks.RoleCheck) and kind is _checks.RoleCheck:
            return self._role(check.match)
        if isinstance(check, _checks.GenericCheck) and kind is _checks.GenericCheck:
            return self._compared(check)
        return self._foreign(check)

    def _chain(self, parts: list[Decide | bool], *, stop: bool) -> Decide | bool:
        """Ask the parts in their order until one answers `stop`."""
        asked: list[Decide] = []
        for part in parts:
            if isinstance(part, bool):
                if part is stop:
                    if not asked:
                        return stop
                    asked.append(_constant(stop))
                    break
            else:
                asked.append(part)
        if not asked:
            return not stop
        return _any_of(asked) if stop else _all_of(asked)

    def _referred(self, name: str, above: frozenset[str]) -> Decide | bool:
        if name in above:
            return _endless
        try:
            check = self._enforcer.rules[name]
        except KeyError:  # neither it nor a default rule
            return False
        outside, self._is_foreign = self._is_foreign, False
        built = self.build(check, above | {name})
        if self._is_foreign:
            built = _denied_when_missing(built)
        self._is_foreign = self._is_foreign or outside
        return built

    def _role(self, match: str) -> Decide | bool:
        if "%" not in match:
            role = match.lower()
            return lambda _target, _creds, roles: role in roles

        def has_named_role(target: Mapping[str, Any], _creds: Mapping[str, Any], roles: frozenset[str]) -> bool:
            try:
                return (match % target).lower() in roles
            except KeyError:
                return False

        return has_named_role

    def _compared(self, check: _checks.GenericCheck) -> Decide | bool:
        try:
            literal = str(ast.literal_eval(check.kind))
        except ValueError:
            return self._credential(check.kind.split("."), check.match)
        except Exception:  # noqa: BLE001 - oslo.policy fails at every request; let it
            return self._foreign(check)
        return self._literal(literal, check.match)

    def _literal(self, literal: str, match: str) -> Decide | bool:
        known = self._known(match)
        if known is not None:
            return literal == known
        one_key = _ONE_KEY.fullmatch(match)
        if one_key is None:
            return lambda target, _creds, _roles: _filled(match, target) == literal
        key = one_key[1]

        def is_literal(target: Mapping[str, Any], _creds: Mapping[str, Any], _roles: frozenset[str]) -> bool:
            try:
                return str(target[key]) == literal
            except KeyError:
                return False

        return is_literal

    def _credential(self, path: list[str], match: str) -> Decide:
        known = self._known(match)
        if known is not None:
            return lambda _target, creds, _roles: _holds(creds, path, known)
        one_key = _ONE_KEY.fullmatch(match)
        if one_key is None or len(path) > 1:

            def fits(target: Mapping[str, Any], creds: Mapping[str, Any], _roles: frozenset[str]) -> bool:
                wanted = _filled(match, target)
                return wanted is not None and _holds(creds, path, wanted)

            return fits
        key, name = one_key[1], path[0]

        def equal(target: Mapping[str, Any], creds: Mapping[str, Any], _roles: frozenset[str]) -> bool:
            try:
                wanted, value = target[key], creds[name]
            except KeyError:
                return False
            if type(wanted) is str and type(value) is str:
                return wanted == value
            return _holds(creds, path, str(wanted))

        return equal

    def _known(self, match: str) -> str | None:
        """Return the right side of a comparison if it is the same for every target."""
        if "%" not in match:
            return match
        one_key = _ONE_KEY.fullmatch(match)
        return self._constants.get(one_key[1]) if one_key else None

    def _foreign(self, check: _checks.BaseCheck) -> Decide:
        self._is_foreign = True
        enforcer, rule = self._enforcer, self._rule
        if len(inspect.getfullargspec(check.__call__).args) > 4:  # as oslo.policy tells old checks from new ones
            return lambda target, creds, _roles: bool(check(target, dict(creds), enforcer, rule))
        return lambda target, creds, _roles: bool(check(target, dict(creds), enforcer))


def _all_of(parts: list[Decide]) -> Decide:
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        first, second = parts
        return lambda target, creds, roles: first(target, creds, roles) and second(target, creds, roles)

    def every(target: Mapping[str, Any], creds: Mapping[str, Any], roles: frozenset[str]) -> bool:
        for part in parts:  # noqa: SIM110 - a generator would cost more than the checks
            if not part(target, creds, roles):
                return False
        return True

    return every


def _any_of(parts: list[Decide]) -> Decide:
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        first, second = parts
        return lambda target, creds, roles: first(target, creds, roles) or second(target, creds, roles)

    def some(target: Mapping[str, Any], creds: Mapping[str, Any], roles: frozenset[str]) -> bool:
        for part in parts:  # noqa: SIM110 - as above
            if part(target, creds, roles):
                return True
        return False

    return some


def _negated(part: Decide | bool) -> Decide | bool:
    if isinstance(part, bool):
        return not part
    return lambda target, creds, roles: not part(target, creds, roles)


def _denied_when_missing(part: Decide | bool) -> Decide | bool:
    """Take a KeyError below a reference for a missing rule, as oslo.policy does, whoever raised it."""
    if isinstance(part, bool):
        return part

    def referred(target: Mapping[str, Any], creds: Mapping[str, Any], roles: frozenset[str]) -> bool:
        try:
            return part(target, creds, roles)
        except KeyError:
            return False

    return referred


def _filled(match: str, target: Mapping[str, Any]) -> str | None:
    try:
        return match % target
    except KeyError:
        return None


def _holds(value: Any, path: list[str], wanted: str) -> bool:
    """Whether something at the end of `path` reads as `wanted`; lists on the way are searched."""
    if not path:
        return str(value) == wanted
    try:
        found = value[path[0]]
    except KeyError:
        return False
    if isinstance(found, list):
        return any(_holds(item, path[1:], wanted) for item in found)
    return _holds(found, path[1:], wanted)
