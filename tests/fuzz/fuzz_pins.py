"""Explore the pin's protocol for more processes than `make test` does, and print how many states there are.

`make fuzz-pins` runs all sizes (an hour or two); `make fuzz-pins ARGS="four"` one. Every size is exhaustive: each state
that can be reached is visited, and from each the fleet must settle.
"""

import sys
import time

from support.pin_model import Model, Violation, explore

# fmt: off
SIZES = {
    # Two processes, every part of a beat on its own: lost answers, pauses between any two parts, blocks that go on.
    "two": {"slots": 2, "releases": 2, "starts": 2, "crashes": 1, "holds": 1},
    # Two at a time of three releases, with a restart.
    "restart": {"slots": 2, "releases": 3, "starts": 3, "crashes": 1, "holds": 1, "cuts": False},
    # Three of three releases; beats are whole, or only their first word arrives, or they do not happen.
    "three": {"slots": 3, "releases": 3, "starts": 3, "crashes": 1, "holds": 1, "cuts": False, "speaks": False},
    # Four of three releases; beats are whole or do not happen.
    "four": {
        "slots": 4, "releases": 3, "starts": 4, "crashes": 1, "holds": 0,
        "cuts": False, "speaks": False, "slow_answers": False,
    },
    # The same, and one of them may start again after its crash.
    "four, restarted": {
        "slots": 4, "releases": 3, "starts": 5, "crashes": 1, "holds": 0,
        "cuts": False, "speaks": False, "slow_answers": False,
    },
    # Four, of whose beats only the first word may arrive.
    "four, losing answers": {
        "slots": 4, "releases": 3, "starts": 4, "crashes": 1, "holds": 0, "cuts": False, "speaks": False,
    },
    # Both.
    "four, restarted, losing answers": {
        "slots": 4, "releases": 3, "starts": 5, "crashes": 1, "holds": 0, "cuts": False, "speaks": False,
    },
    # Four with an operator who holds the pin once, at any release, at any moment.
    "four, held": {
        "slots": 4, "releases": 3, "starts": 4, "crashes": 1, "holds": 1,
        "cuts": False, "speaks": False, "slow_answers": False,
    },
}
# fmt: on


def main():
    for name in sys.argv[1:] or SIZES:
        began = time.monotonic()

        def tell(states, ahead, name=name, began=began):
            print(
                f"{name}: {states} states, {ahead} ahead, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True
            )

        try:
            found = explore(Model(**SIZES[name]), report=tell, traces=False)
        except Violation as violation:
            print(f"{name}: {violation}")
            raise SystemExit(1) from None
        print(
            f"{name} {SIZES[name]}: {found.states} states, {found.steps} steps, "
            f"settled within {found.settled_within} rounds from each",
            flush=True,
        )


if __name__ == "__main__":
    main()
