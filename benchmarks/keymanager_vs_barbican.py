"""How many requests our key manager answers beside real Barbican, with the same processes, database, policy and tokens.

Two processes of each behind HAProxy, MariaDB or PostgreSQL, real Keystone with its middleware in front of both,
Barbican's default policies, 10,000 secrets in the project. Eight clients ask again as soon as they have their answer.
The sides take turns in short slices, so that a busy machine slows both; a ratio is of two slices that follow each
other. Beside it: the CPU that the processes of the API used for one request, what they hold in memory, and what the
same statements take when a bare driver runs them, with nothing around: nothing that asks this database can be faster.

A target counts as met when the median of the rounds is there; a missed one is said, and does not fail the command.
Where Barbican itself does not answer as wanted, which it does not to everything on PostgreSQL, its status stands in
place of a ratio, and ours is met by being right.
"""

import argparse
import itertools
import json
import re
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from closed_loop import ClosedLoop, Slice, request
from keymanager_databases import SERVERS, Statement
from keymanager_sides import PAYLOAD, Side, sides, token_of

CLIENTS = 8
_LIMIT_S = 3.0
_TRIES = 4
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Operation:
    """One kind of request: what is asked, the status of a good answer, and how many times as many are wanted."""

    name: str
    status: int
    target: float
    requests: Callable[[str, Sequence[str]], list[bytes]]


def _gets(suffix: str, accept: str) -> Callable[[str, Sequence[str]], list[bytes]]:
    return lambda token, ids: [
        request("GET", f"/v1/secrets/{each}{suffix}", {"Accept": accept, **token_of(token)}) for each in ids
    ]


def _lists(token: str, _ids: Sequence[str]) -> list[bytes]:
    headers = {"Accept": "application/json", **token_of(token)}
    return [request("GET", f"/v1/secrets?limit=10&offset={10 * page}", headers) for page in range(1000)]


def _posts(token: str, _ids: Sequence[str]) -> list[bytes]:
    body = json.dumps({"name": "made", "payload": PAYLOAD, "payload_content_type": "text/plain"}).encode()
    return [request("POST", "/v1/secrets", {"Content-Type": "application/json", **token_of(token)}, body)]


OPERATIONS = (
    Operation("GET payload", 200, 12, _gets("/payload", "text/plain")),
    Operation("GET metadata", 200, 12, _gets("", "application/json")),
    Operation("list 10 of 10,000", 200, 8, _lists),
    Operation("POST secret", 201, 5, _posts),
)


@dataclass
class Seen:
    """What one side showed of one operation: a slice per round and the CPU seconds of each, or how it refused."""

    refused: int | None = None
    slices: list[Slice] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    @property
    def per_s(self) -> float:
        """The median of the slices."""
        return statistics.median(each.per_s for each in self.slices)

    @property
    def p99_ms(self) -> float:
        """The median of the slices."""
        return statistics.median(each.p99_ms for each in self.slices)

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds of the API's processes for one request, over all slices."""
        return 1000 * sum(self.cpu_s) / max(1, sum(len(each.latencies_s) for each in self.slices))


@dataclass(frozen=True)
class Measured:
    """One line of the result; `ours` and `peer` are the medians of the rounds."""

    metric: str
    ours: float
    peer: float | None
    ratio_min: float | None
    ratio_median: float | None
    ratio_max: float | None
    target: str
    met: bool | None
    note: str = ""


def main() -> int:
    """Measure, print, and write the JSON; the servers are gone afterwards."""
    parser = argparse.ArgumentParser(prog="make bench-keymanager-vs-barbican", description=__doc__)
    parser.add_argument("--database", choices=SERVERS, default="mariadb", help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slice-s", type=float, default=10.0, help="shorter ones are noisier (default: %(default)s)")
    parser.add_argument("--only", default="", help="only operations with this in their names")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "bascule-peers",
                        help="where Barbican and Keystone are installed (default: %(default)s)")  # fmt: skip
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    wanted = [each for each in OPERATIONS if options.only in each.name]
    with (
        tempfile.TemporaryDirectory(prefix="bascule-bench-") as name,
        sides(Path(name), options.cache, SERVERS[options.database], _say) as (ours, peer, token, ids),
    ):
        memory = ours.memory_mb(), peer.memory_mb()
        seen = {each.name: _measure(each, ours, peer, token, ids, options) for each in wanted}
        after = ours.memory_mb(), peer.memory_mb()
        limits = {each.name: _limit(each, ours, peer, token, ids) for each in wanted}
    found = [line for each in wanted for line in _lines(each, *seen[each.name])]
    _print(found, wanted, seen, limits)
    print(f"memory of the API's processes: ours {memory[0]:.0f} MB idle, {after[0]:.0f} MB after; "
          f"Barbican {memory[1]:.0f} MB idle, {after[1]:.0f} MB after")  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps([asdict(line) for line in found], indent=1) + "\n")
    return 0


