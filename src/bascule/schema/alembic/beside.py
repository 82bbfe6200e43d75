"""What a revision's upgrade() may do to a table of which it declares changes: nothing that users would notice."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

from bascule.schema.alembic.refusals import UnsafeBesideChanges
from bascule.schema.catalog import names_any
from bascule.schema.changes import Change
from bascule.schema.lint import Database, Finding
from bascule.schema.lint.revisions import lint_revision

__all__ = ["require_safe_beside"]

_UNREADABLE = "asks-the-database"

# The change to declare instead of an operation that the linter refuses; where there is none, its own words must do.
_INSTEAD: Mapping[str, str] = {
    "add-primary-key": "AddTable(...) with the key, and a data migration",
    "batch-rebuild": "Retype, Rename, SetNotNull, AddCheck, AddForeignKey or DropColumn",
    "change-type": "Retype(...)",
    "check-at-once": "AddCheck(...)",
    "drop-column": "DropColumn(...)",
    "drop-constraint": "DropCheck, DropUnique or DropForeignKey",
    "drop-index-blocks": "DropIndex(...)",
    "drop-table": "DropTable(...)",
    "foreign-key-checked-at-once": "AddForeignKey(...)",
    "index-blocks-writers": "AddIndex(...)",
    "inline-constraint": "AddColumn(...) and AddUnique, AddCheck or AddForeignKey",
    "not-null-without-default": "AddColumn(...) with `default` or `fill`",
    "rename-column": "Rename(...)",
    "set-not-null": "SetNotNull(...)",
    "unique-builds-index": "AddUnique(...)",
    "unsupported-alter": "Retype, SetNotNull, AddUnique, AddCheck or AddForeignKey",
    "volatile-default": "AddColumn(...) with `fill`",
}


def require_safe_beside(module: ModuleType, path: Path, changes: Sequence[Change], database: Database) -> None:
    """Raise UnsafeBesideChanges when upgrade() does to a table of these changes what the linter refuses."""
    upgrade = getattr(module, "upgrade", None)
    if upgrade is None:
        return
    tables = sorted({change.table for change in changes})
    for finding in lint_revision(upgrade, database, phase="expand"):  # it runs while the old release serves
        if finding.severity == "refuse" and (finding.code == _UNREADABLE or names_any(tables, finding.statement)):
            raise UnsafeBesideChanges(path, ", ".join(tables), finding, database=database, instead=_instead(finding))


def _instead(finding: Finding) -> str:
    if finding.code == _UNREADABLE:
        return "put it into a revision of its own, which declares no changes"
    change = _INSTEAD.get(finding.code)
    return f"declare {change} in `changes` instead" if change else f"instead: {finding.safe}"
