"""What came of a fault under load: failed requests by phase, and what was acknowledged, looked up again."""

import base64
import http.client
import itertools
import json
import os
import threading
import time
import urllib.parse
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import sqlalchemy as sa
from support.waiting import eventually

from bascule.gate.checker import check
from bascule.gate.history import digest, read_history
from bascule.gate.process import LoadProcess

__all__ = ["Measured", "measure"]

_BEFORE_S, _AFTER_S = 3.0, 10.0
_ORDERS_S = 90.0
_LONGEST_S = 12.0
_BUSY = 4  # processes that want to run, for each processor
# What the load gave each of its keys, once for each type that an order makes of it.
_TWICE = sa.text(
    "SELECT COUNT(*) FROM (SELECT display_name FROM secrets WHERE display_name LIKE 'gate-%' OR display_name LIKE "
    "'watch-%' GROUP BY display_name, secret_type HAVING COUNT(*) > 1) AS doubled"
)
_NOT_DONE = sa.text("SELECT COUNT(*) FROM orders WHERE status <> 'ACTIVE'")


@dataclass
class Measured:
    """The figures of one fault; times in seconds. `wrong` is what must not be, in words."""

    fault: str
    requests: int = 0
    failed: dict = field(default_factory=dict)  # by phase: before, during, recovering, after; then by what was said
    away_s: float = 0.0
    first_success_s: float | None = None
    last_failure_s: float = 0.0
    slowest_failed_s: float = 0.0
    secrets: int = 0
    orders: int = 0
    orders_done: int = 0
    told: dict = field(default_factory=dict)  # the descriptions that failed requests had
    wrong: list = field(default_factory=list)
    busy: bool = False  # the machine had so much else to do that a request without an answer in 10 s says nothing

    @property
    def failures(self):
        return sum(sum(counts.values()) for counts in self.failed.values())


def measure(world, fault, chance, folder, *, rate, seconds=_AFTER_S):
    """Load the key manager, let the fault happen at some moment, and look at everything afterwards."""
    folder.mkdir(parents=True)
    workload = world.workload(fault.payload_bytes)
    load = LoadProcess(
        workload, world.url, folder, rate=rate, seed=chance.randrange(10**6), preload=20, concurrency=4,
        orders_s=_ORDERS_S,
    )  # fmt: skip
    with load, _Watch(world, strangers=fault.name.startswith("keystone")) as watch:
        load.wait_ready(120.0)
        time.sleep(_BEFORE_S + chance.uniform(0.0, 1.0))
        begun = time.time()
        fault.strike(world, chance)
        back = time.time()
        time.sleep(max(seconds, fault.recovers_within_s + 2.0))
        watch.stop()
        load.stop(300.0)
    history = read_history(load.history)
    busy = os.getloadavg()[0] > _BUSY * (os.cpu_count() or 1)
    found = Measured(fault.name, away_s=round(back - begun, 1), busy=busy)
    _count(found, fault, history, begun, back)
    _judge_words(found, watch)
    _look_up(found, world, history)
    return found


def _count(found, fault, history, begun, back):
    sent = [each for each in history if each.phase in {"load", "probe"}]
    found.requests = len(sent)
    for each in history:
        if each.outcome == "ok":
            continue
        phase = _phase(each, begun, back, fault.recovers_within_s)
        said = each.error or str(each.status)
        found.failed.setdefault(phase, Counter())[said] += 1
        found.slowest_failed_s = max(found.slowest_failed_s, round(each.latency_s, 1))
        if said == "timeout" and found.busy:
            continue
        if phase in {"before", "after"} or said not in fault.allowed:
            found.wrong.append(f"{phase}: {each.op} {said}")
        if each.end > back:
            found.last_failure_s = max(found.last_failure_s, round(each.end - back, 1))
    answered = [each.end for each in sent if each.outcome == "ok" and each.start >= back]
    found.first_success_s = round(min(answered) - back, 2) if answered else None
    if found.slowest_failed_s > _LONGEST_S and not found.busy:
        found.wrong.append(f"a failure took {found.slowest_failed_s} s")


def _phase(operation, begun, back, recovers_within_s):
    if operation.end < begun:
        return "before"
    if operation.start < back:
        return "during"
    return "recovering" if operation.start < back + recovers_within_s else "after"


def _judge_words(found, watch):
    found.told = dict(watch.told)
    found.wrong += sorted({each for each in watch.unclear if not (found.busy and "took" in each)})


