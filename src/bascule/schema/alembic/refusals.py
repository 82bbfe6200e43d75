"""Why the changes that stand in Alembic's revisions cannot be used."""

from pathlib import Path

from bascule.errors import SchemaError
from bascule.schema.lint import Finding

__all__ = ["BadRevision", "ScriptsUnreadable", "StillUndecided", "UnsafeBesideChanges"]


class ScriptsUnreadable(SchemaError):
    """Alembic cannot read its own directory of revisions."""

    def __init__(self, where: object, why: Exception) -> None:
        self.where, self.why = where, why
        super().__init__(f"Alembic cannot read the revisions of {where}: {why}")


class BadRevision(SchemaError):
    """A revision's `release` and `changes` are not what they must be; nothing was changed."""

    def __init__(self, path: Path, why: str, *, next_command: str | None = None) -> None:
        self.path, self.why = path, why
        super().__init__(f"revision {path.name}: {why}", next_command=next_command)


class UnsafeBesideChanges(BadRevision):
    """A revision declares changes of a table, and its upgrade() does to that table what users would notice."""

    def __init__(self, path: Path, tables: str, finding: Finding, *, database: str, instead: str) -> None:
        self.finding = finding
        super().__init__(
            path,
            f"it declares changes of {tables}, but its upgrade() does `{finding.statement}` ({finding.code}), which "
            f"{finding.happens}; {instead}",
            next_command=f"lint {path} --database {database}",
        )


class StillUndecided(SchemaError):
    """Something that only the author can know was left open."""

    def __init__(self, what: str, where: str = "a change") -> None:
        self.what, self.where = what, where
        super().__init__(f"{where} is still undecided: {what}")
