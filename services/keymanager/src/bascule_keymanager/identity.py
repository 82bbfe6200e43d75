"""Who this code is: the service, its release, and the oldest release that it can share a fleet with."""

import os
import socket

from bascule.release import Release
from bascule_keymanager import __version__

__all__ = ["DRAIN_S", "RELEASE", "SERVICE", "SUPPORTED_FROM", "UPGRADES_FROM", "instance_name"]

SERVICE = "keymanager"
RELEASE = Release.parse(__version__)

# The first release; a pin can never be lower than this.
SUPPORTED_FROM = Release.parse("2026.2")
UPGRADES_FROM = tuple(map(Release.parse, ("2026.2", "2026.2.1", "2027.1", "2027.2", "2028.1")))

# The longest that a process may take between SIGTERM and its end.
DRAIN_S = 60.0


def instance_name() -> str:
    """Return this process's name within the fleet; outside a fleet, the host's name."""
    return os.environ.get("BASCULE_INSTANCE") or socket.gethostname()
