"""Changes that stand in Alembic's revisions, beside `revision` and `upgrade()`.

    revision, down_revision = "0002", "0001"
    release = "2027.1"
    changes = (Rename(id="accounts-owner", table="accounts", old="owner", new="owner_name", type=sa.String(50)),)

Alembic runs upgrade() and downgrade() and keeps its version table as ever. The phases of the changes are run by a
SchemaEngine and recorded in its own tables: neither looks at the other's books.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError

from bascule.errors import ReleaseError
from bascule.release import Release
from bascule.schema.alembic.beside import require_safe_beside
from bascule.schema.alembic.refusals import BadRevision, ScriptsUnreadable, StillUndecided
from bascule.schema.alembic.undecided import Undecided, find_undecided
from bascule.schema.changes import Change
from bascule.schema.lint import Database

__all__ = ["Declared", "Where", "collect_changes", "open_scripts", "read_revisions"]

Where = ScriptDirectory | Config | str | Path


@dataclass(frozen=True, slots=True)
class Declared:
    """What one revision declares; `release` is that of the changes that name none."""

    revision: str
    path: Path
    release: Release
    changes: tuple[Change, ...]


def collect_changes(where: Where, database: Database) -> tuple[Change, ...]:
    """Return the changes of all revisions in the order of their releases, each with its release, for a SchemaEngine.

    Within a release, those of a revision come after those of the revisions that it is built on. `where` is Alembic's
    ini file, its script location, or what Alembic made of them. Raises: BadRevision, UnsafeBesideChanges,
    StillUndecided, ScriptsUnreadable.
    """
    scripts = open_scripts(where)
    found = read_revisions(scripts)
    for declared in found:
        for change in declared.changes:
            _require_decided(declared, change)
        require_safe_beside(scripts.get_revision(declared.revision).module, declared.path, declared.changes, database)
    return tuple(change for declared in found for change in declared.changes)


def read_revisions(where: Where) -> tuple[Declared, ...]:
    """Return what each revision with changes declares, in the order of releases, then of revisions.

    Raises: BadRevision, ScriptsUnreadable. Whether upgrade() is safe beside them, only `collect_changes` looks.
    """
    scripts = open_scripts(where)
    try:
        ordered = tuple(scripts.walk_revisions())[::-1]
    except (CommandError, KeyError) as why:  # KeyError, with a warning before it: a revision's parent is missing
        raise ScriptsUnreadable(where, why) from why
    found = {script.revision: declared for script in ordered if (declared := _read(script)) is not None}
    _require_rising(scripts, ordered, found)
    _require_unique(tuple(found.values()))
    # No revision is of an earlier release than one that it is built on, so this keeps the order of revisions.
    return tuple(sorted(found.values(), key=lambda declared: declared.release))


def open_scripts(where: Where) -> ScriptDirectory:
    """Return Alembic's script directory. Raises ScriptsUnreadable."""
    if isinstance(where, ScriptDirectory):
        return where
    try:
        return ScriptDirectory.from_config(where if isinstance(where, Config) else read_config(where))
    except CommandError as why:
        raise ScriptsUnreadable(where, why) from why


def read_config(where: str | Path) -> Config:
    """Return Alembic's configuration, of an ini file or for a script location that stands alone."""
    path = Path(where)
    if path.is_file():
        return Config(str(path))
    config = Config()
    config.set_main_option("script_location", str(path).replace("%", "%%"))
    return config


def _read(script: Script) -> Declared | None:
    """Return what a revision declares. Other people's `changes` mean nothing to us, unless something says they do."""
    path, given = Path(script.path), getattr(script.module, "changes", None)
    release = getattr(script.module, "release", None)
    ours = given if isinstance(given, list | tuple) else (given,)
    if not any(isinstance(change, Change | Undecided) for change in ours):
        return None
    if not isinstance(given, list | tuple):
        raise BadRevision(path, "`changes` must be a tuple: put a comma behind its only change")
    for change in given:
        if isinstance(change, Undecided):
            raise StillUndecided(change.what, f"what revision {path.name} changes")
        if not isinstance(change, Change):
            raise BadRevision(path, f"`changes` holds {change!r}, which is none of the changes of bascule.schema")
    return Declared(script.revision, path, *_with_release(path, release, given))


def _with_release(path: Path, release: object, changes: Sequence[Change]) -> tuple[Release, tuple[Change, ...]]:
    """Return the revision's release, and its changes, each naming its own."""
    named = {str(release)} if release is not None else {change.release for change in changes}
    if release is not None:
        named |= {change.release for change in changes if change.release}
    if "" in named:
        raise BadRevision(path, 'it declares changes but not which release brings them; add release = "2027.1"')
    if len(named) > 1:
        raise BadRevision(path, f"its changes are of releases {', '.join(sorted(named))}; make a revision for each")
    try:
        of = Release.parse(named.pop())
    except ReleaseError as why:
        raise BadRevision(path, why.sentence) from why
    return of, tuple(replace(change, release=str(of)) for change in changes)


def _require_rising(scripts: ScriptDirectory, ordered: Sequence[Script], found: dict[str, Declared]) -> None:
    """Refuse a revision that is of an earlier release than one that it is built on."""
    newest: dict[str, Declared] = {}
    for script in ordered:
        below = [newest[parent] for parent in _parents(scripts, script) if parent in newest]
        latest = max(below, key=lambda declared: declared.release, default=None)
        own = found.get(script.revision)
        if own and latest and own.release < latest.release:
            raise BadRevision(
                own.path,
                f"its changes are of release {own.release}, but it is built on {latest.path.name}, whose changes are "
                f"of {latest.release}; releases must not go back",
            )
        if own or latest:
            newest[script.revision] = own or latest  # type: ignore[assignment] # one of the two is there


def _parents(scripts: ScriptDirectory, script: Script) -> Iterator[str]:
    for names in (script.down_revision, script.dependencies):
        for name in (names,) if isinstance(names, str) else names or ():
            yield from (parent.revision for parent in scripts.get_revisions(name))


def _require_unique(found: Sequence[Declared]) -> None:
    owners: dict[str, Declared] = {}
    for declared in found:
        for change in declared.changes:
            other = owners.setdefault(change.id, declared)
            if other is not declared or [one.id for one in declared.changes].count(change.id) > 1:
                raise BadRevision(declared.path, f"the id {change.id} is taken already, in {other.path.name}")


def _require_decided(declared: Declared, change: Change) -> None:
    for undecided in find_undecided(change):
        raise StillUndecided(undecided.what, f"change {change.id} of revision {declared.path.name}")
