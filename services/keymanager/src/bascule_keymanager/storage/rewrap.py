"""Wrap the projects' keys by another master key; payloads stay as they are."""

from collections.abc import Callable, Iterator, Sequence

import sqlalchemy as sa

from bascule_keymanager.clock import utc_now
from bascule_keymanager.crypto.plugin import ProjectKey
from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.tables import kek_data

__all__ = ["Rewrapper"]


class Rewrapper:
    """Wraps keys one by one, each in a transaction of its own: safe to stop and to run again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def run(
        self, plugin_names: Sequence[str], rewrap: Callable[[ProjectKey], str | None], *, dry_run: bool
    ) -> Iterator[str]:
        """Rewrap the keys of these plugins, inactive ones too, and give the label of each that was not so already.

        Raises UnreadableKek for the first key that no configured master key opens: the ones before it stay rewrapped.
        """
        bound = sa.select(kek_data.c.id, kek_data.c.plugin_name, kek_data.c.kek_label, kek_data.c.plugin_meta).where(
            kek_data.c.plugin_name.in_(plugin_names),
            kek_data.c.bind_completed == sa.true(),
            kek_data.c.deleted == sa.false(),
        )
        rows = self._database.read(lambda connection: connection.execute(bound.order_by(kek_data.c.id)).all())
        for row in rows:
            wrapped = rewrap(ProjectKey(*row))
            if wrapped is None:
                continue
            if not dry_run:
                new = kek_data.update().where(kek_data.c.id == row.id)
                new = new.values(plugin_meta=wrapped, updated_at=utc_now())
                self._database.write(lambda connection: connection.execute(new))  # noqa: B023 - called at once
            yield row.kek_label or row.id
