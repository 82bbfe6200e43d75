"""What must be true before a running Barbican is adopted: its tables are the ones that we know, and work is shared."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bascule.checks import Check, Code, failure, success
from bascule_keymanager.migrations.base import BARBICAN_REVISION
from bascule_keymanager.service import Parts

__all__ = ["adoption_checks"]

Answer = tuple[Code, str]


def adoption_checks(parts: Parts) -> list[Check]:
    """Return the checks that only this release has."""
    return [
        Check("Barbican's tables are those that we know", lambda: parts.database.read(_tables)),
        Check("work is shared with Barbican's workers", lambda: _shared(parts)),
    ]


def _tables(connection: Connection) -> Answer:
    if not sa.inspect(connection).has_table("alembic_version"):
        return success("the database is empty")
    revisions = sorted(connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars())
    if revisions != [BARBICAN_REVISION]:
        return failure(
            f"Barbican's schema is at {', '.join(revisions) or 'no revision'} instead of {BARBICAN_REVISION}; "
            "run Barbican's own barbican-db-manage upgrade first, of a release from 16 to 23"
        )
    return success(BARBICAN_REVISION)


def _shared(parts: Parts) -> Answer:
    messaging = parts.settings.messaging
    if messaging.barbican is not None:
        return success(f"over {messaging.barbican.topic}.{messaging.barbican.server}")
    if messaging.url is None:
        return success("there is no broker, and so no worker of Barbican's")
    if not parts.has_orders():
        return success("the database is empty")
    if any(each.state in ("live", "draining") for each in parts.registry.status()[3]):
        return success("it is adopted already")
    return failure(
        "[queue] share_with_barbican is not set: orders that Barbican's workers have in hand would be done twice, "
        "and nobody would hear of those that its API accepts; set it to True until Barbican is gone"
    )
