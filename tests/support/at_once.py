"""Doing the same in several threads that start together."""

import threading

__all__ = ["at_once"]


def at_once(count, work):
    """Run `work(number)` in threads that start together, and return what they returned or raised."""
    start, results = threading.Barrier(count), [None] * count

    def run(number):
        start.wait()
        try:
            results[number] = work(number)
        except Exception as failure:  # noqa: BLE001 - the test looks at it
            results[number] = failure

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
