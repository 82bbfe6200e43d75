"""Who this code is: the service, its release, and the oldest release that it can share a fleet with."""

import os
import socket

from bascule.release import Release
from bascule_keymanager import __version__

__all__ = ["DRAIN_S", "RELEASE", "SERVICE", "SUPPORTED_FROM", "UPGRADES_FROM", "instance_name"]

SERVICE = "keymanager"
RELEASE = Release.parse(__version__)

# Barbican knows no pin, and 2026.2 has a part of the API: whatever is the first of ours to start has all of it at once.
SUPPORTED_FROM = Release.parse("2026.2.1")
# Releases of Barbican are older than every one of ours, number by number: these have the tables that we work on.
UPGRADES_FROM = tuple(map(Release.parse, ("22.0.0", "23.0.0")))

# The longest that a process may take between SIGTERM and its end.
DRAIN_S = 60.0


def instance_name() -> str:
    """Return this process's name within the fleet; outside a fleet, the host's name."""
    return os.environ.get("BASCULE_INSTANCE") or socket.gethostname()
