"""What stands before the API processes. Implementations are in `drivers`."""

from typing import Protocol

from bascule.errors import FleetError

__all__ = ["Balancer", "BalancerError"]


class Balancer(Protocol):
    """Gives instances traffic and takes it away."""

    drains_by_itself: bool
    """True when processes share one socket: they take and leave traffic by starting and stopping."""

    def prepare(self) -> None:
        """Make sure that clients have somewhere to connect to. Safe to call again."""
        ...

    def join(self, instance: str, address: str) -> None:
        """Give the instance traffic. Safe to call again; returns when it gets some."""
        ...

    def leave(self, instance: str, address: str, *, timeout_s: float) -> None:
        """Take traffic from the instance. Safe to call again; returns when nothing is in flight."""
        ...

    def stop(self) -> None:
        """End what `prepare` started, when the whole fleet stops."""
        ...

    def is_joined(self, instance: str, address: str) -> bool:
        """Whether the instance gets traffic."""
        ...


class BalancerError(FleetError):
    """The balancer cannot be reached or does not do as told."""
