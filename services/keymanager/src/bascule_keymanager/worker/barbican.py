"""Barbican's own call to its workers, answered by ours while both share one database and one broker."""

from bascule.rpc import Interface, method
from bascule_keymanager.config_messaging import BarbicanQueue
from bascule_keymanager.log import get_log
from bascule_keymanager.worker.processor import OrderProcessor

__all__ = ["BarbicanApi", "BarbicanHandlers", "barbican_handlers"]

log = get_log()


class BarbicanApi(Interface, topic="barbican.workers.barbican.queue"):
    """What Barbican's API processes cast, to the queue that the defaults of [queue] make."""

    @method(since="2026.2", version="1.1")
    def process_type_order(self, *, order_id: str, project_id: str, request_id: str | None) -> None:
        """Do this order now; `project_id` is the identity service's."""
        raise NotImplementedError


class BarbicanHandlers(BarbicanApi):
    """Answers the call: the order is done by whoever is first, once."""

    def __init__(self, processor: OrderProcessor) -> None:
        self._processor = processor

    def process_type_order(self, *, order_id: str, project_id: str, request_id: str | None) -> None:  # noqa: ARG002
        """Do this order if it still waits."""
        outcome = self._processor.process_id(order_id)
        log.info("order taken from Barbican", order=order_id, request=request_id, outcome=outcome)


def barbican_handlers(processor: OrderProcessor, queue: BarbicanQueue) -> BarbicanHandlers:
    """Return the handlers for this queue."""

    class Handlers(BarbicanHandlers, topic=f"{queue.topic}.{queue.server}"):
        """The same, on the topic that is configured."""

    return Handlers(processor)
