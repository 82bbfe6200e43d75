"""User metadata of secrets. Its rows are deleted for good; only a deleted secret's rows stay, marked as deleted."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.rows import fresh, insert_unless_there, lock_living
from bascule_keymanager.storage.tables import secret_user_metadata, secrets

__all__ = ["UserMetadata"]

_of_secret = secret_user_metadata.c.secret_id == sa.bindparam("secret")
_all = (
    sa.select(secret_user_metadata.c.key, secret_user_metadata.c.value)
    .where(_of_secret, secret_user_metadata.c.deleted == sa.false())
    .order_by(secret_user_metadata.c.key)
)


class UserMetadata:
    """Keys and values beside secrets. Writers of one secret's metadata wait for each other."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all_of(self, secret_id: str) -> dict[str, str]:
        """Return every key of a secret with its value, by key."""
        rows = self._database.read(lambda connection: connection.execute(_all, {"secret": secret_id}).all())
        return {row.key: row.value for row in rows}

    def replace(self, secret_id: str, metadata: dict[str, str]) -> None:
        """Put these pairs in the place of all that were there. Raises Gone."""

        def work(connection: Connection) -> None:
            lock_living(connection, secrets, secret_id)
            connection.execute(secret_user_metadata.delete().where(secret_user_metadata.c.secret_id == secret_id))
            if metadata:
                rows = [fresh(key=key, value=value, secret_id=secret_id) for key, value in metadata.items()]
                connection.execute(secret_user_metadata.insert(), rows)

        self._database.write(work)

    def add(self, secret_id: str, key: str, value: str) -> bool:
        """Add one pair; return False, and change nothing, when the key is there. Raises Gone."""

        def work(connection: Connection) -> bool:
            lock_living(connection, secrets, secret_id)
            row = fresh(key=key, value=value, secret_id=secret_id)
            dialect = connection.dialect.name
            connection.execute(insert_unless_there(dialect, secret_user_metadata, row, ("secret_id", "key")))
            ours = sa.select(secret_user_metadata.c.id).where(secret_user_metadata.c.id == row["id"])
            return connection.execute(ours).first() is not None

        return self._database.write(work)

    def change(self, secret_id: str, key: str, value: str) -> bool:
        """Give a key another value, as a new row; return False when there is no such key. Raises Gone."""

        def work(connection: Connection) -> bool:
            lock_living(connection, secrets, secret_id)
            if connection.execute(_pair(secret_id, key)).rowcount == 0:
                return False
            connection.execute(secret_user_metadata.insert().values(fresh(key=key, value=value, secret_id=secret_id)))
            return True

        return self._database.write(work)

    def remove(self, secret_id: str, key: str) -> None:
        """Delete a key, if it is there."""
        self._database.write(lambda connection: connection.execute(_pair(secret_id, key)))


def _pair(secret_id: str, key: str) -> sa.Delete:
    of_secret = secret_user_metadata.delete().where(secret_user_metadata.c.secret_id == secret_id)
    return of_secret.where(secret_user_metadata.c.key == key)
