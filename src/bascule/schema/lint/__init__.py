"""The linter of schema changes: what blocks users, breaks the old release, or cannot be taken back.

    findings = lint_sql("ALTER TABLE secrets DROP COLUMN name", "postgresql", phase="expand")

Alembic revisions are judged by `bascule.schema.lint.revisions`, which needs Alembic; importing this does not load it.
"""

from bascule.schema.lint.findings import DATABASES, Database, Finding, Phase, Severity
from bascule.schema.lint.rules import RULES, Rule
from bascule.schema.lint.script import lint_sql

__all__ = ["DATABASES", "RULES", "Database", "Finding", "Phase", "Rule", "Severity", "lint_sql"]
