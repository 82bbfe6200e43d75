"""How fast a backfill is, and what writers of the old release notice of it, beside the ways one would do it otherwise.

Every side of a round gets a fresh copy of the same table and the same load, and the sides follow each other, so that a
busy machine slows all of them; ratios are taken inside a round. `idle` is the load without any migration, on the same
table just before. A target counts as met when the median of the rounds is there; a missed one is said, and does not
fail the command. The servers flush nothing to disk, for all sides alike.
"""

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from open_loop import OpenLoop, Sample, p99_ms

from bascule.schema import Change, Options, Progress, Rename, SchemaEngine, Split
from bascule.schema.refusals import Stopped
from bascule.testing.servers import MariaDB, PostgreSQL

RENAME = Rename(id="users-rename", table="users", old="fullname", new="display_name", type=sa.String(100))
SPLIT = Split(
    id="users-split",
    table="users",
    old={"fullname": sa.String(100)},
    new={"first": sa.String(100), "last": sa.String(100)},
    up={
        "first": {
            "postgresql": "split_part({o.fullname}, ' ', 1)",
            "sqlite": "substr({o.fullname}, 1, instr({o.fullname} || ' ', ' ') - 1)",
        },
        "last": {
            "postgresql": "substr({o.fullname}, strpos({o.fullname} || ' ', ' ') + 1)",
            "sqlite": "substr({o.fullname}, instr({o.fullname} || ' ', ' ') + 1)",
        },
    },
    down={"fullname": "{n.first} || ' ' || {n.last}"},
)
TABLE = (
    "CREATE TABLE users (id {key}, fullname varchar(100), email varchar(100), note varchar(100), "
    "visits integer NOT NULL)"
)
ROWS = "INSERT INTO users (fullname, email, note, visits) SELECT {fullname}, {email}, {note}, 0 FROM {numbers}"
TEXTS = {
    "fullname": ("'First'", "n", "' Last'", "n"),
    "email": ("'person'", "n", "'@example.org'"),
    "note": ("'something that is written of number '", "n"),
}
INDEX = "CREATE INDEX ix_users_email ON users (email)"
PT_OSC = "pt-online-schema-change"
WRITES_PER_S = {"postgresql": 100, "mariadb": 100, "sqlite": 60}
SQLITE_P99_MS = 60
GENTLE_S = 20  # of the gentle pace, which takes minutes, so much is enough to tell


@dataclass
class Side:
    """What one side of one round showed: the seconds of its parts, and the writers' samples in each."""

    seconds: dict[str, float] = field(default_factory=dict)
    idle: list[Sample] = field(default_factory=list)
    busy: list[Sample] = field(default_factory=list)

    @property
    def errors(self) -> list[str]:
        """What went wrong for the writers."""
        return [sample.error for sample in (*self.idle, *self.busy) if sample.error]


@dataclass(frozen=True)
class Measured:
    """One line of the result; `ours` and `peer` are the medians of the rounds."""

    metric: str
    ours: float
    peer: float
    ratio_min: float
    ratio_median: float
    ratio_max: float
    target: str
    met: bool | None


Work = Callable[[str, Side], None]
Round = dict[str, Side]


class Bench:
    """One database under test: makes tables, and runs sides under load."""

    def __init__(
        self, name: str, rows: int, idle_s: float, fresh: Callable[[], tuple[str, Callable[[], None]]]
    ) -> None:
        self.name, self.rows, self.idle_s, self.fresh = name, rows, idle_s, fresh

    def run(self, work: Work, *, before: Work = lambda _url, _side: None, again: bool = True) -> Side:
        """Run one side: a fresh table, its preparation, the load without and then with the work.

        With `again`, half of the time without comes after the work, since a machine is not as busy all the time.
        """
        url, drop = self.fresh()
        try:
            side = Side()
            before(url, side)
            with OpenLoop(*driver_of(url), self.rows, per_s=WRITES_PER_S[self.name]) as load:
                idle = time.monotonic()
                time.sleep(self.idle_s / 2 if again else self.idle_s)
                start = time.monotonic()
                work(url, side)
                end = time.monotonic()
                if again:
                    time.sleep(self.idle_s / 2)
            side.seconds["all"] = end - start
            side.idle, side.busy = load.between(idle, start), load.between(start, end)
            side.idle += load.between(end, end + self.idle_s / 2) if again else []
        finally:
            drop()
        return side


def driver_of(url: str) -> tuple[str, dict[str, Any]]:
    """Return the writers' driver, and what it connects with."""
    parsed = sa.make_url(url)
    if parsed.get_driver_name() == "pysqlite":
        return "sqlite3", {"database": parsed.database}
    where = {"host": parsed.host, "port": parsed.port, "user": parsed.username, "password": parsed.password}
    named = {"psycopg": "dbname", "pymysql": "database"}[parsed.get_driver_name()]
    return parsed.get_driver_name(), {**where, named: parsed.database}


