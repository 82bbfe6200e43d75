"""Roll a running Barbican 23 to the key manager under load, back, forward again, and on to the next release.

One database, one broker, one Keystone, one balancer and one configuration file serve both; projects are deleted in
Keystone meanwhile, of which the listener of one or the other hears. MariaDB, RabbitMQ and
HAProxy are private instances of this machine's packages (installed first when they are absent and we are root),
Barbican and Keystone come from PyPI. Everything else is what an operator does: the shell blocks of
docs/howto/adopt-a-running-barbican.md are run as they stand there. Every way is measured and judged by itself.

Exit codes: 0 all ways passed, 1 one was refused or failed, 3 too little was measured to say.
"""

import argparse
import base64
import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url

from bascule.cli.verdict import print_verdict
from bascule.documents.evidence import Evidence, Verdict
from bascule.errors import BasculeError
from bascule.fleet import operations
from bascule.fleet.config import FleetConfig
from bascule.fleet.fleet import Fleet
from bascule.fleet.runtime import InstanceName
from bascule.gate.history import Operation, read_history
from bascule.gate.process import LoadProcess
from bascule.gate.report import write_report
from bascule.gate.verdict import Limits, judge, worst
from bascule.release import Release
from bascule.testing.servers import HAProxy, MariaDB, RabbitMQ, clean_stale, one_backend

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "barbican"))

from barbican_recording import people as identity
from barbican_recording.servers import KEYSTONE, install, keystone
from endings import Ended, Endings
from fleet_file import write_fleet_file

ROOT = Path(__file__).resolve().parents[2]
OURS, NEXT = Release.parse("2026.2.1"), Release.parse("2027.2")
BASCULE = [sys.executable, "-m", "bascule.cli"]
PAGE = ROOT / "docs" / "howto" / "adopt-a-running-barbican.md"
WORKLOAD = Path(__file__).with_name("workload.toml")
CODES: dict[Verdict, int] = {"PASS": 0, "REFUSE": 1, "INCONCLUSIVE": 3}
# What Barbican's worker has forgotten is done by ours two minutes later.
ORDERS_S = 200.0

# Long enough that each side gives some hundred answers while both run, with a Barbican that answers the fewer.
_MIXED_S = 15.0


@dataclass(frozen=True)
class Way:
    """One way that the fleet is taken under load: its name, its two ends, and the blocks of the page that do it.

    `prepare` is what an operator does hours before: it takes long, and nobody notices it.
    """

    name: str
    source: Release
    target: Release
    prepare: list[str]
    go: str
    mode: str = "finished"


class NotPrepared(BasculeError):
    """What comes before the load did not succeed; it has said why."""

    def __init__(self, way: str) -> None:
        self.way = way
        super().__init__(f"the way {way} could not be prepared", next_command="bascule upgrade status")


def main() -> int:
    """Run all of it; the fleet and its servers are stopped at the end, the work directory stays to be looked at."""
    options = read_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped then, too
    work = options.work.absolute()
    folder = work / "fleet"
    try:
        remove_earlier(work)
        with contextlib.ExitStack() as stack:
            fleet, token, endings = start_servers(stack, folder, options)
            workload = write_workload(work / "workload.toml", token)
            say(
                f"starting Barbican {options.barbican}: two API processes, a worker and a listener, beside one Keystone"
            )
            bascule(folder, "fleet", "start", str(options.barbican))
            make_project(fleet.config.url, token)
            if options.control:
                return control(fleet, workload, work / "control", options)
            found = []
            for way in ways(options, folder):
                endings.prepare()
                with endings.ending():
                    evidence = measure(fleet, way, workload, work / way.name, options)
                found.append((way, evidence, endings.ended()))
        summarise(found)
        return CODES[worst([verdict for _, evidence, ended in found for verdict in (evidence.verdict, ended.verdict)])]
    except BasculeError as refused:
        say(f"error: {refused.sentence}")
        if refused.next_command:
            say(f"next: {refused.next_command}")
        return 1


def ways(options: argparse.Namespace, folder: Path) -> Iterator[Way]:
    """Yield the ways in their order; before the one that leaves Barbican behind, the configuration file says so."""
    page, barbican = commands(PAGE.read_text()), options.barbican
    known = {
        "forward": Way("forward", barbican, OURS, [page["Look, plan, and make everything ready"][0]], page["Adopt"][0]),
        "back": Way("back", barbican, OURS, [], page["Go back"][0], mode="rolled-back"),
        "again": Way("again", barbican, OURS, [page["Look, plan, and make everything ready"][0]], page["Adopt"][0]),
        "onward": Way("onward", OURS, NEXT, [page["Go on"][0]], page["Go on"][1]),
    }
    for name in options.ways.split(","):
        if name == "onward":
            share_no_longer(folder / "config" / "barbican.conf")
        yield known[name]