def _look_up(found, world, history):
    """Ask for everything that was acknowledged, once more and by ourselves; look into the database and the logs."""
    checked = check(history)
    found.orders, found.orders_done = checked.orders_accepted, checked.orders_done
    found.wrong += [f"{each.kind}: {each.sentence}" for each in checked.findings]
    if found.orders_done < found.orders:
        found.wrong.append(f"{found.orders - found.orders_done} orders were not done")
    kept = _kept(history)
    found.secrets = len(kept)
    payloads = _read(world, kept, found)
    engine = sa.create_engine(world.database_url)
    try:
        eventually(lambda: _scalar(engine, _NOT_DONE) == 0, within_s=60, what="the end of all orders")
        doubled = _scalar(engine, _TWICE)
    finally:
        engine.dispose()
    if doubled:
        found.wrong.append(f"{doubled} things were made twice")
    found.wrong += _leaks(world, payloads)


def _scalar(engine, query):
    with engine.connect() as connection:
        return connection.execute(query).scalar()


def _kept(history):
    """The acknowledged keys that nobody tried to delete, and what each must read as."""
    doomed = {each.key for each in history if each.kind == "delete"}
    created = {each.key: each.hash for each in history if each.kind == "create" and each.outcome == "ok"}
    return {key: expected for key, expected in created.items() if key not in doomed}


def _read(world, kept, found):
    def read(key):
        request = urllib.request.Request(
            f"{world.url}{key}/payload", headers={**_headers(world), "Accept": "text/plain"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return key, answer.read()
        except OSError as failure:
            return key, failure

    payloads = []
    with ThreadPoolExecutor(4) as pool:
        for key, payload in pool.map(read, kept):
            if not isinstance(payload, bytes) or digest(payload) != kept[key]:
                found.wrong.append(f"lost: {key} reads as {payload if isinstance(payload, OSError) else 'other bytes'}")
            else:
                payloads.append(payload.decode())
    return payloads


def _headers(world, token=None):
    return {"X-Auth-Token": token or world.keystone.token, "Accept": "application/json"}


def _leaks(world, payloads):
    """What stands in a log and must not, by the name of the log and the kind of thing."""
    forbidden = [("payload", each) for each in payloads]
    forbidden += [("payload", base64.b64encode(each.encode()).decode()) for each in payloads]
    forbidden += list(world.secrets.items())
    for place in world.places:
        text = place.log.read_text(errors="replace")
        yield from {f"{place.name}'s log holds a {kind}" for kind, each in forbidden if each in text}


class _Watch:
    """Requests beside the load, of which the bodies are looked at, too: a list and a create, a few times a second."""

    def __init__(self, world, *, strangers):
        self._world, self._strangers = world, strangers
        self.told, self.unclear = Counter(), []
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(send,)) for send in self._senders()]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._ends.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(60)

    def _senders(self):
        yield lambda number: ("GET", "/v1/secrets?limit=1", None, None)
        yield lambda number: ("POST", "/v1/secrets", None, _body(number))
        if self._strangers:  # whom no process remembers: Keystone must be asked about each
            strangers = iter(self._world.keystone.strangers)
            yield lambda number: ("GET", "/v1/secrets?limit=1", next(strangers), None)

    def _run(self, send):
        for number in itertools.count():
            if self._ends.wait(0.25):
                return
            method, path, token, body = send(number)
            headers = {
                **_headers(self._world, token or self._world.keystone.watcher),
                "Content-Type": "application/json",
            }
            address = urllib.parse.urlsplit(self._world.url)
            connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
            begun = time.monotonic()
            try:
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                self._look(answer.status, answer.read(), time.monotonic() - begun)
            except (OSError, http.client.HTTPException):
                pass  # the load sees those, and counts them
            finally:
                connection.close()

    def _look(self, status, body, took_s):
        if status < 400:
            return
        if took_s > _LONGEST_S:
            self.unclear.append(f"a failure took {took_s:.0f} s")
        try:
            said = json.loads(body)
            self.told[f"{status} {said['description']}"] += 1
            if not (said["code"] == status and said["title"] and said["description"]):
                self.unclear.append(f"{status} says too little")
        except (ValueError, KeyError, TypeError):
            # The balancer's own page, for a process that died with the request in hand.
            self.told[f"{status} from the balancer" if b"<html>" in body else f"{status} unclear"] += 1
            if b"<html>" not in body:
                self.unclear.append(f"{status} with a body that is no JSON")


def _body(number):
    payload = f"{time.time_ns()}"
    named = {"name": f"watch-{payload}-{number}", "payload": payload, "payload_content_type": "text/plain"}
    return json.dumps(named)