def schema_engine(url: str, change: Change, pace: str) -> SchemaEngine:
    return SchemaEngine(
        sa.create_engine(url, poolclass=sa.NullPool),
        release="2027.1",
        changes=[change],
        live_older=lambda _: (),
        live_same=lambda _: (),
        options=Options(pace=pace),
    )


def expand(change: Change) -> Work:
    return lambda url, _side: schema_engine(url, change, "fast").expand() and None


def migrate(change: Change, pace: str, longest_s: float = math.inf) -> Work:
    """Return the work of our side, which also notes when the backfill ended and the verifying scan began."""

    def work(url: str, side: Side) -> None:
        start = time.monotonic()
        proving: list[float] = []  # when the proof was heard of: a copy is in its place by then

        def look(progress: Progress) -> None:
            if progress.activity == "backfill":
                side.seconds["backfill"] = time.monotonic() - start
            else:
                proving.append(time.monotonic())

        def should_stop() -> bool:
            return time.monotonic() - start > longest_s

        try:
            (status,) = schema_engine(url, change, pace).migrate(look, should_stop=should_stop)
        except Stopped:
            return
        side.seconds["proof"] = time.monotonic() - proving[0]
        if (status.phase, status.rows_stale) != ("synced", 0):
            sys.exit(f"the backfill did not end well: {status}")

    return work


def in_turn(*works: Work) -> Work:
    def work(url: str, side: Side) -> None:
        for each in works:
            each(url, side)

    return work


def one_update(url: str, _side: Side) -> None:
    """Fill every row in one statement, as a plain revision would."""
    sets = ", ".join(
        f"{column} = {SPLIT.fill(column, 'postgresql', old={'fullname': 'fullname'}, new={})}" for column in SPLIT.new
    )
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        connection.exec_driver_sql(f"UPDATE users SET {sets}", execution_options={"no_parameters": True})


def pt_osc(url: str, side: Side) -> None:
    """Rename the column by a copy of the table; the program's own start does not count."""
    parsed = sa.make_url(url)
    with tempfile.NamedTemporaryFile("w", suffix=".cnf") as secret:  # an argument would show the password
        secret.write(f"[client]\nuser={parsed.username}\npassword={parsed.password}\n")
        secret.flush()
        where = f"F={secret.name},h={parsed.host},P={parsed.port},D={parsed.database},t=users,A=utf8mb4"
        alter = "CHANGE COLUMN fullname display_name varchar(100)"
        options = ("--execute", "--no-check-alter", "--no-version-check", "--recursion-method=none", "--alter", alter)
        start = time.monotonic()
        subprocess.run([PT_OSC, "--version"], check=True, capture_output=True)
        started = time.monotonic()
        done = subprocess.run([PT_OSC, *options, where], check=False, capture_output=True, text=True)
        side.seconds["peer"] = (time.monotonic() - started) - (started - start)
    if done.returncode:
        sys.exit(f"{PT_OSC} failed: {done.stdout[-500:]} {done.stderr[-500:]}")


def require_pt_osc() -> None:
    if shutil.which(PT_OSC) is not None:
        return
    install = ["apt-get", "install", "-y", "--no-install-recommends", "percona-toolkit"]
    if os.geteuid() != 0:
        sys.exit(f"{PT_OSC} is not installed; as root: {' '.join(install)}")
    subprocess.run(install, check=True, stdout=sys.stderr)


def insert_rows(numbers: str, *, concat: bool = False) -> str:
    """Return the INSERT of as many rows as there are numbers `n`."""
    texts = {name: f"concat({', '.join(parts)})" if concat else " || ".join(parts) for name, parts in TEXTS.items()}
    return ROWS.format(**texts, numbers=numbers)


@contextmanager
def postgresql(rows: int, idle_s: float) -> Iterator[Bench]:
    with PostgreSQL() as server:
        template = server.new_database()
        name = template.rpartition("/")[2]
        numbers = f"generate_series(1, {rows}) AS g(n)"
        key = "bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"
        for statement in (TABLE.format(key=key), insert_rows(numbers), INDEX):
            server.sql(statement, name)
        server.sql("VACUUM ANALYZE users", name)
        made = iter(range(10**6))

        def fresh() -> tuple[str, Callable[[], None]]:
            copy = f"copy_{next(made)}"
            server.sql(f"CREATE DATABASE {copy} TEMPLATE {name}")
            server.sql("CHECKPOINT")
            return server.url(copy), lambda: server.drop_database(server.url(copy))

        yield Bench("postgresql", rows, idle_s, fresh)


