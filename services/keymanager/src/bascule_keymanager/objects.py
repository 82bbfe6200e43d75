"""What the key manager's processes hand to each other."""

from bascule.objects import Object

__all__ = ["OBJECTS", "Order"]


class Order(Object, name="Order", namespace="keymanager"):
    """An order, as a worker is told of it. The row is what is worked on; this only says which, and what to expect."""

    id: str
    project_id: str
    type: str
    algorithm: str
    bit_length: int
    mode: str | None


OBJECTS: tuple[type[Object], ...] = (Order,)
