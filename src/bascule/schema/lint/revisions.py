"""Lint Alembic revisions and operation trees, without a database.

The revision's `upgrade()` runs against an offline context: each operation is compiled for the database, and kept with
what its author said of the column as it was (`existing_type`), which SQL alone does not tell.
"""

import inspect
import io
import sys
import tokenize
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import alembic.op
import sqlalchemy as sa
from alembic.operations import BatchOperations, Operations
from alembic.operations.batch import BatchOperationsImpl
from alembic.operations.ops import (
    AddColumnOp,
    AlterColumnOp,
    CreateIndexOp,
    DropIndexOp,
    MigrateOperation,
    OpContainer,
)
from alembic.runtime.migration import MigrationContext

from bascule.schema.lint.actions import Action, Was, actions
from bascule.schema.lint.declarations import declared_in
from bascule.schema.lint.findings import Database, Finding, Phase
from bascule.schema.lint.judge import Setting, judge
from bascule.schema.lint.sql import Statement, statements

__all__ = ["lint_operations", "lint_revision"]

Upgrade = Callable[[], object]

# A service reaches MariaDB through mysql+pymysql as a rule, and its revisions ask for `mysql`.
_DIALECTS: Mapping[Database, str] = {"mariadb": "mysql"}


def lint_revision(upgrade: Upgrade, database: Database, *, phase: Phase | None = None) -> tuple[Finding, ...]:
    """Return the findings of a revision's `upgrade`; comments in its file may allow codes (# bascule: allow ...).

    Without a `phase`, all of the revision must fit one: adding and removing in one step is refused.
    """
    recorder = _Recorder(database)
    with recorder.listening():
        try:
            upgrade()
        except Exception as error:  # noqa: BLE001  # the revision is someone else's code, and meets no real database
            recorder.give_up(error, _line_of(error, upgrade))
    return _judge(recorder, phase, declared_in(_comments_of(upgrade)).allowed)


def lint_operations(
    operations: MigrateOperation | Iterable[MigrateOperation], database: Database, *, phase: Phase | None = None
) -> tuple[Finding, ...]:
    """Return the findings of operations as data, for example of `UpgradeOps` that autogenerate made."""
    recorder = _Recorder(database)
    for operation in _flat(operations):
        recorder.invoke(operation)
    return _judge(recorder, phase, {})


def _judge(recorder: "_Recorder", phase: Phase | None, allowed: Mapping[str, str]) -> tuple[Finding, ...]:
    database = recorder.database
    found = [action for heard in recorder.heard for action in _read(heard, database)]
    is_transactional = database in {"postgresql", "sqlite"}
    setting = Setting(database, phase, in_transaction=is_transactional, waits_briefly=True, allowed=allowed)
    return judge(found, setting)


@dataclass(frozen=True, slots=True)
class _Heard:
    """What one operation wrote: SQL, or the verb of what has no SQL; `dialect` is the database whose SQL it is."""

    sql: str
    dialect: Database
    verb: str = ""
    was: Was | None = None


def _read(heard: _Heard, database: Database) -> Iterator[Action]:
    if heard.verb:
        yield Action(heard.verb, Statement(heard.sql, heard.sql), heard.sql, table=heard.sql.rpartition(" ")[2])
        return
    for statement in statements(heard.sql, heard.dialect):
        for action in actions(statement):
            yield replace(action, was=heard.was, in_rebuild=heard.dialect != database)