def measure(fleet: Fleet, way: Way, workload: Path, directory: Path, options: argparse.Namespace) -> Evidence:
    """Go one way under load, read everything back, and judge what clients saw."""
    for block in way.prepare:
        if type_in(fleet, block) not in (0, 3):
            raise NotPrepared(way.name)
    with loading(fleet, workload, directory, options) as load:
        began = time.time()
        type_in(fleet, way.go)  # one that fails is judged as it stands
        run = operations.run_document(fleet)
        assert run is not None, "a run was prepared, or is the last one"
        time.sleep(options.tail_s)
        say("reading back everything that was acknowledged")
        load.stop(900.0)
    limits = Limits(mixed_answers=options.least_mixed, rate_per_s=options.least_rate, modes=(way.mode,))
    evidence = judge(load.history, run, (), source=way.source, target=way.target, limits=limits)
    write_report(evidence, directory)
    print_verdict(evidence, report=directory / "report.html")
    for what, number in sorted(failures(load.history, way.source, began).items()):
        print(f"  failed: {number} {what}")
    return evidence


def failures(history: Path, source: Release, began: float) -> Counter[str]:
    """Return how many requests failed, by who answered; what failed before the first step is no fault of the way."""

    def of(each: Operation) -> str:
        when = "before the first step" if each.at < began else "from then on"
        return f"{when}, {f'answered {each.status}' if each.status else each.error} by {each.release or 'nobody'}"

    failed = [each for each in read_history(history) if each.phase != "preload" and each.outcome != "ok"]
    counted = Counter(map(of, failed))
    early = sum(each.at < began for each in failed)
    if early:
        say(f"{source} failed {early} requests by itself, before anything was changed: it does not carry the load here")
    return counted


