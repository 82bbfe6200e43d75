"""How fast a call over RabbitMQ is beside oslo.messaging with oslo.versionedobjects, for the same objects.

A client sends objects to a server in another process, which sends them back; both sides read and write every object,
of 20 fields with eleven objects inside (benchmarks/objects.py). Each round times one call of either side right after
the other on the wall clock, so that a busy machine slows both; the ratio is theirs. A target counts as met when the
median of the rounds is there; a missed one is said, and does not fail the command. The last column compares the CPU
seconds of client and server over all rounds, which other work on the machine does not change.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import bascule.rpc.rabbitmq.oslo_parts  # noqa: F401  # first of all: it keeps eventlet out of both sides

# isort: split
from objects import NAMESPACE, Kid, OvoKid, OvoTop, Top, check_equal, ovo_hydrate, top_row
from oslo_versionedobjects import base as ovo

from bascule.release import Release
from bascule.rpc import Client, Interface, Receiver, Server, method
from bascule.rpc.rabbitmq import RabbitTransport
from bascule.rpc.rabbitmq.oslo_parts import oslo, rpc_transport
from bascule.testing.servers import RabbitMQ

NEW = Release.parse("2027.1")
PEER_TOPIC = "peer"
TARGETS = {0: None, 1: None, 50: 3.0}
_READY_S = 60.0


class Echo(Interface, topic="ours"):
    """What the server offers."""

    @method(since="2026.2")
    def echo(self, tops: list[Top]) -> list[Top]:
        """Return what came."""
        raise NotImplementedError


class EchoServer(Echo):
    """Answers."""

    def echo(self, tops: list[Top]) -> list[Top]:  # noqa: D102  # the interface says it
        return tops


class PeerEndpoint:
    """Answers, as oslo.messaging calls it."""

    def echo(self, _ctxt: dict[str, Any], tops: list[OvoTop]) -> list[OvoTop]:  # noqa: D102  # as above
        return tops


class PeerBase(ovo.VersionedObject):
    """The base that a project gives to oslo's serializer, so that it knows the namespace."""

    OBJ_PROJECT_NAMESPACE = NAMESPACE


class PeerSerializer(ovo.VersionedObjectSerializer):
    """Oslo's own serializer."""

    OBJ_BASE_CLASS = PeerBase


@dataclass(frozen=True)
class Measured:
    """One line of the result; `ours_ms` and `peer_ms` are medians, `cpu_ratio` is that of client and server in all."""

    objects: int
    ours_ms: float
    peer_ms: float
    ratio_min: float
    ratio_median: float
    ratio_max: float
    cpu_ratio: float
    target: float | None
    met: bool


def serve_ours(url: str) -> None:
    transport, stop = RabbitTransport(url, release=NEW), threading.Event()
    receiver = Receiver(transport, Server(EchoServer()), taker="server")
    thread = threading.Thread(target=receiver.run, args=(stop,))
    thread.start()
    signal.sigwait({signal.SIGTERM})
    stop.set()
    thread.join()
    transport.close()


def serve_peer(url: str) -> None:
    transport = rpc_transport(url, None, prefetch=0)
    target = oslo.Target(topic=PEER_TOPIC, server="one")
    server = oslo.get_rpc_server(transport, target, [PeerEndpoint()], serializer=PeerSerializer())
    server.start()
    signal.sigwait({signal.SIGTERM})
    server.stop()
    server.wait()


@contextmanager
def serving(side: str, url: str):  # noqa: ANN201  # a context of one process
    process = subprocess.Popen([sys.executable, __file__, "--serve", side, "--url", url])
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def callers(url: str) -> list[Callable[[list[Any]], Any]]:
    """Return what calls our server, and what calls the peer's."""
    client = Client(Echo, RabbitTransport(url, release=NEW), pin=lambda: NEW)
    peer = oslo.get_rpc_client(
        rpc_transport(url, None, prefetch=0),
        oslo.Target(topic=PEER_TOPIC),
        serializer=PeerSerializer(),
        timeout=_READY_S,
    )
    return [lambda tops: client.call("echo", tops=tops), lambda tops: peer.call({}, "echo", tops=tops)]


