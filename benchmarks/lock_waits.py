"""How long the phases of a schema change keep a writer waiting, while somebody else's transaction stays open.

For every kind of change and every database: a writer updates the table all the time, somebody opens a transaction that
has read the table and leaves it open, and then the phase begins. Reported is the writer's longest wait while the phase
was under way, per kind and phase. The target is absolute: nobody waits longer than a second, though the phase
itself may have to wait until that transaction ends. `peer` is what the same DDL does when typed as it is.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa

from bascule.schema import (
    AddCheck,
    AddColumn,
    AddForeignKey,
    AddIndex,
    AddTable,
    AddUnique,
    Change,
    DropCheck,
    DropColumn,
    DropForeignKey,
    DropIndex,
    DropNotNull,
    DropTable,
    ExtractTable,
    Options,
    Rename,
    RenameTable,
    Retry,
    Retype,
    SchemaEngine,
    SetNotNull,
    Split,
    WidenKey,
    data_migration,
)
from bascule.schema.changes.data import Becomes, Row
from bascule.testing.servers import MariaDB, PostgreSQL

TARGET_S = 1.0
ACCT = (
    "CREATE TABLE acct (id integer PRIMARY KEY, name varchar(50) NOT NULL, email varchar(50), amount integer, "
    "note varchar(50), owner_id integer, visits integer, code varchar(20), kept_by integer, "
    "CONSTRAINT ck_code CHECK (code <> 'bad'), CONSTRAINT fk_kept FOREIGN KEY (kept_by) REFERENCES owner (id))"
)
TABLES = (
    "CREATE TABLE owner (id integer PRIMARY KEY, label varchar(20))",
    ACCT,
    "CREATE TABLE unused (id integer PRIMARY KEY)",
    "CREATE INDEX ix_note ON acct (note)",
    "INSERT INTO owner VALUES (1, 'one')",
)
JOINED = "{n.head} || {n.tail}"


@data_migration("c", table="acct", old=["note"], new={"noted": sa.String(50)})
def reverse_notes(rows: Iterable[Row]) -> Iterator[Becomes]:
    """Do what no SQL does on all three databases."""
    for row in rows:
        yield row.becomes(noted=str(row.note)[::-1])


CHANGES: dict[str, Callable[[], Change]] = {
    "rename": lambda: Rename(id="c", table="acct", old="email", new="mail", type=sa.String(50)),
    "retype": lambda: Retype(
        id="c",
        table="acct",
        old="amount",
        old_type=sa.Integer(),
        new="cents",
        type=sa.BigInteger(),
        up="{o.amount} * 1",
    ),
    "add column": lambda: AddColumn(
        id="c", table="acct", column="tenant", type=sa.String(20), nullable=False, default="legacy"
    ),
    "add computed column": lambda: AddColumn(
        id="c", table="acct", column="handle", type=sa.String(50), nullable=False, fill="upper({row.name})"
    ),
    "drop column": lambda: DropColumn(id="c", table="acct", column="name", type=sa.String(50), stand_in="x"),
    "set not null": lambda: SetNotNull(id="c", table="acct", column="email", type=sa.String(50), fill="'none'"),
    "drop not null": lambda: DropNotNull(id="c", table="acct", column="name", type=sa.String(50)),
    "add check": lambda: AddCheck(id="c", table="acct", name="ck", check="{row.amount} >= 0"),
    "add unique": lambda: AddUnique(id="c", table="acct", name="uq", columns=["id", "amount"]),
    "add foreign key": lambda: AddForeignKey(id="c", table="acct", name="fk", columns=["owner_id"], refers_to="owner"),
    "add index": lambda: AddIndex(id="c", table="acct", name="ix", columns=["amount"]),
    "split": lambda: Split(
        id="c",
        table="acct",
        old={"email": sa.String(50)},
        new={"head": sa.String(50), "tail": sa.String(50)},
        up={"head": "substr({o.email}, 1, 2)", "tail": "substr({o.email}, 3)"},
        down={"email": {"mysql": "concat({n.head}, {n.tail})", "postgresql": JOINED, "sqlite": JOINED}},
    ),
    "drop check": lambda: DropCheck(id="c", table="acct", name="ck_code", check="{row.code} <> 'bad'"),
    "drop foreign key": lambda: DropForeignKey(
        id="c", table="acct", name="fk_kept", columns=["kept_by"], refers_to="owner"
    ),
    "add table": lambda: AddTable(
        id="c",
        table="label",
        definition=sa.Table("label", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True)),
    ),
    "drop table": lambda: DropTable(id="c", table="unused"),
    "rename table": lambda: RenameTable(id="c", table="acct", new="account", without_row_counts=True),
    "extract table": lambda: ExtractTable(
        id="c", table="acct", new="contact", columns={"email": sa.String(50)}, key={"acct_id": sa.Integer()}
    ),
    "widen key": lambda: WidenKey(id="c", table="acct", column="visits"),
    "data migration": lambda: reverse_notes,
    "drop index": lambda: DropIndex(id="c", table="acct", name="ix_note", columns=["note"]),
}
BY_COPY: dict[str, Callable[[], Change]] = {  # on MariaDB, by a table that takes the place of another
    "rename, by copy": CHANGES["rename"],
    "widen key, by copy": CHANGES["widen key"],
}
REFUSED = {("sqlite", "rename table"), ("mariadb", "widen key")}
REFUSED |= {(database, name) for database in ("postgresql", "sqlite") for name in BY_COPY}
FOREIGN_KEY = ", CONSTRAINT fk_kept FOREIGN KEY (kept_by) REFERENCES owner (id)"
PHASES = ("expand", "migrate", "fence", "contract", "purge")
NAIVE = "ALTER TABLE acct ADD COLUMN typed integer"


@dataclass
class Writer:
    """Updates one row after the other, and remembers how long each took and when."""

    url: str
    rows: int
    waits: list[tuple[float, float]] = field(default_factory=list)
    table: str = "acct"
    stop: threading.Event = field(default_factory=threading.Event)
    error: str = ""

    def run(self) -> None:
        """Write until told to stop."""
        db = sa.create_engine(self.url, connect_args={"timeout": 60} if self.url.startswith("sqlite") else {})
        number = 0
        try:
            while not self.stop.is_set():
                number += 1
                began = time.perf_counter()
                with db.begin() as connection:
                    connection.execute(
                        sa.text(f"UPDATE {self.table} SET visits = :n WHERE id = :id"),
                        {"n": number, "id": number % self.rows},
                    )
                self.waits.append((began, time.perf_counter() - began))
                self.stop.wait(0.02)
        except sa.exc.DBAPIError as error:
            self.error = str(error.orig)
        finally:
            db.dispose()

    def longest(self, since: float) -> float:
        """Return the longest wait of a write that was under way at that moment or began later, in seconds."""
        return max((took for began, took in self.waits if began + took >= since), default=0.0)


@contextmanager
def writing(url: str, rows: int) -> Iterator[Writer]:
    """Have a writer at work."""
    writer = Writer(url, rows)
    thread = threading.Thread(target=writer.run)
    thread.start()
    try:
        yield writer
    finally:
        writer.stop.set()
        thread.join()


@contextmanager
def open_transaction(url: str, seconds: float, table: str = "acct") -> Iterator[None]:
    """Keep a transaction open that has read the table; ended by itself after so long."""
    db, opened, done = sa.create_engine(url), threading.Event(), threading.Event()

    def hold() -> None:
        with db.connect() as connection:
            connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar()
            opened.set()
            done.wait(seconds)

    thread = threading.Thread(target=hold)
    thread.start()
    opened.wait()
    try:
        yield
    finally:
        done.set()
        thread.join()
        db.dispose()


def create(url: str, rows: int, *, without: str = "") -> None:
    """Make the tables and their rows; `without` some of their text."""
    db = sa.create_engine(url)
    with db.begin() as connection:
        if url.startswith("sqlite"):
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        for sql in TABLES:
            connection.execute(sa.text(sql.replace(without, "")))
        insert = sa.text(
            "INSERT INTO acct VALUES (:id, 'name', NULL, :id, 'note', 1, 0, NULL, NULL)"  # the columns in their order
        )
        connection.execute(insert, [{"id": number} for number in range(rows)])
    db.dispose()


def measure(url: str, name: str, rows: int, foreign_s: float) -> dict[str, float]:
    """Return the longest wait in each phase of a change, in seconds."""
    create(url, rows, without=FOREIGN_KEY if name in BY_COPY else "")
    db = sa.create_engine(url)
    schema = SchemaEngine(
        db,
        release="2027.1",
        changes=[{**CHANGES, **BY_COPY}[name]()],
        live_older=lambda _: [],
        live_same=lambda _: [],
        options=Options(
            retry=Retry(within_s=foreign_s * 3 + 60), watch_s=0.1, copies_from=0 if name in BY_COPY else None
        ),
    )
    found = {}
    with writing(url, rows) as writer:
        for phase in PHASES:
            with open_transaction(url, foreign_s, writer.table):
                began = time.perf_counter()
                getattr(schema, phase)()
                time.sleep(0.1)
            found[phase] = writer.longest(began)
            if phase == "contract" and name == "rename table":
                writer.table = "account"  # the old name has no more users than the old release has processes
                time.sleep(0.1)
    db.dispose()
    if writer.error:
        raise SystemExit(f"a writer failed during {name}: {writer.error}")
    return found


def measure_typed(url: str, rows: int, foreign_s: float) -> float:
    """Return the longest wait while somebody types a plain ALTER TABLE, in seconds."""
    create(url, rows)
    db = sa.create_engine(url)
    with writing(url, rows) as writer, open_transaction(url, foreign_s):
        began = time.perf_counter()
        with db.begin() as connection:
            connection.exec_driver_sql(NAIVE)
        time.sleep(0.1)
    db.dispose()
    return writer.longest(began)


def main() -> None:
    """Measure, print a table per database, and say whether the target is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=["all", "postgresql", "mariadb", "sqlite"], default="all")
    parser.add_argument("--foreign-s", type=float, default=60.0, help="how long the other transaction stays open")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--at-once", type=int, default=4, help="how many kinds are measured side by side")
    parser.add_argument("--only", help="measure one kind of change only")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    names = [arguments.only] if arguments.only else [*CHANGES, *BY_COPY]
    results = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        for database in ("postgresql", "mariadb", "sqlite"):
            if arguments.database not in ("all", database):
                continue
            if database == "sqlite":
                urls = [f"sqlite:///{folder}/{number}.db" for number in range(len(names) + 1)]
            else:
                server = stack.enter_context(PostgreSQL() if database == "postgresql" else MariaDB())
                urls = [server.new_database() for _ in range(len(names) + 1)]
            results += report(database, names, urls, arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


def report(database: str, names: list[str], urls: list[str], arguments: argparse.Namespace) -> list[dict[str, object]]:
    """Measure one database, print its table, and return the metrics."""
    rows, foreign_s = arguments.rows, arguments.foreign_s
    names = [name for name in names if (database, name) not in REFUSED]
    typed = measure_typed(urls[-1], rows, min(foreign_s, 10.0))
    jobs = zip(urls, names, strict=False)
    with ThreadPoolExecutor(arguments.at_once) as pool:
        waits = list(pool.map(lambda job: measure(*job, rows, foreign_s), jobs))
    found = dict(zip(names, waits, strict=True))
    print(f"\n{database}: longest wait of a writer, s (typed by hand, for {min(foreign_s, 10):.0f} s: {typed:.2f})")
    print(f"{'':22}" + "".join(f"{phase:>10}" for phase in PHASES))
    results = []
    for name, waits in found.items():
        print(f"{name:22}" + "".join(f"{waits[phase]:10.2f}" for phase in PHASES), flush=True)
        longest = max(waits.values())
        results.append(
            {
                "metric": f"longest writer wait, {name}, {database}, s",
                "ours": round(longest, 3),
                "peer": round(typed, 3),
                "ratio_min": round(longest / typed, 3),
                "ratio_median": round(longest / typed, 3),
                "ratio_max": round(longest / typed, 3),
                "target": TARGET_S,
                "met": longest <= TARGET_S,
            }
        )
    missed = [str(result["metric"]) for result in results if not result["met"]]
    print(
        f"target {TARGET_S} s: " + ("met by all" if not missed else f"missed by {', '.join(missed)}"), file=sys.stderr
    )
    return results


if __name__ == "__main__":
    main()
