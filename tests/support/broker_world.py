"""Transports over one private RabbitMQ, and a look into its queues."""

import threading

import kombu

from bascule.release import Release
from bascule.rpc.rabbitmq import RabbitTransport

NEW = Release.parse("2027.1")


class BrokerWorld:
    """Transports of one test; queues are emptied before it, since all tests of a run share the broker."""

    def __init__(self, url):
        self.url, self.made = url, []
        self.amqp = url.replace("rabbit://", "amqp://")
        self.on_all_queues("queue_purge")

    def transport(self, release=NEW, **options):
        made = RabbitTransport(self.url, release=release, **{"hold_s": 0.3, **options})
        self.made.append(made)
        return made

    def waiting(self):
        return [count for _, count in self.on_all_queues("count")]

    def on_all_queues(self, what):
        found = []
        with kombu.Connection(self.amqp) as connection:
            for name in ("boxes", "boxes.held", "worker", "worker.held", "effects", "effects.held"):
                channel = connection.channel()
                try:
                    if what == "count":
                        found.append((name, channel.queue_declare(name, passive=True).message_count))
                    else:
                        getattr(channel, what)(name)
                except connection.channel_errors:
                    continue  # no test has made it yet
        return found

    def close(self):
        threads = [threading.Thread(target=each.close) for each in self.made]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
