"""What is ours and not Barbican's: below which path it is, and from when on every process of a fleet serves it."""

from collections.abc import Iterator
from contextlib import contextmanager

from bascule.release import Release
from bascule_keymanager.api.errors import ApiRefusal
from bascule_keymanager.stores.configured import Speaking

__all__ = ["OWN", "NotServedYet", "served_since"]

# Behind /v1, so that tokens and policies guard it, and beside everything that Barbican has or may ever have there.
OWN = "/v1/bascule"


class NotServedYet(ApiRefusal):
    """Processes of an earlier release still run that do not know of this."""

    def __init__(self, since: Release, pin: Release) -> None:
        self.since, self.pin = since, pin
        super().__init__(
            409,
            f"This is served from release {since} on, and the pin is {pin}; "
            "ask again when every process has been upgraded.",
        )


@contextmanager
def served_since(since: Release, speaking: Speaking) -> Iterator[None]:
    """Let the block run under a pin at which all processes serve it. Raises NotServedYet."""
    with speaking() as pin:
        if pin < since:
            raise NotServedYet(since, pin)
        yield
