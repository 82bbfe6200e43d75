"""Everything beside secrets' payloads, orders and projects: one store for each kind of thing, on one database."""

from dataclasses import dataclass

from bascule_keymanager.storage.acls import AclStore, container_acl_store, secret_acl_store
from bascule_keymanager.storage.consumers import ConsumerStore, container_consumer_store, secret_consumer_store
from bascule_keymanager.storage.containers import ContainerStore
from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.owners import Owners
from bascule_keymanager.storage.quotas import Quotas, QuotaStore
from bascule_keymanager.storage.secret_stores import ChoosableStores
from bascule_keymanager.storage.transport_keys import TransportKeys
from bascule_keymanager.storage.user_metadata import UserMetadata

__all__ = ["Holdings"]


@dataclass(frozen=True, slots=True)
class Holdings:
    """The stores that need nothing but the database."""

    owners: Owners
    user_metadata: UserMetadata
    secret_acls: AclStore
    container_acls: AclStore
    quotas: QuotaStore
    secret_consumers: ConsumerStore
    container_consumers: ConsumerStore
    containers: ContainerStore
    secret_stores: ChoosableStores
    transport_keys: TransportKeys

    @classmethod
    def on(cls, database: Database, configured: Quotas) -> "Holdings":
        """Return the stores on this database, with these quotas for projects that have none of their own."""
        quotas = QuotaStore(database, configured)
        return cls(
            owners=Owners(database),
            user_metadata=UserMetadata(database),
            secret_acls=secret_acl_store(database),
            container_acls=container_acl_store(database),
            quotas=quotas,
            secret_consumers=secret_consumer_store(database, quotas),
            container_consumers=container_consumer_store(database, quotas),
            containers=ContainerStore(database, quotas),
            secret_stores=ChoosableStores(database),
            transport_keys=TransportKeys(database),
        )
