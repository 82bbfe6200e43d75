"""A project's secrets, added, deleted and listed by several processes that note what they do, or do not."""

from contextlib import nullcontext

import sqlalchemy as sa

from bascule_keymanager.clock import utc_now
from bascule_keymanager.storage.new_secrets import NewSecret
from bascule_keymanager.storage.secret_counts import SecretCounts
from bascule_keymanager.storage.secret_lists import SecretFilter
from bascule_keymanager.storage.secrets import SecretStore

LIVING = sa.text(
    "SELECT count(*) FROM secrets JOIN projects ON projects.id = secrets.project_id"
    " WHERE projects.external_id = :external AND NOT secrets.deleted"
    " AND (secrets.expiration IS NULL OR secrets.expiration > :now)"
)


ORDERED = sa.text(LIVING.text.replace("count(*)", "secrets.id") + " ORDER BY secrets.created_at, secrets.id")


class Epoch:
    """The pin's epoch as the processes see it; None while somebody may write who notes nothing."""

    def __init__(self):
        self.number = 1

    def __call__(self):
        return nullcontext(self.number)


class Counting:
    """One process that lists; `clock` is its monotonic one."""

    def __init__(self, parts, epoch):
        self.now_s = 0.0
        self.database, self.projects = parts.database, parts.projects
        counts = SecretCounts(epoch, monotonic=lambda: self.now_s)
        self.secrets = SecretStore(parts.database, parts.stores, parts.holdings.quotas, counts)

    def add(self, project="p1", *, expiration=None):
        new = NewSecret(creator_id="u1", expiration=expiration)
        return self.secrets.add(self.projects.get_or_create(project), new)

    def total(self, project="p1"):
        return self.secrets.page(project, SecretFilter(), limit=1, offset=0)[1]

    def ids(self, offset, limit, project="p1"):
        """What a page shows."""
        return [each.id for each in self.secrets.page(project, SecretFilter(), limit=limit, offset=offset)[0]]

    def ordered(self, project="p1"):
        """What the database has, in the order of a list."""
        parameters = {"external": project, "now": utc_now()}
        return self.database.read(lambda connection: list(connection.execute(ORDERED, parameters).scalars()))

    def counted(self, project="p1"):
        """What the database counts."""
        parameters = {"external": project, "now": utc_now()}
        return self.database.read(lambda connection: connection.execute(LIVING, parameters).scalar_one())
