"""What a worker can be asked for by the key manager's other processes."""

from bascule.rpc import Interface, arg, method
from bascule_keymanager.objects import Order, Rotation

__all__ = ["WorkerApi"]


class WorkerApi(Interface, topic="worker"):
    """Calls to workers; all of them are wake-ups that nobody waits for."""

    @method(since="2026.2")
    def process_order(self, *, order: Order, request_id: str | None = arg(since="2027.1", default=None)) -> None:
        """Do this order now, rather than at the next sweep; `request_id` is the request that it came with."""
        raise NotImplementedError

    @method(since="2028.1")
    def rotate_secret(self, *, rotation: Rotation, request_id: str | None) -> None:
        """Make this key anew now, if it is still due, rather than at the next sweep."""
        raise NotImplementedError
