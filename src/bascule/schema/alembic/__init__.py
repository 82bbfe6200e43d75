"""Online schema changes for services that use Alembic: declared in revisions, proposed by autogenerate."""

from bascule.schema.alembic.environment import ProposeChanges, include_name, online_changes
from bascule.schema.alembic.refusals import BadRevision, ScriptsUnreadable, StillUndecided, UnsafeBesideChanges
from bascule.schema.alembic.revisions import Declared, collect_changes, read_revisions
from bascule.schema.alembic.service import alembic_cli, alembic_engine
from bascule.schema.alembic.tables import new_table
from bascule.schema.alembic.undecided import Undecided

__all__ = [
    "BadRevision",
    "Declared",
    "ProposeChanges",
    "ScriptsUnreadable",
    "StillUndecided",
    "Undecided",
    "UnsafeBesideChanges",
    "alembic_cli",
    "alembic_engine",
    "collect_changes",
    "include_name",
    "new_table",
    "online_changes",
    "read_revisions",
]
