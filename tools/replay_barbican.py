"""Ask our key manager what real Barbican was asked, and print how many answers are alike.

Without arguments: the figures of every area, where `meant` differ as their list says. With areas: also what differs in
them and is not meant. `--take-off` removes the pairs that match from the list of those that do not yet.
"""

import argparse
import contextlib
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from support.barbican_corpus import Outcome, load
from support.barbican_lists import load_intended, load_not_yet, unintended, write_not_yet
from support.keymanager_replay import CORPUS, replay_areas


def main() -> None:
    """Replay, print, and take off."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("areas", nargs="*", help="replay only these areas, and show their differences")
    arguments.add_argument("--take-off", action="store_true", help="take what matches off the list")
    chosen = arguments.parse_args()
    areas = [area for area in load(CORPUS) if not chosen.areas or area.name in chosen.areas]
    with tempfile.TemporaryDirectory() as folder, _quiet():
        outcomes = list(replay_areas(areas, Path(folder)))
    intended, listed = load_intended(), load_not_yet()
    differing = {outcome.pair.id: outcome for outcome in outcomes if unintended(outcome, intended)}
    if chosen.areas:
        print("\n".join(map(str, differing.values())))
    _print_figures(outcomes, differing.keys(), listed)
    if chosen.take_off:
        matching = {outcome.pair.id for outcome in outcomes} - differing.keys()
        write_not_yet(listed - matching)
        print(f"{len(listed & matching)} pairs taken off the list, {len(listed - matching)} are left")


def _print_figures(outcomes: list[Outcome], differing: Collection[str], listed: set[str]) -> None:
    total = Counter(outcome.pair.area for outcome in outcomes)
    alike = Counter(outcome.pair.area for outcome in outcomes if outcome.matches)
    differ = Counter(outcome.pair.area for outcome in outcomes if outcome.pair.id in differing)
    print(f"{'':30} alike  meant  differ")
    for area in (*total, None):
        counts = [sum(count.values()) if area is None else count[area] for count in (total, alike, differ)]
        print(f"{area or 'together':30} {counts[1]:5}  {counts[0] - counts[1] - counts[2]:5}  {counts[2]:6}")
    for pair in sorted(set(differing) - listed):
        print(f"differs, and is not on the list: {pair}")


@contextlib.contextmanager
def _quiet():  # noqa: ANN202 - a generator
    # The key manager logs to the standard output, which belongs to the figures.
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
        yield


if __name__ == "__main__":
    sys.exit(main())