class _Recorder(Operations):
    """Alembic's operations, offline: what they would run is kept in `heard`."""

    def __init__(self, database: Database) -> None:
        self.database, self.heard = database, list[_Heard]()
        self._was: Was | None = None
        options = {"as_sql": True, "output_buffer": self, "literal_binds": True}
        super().__init__(MigrationContext.configure(dialect_name=_DIALECTS.get(database, database), opts=options))

    def write(self, text: str) -> None:
        """Take what the offline context prints."""
        self.heard.append(_Heard(text, self.database, was=self._was))

    def flush(self) -> None:
        """Do nothing: what is written is kept."""

    def give_up(self, error: Exception, line: int) -> None:
        """Note that the revision goes on in a way that cannot be followed."""
        self.heard.append(_Heard(f"line {line}: {type(error).__name__}", self.database, verb="unreadable"))

    def invoke(self, operation: MigrateOperation) -> Any:  # Any: as Alembic declares it
        """Compile an operation, and keep what it knows of the column as it was."""
        self._was = _was(operation, self.migration_context.dialect)
        try:
            return super().invoke(operation)
        except NotImplementedError:
            self.heard.append(_Heard(_title(operation), self.database, verb="unsupported"))
            return None
        finally:
            self._was = None

    def get_bind(self) -> Any:  # Any: stands for a connection, and answers with nothing
        """Return a connection that runs nothing and keeps what it is given."""
        return sa.create_mock_engine(f"{_DIALECTS.get(self.database, self.database)}://", self._execute)

    def _execute(self, clause: Any, *_: object, **__: object) -> tuple[()]:  # Any: DDL or any executable
        self.write(str(clause.compile(dialect=self.migration_context.dialect)))
        return ()

    @contextmanager
    def batch_alter_table(self, table_name: str, schema: str | None = None, **how: Any) -> Iterator[BatchOperations]:  # type: ignore[override]  # Any, ignore: options of the copy are passed through
        """Collect a batch; on SQLite, what is more than columns and indexes copies the table."""
        batch = _Batch(self, table_name, schema)
        yield batch
        simple = all(isinstance(one, AddColumnOp | CreateIndexOp | DropIndexOp) for one in batch.heard)
        if self.database != "sqlite" or (simple and how.get("recreate") != "always"):
            for operation in batch.heard:
                self.invoke(operation)
            return
        self.heard.append(_Heard(f"batch_alter_table {table_name}", self.database, verb="rebuild table"))
        twin = _Recorder("postgresql")
        for operation in batch.heard:
            twin.invoke(operation)
        self.heard += twin.heard

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Stand in for `alembic.op` while a revision runs."""
        with Operations.context(self.migration_context):
            alembic.op._proxy = self  # type: ignore[attr-defined]  # noqa: SLF001  # it takes its own class only
            yield


class _Batch(BatchOperations):
    """The operations of one `batch_alter_table`, collected."""

    def __init__(self, recorder: _Recorder, table: str, schema: str | None) -> None:
        self.heard: list[MigrateOperation] = []
        nothing: Any = {}  # Any: Alembic's own options of a copy, none of which matter here
        impl = BatchOperationsImpl(  # type: ignore[no-untyped-call]  # Alembic leaves it untyped
            recorder, table, schema, "never", None, (), nothing, (), nothing, nothing, partial_reordering=None
        )
        super().__init__(recorder.migration_context, impl=impl)

    def invoke(self, operation: MigrateOperation) -> Any:  # Any: as Alembic declares it
        self.heard.append(operation)


def _was(operation: MigrateOperation, dialect: sa.Dialect) -> Was | None:
    """Return what an operation says of the column before it."""
    if not isinstance(operation, AlterColumnOp):
        return None
    known = operation.existing_type
    compiled = None if known is None else sa.types.to_instance(known).compile(dialect=dialect)
    text = None if compiled is None else statements(compiled, "mysql")[0].text
    return Was(
        text,
        operation.existing_nullable,
        keeps_type=operation.modify_type is None,
        keeps_nullable=operation.modify_nullable is None,
    )


def _flat(operations: MigrateOperation | Iterable[MigrateOperation]) -> Iterator[MigrateOperation]:
    if isinstance(operations, OpContainer):
        operations = operations.ops
    for operation in (operations,) if isinstance(operations, MigrateOperation) else operations:
        if isinstance(operation, OpContainer):
            yield from _flat(operation)
        else:
            yield operation


def _line_of(error: Exception, upgrade: Upgrade) -> int:
    """Return the line of the revision's file in which it failed."""
    home = inspect.getsourcefile(upgrade)
    lines = [frame.lineno or 0 for frame in traceback.extract_tb(error.__traceback__) if frame.filename == home]
    return lines[-1] if lines else 0


def _title(operation: MigrateOperation) -> str:
    table = getattr(operation, "table_name", None) or getattr(operation, "source_table", None)
    return f"{type(operation).__name__.removesuffix('Op')} on {table or 'a table'}"


def _comments_of(upgrade: Upgrade) -> str:
    """Return the comments of the file in which the function stands."""
    module = sys.modules.get(upgrade.__module__)
    try:
        source = inspect.getsource(module or upgrade)
    except (OSError, TypeError):
        return ""  # made at run time: there is no file to declare anything in
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return "\n".join(token.string for token in tokens if token.type == tokenize.COMMENT)
