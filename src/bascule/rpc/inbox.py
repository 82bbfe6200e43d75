"""What a service has done of messages whose senders have another database, so that none has an effect twice."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from bascule.rpc.message import Message
from bascule.rpc.server import current_message
from bascule.rpc.tables import create_missing, insert_new, read_committed

__all__ = ["INBOX", "Inbox"]

INBOX = sa.Table(
    "bascule_inbox",
    sa.MetaData(),
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("done_at", sa.Double, nullable=False),
)


class Inbox:
    """The marks of messages that are done. Where sender and receiver share a database, `Outbox.once` needs none."""

    def __init__(self, engine: sa.Engine, *, clock: Callable[[], float] = time.time) -> None:
        self.engine, self.clock = engine, clock

    def create_tables(self) -> None:
        """Create the table where it is missing; several processes may do it at once."""
        create_missing(read_committed(self.engine), INBOX)

    @contextmanager
    def once(self, message: Message | None = None) -> Iterator[sa.Connection | None]:
        """Run the block in a transaction that marks the message done, or with None when it is marked already.

        Everything else as `Outbox.once` says.
        """
        row = {"id": (message or current_message()).id, "done_at": self.clock()}
        with self.engine.begin() as connection:
            yield connection if insert_new(connection, INBOX, row) else None

    def forget(self, *, older_than_s: float) -> int:
        """Delete marks, and return how many; give it longer than a message may wait in a relay and a broker."""
        with self.engine.begin() as connection:
            old = INBOX.c.done_at < self.clock() - older_than_s
            return connection.execute(sa.delete(INBOX).where(old)).rowcount
