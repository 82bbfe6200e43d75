"""Lint what stands in files: SQL scripts, Alembic revisions, directories of them."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from bascule.errors import SchemaError
from bascule.schema.lint.findings import Database, Finding, Phase
from bascule.schema.lint.script import lint_sql

__all__ = ["AlembicMissing", "RevisionUnreadable", "lint_path"]


class AlembicMissing(SchemaError):
    """Revisions are Python that needs Alembic, which is not installed here."""

    def __init__(self) -> None:
        super().__init__(
            "Alembic is not installed here, and a revision cannot be read without it; "
            "install bascule[schema], or lint what `alembic upgrade --sql` prints"
        )


class RevisionUnreadable(SchemaError):
    """A revision's file cannot be imported."""

    def __init__(self, path: Path, why: Exception) -> None:
        self.path, self.why = path, why
        super().__init__(
            f"{path} cannot be imported ({type(why).__name__}: {why}); run the linter where the service is installed"
        )


def lint_path(path: Path, database: Database, *, phase: Phase | None = None) -> dict[Path, tuple[Finding, ...]]:
    """Return the findings per file. A directory stands for the revisions in it, at any depth; `-` for SQL on stdin.

    Revisions are imported, as Alembic does: lint only what you would run. Raises AlembicMissing, RevisionUnreadable.
    """
    if str(path) == "-":
        return {path: lint_sql(sys.stdin.read(), database, phase=phase)}
    if path.is_dir():
        return {one: _lint_revision(one, database, phase) for one in _revisions(path)}
    if path.suffix == ".py":
        return {path: _lint_revision(path, database, phase)}
    return {path: lint_sql(path.read_text(encoding="utf-8"), database, phase=phase)}


def _revisions(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "def upgrade(" in text and "\nrevision" in text:
            yield path


def _lint_revision(path: Path, database: Database, phase: Phase | None) -> tuple[Finding, ...]:
    try:
        from bascule.schema.lint.revisions import lint_revision  # noqa: PLC0415  # Alembic is asked for only here
    except ModuleNotFoundError as missing:
        raise AlembicMissing from missing
    module = _load(path)
    try:
        return lint_revision(module.upgrade, database, phase=phase)
    finally:
        del sys.modules[module.__name__]


def _load(path: Path) -> ModuleType:
    name = f"bascule_linted_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # noqa: S101  # a path with the suffix .py has one
    assert spec.loader is not None  # noqa: S101  # as above
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where its comments are looked up
    try:
        spec.loader.exec_module(module)
    except Exception as why:
        del sys.modules[name]
        raise RevisionUnreadable(path, why) from why
    return module
