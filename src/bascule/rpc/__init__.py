"""Calls between processes of different releases: interfaces, clients, servers and a transport without a broker."""

from bascule.rpc.client import Client
from bascule.rpc.embedded import EmbeddedTransport
from bascule.rpc.fallback import Fallback
from bascule.rpc.inbox import Inbox
from bascule.rpc.interface import Interface, arg, manifest, method
from bascule.rpc.message import Call, MalformedMessage, Message, MethodTooNew, UnknownMethod, UnsupportedVersion
from bascule.rpc.outbox import Outbox
from bascule.rpc.receiver import Receiver
from bascule.rpc.relay import Relay
from bascule.rpc.reply import CallFailed, CallTimedOut, ReleaseNeeded, ReplyUnreadable
from bascule.rpc.server import Server, current_message

__all__ = [
    "Call",
    "CallFailed",
    "CallTimedOut",
    "Client",
    "EmbeddedTransport",
    "Fallback",
    "Inbox",
    "Interface",
    "MalformedMessage",
    "Message",
    "MethodTooNew",
    "Outbox",
    "Receiver",
    "Relay",
    "ReleaseNeeded",
    "ReplyUnreadable",
    "Server",
    "UnknownMethod",
    "UnsupportedVersion",
    "arg",
    "current_message",
    "manifest",
    "method",
]
