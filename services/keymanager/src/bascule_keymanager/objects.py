"""What the key manager's processes hand to each other."""

from bascule.objects import Object, field

__all__ = ["OBJECTS", "Order", "Rotation"]


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


class Rotation(Object, name="Rotation", namespace="keymanager", since="2028.1"):
    """A key that is to be made anew. Its row is what is worked on; `due_at` is in seconds since the epoch."""

    secret_id: str
    due_at: float


OBJECTS: tuple[type[Object], ...] = (Order, Rotation)
