"""What an env.py hands to Alembic, so that autogenerate proposes changes, and leaves those alone that are on their way.

context.configure(connection=..., target_metadata=..., **online_changes(release="2027.1"))
"""

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import MigrateOperation, MigrationScript, ModifyTableOps, OpContainer, UpgradeOps
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from bascule.errors import SchemaError
from bascule.release import Release
from bascule.schema.alembic.expected import Expected, is_ours
from bascule.schema.alembic.propose import Choice, Maker, Proposal, propose
from bascule.schema.alembic.revisions import read_revisions
from bascule.schema.alembic.text import changes_text, imports_text

__all__ = ["ProposeChanges", "include_name", "online_changes"]

Hook = Callable[[MigrationContext, Any, list[MigrationScript]], None]  # Any: a revision as Alembic names it
ParentNames = MutableMapping[Any, str | None]  # Any: Alembic's own literals
IncludeName = Callable[[str | None, Any, ParentNames], bool]  # Any: as above


def online_changes(
    *,
    release: Release | str,
    propose: bool = True,
    include_name: IncludeName | None = None,
    process_revision_directives: Hook | None = None,
) -> dict[str, Any]:
    """Return the arguments for `context.configure`; hooks of your own go on working when they are given here.

    `release` is the one that new revisions are for. With `propose=False` autogenerate writes operations as ever, but
    still leaves alone what declared changes explain.
    """
    theirs, mine = include_name, _include_name
    hook = ProposeChanges(release, propose=propose, then=process_revision_directives)
    both: IncludeName = mine if theirs is None else lambda *named: mine(*named) and theirs(*named)
    return {"include_name": both, "process_revision_directives": hook}


def include_name(name: str | None, kind: str, parents: Mapping[Any, str | None]) -> bool:
    """Say no to the tables and indexes that are bascule's own; for `context.configure(include_name=...)`."""
    del parents
    return not is_ours(kind, name)


_include_name: IncludeName = include_name


class ProposeChanges:
    """A `process_revision_directives` that turns operations into changes; see `online_changes`."""

    def __init__(self, release: Release | str, *, propose: bool = True, then: Hook | None = None) -> None:
        self.release = Release.parse(release) if isinstance(release, str) else release
        self.propose, self.then = propose, then
        _teach_rendering()

    def __call__(self, context: MigrationContext, revision: Any, scripts: list[MigrationScript]) -> None:
        """Rewrite the operations of the revisions that Alembic is about to write. Any: as Alembic names a revision."""
        for script in scripts:
            if len(script.upgrade_ops_list) > 1:
                raise SchemaError("changes cannot be proposed for several databases at once; leave this hook out")
            for operations in script.upgrade_ops_list:
                if operations.ops:
                    self._rewrite(context, script, operations)
        if self.then is not None:
            self.then(context, revision, scripts)

    def _rewrite(self, context: MigrationContext, script: MigrationScript, upgrade: UpgradeOps) -> None:
        declared = [change for one in read_revisions(_scripts(context)) for change in one.changes]
        expected = Expected(declared)
        all_of_them = _transform(upgrade, lambda operation: operation)
        left = _transform(upgrade, lambda operation: expected.reduce(operation, all_of_them))
        if self.propose:
            maker = Maker(context.dialect, _columns_of(context), {change.id for change in declared})
            found, kept = propose(left, maker)
            _transform(upgrade, lambda operation: operation if any(operation is one for one in kept) else None)
            if found:
                upgrade.ops.append(_DeclareChanges(str(self.release), found))
        for downgrade in script.downgrade_ops_list:
            downgrade.ops = []
            upgrade.reverse_into(downgrade)


class _DeclareChanges(MigrateOperation):
    """Stands among the operations of upgrade(), so that Alembic knows of something to do; writes nothing there."""

    def __init__(self, release: str, found: list[Proposal | Choice]) -> None:
        self.release, self.found = release, found

    def reverse(self) -> MigrateOperation:
        """Return itself: the way back of changes is `db-manage rollback`."""
        return self

    def to_diff_tuple(self) -> tuple[object, ...]:
        """Return what `alembic check` shows."""
        proposals = [one for one in self.found if isinstance(one, Proposal)]
        return ("declare", *(f"{one.kind} {one.arguments['id']}" for one in proposals))


class _Last(str):
    """Text that comes last when Alembic sorts the imports of a revision: it uses them."""

    __slots__ = ()

    def __lt__(self, _other: str) -> bool:
        return False

    def __gt__(self, _other: str) -> bool:
        return True


def _render(context: AutogenContext, operation: _DeclareChanges) -> list[str]:
    """Put the changes behind the revision's imports: the one place of the module that any template leaves open."""
    text = changes_text(operation.found, operation.release, context)
    context.imports.update(imports_text(operation.found))
    context.imports.add(_Last(text))
    return []


def _teach_rendering() -> None:
    try:
        renderers.dispatch(_DeclareChanges)
    except ValueError:  # nobody has told Alembic yet
        renderers.dispatch_for(_DeclareChanges)(_render)


def _transform(
    container: OpContainer, change: Callable[[MigrateOperation], MigrateOperation | None]
) -> list[MigrateOperation]:
    """Change the operations of a tree in place, and return those that are left, without their containers."""
    kept: list[MigrateOperation] = []
    flat: list[MigrateOperation] = []
    for operation in container.ops:
        if isinstance(operation, OpContainer):
            flat += _transform(operation, change)
            if operation.ops or not isinstance(operation, ModifyTableOps):
                kept.append(operation)
        elif (changed := change(operation)) is not None:
            kept.append(changed)
            flat.append(changed)
    container.ops = kept
    return flat


def _scripts(context: MigrationContext) -> ScriptDirectory:
    environment = context.environment_context
    if environment is None:
        raise SchemaError("changes can be proposed only from an env.py, which knows where the revisions are")
    return environment.script


def _columns_of(context: MigrationContext) -> dict[str, list[str]]:
    given = context.opts.get("target_metadata")
    metadata: Iterable[sa.MetaData] = given if isinstance(given, list | tuple) else [given] if given is not None else []
    return {table.name: [column.name for column in table.columns] for one in metadata for table in one.tables.values()}