def measure(count: int, calls: list[Callable[[list[Any]], Any]], servers: list[int], rounds: int) -> Measured:
    """Call ours and the peer in turns; `servers` are the ids of their processes."""
    tops = [
        [Top.hydrate(top_row(Kid.hydrate)) for _ in range(count)],
        [ovo_hydrate(OvoTop, top_row(lambda row: ovo_hydrate(OvoKid, row))) for _ in range(count)],
    ]
    for mine, its in zip(calls[0](tops[0]), calls[1](tops[1]), strict=True):
        check_equal(mine, its)
    walls: list[list[float]] = [[], []]
    cpu = [-server_cpu_seconds(server) for server in servers]
    for number in range(rounds):
        # Who comes first changes: what one side leaves behind is the other's to bear every second time.
        for side in (0, 1) if number % 2 else (1, 0):
            wall, of_client = seconds(calls[side], tops[side])
            walls[side].append(wall)
            cpu[side] += of_client
    cpu = [so_far + server_cpu_seconds(server) for so_far, server in zip(cpu, servers, strict=True)]
    ratios = [its / mine for mine, its in zip(*walls, strict=True)]
    target, median = TARGETS[count], statistics.median(ratios)
    return Measured(
        count,
        round(statistics.median(walls[0]) * 1e3, 2),
        round(statistics.median(walls[1]) * 1e3, 2),
        round(min(ratios), 1),
        round(median, 1),
        round(max(ratios), 1),
        round(cpu[1] / cpu[0], 1),
        target,
        target is None or median >= target,
    )


def server_cpu_seconds(pid: int) -> float:
    """Return what a process has used so far; Linux counts it in hundredths of a second."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def seconds(call: Callable[[Any], Any], tops: list[Any]) -> tuple[float, float]:
    """Return the seconds that a call took, and those that the processor worked on it here."""
    start, cpu = time.perf_counter(), time.process_time()
    call(tops)
    return time.perf_counter() - start, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--serve", choices=["ours", "peer"], help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # threads inherit it; sigwait takes the signal
        {"ours": serve_ours, "peer": serve_peer}[arguments.serve](arguments.url)
        return
    libraries = ", ".join(f"{name} {version(name)}" for name in ("oslo.messaging", "oslo.versionedobjects"))
    print(f"Python {sys.version.split()[0]}, {libraries}, RabbitMQ on this machine, wall clock")
    print(
        f"{'objects there and back':24}{'ours ms':>9}{'peer ms':>9}{'ratio':>8}{'spread':>16}{'target':>8}{'of CPU':>9}"
    )
    with ExitStack() as stack:
        url = stack.enter_context(RabbitMQ()).transport_url
        servers = [stack.enter_context(serving(side, url)).pid for side in ("ours", "peer")]
        calls = callers(url)
        calls[0]([])
        wait_for_peer(calls[1])
        results = [print_line(measure(count, calls, servers, arguments.rounds)) for count in TARGETS]
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def wait_for_peer(peer: Callable[[list[OvoTop]], Any]) -> None:
    """Ask until an answer comes: a stock call is dropped while its server has not made the queue yet."""
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        answered = threading.Event()
        threading.Thread(target=lambda done: (peer([]), done.set()), args=(answered,), daemon=True).start()
        if answered.wait(2.0):
            return
    sys.exit("the peer's server did not come up")


def print_line(each: Measured) -> dict[str, Any]:
    spread = f"{each.ratio_min:.1f} - {each.ratio_max:.1f}"
    target = "" if each.target is None else f"{each.target:g}x"
    line = f"{each.objects:<24}{each.ours_ms:9.2f}{each.peer_ms:9.2f}{each.ratio_median:7.1f}x{spread:>16}{target:>8}"
    line += f"{each.cpu_ratio:8.1f}x"
    print(line + ("" if each.met else "  MISSED"), flush=True)
    return asdict(each)


if __name__ == "__main__":
    main()
