"""Everything beside secrets' payloads, orders and projects: one store for each kind of thing, on one database."""

from dataclasses import dataclass

from bascule_keymanager.storage.acls import AclStore, container_acl_store, secret_acl_store
from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.owners import Owners
from bascule_keymanager.storage.user_metadata import UserMetadata

__all__ = ["Holdings"]


@dataclass(frozen=True, slots=True)
class Holdings:
    """The stores that need nothing but the database."""

    owners: Owners
    user_metadata: UserMetadata
    secret_acls: AclStore
    container_acls: AclStore

    @classmethod
    def on(cls, database: Database) -> "Holdings":
        """Return the stores on this database."""
        return cls(
            owners=Owners(database),
            user_metadata=UserMetadata(database),
            secret_acls=secret_acl_store(database),
            container_acls=container_acl_store(database),
        )
