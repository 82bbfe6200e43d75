"""Calls through a table: beside the message, a row where its reply is put and its caller looks."""

import json
import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from bascule.release import Release
from bascule.rpc.embedded_tables import CALL, MESSAGE
from bascule.rpc.message import Call, Message
from bascule.rpc.reply import CallTimedOut

__all__ = ["call_of", "drop_expired", "insert_call", "put_reply", "take_reply", "wait_for_reply"]

_FIRST_PAUSE_S = 0.002
_LONGEST_PAUSE_S = 0.05


def insert_call(connection: sa.Connection, message: Message, call: Call) -> None:
    """Say beside the message that somebody waits for its reply."""
    connection.execute(
        sa.insert(CALL).values(id=message.id, release=str(call.release), deadline=call.deadline, reply=None)
    )


def call_of(release: str | None, deadline: float | None) -> Call | None:
    """Return what a row of both tables says of the call; a message without one is a cast."""
    return None if release is None or deadline is None else Call(Release.parse(release), deadline)


def put_reply(engine: sa.Engine, message: Message, document: dict[str, Any]) -> None:  # Any: plain JSON values
    """Leave the reply for the caller, if it still waits, and end the message with it."""
    reply = json.dumps(document, separators=(",", ":"))
    with engine.begin() as connection:
        connection.execute(sa.update(CALL).where(CALL.c.id == message.id).values(reply=reply))
        connection.execute(sa.delete(MESSAGE).where(MESSAGE.c.id == message.id))


def take_reply(engine: sa.Engine, message: Message) -> Any:  # Any: a reply's document, or None
    """Return the reply and remove it, or return None when there is none yet."""
    with engine.begin() as connection:
        text = connection.execute(sa.select(CALL.c.reply).where(CALL.c.id == message.id)).scalar_one_or_none()
    if text is None:
        return None
    with engine.begin() as connection:
        connection.execute(sa.delete(CALL).where(CALL.c.id == message.id))
    return json.loads(text)


def wait_for_reply(engine: sa.Engine, message: Message, timeout_s: float) -> Any:  # Any: a reply's document
    """Look for the reply, ever less often, until it is there.

    Raises CallTimedOut; message and place of the reply are gone then, whoever may still work on it.
    """
    end, pause = time.monotonic() + timeout_s, _FIRST_PAUSE_S
    while (document := take_reply(engine, message)) is None:
        left = end - time.monotonic()
        if left <= 0:
            _give_up(engine, message)
            raise CallTimedOut(message, timeout_s)
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_PAUSE_S)
    return document


def drop_expired(engine: sa.Engine, clock: Callable[[], float], *, after_s: float) -> None:
    """Remove calls whose callers are gone: their deadlines passed more than `after_s` ago."""
    expired = sa.select(CALL.c.id).where(CALL.c.deadline < clock() - after_s)
    with engine.begin() as connection:
        ids = connection.execute(expired).scalars().all()
    for each in ids:
        with engine.begin() as connection:
            connection.execute(sa.delete(MESSAGE).where(MESSAGE.c.id == each))
            connection.execute(sa.delete(CALL).where(CALL.c.id == each))


def _give_up(engine: sa.Engine, message: Message) -> None:
    with engine.begin() as connection:
        connection.execute(sa.delete(MESSAGE).where(MESSAGE.c.id == message.id))
        connection.execute(sa.delete(CALL).where(CALL.c.id == message.id))
