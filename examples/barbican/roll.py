"""Roll real Barbican from 14.0.2 to 15.0.1 under load, and report what its clients saw.

MariaDB, RabbitMQ and HAProxy are private instances of this machine's packages (installed first when they are absent
and we are root). Everything else is what an operator does: a barbican.conf, a fleet.toml, and the commands
`bascule fleet start` and `bascule gate prove`. Barbican is the control that the gate must be able to refuse: its worker
forgets orders that it had begun, however careful the roll.

Exit codes: 0 the roll was measured (the verdict, PASS or REFUSE, is the result), 1 it failed, 3 it says nothing.
"""

import argparse
import base64
import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import textwrap
import urllib.request
from pathlib import Path

from bascule.errors import BasculeError
from bascule.fleet.recipe import builtin_recipes
from bascule.testing.servers import HAProxy, MariaDB, RabbitMQ, clean_stale, one_backend

sys.path.insert(0, str(Path(__file__).resolve().parent))

from fleet_file import write_fleet_file

SOURCE, TARGET = "14.0.2", "15.0.1"
BASCULE = [sys.executable, "-m", "bascule.cli"]
WORKLOAD = builtin_recipes()["barbican"].parent / "workload.toml"
FAILED, INCONCLUSIVE = 1, 3


def main() -> int:
    """Run all of it; the fleet and its servers are stopped at the end, the work directory stays to be looked at."""
    options = read_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(FAILED))  # so that what was started is stopped then, too
    fleet_dir = options.work.absolute() / "fleet"
    try:
        remove_earlier(fleet_dir)
        with contextlib.ExitStack() as stack:
            say("starting MariaDB, RabbitMQ and HAProxy")
            mariadb = stack.enter_context(MariaDB())
            rabbitmq = stack.enter_context(RabbitMQ())
            haproxy = stack.enter_context(HAProxy(one_backend("api", slots=4, check_path="/")))
            write_fleet(fleet_dir, mariadb, rabbitmq, haproxy)
            stack.callback(stop_fleet, fleet_dir)
            return roll(fleet_dir, options.report.absolute(), options, haproxy.url)
    except BasculeError as refused:
        say(f"error: {refused.sentence}")
        if refused.next_command:
            say(f"next: {refused.next_command}")
        return FAILED


def roll(fleet_dir: Path, report_dir: Path, options: argparse.Namespace, url: str) -> int:
    """Start the old release, then upgrade it under load and judge what was seen."""
    say(f"starting Barbican {SOURCE}: two API processes and a worker")
    if bascule(fleet_dir, "fleet", "start", SOURCE) != 0:
        return FAILED
    make_project(url)
    say(f"rolling it to {TARGET} under {options.rate:g} requests/s")
    code = bascule(
        fleet_dir,
        *("gate", "prove", "--to", TARGET, "--workload", WORKLOAD, "--report", report_dir),
        *("--rate", options.rate, "--preload", options.preload, "--seed", options.seed),
        # The usual limits ask for more load than Barbican carries.
        *("--least-requests", 800, "--least-mixed", 100, "--least-rate", options.rate / 2),
    )
    if code == FAILED and (report_dir / "report.json").exists():
        say("the gate refuses this upgrade: that is Barbican's result, and the report says what was lost")
        return 0
    return code


def make_project(url: str) -> None:
    """Place and cancel one secret, alone: Barbican answers two first requests of a new project at once with one 500."""
    body = b'{"name": "first", "payload": "first", "payload_content_type": "text/plain"}'
    wanted = urllib.request.Request(f"{url}/v1/secrets", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(wanted, timeout=60) as answer:
        ref = json.load(answer)["secret_ref"]
    with urllib.request.urlopen(urllib.request.Request(ref, method="DELETE"), timeout=60):
        pass  # urlopen raises unless it is gone


def write_fleet(folder: Path, mariadb: MariaDB, rabbitmq: RabbitMQ, haproxy: HAProxy) -> None:
    """Write what an operator would: Barbican's configuration with its secrets, and the fleet file without any."""
    config_dir = folder / "config"
    config_dir.mkdir(parents=True)
    database = mariadb.new_database().replace(
        "utf8mb4", "utf8"
    )  # the character set that Barbican's tables are made for
    kek = base64.b64encode(secrets.token_bytes(32)).decode()
    conf = f"""\
        [DEFAULT]
        host_href = {haproxy.url}
        transport_url = {rabbitmq.transport_url}
        db_auto_create = False
        # Fewer tasks at a time than a worker has database connections (15), or tasks fail for want of one.
        executor_thread_pool_size = 10
        sql_connection = {database}
        [database]
        connection = {database}
        [queue]
        enable = True
        topic = barbican.example
        asynchronous_workers = 1
        [oslo_policy]
        enforce_scope = False
        enforce_new_defaults = False
        [secretstore]
        enabled_secretstore_plugins = store_crypto
        [crypto]
        enabled_crypto_plugins = simple_crypto
        [simple_crypto_plugin]
        kek = '{kek}'
        """
    path = config_dir / "barbican.conf"
    path.touch(mode=0o600)
    path.write_text(textwrap.dedent(conf))
    variables = {"config_dir": config_dir}
    write_fleet_file(folder / "fleet.toml", name="barbican", variables=variables, haproxy=haproxy, ports=(21000, 21099))


def bascule(fleet_dir: Path, *words: object) -> int:
    """Run one command of bascule on the fleet, as an operator would type it, and return its exit code."""
    environment = {**os.environ, "BASCULE_FLEET": str(fleet_dir / "fleet.toml")}
    return subprocess.run([*BASCULE, *map(str, words)], env=environment, check=False).returncode


def stop_fleet(fleet_dir: Path) -> None:
    """Stop every process of the fleet."""
    if bascule(fleet_dir, "fleet", "stop") != 0:
        say(f"processes of the fleet may still run; look below {fleet_dir / 'state'}")


def remove_earlier(fleet_dir: Path) -> None:
    """Stop what an earlier run left running, when it was killed, and start from an empty directory."""
    clean_stale()
    if (fleet_dir / "fleet.toml").exists():
        stop_fleet(fleet_dir)
    shutil.rmtree(fleet_dir, ignore_errors=True)


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Roll real Barbican 14 to 15 under load.")
    parser.add_argument(
        "--work", type=Path, default=Path("build/barbican"), help="directory for the fleet and its logs"
    )
    parser.add_argument("--report", type=Path, default=Path("build/barbican/report"), help="directory for the report")
    parser.add_argument("--rate", type=float, default=20.0, help="requests per second (Barbican does about 90 at most)")
    parser.add_argument("--preload", type=int, default=300, help="secrets that exist before the load starts")
    parser.add_argument("--seed", type=int, default=1, help="seed of the load")
    return parser.parse_args()


def say(text: str) -> None:
    """Talk to stderr; results go to stdout."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
