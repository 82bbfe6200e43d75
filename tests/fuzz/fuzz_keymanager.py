"""Takes parts of a key manager away while it is under load, one after the other; see `make fuzz-keymanager`.

Two API processes behind HAProxy and two workers, on a database and RabbitMQ, with Keystone as a process of its own.
After each fault everything that was acknowledged is read back, byte for byte, orders are counted, and the logs are
searched for payloads and keys. Ends with 1 when anything was lost or done twice, or when requests failed that must not.
"""

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from support.faulty_keymanager import SERVERS, FaultyKeyManager
from support.keymanager_faults import FAULTS
from support.keymanager_measured import measure

from bascule.testing.servers import clean_stale


def main():
    parser = argparse.ArgumentParser(prog="make fuzz-keymanager", description=__doc__)
    parser.add_argument("--only", action="append", choices=sorted(FAULTS), help="this fault; may be given again")
    parser.add_argument("--seconds", type=float, default=10.0, help="of load after each fault, at least")
    parser.add_argument("--rate", type=float, default=8.0, help="requests per second; polls and probes come on top")
    parser.add_argument("--rounds", type=int, default=1, help="of all the faults")
    parser.add_argument("--database", choices=sorted(SERVERS), default="mariadb")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--work", type=Path, help="keep logs and histories in this new directory")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    clean_stale()
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        work.mkdir(exist_ok=True)
        for folder in (Path(temporary), work):
            folder.chmod(0o755)  # servers run as accounts of their own
        found = list(_all(work, arguments))
    _print_table(found)
    if arguments.json:
        arguments.json.write_text(
            json.dumps([_plain(asdict(each)) for each in found], indent=2) + "\n", encoding="utf-8"
        )
    return 1 if any(each.wrong for each in found) else 0


def _all(work, arguments):
    faults = [FAULTS[name] for name in arguments.only or FAULTS] * arguments.rounds
    # Faults that need the same world share it.
    worlds = dict.fromkeys((fault.hsm, fault.disk_mb) for fault in faults)
    for number, (hsm, disk_mb) in enumerate(worlds):
        folder = work / f"world-{number}"
        folder.mkdir()
        chance = random.Random(arguments.seed + number)
        with FaultyKeyManager(folder, arguments.database, hsm=hsm, disk_mb=disk_mb, tell=_say) as world:
            for turn, fault in enumerate(each for each in faults if (each.hsm, each.disk_mb) == (hsm, disk_mb)):
                options = {"rate": arguments.rate, "seconds": arguments.seconds}
                found = measure(world, fault, chance, folder / f"{turn}-{fault.name}", **options)
                _say(f"{fault.name}: {found.requests} requests, {found.failures} failed {_counts(found)}")
                for what, count in found.told.items():
                    _say(f"  {count} x {what}")
                for what, count in Counter(found.wrong).items():
                    _say(f"  WRONG: {count} x {what}")
                yield found


def _counts(found):
    return "; ".join(
        f"{phase}: {', '.join(f'{count} x {said}' for said, count in counts.items())}"
        for phase, counts in found.failed.items()
    )


def _print_table(found):
    phases = ("during", "recovering", "after")
    names = ("away s", "requests", "failed", *phases, "answers s", "last s", "slowest", "secrets", "orders", "done")
    print(f"\n{'fault':16}" + "".join(f"{name:>11}" for name in (*names, "wrong")))
    for each in found:
        by_phase = [sum(each.failed.get(phase, {}).values()) for phase in phases]
        first = "-" if each.first_success_s is None else each.first_success_s
        figures = (each.away_s, each.requests, each.failures, *by_phase, first, each.last_failure_s)
        figures += (each.slowest_failed_s, each.secrets, each.orders, each.orders_done, len(each.wrong))
        print(f"{each.fault:16}" + "".join(f"{figure:>11}" for figure in figures))
    if any(each.busy for each in found):
        names = ", ".join(each.fault for each in found if each.busy)
        print(f"the machine was busy with other things during {names}: what timed out there is not judged")
    bad = any(each.wrong for each in found)
    print("FAILED: see above" if bad else "nothing lost, nothing done twice, nothing told that must not be")


def _say(line):
    print(line, file=sys.stderr, flush=True)


def _plain(value):
    """Return the same with text for keys: what failed is counted by status and words."""
    if isinstance(value, dict):
        return {key if isinstance(key, str) else " ".join(map(str, key)): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


if __name__ == "__main__":
    sys.exit(main())
