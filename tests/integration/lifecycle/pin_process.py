"""A process of a fleet that only joins, and says by which pin it speaks; run by the test beside it."""

import os
import signal
import threading
import time

import sqlalchemy as sa

from bascule.errors import LifecycleError
from bascule.lifecycle import OutOfTouch, Registry
from bascule.release import Release

TTL_S, BEAT_S = 1.5, 0.1


def registry(url, number):
    engine = sa.create_engine(url, connect_args={"timeout": 30})
    return Registry(
        engine,
        service="small",
        release=Release((number,)),
        supported_from=Release((max(0, number - 1),)),
        ttl_s=TTL_S,
        beat_s=BEAT_S,
    )


def run(url, number, name, log_path):
    """Join, then write `TIME WORD` about every 10 ms; the word is a release, or `-` for silence."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        member = registry(url, number).join(name, "small", on_outside=lambda _: os._exit(3))
    except LifecycleError:
        os._exit(4)
    with member, open(log_path, "a", buffering=1) as log:  # noqa: PTH123 - one line at a time
        while not stop.wait(0.01):
            at = time.monotonic()
            try:
                word = member.pin
            except OutOfTouch:
                word = "-"
            log.write(f"{at} {word}\n")
