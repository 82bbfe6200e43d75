"""Plays thousands of random histories of writers and engines, and judges each; see `make fuzz-schema`.

Prints progress at least every ten seconds. On failure it prints the smallest failing history, a command that plays it
again, and ends with 1. What is checked: `support/schema_fuzz_world.py`; with which faults the judge itself is tested:
`support/schema_fuzz_faults.py`.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path

from support.schema_fuzz_faults import FAULTS
from support.schema_fuzz_history import decode
from support.schema_fuzz_search import search
from support.schema_fuzz_world import World, Wrong

from bascule.testing.servers import MariaDB, PostgreSQL

_SERVERS = {"postgresql": PostgreSQL, "mariadb": MariaDB}
_MEMORY = "/dev/shm"
_TELL_EVERY_S = 5.0
_FAULT_WITHIN = 400  # histories in which a planted fault must be found


def main():
    arguments = _arguments()
    if arguments.child:
        return _play_share(arguments)
    failed = False
    if Path(_MEMORY).is_dir() and shutil.disk_usage(_MEMORY).free > 2**30:
        tempfile.tempdir = _MEMORY  # nothing here is worth a disk's time
    for database in ("sqlite", "postgresql", "mariadb") if arguments.database == "all" else (arguments.database,):
        with _urls(database, arguments.jobs) as urls:
            if arguments.replay:
                failed |= _replay(database, urls[0], arguments)
            elif arguments.faults:
                failed |= _find_faults(database, urls[0], arguments)
            else:
                failed |= _play(database, urls, arguments)
    return 1 if failed else 0


def _arguments():
    parser = argparse.ArgumentParser(prog="make fuzz-schema", description=__doc__)
    parser.add_argument("--histories", type=int, default=2000, help="for each database")
    parser.add_argument("--database", choices=["all", "sqlite", *_SERVERS], default="all")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--jobs", type=int, default=2, help="worlds at the same time, each with its own processes")
    parser.add_argument("--shrink-s", type=float, default=60.0, help="how long to make a failing history smaller")
    parser.add_argument("--replay", help="play one history, as a failure printed it")
    parser.add_argument("--times", type=int, default=20, help="how often to replay it: concurrency has its moods")
    parser.add_argument("--faults", action="store_true", help="plant each fault, and see that it is found")
    parser.add_argument("--only", default="", help="only faults with this in their names")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


@contextmanager
def _urls(database, count):
    with ExitStack() as stack:
        if database == "sqlite":
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fuzz-schema-")))
            yield [f"sqlite:///{directory / f'{number}.db'}" for number in range(count)]
        else:
            server = stack.enter_context(_SERVERS[database]())
            yield [server.new_database() for _ in range(count)]


def _play(database, urls, arguments):
    """Share the histories among processes, add up what they tell, and print it."""
    began, shares = time.monotonic(), []
    for number, url in enumerate(urls):
        histories = arguments.histories // len(urls) + (number < arguments.histories % len(urls))
        command = [sys.executable, __file__, "--child", url, "--histories", str(histories)]
        command += ["--seed", str(arguments.seed + number), "--shrink-s", str(arguments.shrink_s)]
        log = tempfile.TemporaryFile("w+")  # noqa: SIM115 # goes with this process
        shares.append((subprocess.Popen(command, stdout=log), log))
    told = began
    while any(process.poll() is None for process, _ in shares):
        time.sleep(0.2)
        if time.monotonic() > told + _TELL_EVERY_S:
            told = time.monotonic()
            _tell(database, arguments.seed, began, [_last(log) for _, log in shares])
    ends = [_last(log) for _, log in shares]
    _tell(database, arguments.seed, began, ends)
    for (process, _), end in zip(shares, ends, strict=True):
        if process.returncode or end.get("why"):
            print(f"\n{database} FAILED: {end.get('why', f'the process ended with {process.returncode}')}")
            if "word" in end:
                print(f'again: make fuzz-schema ARGS="--database {database} --replay {end["word"]}"')
    return any(process.returncode for process, _ in shares)


def _last(log):
    log.seek(0)
    lines = [line for line in log.read().splitlines() if line.startswith("{") and line.endswith("}")]
    return json.loads(lines[-1]) if lines else {}


def _tell(database, seed, began, ends):
    counts = sum((Counter(end.get("counts", {})) for end in ends), Counter())
    listed = ", ".join(f"{number} {what}" for what, number in sorted(counts.items()))
    print(f"{database} seed {seed}, {time.monotonic() - began:.0f} s: {listed}", flush=True)


def _play_share(arguments):
    """Be one of the processes: play a share, and print a line of JSON now and then."""
    last = [0.0]
    with World(arguments.child) as world:

        def tell(**more):
            if more or time.monotonic() > last[0] + 1:
                last[0] = time.monotonic()
                print(json.dumps({"counts": world.counts, **more}), flush=True)

        found = search(world, arguments.seed, plays=arguments.histories, shrink_s=arguments.shrink_s, tell=tell)
        if found is None:
            tell(done=True)
            return 0
        tell(why=found.why, word=found.word)
        return 1


def _replay(database, url, arguments):
    with World(url) as world:
        for number in range(arguments.times):
            try:
                world.play(decode(arguments.replay))
            except Wrong as wrong:
                print(f"{database} FAILED the {number + 1}. time: {wrong}")
                return True
    print(f"{database}: went well {arguments.times} times")
    return False


def _find_faults(database, url, arguments):
    missed = False
    for name, fault in FAULTS.items():
        if database in fault.databases and arguments.only in name:
            began = time.monotonic()
            with World(url, fault=name) as world:
                found = search(world, arguments.seed, plays=_FAULT_WITHIN)
            why = f"found by history {found.after + 1}: {found.why.splitlines()[0][:100]}" if found else "MISSED"
            if "crashed" in why:  # a fault that does not fit the engine any more is none
                why = f"MISSED, {why}"
            missed |= why.startswith("MISSED")
            print(f"{database}, {time.monotonic() - began:.0f} s, {name}: {why}", flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main())