@contextmanager
def mariadb(rows: int, idle_s: float) -> Iterator[Bench]:
    require_pt_osc()
    with MariaDB() as server:
        for setting, mib in (("innodb_buffer_pool_size", 512), ("innodb_log_file_size", 256)):
            server.sql(f"SET GLOBAL {setting} = {mib} * 1024 * 1024")  # the table fits, as it does in a service

        def fresh() -> tuple[str, Callable[[], None]]:
            url = server.new_database()
            name = str(sa.make_url(url).database)
            numbers = f"(SELECT seq AS n FROM seq_1_to_{rows}) AS g"
            server.sql(TABLE.format(key="bigint AUTO_INCREMENT PRIMARY KEY"), name)
            server.sql(INDEX, name)
            server.sql(insert_rows(numbers, concat=True), name)
            server.sql("ANALYZE TABLE users", name)
            wait_for_purge(server)
            return url, lambda: server.drop_database(url)

        yield Bench("mariadb", rows, idle_s, fresh)


def wait_for_purge(server: MariaDB) -> None:
    """Wait until the server has cleaned up after the side before, at most half a minute."""
    history = (
        "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'INNODB_HISTORY_LIST_LENGTH'"
    )
    deadline = time.monotonic() + 30
    while int(server.sql(history)) > 100 and time.monotonic() < deadline:
        time.sleep(0.2)


@contextmanager
def sqlite(rows: int, idle_s: float) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="bascule-bench-") as directory:
        template = Path(directory) / "template.db"
        numbers = f"(WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < {rows}) SELECT n FROM g)"
        with sa.create_engine(f"sqlite:///{template}", poolclass=sa.NullPool).begin() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            connection.exec_driver_sql(TABLE.format(key="integer PRIMARY KEY"))
            connection.exec_driver_sql(insert_rows(numbers))
            connection.exec_driver_sql(INDEX)
        made = iter(range(10**6))

        def fresh() -> tuple[str, Callable[[], None]]:
            copy = Path(directory) / f"copy-{next(made)}.db"
            shutil.copyfile(template, copy)
            os.sync()  # else the writers wait for what was just written

            def drop() -> None:
                for file in Path(directory).glob(f"{copy.name}*"):
                    file.unlink()

            return f"sqlite:///{copy}", drop

        yield Bench("sqlite", rows, idle_s, fresh)


def rounds_on_postgresql(bench: Bench) -> Iterator[tuple[str, Callable[[], Side]]]:
    ready = expand(SPLIT)
    yield "one UPDATE", lambda: bench.run(one_update, before=ready, again=False)
    yield "fast", lambda: bench.run(migrate(SPLIT, "fast"), before=ready)
    yield "gentle", lambda: bench.run(migrate(SPLIT, "gentle", GENTLE_S), before=ready)


def rounds_on_mariadb(bench: Bench) -> Iterator[tuple[str, Callable[[], Side]]]:
    yield PT_OSC, lambda: bench.run(pt_osc, again=False)
    yield "fast", lambda: bench.run(in_turn(expand(RENAME), migrate(RENAME, "fast")))
    yield "gentle", lambda: bench.run(migrate(RENAME, "gentle", GENTLE_S), before=expand(RENAME))


def rounds_on_sqlite(bench: Bench) -> Iterator[tuple[str, Callable[[], Side]]]:
    yield "fast", lambda: bench.run(migrate(SPLIT, "fast"), before=expand(SPLIT))


def p99(side: str) -> Callable[[Round], float]:
    return lambda sides: p99_ms(sides[side].busy)


def idle_p99(side: str) -> Callable[[Round], float]:
    """Return the writers' p99 on the same table right before and after."""
    return lambda sides: p99_ms(sides[side].idle)


def compare(
    metric: str,
    rounds: list[Round],
    ours: Callable[[Round], float],
    peer: Callable[[Round], float],
    *,
    at_most: float | None = None,
    at_least: float | None = None,
) -> Measured:
    """Compare per round; `at_least` is for how many times as fast as the peer we are, else less is better."""
    of_ours, of_peer = [ours(each) for each in rounds], [peer(each) for each in rounds]
    pairs = zip(of_ours, of_peer, strict=True)
    ratios = [theirs / own if at_least is not None else own / theirs for own, theirs in pairs]
    median = statistics.median(ratios)
    if at_least is not None:
        target, met = f">= {at_least}", median >= at_least
    else:
        target, met = ("", None) if at_most is None else (f"<= {at_most}", median <= at_most)
    own, theirs = statistics.median(of_ours), statistics.median(of_peer)
    return Measured(
        metric,
        round(own, 2),
        round(theirs, 2),
        round(min(ratios), 2),
        round(median, 2),
        round(max(ratios), 2),
        target,
        met,
    )


