"""The processes of the fuzz: writers and engines, started once per database and told what to do over a socket each."""

import os
import pathlib
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe

from support.schema_fuzz_databases import connect

__all__ = ["Outcome", "Process", "Statement", "Told", "started"]

_TESTS = pathlib.Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Statement:
    """What a writer runs, and a query whose row must then be `expected`: a writer reads back what it wrote."""

    sql: str
    parameters: dict[str, object]
    look: str = ""
    expected: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a statement, BEGIN, COMMIT or ROLLBACK. `trouble` is empty when it worked."""

    reached: int = 0
    trouble: str = ""
    started: float = 0.0
    ended: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an engine's run: `ok`, `killed`, or the name of the error class, with what it said."""

    name: str
    said: str = ""
    walked: tuple[tuple[str, int], ...] = ()  # (change, rows done) after each batch of a backfill


class Process:
    """A child process at the other end of a socket."""

    def __init__(self, module, *first):
        ours, theirs = socket.socketpair()
        program = f"import sys; from {module} import main; main(int(sys.argv[1]))"
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", program, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(_TESTS), os.environ.get("PYTHONPATH", "")])},
            )
        self.pipe = Pipe(ours.detach())
        self.send(*first)

    def send(self, *message):
        self.pipe.send(message)

    def receive(self, timeout_s=60):
        if not self.pipe.poll(timeout_s):
            raise TimeoutError(f"no answer within {timeout_s} s")
        return self.pipe.recv()

    def ask(self, *message):
        self.send(*message)
        return self.receive()

    def close(self):
        self.pipe.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def started(address, *, writers, engines, fault=None):
    """Start writer and engine processes; stop them at the end."""
    everyone = [Process("support.schema_fuzz_processes", address) for _ in range(writers)]
    everyone += [Process("support.schema_fuzz_engine", address, fault) for _ in range(engines)]
    try:
        yield everyone[:writers], everyone[writers:]
    finally:
        for process in everyone:
            process.close()


def main(descriptor):
    """Be a writer: run what comes over the socket until it is closed."""
    pipe = Pipe(descriptor)
    (address,) = pipe.recv()
    writer = _Writer(address)
    while True:
        try:
            verb, *arguments = pipe.recv()
        except EOFError:
            return
        pipe.send(getattr(writer, verb)(*arguments))


class _Writer:
    def __init__(self, address):
        self.address, self.connection = address, connect(address)

    def be_patient(self, seconds):
        self.connection.be_patient(seconds)

    def reconnect(self):
        self.connection.driver.close()
        self.connection = connect(self.address)

    def one(self, statement):
        """Run one statement, or a word; on trouble, roll back whatever is open."""
        before = time.monotonic()
        try:
            if isinstance(statement, str):
                self.connection.run(statement)
                return Told(0, "", before, time.monotonic())
            reached = self.connection.run(statement.sql, statement.parameters)
            if reached == 1 and statement.look:
                seen = self.connection.read(statement.look, {"id": statement.parameters["id"]})
                if seen != [statement.expected]:
                    return Told(reached, f"read back {seen} after {statement}", before, time.monotonic())
            return Told(reached, "", before, time.monotonic())
        except Exception as error:  # noqa: BLE001 # told to the judge
            trouble = self.connection.trouble(error)
        self._roll_back()
        return Told(0, trouble, before, time.monotonic())

    def burst(self, transactions):
        """Run transactions one after the other; return what was told in each."""
        return [self._transaction(statements, commits) for statements, commits in transactions]

    def _transaction(self, statements, commits):
        told = []
        for statement in ("BEGIN", *statements, "COMMIT" if commits else "ROLLBACK"):
            told.append(self.one(statement))
            if told[-1].trouble:
                break
        return told

    def _roll_back(self):
        try:
            self.connection.run("ROLLBACK")
        except Exception as error:  # noqa: BLE001 # no transaction was open any more; any other loss shows at BEGIN
            del error
