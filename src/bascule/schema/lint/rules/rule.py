"""A rule: a row of data and a small question. What it may look at is `Around`."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from bascule.schema.lint.actions import Action
from bascule.schema.lint.findings import DATABASES, Database, Phase, Severity

__all__ = ["EVERY", "MYSQL", "POSTGRESQL", "SQLITE", "Around", "Rule", "always", "columns_of", "on_old_columns"]

EVERY = DATABASES
POSTGRESQL: tuple[Database, ...] = ("postgresql",)
MYSQL: tuple[Database, ...] = ("mysql", "mariadb")  # figures are MariaDB's
SQLITE: tuple[Database, ...] = ("sqlite",)


@dataclass(slots=True)
class Around:
    """What earlier statements of the same script or revision have settled."""

    database: Database
    in_transaction: bool
    created: set[str] = field(default_factory=set)
    added: set[tuple[str, str]] = field(default_factory=set)
    not_valid: dict[str, str] = field(default_factory=dict)
    added_here: set[str] = field(default_factory=set)
    never_null: set[tuple[str, str]] = field(default_factory=set)
    ignores_foreign_keys: bool = False


Question = Callable[[Action, Around], bool]


def always(_action: Action, _around: Around) -> bool:
    """Say that the verb alone is the fault."""
    return True


@dataclass(frozen=True, slots=True)
class Rule:
    """When an action with one of these verbs is a fault, and what to say; `{table}`, `{name}`, `{to}` are filled in.

    In the phases of `fine_in` a refusal is only a warning. Tables made in the same script are exempt, unless
    `even_new`. A rule without verbs is about the script as a whole; the judge knows it by its code, and
    its findings name the phase of the statement that they show.
    """

    code: str
    databases: tuple[Database, ...]
    verbs: tuple[str, ...]
    happens: str
    safe: str
    phase: Phase = "expand"
    severity: Severity = "refuse"
    when: Question = always
    fine_in: tuple[Phase, ...] = ()
    even_new: bool = False


def columns_of(text: str) -> tuple[str, ...]:
    """Return the names in the first brackets of a clause, in small letters."""
    match = re.search(r"\(([^()]*)\)", text)
    return tuple(part.strip().split(" ")[0].strip('"').lower() for part in match[1].split(",")) if match else ()


def on_old_columns(action: Action, around: Around) -> bool:
    """Say that a constraint or index is on some column that was there before this script."""
    columns = columns_of(action.text)
    return not columns or any((action.table, column) not in around.added for column in columns)