def results_of_postgresql(rounds: list[Round]) -> list[Measured]:
    def seconds(part: str) -> Callable[[Round], float]:
        return lambda sides: sides["fast"].seconds[part]

    def update(sides: Round) -> float:
        return sides["one UPDATE"].seconds["all"]

    return [
        compare("PostgreSQL fast: seconds, beside one UPDATE", rounds, seconds("backfill"), update, at_most=1.25),
        compare("  with the verifying scan", rounds, seconds("all"), update),
        compare("PostgreSQL fast: p99 ms, beside idle", rounds, p99("fast"), idle_p99("fast"), at_most=3),
        compare("PostgreSQL gentle: p99 ms, beside idle", rounds, p99("gentle"), idle_p99("gentle"), at_most=1.5),
        compare("  one UPDATE: p99 ms, beside idle", rounds, p99("one UPDATE"), idle_p99("one UPDATE")),
    ]


def results_of_mariadb(rounds: list[Round]) -> list[Measured]:
    def pt_seconds(sides: Round) -> float:
        return sides[PT_OSC].seconds["peer"]

    errors = [
        Measured(
            "MariaDB fast: failed writes",
            ours := sum(len(sides["fast"].errors) for sides in rounds),
            sum(len(sides[PT_OSC].errors) for sides in rounds),
            ours,
            ours,
            ours,
            "0",
            ours == 0,
        )
    ]
    return [
        compare(
            "MariaDB fast: seconds, beside pt-osc", rounds, lambda s: s["fast"].seconds["all"], pt_seconds, at_least=1.3
        ),
        compare(
            "  until the copy is in its place",
            rounds,
            lambda s: s["fast"].seconds["all"] - s["fast"].seconds["proof"],
            pt_seconds,
            at_least=1.3,
        ),
        compare("MariaDB fast: p99 ms, beside pt-osc", rounds, p99("fast"), p99(PT_OSC), at_most=1),
        compare("  fast: p99 ms, beside idle", rounds, p99("fast"), idle_p99("fast")),
        *errors,
        compare("MariaDB gentle: p99 ms, beside idle", rounds, p99("gentle"), idle_p99("gentle"), at_most=1.5),
    ]


def results_of_sqlite(rounds: list[Round]) -> list[Measured]:
    return [
        compare("SQLite: p99 ms, beside the limit", rounds, p99("fast"), lambda _: SQLITE_P99_MS, at_most=1),
        compare("  p99 ms, beside idle", rounds, p99("fast"), idle_p99("fast")),
    ]


DATABASES = {
    "postgresql": (postgresql, rounds_on_postgresql, results_of_postgresql),
    "mariadb": (mariadb, rounds_on_mariadb, results_of_mariadb),
    "sqlite": (sqlite, rounds_on_sqlite, results_of_sqlite),
}


def measure(name: str, rows: int, count: int, idle_s: float) -> list[Measured]:
    start, sides_of, results = DATABASES[name]
    rounds = []
    with ExitStack() as stack:
        bench = stack.enter_context(start(rows, idle_s))
        for number in range(count):
            sides = list(sides_of(bench))
            sides[:2] = sides[:2][:: -1 if number % 2 else 1]  # those whose times are compared come first in turn
            rounds.append({title: side() for title, side in sides})
            for title, side in rounds[-1].items():
                parts = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in side.seconds.items())
                errors = f", {len(side.errors)} errors, such as {side.errors[-1]}" if side.errors else ""
                p99s = f"p99 {p99_ms(side.busy):.1f} ms, idle {p99_ms(side.idle):.1f} ms"
                print(f"  {name} round {number + 1}, {title}: {parts}; {p99s}{errors}", file=sys.stderr, flush=True)
    return results(rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle-s", type=float, default=6.0, help="how long the load runs alone on each side")
    parser.add_argument("--database", choices=DATABASES, action="append", help="only this one; may be given again")
    arguments = parser.parse_args()
    results = []
    for name in arguments.database or DATABASES:
        results += measure(name, arguments.rows, arguments.rounds, arguments.idle_s)
    print(f"{'':44}{'ours':>9}{'peer':>9}{'ratio':>8}{'spread':>16}  target")
    for each in results:
        spread = f"{each.ratio_min:.2f} - {each.ratio_max:.2f}"
        line = f"{each.metric:44}{each.ours:9.2f}{each.peer:9.2f}{each.ratio_median:7.2f}x{spread:>16}  {each.target}"
        print(line + ("  MISSED" if each.met is False else ""))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(each) for each in results], indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