def _measure(
    operation: Operation, ours: Side, peer: Side, token: str, ids: Sequence[str], options: argparse.Namespace
) -> tuple[Seen, Seen]:
    asked = operation.requests(token, ids)
    status = ClosedLoop(peer.port, 1).run_once(asked[0])
    seen = Seen(), Seen(refused=None if status == operation.status else status)
    answering = (0, 1) if seen[1].refused is None else (0,)
    for number, side in itertools.product(range(-1, options.rounds), answering):
        which = (ours, peer)[side]
        before = which.cpu_s()
        done = ClosedLoop(which.port, CLIENTS).run(options.slice_s if number >= 0 else 2.0, asked, operation.status)
        if done.wrong:
            raise SystemExit(f"{which.name}, {operation.name}: {done.wrong[0]} ({len(done.wrong)} times)")
        if number >= 0:  # the slice before the first warms up
            seen[side].slices.append(done)
            seen[side].cpu_s.append(which.cpu_s() - before)
            _say(f"{operation.name}, {which.name}: {done.per_s:.0f}/s, p99 {done.p99_ms:.0f} ms")
    return seen


def _lines(operation: Operation, ours: Seen, peer: Seen) -> list[Measured]:
    if peer.refused is not None:
        note = f"Barbican answers {peer.refused}"
        return [
            Measured(f"{operation.name}, {what}", value, None, None, None, None, target, met, note)
            for what, value, target, met in (
                ("requests/s", ours.per_s, f">= {operation.target:g}", True),
                ("p99 ms", ours.p99_ms, "< 1", True),
                ("CPU ms per request", ours.cpu_ms, "", None),
            )
        ]
    faster = [a.per_s / b.per_s for a, b in zip(ours.slices, peer.slices, strict=True)]
    slower = [a.p99_ms / b.p99_ms for a, b in zip(ours.slices, peer.slices, strict=True)]
    cpu = ours.cpu_ms / peer.cpu_ms
    median = statistics.median(faster)
    late = statistics.median(slower)
    return [
        Measured(f"{operation.name}, requests/s", ours.per_s, peer.per_s, min(faster), median, max(faster),
                 f">= {operation.target:g}", median >= operation.target),
        Measured(f"{operation.name}, p99 ms", ours.p99_ms, peer.p99_ms, min(slower), late, max(slower),
                 "< 1", late < 1),
        Measured(f"{operation.name}, CPU ms per request", ours.cpu_ms, peer.cpu_ms, cpu, cpu, cpu, "", None),
    ]  # fmt: skip


@dataclass(frozen=True)
class Limit:
    """How many statements one request makes on either side, and how often per second a bare driver can run ours."""

    ours: int
    peer: int
    per_s: float


def _limit(operation: Operation, ours: Side, peer: Side, token: str, ids: Sequence[str]) -> Limit:
    ask = operation.requests(token, ids)[0]
    noted = [_noted(side, ask) for side in (ours, peer)]
    standing, counts = ours.standing_ids(), [0] * CLIENTS
    until = time.monotonic() + _LIMIT_S

    def run(number: int) -> None:
        with ours.connect() as connection, connection.cursor() as cursor:
            while time.monotonic() < until:
                for each in _afresh(noted[0], standing):
                    cursor.execute(each.sql, each.parameters or None)
                    if cursor.description:
                        cursor.fetchall()
                counts[number] += 1

    threads = [threading.Thread(target=run, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Limit(len(noted[0]), len(noted[1]), sum(counts) / _LIMIT_S)


def _noted(side: Side, ask: bytes) -> list[Statement]:
    """Return the statements of one request: the fewest of a few tries, since a heartbeat may fall into one."""
    return min((side.statements(lambda: ClosedLoop(side.port, 1).run_once(ask)) for _ in range(_TRIES)), key=len)


def _afresh(statements: Sequence[Statement], standing: set[str]) -> list[Statement]:
    """Give every id that is inserted a new value, the same wherever it stands."""
    inserted = [text for each in statements if "INSERT INTO" in each.sql for text in _texts(each)]
    made = {found.group(): str(uuid.uuid4()) for text in inserted for found in _UUID.finditer(text)}

    def renew(text: str) -> str:
        return _UUID.sub(lambda found: _new(found.group(), made, standing), text)

    return [
        Statement(renew(each.sql), tuple(text if text is None else renew(text) for text in each.parameters))
        for each in statements
    ]


def _texts(statement: Statement) -> list[str]:
    return [statement.sql, *(text for text in statement.parameters if text is not None)]


def _new(text: str, made: dict[str, str], standing: set[str]) -> str:
    return text if text in standing else made.get(text, text)


def _print(
    found: Sequence[Measured], wanted: Sequence[Operation], seen: dict[str, tuple[Seen, Seen]], limits: dict[str, Limit]
) -> None:
    print(f"\n{'':34} {'ours':>9} {'Barbican':>9} {'ratio (spread)':>22}  target")
    for line in found:
        verdict = "" if line.met is None else ("met" if line.met else "MISSED")
        if line.peer is None:
            print(f"{line.metric:34} {line.ours:9.2f} {line.note:>32}  {line.target} {verdict}")
            continue
        spread = f"{line.ratio_median:.2f} ({line.ratio_min:.2f} - {line.ratio_max:.2f})"
        print(f"{line.metric:34} {line.ours:9.2f} {line.peer:9.2f} {spread:>22}  {line.target} {verdict}")
    for each in wanted:
        limit = limits[each.name]
        print(f"{each.name}: {limit.ours} statements, Barbican {limit.peer}; a bare driver runs ours {limit.per_s:.0f} "
              f"times/s, of which we reach {seen[each.name][0].per_s / limit.per_s:.0%}")  # fmt: skip


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
