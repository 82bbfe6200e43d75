"""Lint SQL: a script, or what a migration tool printed."""

from bascule.schema.lint.actions import Action, actions
from bascule.schema.lint.findings import Database, Finding, Phase
from bascule.schema.lint.judge import Setting, judge
from bascule.schema.lint.sql import statements

__all__ = ["lint_sql"]


def lint_sql(
    script: str, database: Database, *, phase: Phase | None = None, in_transaction: bool = False
) -> tuple[Finding, ...]:
    """Return what is wrong with a script for that database, if it is run while the old release serves.

    Without a `phase`, all of the script must fit one. `in_transaction` says that the runner begins one before it.
    """
    found: list[Action] = [action for statement in statements(script, database) for action in actions(statement)]
    return judge(found, Setting(database, phase=phase, in_transaction=in_transaction))
