"""The transport without a broker: a table in the service's own database, whose rows wake workers.

Delivery is at least once. The row of work that the service keeps is what must not be lost; a message only tells
that it is there, and may commit together with it.
"""

import json
import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable

from bascule.release import Release
from bascule.rpc.message import Message

__all__ = ["MESSAGE", "EmbeddedTransport"]

METADATA = sa.MetaData()

MESSAGE = sa.Table(
    "bascule_message",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("topic", sa.String(64), nullable=False),
    sa.Column("version", sa.String(16), nullable=False),
    sa.Column("method", sa.String(128), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("taken_by", sa.String(255), nullable=True),
    sa.Column("taken_at", sa.Double, nullable=True),
    sa.Column("refused_by", sa.String(255), nullable=False),  # releases, each between commas: ",2026.2,"
)

_LOOK_AT_ONCE = 20
_ATTEMPTS = 10
_PAUSE_S = 0.2


class EmbeddedTransport:
    """Sends and receives through `bascule_message` in the service's database.

    `release` is this process's own: a message that it cannot read is not offered to that release again. Without
    one, the taker's name stands in. Clocks of hosts may differ by less than the lease.
    """

    def __init__(
        self,
        engine: sa.Engine,
        *,
        release: Release | None = None,
        lease_s: float = 30.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        # READ COMMITTED on servers, so that a second taker sees the first one's mark instead of a conflict.
        self.engine = (
            engine if engine.dialect.name == "sqlite" else engine.execution_options(isolation_level="READ COMMITTED")
        )
        self.release, self.lease_s, self.clock = release, lease_s, clock

    def create_tables(self) -> None:
        """Create the table where it is missing; several processes may do it at once."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self.engine.begin() as connection:
                    if not sa.inspect(connection).has_table(MESSAGE.name):
                        connection.execute(CreateTable(MESSAGE, if_not_exists=True))
                break
            except DBAPIError:
                # Two creators at once: PostgreSQL fails the second one even with IF NOT EXISTS. Look again.
                if attempt == _ATTEMPTS:
                    raise
                time.sleep(_PAUSE_S)

    def send(self, topic: str, message: Message, *, connection: sa.Connection | None = None) -> None:
        """Store the message; inside the transaction of `connection` when that is given, else at once."""
        row = sa.insert(MESSAGE).values(
            id=message.id,
            topic=topic,
            version=message.version,
            method=message.method,
            body=json.dumps(message.body, separators=(",", ":")),
            created_at=self.clock(),
            refused_by=",",
        )
        if connection is not None:
            connection.execute(row)
            return
        with self.engine.begin() as own:
            own.execute(row)

    def receive(self, topic: str, taker: str, can_handle: Callable[[Message], bool]) -> Message | None:
        """Take the oldest message that this process can handle, or return None.

        It is this taker's until `done`, `give_back` or the end of the lease; nobody else receives it meanwhile.
        What cannot be handled is marked refused by this release and left for a newer one.
        """
        refuser = str(self.release) if self.release is not None else taker
        for message in self._candidates(topic, refuser):
            if not can_handle(message):
                self._mark_refused(message, refuser)
            elif self._take(message, taker):
                return message
        return None

    def done(self, message: Message) -> None:
        """Delete the message: its work is done, whoever may hold it by now."""
        with self.engine.begin() as connection:
            connection.execute(sa.delete(MESSAGE).where(MESSAGE.c.id == message.id))

    def give_back(self, message: Message) -> None:
        """Let somebody else take the message now instead of after the lease."""
        with self.engine.begin() as connection:
            connection.execute(
                sa.update(MESSAGE).where(MESSAGE.c.id == message.id).values(taken_by=None, taken_at=None)
            )

    def waiting(self, topic: str) -> int:
        """Return how many messages of the topic are not done, taken ones included."""
        with self.engine.begin() as connection:
            count = sa.select(sa.func.count()).select_from(MESSAGE).where(MESSAGE.c.topic == topic)
            return int(connection.execute(count).scalar_one())

    def _free(self) -> sa.ColumnElement[bool]:
        return sa.or_(MESSAGE.c.taken_by.is_(None), MESSAGE.c.taken_at <= self.clock() - self.lease_s)

    def _candidates(self, topic: str, refuser: str) -> list[Message]:
        columns = (MESSAGE.c.id, MESSAGE.c.topic, MESSAGE.c.method, MESSAGE.c.version, MESSAGE.c.body)
        wanted = (
            sa.select(*columns)
            .where(MESSAGE.c.topic == topic, self._free())
            .where(~MESSAGE.c.refused_by.contains(f",{refuser},", autoescape=True))
            .order_by(MESSAGE.c.created_at, MESSAGE.c.id)
            .limit(_LOOK_AT_ONCE)
        )
        # Reading and taking are two transactions: SQLite cannot turn a reader into a writer once others wrote.
        with self.engine.begin() as connection:
            rows = connection.execute(wanted).all()
        return [Message(row.id, row.topic, row.method, row.version, _body(row.body)) for row in rows]

    def _take(self, message: Message, taker: str) -> bool:
        take = (
            sa.update(MESSAGE)
            .where(MESSAGE.c.id == message.id, self._free())
            .values(taken_by=taker, taken_at=self.clock())
        )
        with self.engine.begin() as connection:
            return connection.execute(take).rowcount == 1

    def _mark_refused(self, message: Message, refuser: str) -> None:
        mark = (
            sa.update(MESSAGE)
            .where(MESSAGE.c.id == message.id)
            .where(~MESSAGE.c.refused_by.contains(f",{refuser},", autoescape=True))
            .values(refused_by=MESSAGE.c.refused_by + f"{refuser},")
        )
        with self.engine.begin() as connection:
            connection.execute(mark)


def _body(text: str) -> dict[str, Any]:  # Any: plain JSON values
    body: dict[str, Any] = json.loads(text)
    return body
