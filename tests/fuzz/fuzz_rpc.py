"""Stops servers and kills processes while casts are sent, and counts what came of each cast; see `make fuzz-rpc`.

First servers on RabbitMQ are stopped under load: a stock one of oslo.messaging, a stock one that is drained, and
ours. Then durable casts are made while workers and relays are killed, and the broker with them, over every transport
and database. Ends with 1 when one of ours lost a cast, or did one twice.
"""

import argparse
import json
import random
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from support.rpc_kills import kill_under_load
from support.rpc_stops import stop_under_load

from bascule.testing.servers import MariaDB, PostgreSQL, RabbitMQ

# Transport, database, and for each restart of the broker in the middle whether its disk is lost, too.
_RUNS = (
    ("broker", "postgresql", (False, True)),
    ("broker", "mariadb", (True,)),
    ("broker", "sqlite", (False,)),
    ("embedded", "postgresql", ()),
    ("embedded", "mariadb", ()),
    ("embedded", "sqlite", ()),
)


def main():
    parser = argparse.ArgumentParser(prog="make fuzz-rpc", description=__doc__)
    parser.add_argument("--stops", type=int, default=20, help="of each kind of server; 0 leaves them out")
    parser.add_argument("--seconds", type=float, default=60.0, help="of kills for each run; 0 leaves them out")
    parser.add_argument("--rate", type=float, default=110.0, help="casts per second")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with ExitStack() as stack:
        broker = stack.enter_context(RabbitMQ())
        stops = _stops(broker, arguments) if arguments.stops else []
        kills = _kills(broker, stack, arguments) if arguments.seconds else []
    if arguments.json:
        arguments.json.write_text(json.dumps({"stops": stops, "kills": kills}, indent=2) + "\n", encoding="utf-8")
    ours = [each for each in stops if each["kind"] != "stock"]
    failed = any(each["lost"] for each in ours) or any(each["without_effect"] or each["with_two"] for each in kills)
    print("FAILED: see above" if failed else "nothing lost, nothing done twice")
    return 1 if failed else 0


def _stops(broker, arguments):
    with tempfile.TemporaryDirectory() as folder:
        options = {"stops": arguments.stops, "rate": arguments.rate, "tell": lambda line: print(line, flush=True)}
        results = [asdict(each) for each in stop_under_load(broker.transport_url, Path(folder), **options)]
    print(f"\n{'server':10}{'stops':>6}{'sent':>7}{'lost':>6}{'twice':>6}{'casts/s':>9}")
    for each in results:
        counts = f"{each['stops']:6}{each['sent']:7}{each['lost']:6}{each['twice']:6}"
        print(f"{each['kind']:10}{counts}{each['rate']:9}")
    print(flush=True)
    return results


def _kills(broker, stack, arguments):
    servers = {"postgresql": stack.enter_context(PostgreSQL()), "mariadb": stack.enter_context(MariaDB())}
    columns = ("cast", "rate", "kills", "broker_restarts", "begun_again", "without_effect", "with_two", "settled_s")
    print(f"{'durable casts over':24}" + "".join(f"{name.replace('_', ' '):>16}" for name in columns), flush=True)
    results = []
    for transport, database, wipes in _RUNS:
        with tempfile.TemporaryDirectory() as folder:
            on_sqlite = database == "sqlite"
            url = f"sqlite:///{folder}/service.db" if on_sqlite else servers[database].new_database()
            used = broker if transport == "broker" else None
            options = {"seconds": arguments.seconds, "seed": arguments.seed, "wipes": wipes, "rate": arguments.rate}
            result = asdict(kill_under_load(url, Path(folder), broker=used, **options))
        results.append({"transport": transport, "database": database, **result})
        figures = "".join(f"{result[name]:16}" for name in columns)
        print(f"{transport + ' and ' + database:24}{figures}", flush=True)
    return results


if __name__ == "__main__":
    sys.exit(main())
