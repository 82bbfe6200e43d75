"""A pair of keys as Barbican stores it: two or three secrets, and the container that names them."""

import uuid
from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import Connection

from bascule_keymanager.clock import utc_now
from bascule_keymanager.storage.new_secrets import NewSecret, insert_secret
from bascule_keymanager.storage.projects import Project
from bascule_keymanager.storage.tables import container_secret, containers
from bascule_keymanager.stores.store import KeptPair, PairIds

__all__ = ["insert_pair"]


def insert_pair(
    connection: Connection,
    project: Project,
    container_id: str,
    describe: Callable[[str], NewSecret],
    ids: PairIds,
    pair: KeptPair,
) -> None:
    """Insert all rows of a pair of keys; `describe` tells what a secret of a kind is to look like."""
    parts = [("private_key", "private", ids.private, pair.private), ("public_key", "public", ids.public, pair.public)]
    if ids.passphrase is not None and pair.passphrase is not None:
        parts.append(("private_key_passphrase", "passphrase", ids.passphrase, pair.passphrase))
    for _name, kind, secret_id, kept in parts:
        insert_secret(connection, project, secret_id, describe(kind), kept)
    new = describe("private")
    container = {
        "id": container_id,
        "name": new.display_name,
        "type": (new.algorithm or "").lower(),
        "project_id": project.id,
        "creator_id": new.creator_id,
    }
    connection.execute(containers.insert().values(**_fresh("ACTIVE"), **container))
    connection.execute(
        container_secret.insert(),
        [
            {
                **_fresh("PENDING"),
                "id": str(uuid.uuid4()),
                "name": name,
                "container_id": container_id,
                "secret_id": which,
            }
            for name, _kind, which, _kept in parts
        ],
    )


def _fresh(status: str) -> dict[str, Any]:  # Any: column values
    now = utc_now()
    return {"created_at": now, "updated_at": now, "deleted": False, "status": status}
