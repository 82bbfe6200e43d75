"""Calls between processes of different releases: interfaces, clients, servers and a transport without a broker."""

from bascule.rpc.client import Client
from bascule.rpc.embedded import EmbeddedTransport
from bascule.rpc.interface import Interface, arg, manifest, method
from bascule.rpc.message import MalformedMessage, Message, MethodTooNew, UnknownMethod, UnsupportedVersion
from bascule.rpc.server import Server

__all__ = [
    "Client",
    "EmbeddedTransport",
    "Interface",
    "MalformedMessage",
    "Message",
    "MethodTooNew",
    "Server",
    "UnknownMethod",
    "UnsupportedVersion",
    "arg",
    "manifest",
    "method",
]
