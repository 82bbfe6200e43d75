"""Who of a service runs, what they may speak, and how a process starts, serves, drains and ends without loss."""

from bascule.lifecycle.caps import Caps, ManifestMissing, caps_at
from bascule.lifecycle.command import pin_commands
from bascule.lifecycle.environment import EnvironmentUnreadable, ProcessEnvironment, ReadyFileUnwritable
from bascule.lifecycle.gthread import LingerUnsupported
from bascule.lifecycle.inflight import in_hand, name_request
from bascule.lifecycle.member import Member
from bascule.lifecycle.notify import Notifier
from bascule.lifecycle.pin import FleetUnsettled, PinTooNew, PinTooOld
from bascule.lifecycle.registry import Registry
from bascule.lifecycle.retire import NobodyToRetire, StillAlive
from bascule.lifecycle.serving import serve_asgi, serve_wsgi
from bascule.lifecycle.speech import OutOfTouch, Speech
from bascule.lifecycle.supervision import Supervision
from bascule.lifecycle.supervisor import supervise
from bascule.lifecycle.worker import run_loop

__all__ = [
    "Caps",
    "EnvironmentUnreadable",
    "FleetUnsettled",
    "LingerUnsupported",
    "ManifestMissing",
    "Member",
    "NobodyToRetire",
    "Notifier",
    "OutOfTouch",
    "PinTooNew",
    "PinTooOld",
    "ProcessEnvironment",
    "ReadyFileUnwritable",
    "Registry",
    "Speech",
    "StillAlive",
    "Supervision",
    "caps_at",
    "in_hand",
    "name_request",
    "pin_commands",
    "run_loop",
    "serve_asgi",
    "serve_wsgi",
    "supervise",
]
