"""The answering side: handles what this release knows, and refuses, counts and leaves what is newer."""

import logging
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from bascule.objects import IncompatibleObject
from bascule.rpc.interface import Interface, Method, is_declaration
from bascule.rpc.message import MalformedMessage, Message, UnsupportedVersion
from bascule.rpc.reply import error_document, result_document

__all__ = ["Server", "current_message"]

log = logging.getLogger(__name__)

_current: ContextVar[Message] = ContextVar("message")


def current_message() -> Message:
    """Return the message whose handler runs in this context; without one it is an AssertionError."""
    message = _current.get(None)
    if message is None:
        raise AssertionError("no handler runs here")
    return message


def _uncounted(_message: Message) -> None:
    """Count nothing."""


class Server:
    """Hands messages to the methods of `handlers`, an instance of a subclass of an interface.

    `on_refused` is told of each message that is newer than this release; give it `member.refuse`, so that the
    fleet's status shows that a pin was not kept.
    """

    def __init__(self, handlers: Interface, *, on_refused: Callable[[Message], object] = _uncounted) -> None:
        missing = [name for name in handlers.methods if is_declaration(getattr(type(handlers), name))]
        if missing:
            raise TypeError(f"{type(handlers).__name__} does not answer {missing}")
        self.handlers, self.on_refused = handlers, on_refused

    @property
    def topic(self) -> str:
        """The topic to receive from."""
        return self.handlers.topic

    def can_handle(self, message: Message) -> bool:
        """Whether this release can read the message with all that is in it; a transport asks before it takes one.

        A message that is too new is counted as refused. A malformed one is not too new: `handle` will say so.
        """
        try:
            self._opened(message)
        except UnsupportedVersion:
            self.on_refused(message)
            return False
        except MalformedMessage:
            return True
        return True

    def handle(self, message: Message) -> Any:  # Any: what the handler returns
        """Call the handler and return its result.

        Raises UnsupportedVersion, counted as refused, when the message is newer than this release: leave it for a
        newer process. Raises MalformedMessage when it cannot be read although its version is known.
        """
        try:
            method, arguments = self._opened(message)
        except UnsupportedVersion:
            self.on_refused(message)
            raise
        token = _current.set(message)
        try:
            return getattr(self.handlers, method.name)(**arguments)
        finally:
            _current.reset(token)

    def answer(self, message: Message) -> dict[str, Any]:  # Any: plain JSON values
        """Do what a call asks for and return its reply, which the caller's release can read; never raises.

        What fails is a reply, too: a document with the error's class, and its sentence when it was meant for others.
        """
        if message.call is None:
            raise AssertionError("nobody waits for a cast's reply")
        try:
            result = self.handle(message)
            return result_document(self.handlers.methods[message.method], result, message.call.release)
        except (UnsupportedVersion, MalformedMessage) as refusal:
            return error_document(refusal)
        except Exception as error:  # noqa: BLE001  # it belongs to the caller, who gets its class
            # Its text may quote values; frames and class are enough to find the line.
            where = "".join(traceback.format_tb(error.__traceback__))
            log.warning("call failed: %s.%s with %s\n%s", message.topic, message.method, type(error).__name__, where)
            return error_document(error)

    def _opened(self, message: Message) -> tuple[Method, dict[str, Any]]:
        method = self.handlers.methods.get(message.method)
        if method is None:
            raise UnsupportedVersion(message, "the method is unknown")
        release = method.release_of(message.version)
        if release is None:
            raise UnsupportedVersion(message, f"this release handles up to {method.version_at()}")
        expected = {each.name: each for each in method.arguments_at(release)}
        if message.body.keys() != expected.keys():
            odd = sorted(message.body.keys() ^ expected.keys())
            raise MalformedMessage(message, f"arguments {odd} are missing or not of that version")
        arguments = {each.name: each.default for each in method.arguments if not each.required}
        for name, each in expected.items():
            try:
                arguments[name] = each.kind.from_wire(message.body[name])
            except IncompatibleObject as newer:
                raise UnsupportedVersion(message, newer.sentence) from newer
            except ValueError as wrong:
                raise MalformedMessage(message, f"{name} {wrong}") from None
        return method, arguments