def control(fleet: Fleet, workload: Path, directory: Path, options: argparse.Namespace) -> int:
    """Replace Barbican's worker by another one of its own under load, carefully, and count what is lost.

    That is what the adoption must not be blamed for, and goes round.
    """
    worker = InstanceName("worker-1", options.barbican)
    node, recipe = fleet.first_node, fleet.recipe(options.barbican)
    variables = fleet.variables(node, options.barbican)
    words = recipe.expand(recipe.file.roles["worker"].command, variables)
    environment = {"PATH": os.environ["PATH"], **fleet.environment(recipe, variables)}
    with loading(fleet, workload, directory, options) as load:
        with (directory / "worker.log").open("w") as log:
            another = subprocess.Popen(words, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            time.sleep(15.0)  # which it takes to consume
            say("stopping the old worker")
            node.runtime.stop(worker, signal_name="TERM", timeout_s=90.0)
            time.sleep(options.tail_s)
            say("reading back everything that was acknowledged")
            load.stop(900.0)
        finally:
            os.killpg(another.pid, signal.SIGTERM)
            another.wait(60)
    run = operations.run_document(fleet)
    assert run is not None, "the fleet was started"
    evidence = judge(load.history, run, (), source=options.barbican, target=options.barbican)
    print(
        f"Barbican {options.barbican} alone, one worker replaced by another at {evidence.load_rate_per_s:.1f} "
        f"requests/s: {evidence.failed} requests failed, "
        f"{evidence.orders.lost} of {evidence.orders.accepted} orders lost"
    )
    return 0


@contextlib.contextmanager
def loading(fleet: Fleet, workload: Path, directory: Path, options: argparse.Namespace) -> Iterator[LoadProcess]:
    """Fill the store and load the fleet; the block begins when normal operation was looked at for a while."""
    directory.mkdir(parents=True)
    load = LoadProcess(
        workload, fleet.config.url, directory,
        rate=options.rate, seed=options.seed, preload=options.preload, orders_s=ORDERS_S,
    )  # fmt: skip
    say(f"--- {directory.name}: {options.preload} secrets, then {options.rate:g} requests/s from now to the end")
    with load:
        load.wait_ready(600.0)
        time.sleep(options.baseline_s)
        yield load


def commands(page: str) -> dict[str, list[str]]:
    """Return the shell blocks of a page, by the heading that they stand under."""
    found: dict[str, list[str]] = {}
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        heading, _, text = section.partition("\n")
        found[heading] = re.findall(r"^```sh\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return found


def type_in(fleet: Fleet, block: str) -> int:
    """Run a block of the page as an operator would type it; return its exit code: 3 is a run that is paused."""
    own = {"BASCULE_FLEET": str(fleet.config.path), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(["sh", "-eux", "-c", block], env={**os.environ, **own}, check=False).returncode


def summarise(found: list[tuple[Way, Evidence, Ended]]) -> None:
    """Print the figures of all ways in one table.

    `ended` are projects that were deleted in Keystone, `kept` those of them whose secrets nobody ended.
    """
    print(f"\n{'way':<10}{'verdict':<14}{'requests':>9}{'/s':>7}{'failed':>8}{'lost':>6}{'wrong':>7}"
          f"{'orders':>8}{'lost':>6}{'twice':>7}{'mixed s':>9}{'p50 ms':>8}{'p99 ms':>8}"
          f"{'ended':>7}{'kept':>6}")  # fmt: skip
    for way, seen, ended in found:
        overall = next(part for part in seen.latency if part.phase == "all")
        print(f"{way.name:<10}{seen.verdict:<14}{seen.requests:>9}{seen.load_rate_per_s:>7.1f}{seen.failed:>8}"
              f"{seen.lost:>6}{seen.wrong:>7}{seen.orders.accepted:>8}{seen.orders.lost:>6}{seen.orders.doubled:>7}"
              f"{seen.mixed_seconds:>9.1f}{overall.p50_ms:>8.1f}{overall.p99_ms:>8.1f}"
              f"{ended.projects:>7}{ended.left:>6}")  # fmt: skip


def start_servers(stack: contextlib.ExitStack, folder: Path, options: argparse.Namespace) -> tuple[Fleet, str, Endings]:
    """Start everything around the two services, and write the operator's files.

    Return the fleet, a member's token, and what ends projects.
    """
    say("starting MariaDB, RabbitMQ, HAProxy and Keystone")
    mariadb = stack.enter_context(MariaDB())
    rabbitmq = stack.enter_context(RabbitMQ())
    haproxy = stack.enter_context(HAProxy(one_backend("api", slots=8, check_path="/", balance="leastconn")))
    programs = install(options.cache.absolute(), "keystone", KEYSTONE)
    password = secrets.token_urlsafe(12)
    home = folder.parent / "keystone"
    url = stack.enter_context(keystone(programs, home, password, tells=rabbitmq.transport_url))
    token_check = identity.service_user(url, password)
    token = identity.make_people(url, password)["member"].token
    # The character set that Barbican's tables are made for.
    database = mariadb.new_database().replace("utf8mb4", "utf8")
    write_configuration(folder / "config" / "barbican.conf", database, rabbitmq, haproxy.url, token_check)
    write_fleet(folder, options, haproxy)
    stack.callback(stop_fleet, folder)
    endings = Endings((url, password), haproxy.url, lambda projects: living(mariadb, database, projects))
    return Fleet.open(FleetConfig.load(folder / "fleet.toml")), token, endings


def living(mariadb: MariaDB, database: str, projects: set[str]) -> set[str]:
    """Return which of these projects have a secret that lives."""
    named = ", ".join(f"'{each}'" for each in projects) or "''"
    rows = mariadb.sql(
        "SELECT DISTINCT external_id FROM projects JOIN secrets ON secrets.project_id = projects.id "
        f"WHERE external_id IN ({named}) AND NOT secrets.deleted",
        str(make_url(database).database),
    )
    return set(rows.split())


def write_configuration(path: Path, database: str, rabbitmq: RabbitMQ, url: str, token_check: dict[str, str]) -> None:
    """Write Barbican's configuration file; the key manager reads the same."""
    kek = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    conf = f"""\
        [DEFAULT]
        host_href = {url}
        transport_url = {rabbitmq.transport_url}
        db_auto_create = False
        # Fewer tasks at a time than a worker of Barbican has database connections (15), or tasks fail for want of one.
        executor_thread_pool_size = 10
        # Three lines for every request cost it more than they tell.
        default_log_levels = barbican=WARNING, keystonemiddleware=WARNING
        sql_connection = {database}
        [database]
        connection = {database}
        [queue]
        enable = True
        asynchronous_workers = 1
        # Ours: both have the same broker, until Barbican is gone for good.
        share_with_barbican = True
        [keystone_notifications]
        enable = True
        [secretstore]
        enabled_secretstore_plugins = store_crypto
        [crypto]
        enabled_crypto_plugins = simple_crypto
        [simple_crypto_plugin]
        kek = '{kek}'
        # Barbican's own default from 23 on, and ours; 22 would ask for its old roles.
        [oslo_policy]
        enforce_new_defaults = True
        enforce_scope = True
        [keystone_authtoken]
        """
    lines = "\n".join(f"{name} = {value}" for name, value in token_check.items())
    path.parent.mkdir(parents=True)
    path.touch(mode=0o600)
    path.write_text(textwrap.dedent(conf) + lines + "\n")


def share_no_longer(path: Path) -> None:
    """Have the processes that are started from now on leave Barbican's queue alone."""
    before = path.read_text()
    after = before.replace("share_with_barbican = True", "share_with_barbican = False")
    assert after != before
    path.write_text(after)


def write_fleet(folder: Path, options: argparse.Namespace, haproxy: HAProxy) -> None:
    """Write the fleet file: Barbican's recipe for what runs, and our releases for what it is to become."""
    config = folder / "config"
    write_fleet_file(
        folder / "fleet.toml",
        name="keys",
        variables={"config_dir": config, "config_file": config / "barbican.conf"},
        haproxy=haproxy,
        ports=(21100, 21199),
        releases=options.releases.absolute(),
        canary_s=_MIXED_S,
        listens=True,
    )


def write_workload(path: Path, token: str) -> Path:
    """Write the load with the token in it, for nobody else to read; return where."""
    path.touch(mode=0o600)
    path.write_text(f'{WORKLOAD.read_text()}\n[variables]\ntoken = "{token}"\n')
    return path


def make_project(url: str, token: str) -> None:
    """Place and cancel one secret, alone: Barbican answers two first requests of a new project at once with one 500."""
    body = b'{"name": "first", "payload": "first", "payload_content_type": "text/plain"}'
    headers = {"Content-Type": "application/json", "X-Auth-Token": token}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/secrets", body, headers), timeout=60) as answer:
        ref = json.load(answer)["secret_ref"]
    with urllib.request.urlopen(urllib.request.Request(ref, headers=headers, method="DELETE"), timeout=60):
        pass  # urlopen raises unless it is gone


def bascule(folder: Path, *words: str) -> None:
    """Run one command of bascule on the fleet, as an operator would type it; end when it fails."""
    environment = {**os.environ, "BASCULE_FLEET": str(folder / "fleet.toml")}
    done = subprocess.run([*BASCULE, *words], env=environment, check=False)
    if done.returncode != 0:
        sys.exit(f"bascule {' '.join(words)} ended with {done.returncode}")


def stop_fleet(folder: Path) -> None:
    """Stop every process of the fleet."""
    try:
        operations.stop_fleet(Fleet.open(FleetConfig.load(folder / "fleet.toml")))
    except BasculeError as refused:
        say(f"processes of the fleet may still run; look below {folder / 'state'}: {refused.sentence}")


def remove_earlier(work: Path) -> None:
    """Stop what an earlier run left running, when it was killed, and start from an empty directory."""
    clean_stale()
    if (work / "fleet" / "fleet.toml").exists():
        stop_fleet(work / "fleet")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Adopt a running Barbican, and go back, under load.")
    parser.add_argument("--work", type=Path, default=Path("build/adoption"), help="fleet, logs and reports")
    parser.add_argument("--cache", type=Path, default=Path("build/peers"), help="where Keystone is installed, once")
    parser.add_argument("--barbican", type=Release.parse, default="23.0.0", help="its release; or 22.0.0")
    parser.add_argument("--releases", type=Path, default=ROOT / "releases", help="releases of the key manager")
    parser.add_argument("--ways", default="forward,back,again,onward", help="which ways to go, in this order")
    parser.add_argument("--control", action="store_true", help="only measure what Barbican loses by itself")
    parser.add_argument("--rate", type=float, default=47.0, help="requests per second; polls and probes come on top")
    parser.add_argument("--preload", type=int, default=300, help="secrets that are made before each way")
    parser.add_argument("--baseline-s", type=float, default=15.0, help="seconds of load before each way")
    parser.add_argument("--tail-s", type=float, default=25.0, help="seconds of load after it")
    parser.add_argument("--least-rate", type=float, default=50.0, help="a slower load says nothing")
    parser.add_argument("--least-mixed", type=int, default=300, help="answers that each side must give while both run")
    parser.add_argument("--seed", type=int, default=1, help="seed of the load")
    return parser.parse_args()


def say(text: str) -> None:
    """Talk to stderr; results go to stdout."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
