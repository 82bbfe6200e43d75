"""What the key manager's processes hand to each other."""

from bascule.objects import Object, field

__all__ = ["OBJECTS", "Order"]


class Order(Object, name="Order", namespace="keymanager"):
    """An order, as a worker is told of it. The row is what is worked on; this only says which, and what to expect.

    `accepted_at`, in seconds since the epoch, lets the worker tell how long the order waited.
    """

    id: str
    project_id: str
    type: str
    algorithm: str
    bit_length: int
    mode: str | None
    accepted_at: float | None = field(since="2027.1", default=None)


OBJECTS: tuple[type[Object], ...] = (Order,)
