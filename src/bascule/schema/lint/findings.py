"""What the linter says: findings, how grave they are, and where a change belongs."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["DATABASES", "Database", "Finding", "Phase", "Severity"]

Database = Literal["postgresql", "mysql", "mariadb", "sqlite"]
Phase = Literal["expand", "migrate", "contract"]
Severity = Literal["refuse", "warn"]

DATABASES: tuple[Database, ...] = ("postgresql", "mysql", "mariadb", "sqlite")


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of one statement: what happens if it runs, and the form that is safe.

    `databases` are those on which it holds; `phase` is where the change belongs. `statement` shows no values.
    `allowed` is the author's reason where the code was allowed: the finding is then a warning.
    """

    code: str
    databases: tuple[Database, ...]
    statement: str
    happens: str
    safe: str
    severity: Severity
    phase: Phase
    allowed: str = ""
