"""The transport without a broker: a table in the service's own database, whose rows wake workers.

Delivery is at least once. The row of work that the service keeps is what must not be lost; a message only tells
that it is there, and may commit together with it.
"""

import json
import random
import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from bascule.release import Release
from bascule.rpc.embedded_calls import call_of, drop_expired, insert_call, put_reply, wait_for_reply
from bascule.rpc.embedded_tables import CALL, MESSAGE
from bascule.rpc.message import Message
from bascule.rpc.tables import create_missing, insert_new, read_committed

__all__ = ["MESSAGE", "EmbeddedTransport"]

_LOOK_AT_ONCE = 20
_LOOK_EVERY_S = 0.05
_KEEP_LATE_REPLIES_S = 600.0  # for callers whose clocks are wrong by less


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
        self.engine = read_committed(engine)
        self.release, self.lease_s, self.clock = release, lease_s, clock
        self._tidied_at = time.monotonic()

    def create_tables(self) -> None:
        """Create the tables where they are missing; several processes may do it at once."""
        create_missing(self.engine, MESSAGE, CALL)

    def send(self, topic: str, message: Message, *, connection: sa.Connection | None = None) -> None:
        """Store the message; inside the transaction of `connection` when that is given, else at once.

        A message that is there already is not stored again.
        """
        if connection is None:
            with self.engine.begin() as own:
                self._store(own, topic, message)
        else:
            self._store(connection, topic, message)

    def call(self, topic: str, message: Message, timeout_s: float) -> Any:  # Any: a reply's document
        """Store the message and wait for its reply. Raises CallTimedOut; the message is gone then."""
        self.send(topic, message)
        return wait_for_reply(self.engine, message, timeout_s)

    def receive(self, topic: str, taker: str, can_handle: Callable[[Message], bool]) -> Message | None:
        """Take the oldest message that this process can handle, or return None.

        It is this taker's until `done`, `reply`, `give_back` or the end of the lease; nobody else receives it
        meanwhile. A cast that cannot be handled is marked refused by this release and left for a newer one. A call
        is taken anyhow, since its caller waits for an error at least; one past its deadline is dropped.
        """
        refuser = str(self.release) if self.release is not None else taker
        self._tidy()
        candidates = self._candidates(topic, refuser)
        while candidates:
            message = candidates.pop(0)
            if message.call is not None and message.call.deadline <= self.clock():
                self.done(message)
            elif message.call is None and not can_handle(message):
                self._mark_refused(message, refuser)
            elif self._take(message, taker):
                return message
            else:
                # Others are at it: whoever lost the race for the oldest must not race for the next one, too.
                random.shuffle(candidates)
        return None

    def done(self, message: Message) -> None:
        """Delete the message: its work is done, whoever may hold it by now."""
        with self.engine.begin() as connection:
            connection.execute(sa.delete(MESSAGE).where(MESSAGE.c.id == message.id))

    def reply(self, message: Message, document: dict[str, Any]) -> None:  # Any: plain JSON values
        """Give the caller its reply, and delete the message: its work is done. Nobody may wait any more."""
        put_reply(self.engine, message, document)

    def retry_later(self, message: Message) -> None:
        """Leave the message alone until its lease ends: it failed, and may fail again."""

    def wait(self, timeout_s: float) -> None:
        """Sleep a little: a table tells nobody that a row came in."""
        time.sleep(min(timeout_s, _LOOK_EVERY_S))

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

    def _store(self, connection: sa.Connection, topic: str, message: Message) -> None:
        row = {
            "id": message.id,
            "topic": topic,
            "version": message.version,
            "method": message.method,
            "body": json.dumps(message.body, separators=(",", ":")),
            "created_at": self.clock(),
            "refused_by": ",",
        }
        insert_new(connection, MESSAGE, row)
        if message.call is not None:
            insert_call(connection, message, message.call)

    def _free(self) -> sa.ColumnElement[bool]:
        return sa.or_(MESSAGE.c.taken_by.is_(None), MESSAGE.c.taken_at <= self.clock() - self.lease_s)

    def _candidates(self, topic: str, refuser: str) -> list[Message]:
        columns = (MESSAGE.c.id, MESSAGE.c.topic, MESSAGE.c.method, MESSAGE.c.version, MESSAGE.c.body)
        wanted = (
            sa.select(*columns, CALL.c.release, CALL.c.deadline)
            .join_from(MESSAGE, CALL, CALL.c.id == MESSAGE.c.id, isouter=True)
            .where(MESSAGE.c.topic == topic, self._free())
            .where(~MESSAGE.c.refused_by.contains(f",{refuser},", autoescape=True))
            .order_by(MESSAGE.c.created_at, MESSAGE.c.id)
            .limit(_LOOK_AT_ONCE)
        )
        # Reading and taking are two transactions: SQLite cannot turn a reader into a writer once others wrote.
        with self.engine.begin() as connection:
            rows = connection.execute(wanted).all()
        return [
            Message(row.id, row.topic, row.method, row.version, _body(row.body), call_of(row.release, row.deadline))
            for row in rows
        ]

    def _tidy(self) -> None:
        """Remove, now and then, the replies that nobody came for."""
        if time.monotonic() - self._tidied_at > self.lease_s:
            self._tidied_at = time.monotonic()
            drop_expired(self.engine, self.clock, after_s=_KEEP_LATE_REPLIES_S)

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
