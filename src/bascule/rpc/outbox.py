"""Casts that are not lost: a row in the caller's own transaction, which stands until the effect has happened.

The row is both what is sent and what says that it was not done yet: whoever does the work deletes it in the
transaction of the effect. So no broker has to be trusted with anything but waking a worker, and nothing has to be
remembered for duplicates that come late.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from bascule.rpc.message import Message
from bascule.rpc.server import current_message
from bascule.rpc.tables import LONG_TEXT, create_missing, insert_new, read_committed

__all__ = ["OUTBOX", "Outbox"]

OUTBOX = sa.Table(
    "bascule_outbox",
    sa.MetaData(),
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("topic", sa.String(64), nullable=False),
    sa.Column("version", sa.String(16), nullable=False),
    sa.Column("method", sa.String(128), nullable=False),
    sa.Column("body", LONG_TEXT, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("due_at", sa.Double, nullable=False, index=True),  # when it is to be sent, again if need be
    sa.Column("attempts", sa.Integer, nullable=False),
)

_MOST_DOUBLINGS = 7


class Outbox:
    """The casts of a service that are not done yet, in the service's own database.

    Give it to a Client as its transport: `client.cast(..., connection=connection)` then is part of the caller's
    transaction. A Relay sends what is in it; the handler does its work in `once`. A row comes to stand in the table
    at the pin of the cast: after a roll back, what was cast since the lift waits for a newer process.
    """

    def __init__(self, engine: sa.Engine, *, clock: Callable[[], float] = time.time) -> None:
        self.engine, self.clock = engine, clock
        self._own = read_committed(engine)

    def create_tables(self) -> None:
        """Create the table where it is missing; several processes may do it at once."""
        create_missing(self._own, OUTBOX)

    def send(self, topic: str, message: Message, *, connection: sa.Connection | None = None) -> None:
        """Keep the message until its effect has happened; in the transaction of `connection` when that is given.

        A message whose id is waiting already is not kept twice, so casts with the same `dedup` are one.
        """
        if message.call is not None:
            raise AssertionError("a call has a caller that waits, and is not kept for later")
        now = self.clock()
        row = {
            "id": message.id,
            "topic": topic,
            "version": message.version,
            "method": message.method,
            "body": json.dumps(message.body, separators=(",", ":")),
            "created_at": now,
            "due_at": now,
            "attempts": 0,
        }
        if connection is None:
            with self._own.begin() as own:
                insert_new(own, OUTBOX, row)
        else:
            insert_new(connection, OUTBOX, row)

    @contextmanager
    def once(self, message: Message | None = None) -> Iterator[sa.Connection | None]:
        """Run the block in a transaction that ends the message, or with None when that has happened before.

        Whatever the block writes with the connection happens exactly once, however often the message comes and
        whoever is killed when. `message` is the one whose handler runs. Two that have the same message take turns; a
        block that raises leaves the message to be done. What is written elsewhere may happen again.
        """
        ended = sa.delete(OUTBOX).where(OUTBOX.c.id == (message or current_message()).id)
        with self.engine.begin() as connection:
            # First of all: it takes the row's lock, and on SQLite the database's, before anything was read.
            was_there = connection.execute(ended).rowcount == 1
            yield connection if was_there else None

    def take_due(self, most: int, *, retry_s: float) -> list[Message]:
        """Return messages to send now, oldest first, and put off their next time; each goes to one relay.

        The next time is `retry_s` away, twice that after the second, and so on up to 128 times.
        """
        now = self.clock()
        wanted = sa.select(OUTBOX).where(OUTBOX.c.due_at <= now).order_by(OUTBOX.c.created_at, OUTBOX.c.id).limit(most)
        with self._own.begin() as connection:
            if connection.execute(wanted.with_only_columns(OUTBOX.c.id).limit(1)).first() is None:
                return []
        with self._own.begin() as connection:
            if connection.dialect.name == "sqlite":
                # Takes the database's lock before anything is read: SQLite cannot turn a reader into a writer.
                connection.execute(sa.update(OUTBOX).where(sa.false()).values(attempts=OUTBOX.c.attempts))
            # What a worker is about to end is locked, and left out: it would keep us waiting as long as the work.
            rows = connection.execute(wanted.with_for_update(skip_locked=True)).all()
            for row in rows:
                due_at = now + retry_s * 2 ** min(row.attempts, _MOST_DOUBLINGS)
                put_off = sa.update(OUTBOX).where(OUTBOX.c.id == row.id)
                connection.execute(put_off.values(due_at=due_at, attempts=row.attempts + 1))
        return [Message(row.id, row.topic, row.method, row.version, _body(row.body)) for row in rows]

    def put_off(self, messages: list[Message], seconds: float) -> None:
        """Have the messages sent again after so many seconds: they could not be."""
        later = sa.update(OUTBOX).where(OUTBOX.c.id.in_([each.id for each in messages]))
        with self._own.begin() as connection:
            connection.execute(later.values(due_at=self.clock() + seconds))

    def forget(self, message: Message) -> None:
        """Delete the message, because somebody else answers for it now."""
        with self._own.begin() as connection:
            connection.execute(sa.delete(OUTBOX).where(OUTBOX.c.id == message.id))

    def waiting(self) -> int:
        """Return how many casts have had no effect yet."""
        with self._own.begin() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(OUTBOX)).scalar_one())

    def oldest_s(self) -> float:
        """Return for how many seconds the oldest cast has waited; 0 when none waits."""
        with self._own.begin() as connection:
            oldest = connection.execute(sa.select(sa.func.min(OUTBOX.c.created_at))).scalar_one()
        return 0.0 if oldest is None else max(0.0, self.clock() - oldest)


def _body(text: str) -> dict[str, Any]:  # Any: plain JSON values
    body: dict[str, Any] = json.loads(text)
    return body
