"""Sending one operation of a workload and reading its answer into the history and the keyring.

Load, probes and read-back all go through here, so that an answer means the same in each.
"""

import itertools
import json
import random
import string
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from bascule.gate.client import Client, ConnectionClass, Message, Reply
from bascule.gate.history import Operation, Outcome, Phase, State, digest
from bascule.gate.keyring import Key, Keyring, Order
from bascule.gate.workload import Made, Request, Workload, render

__all__ = ["Slot", "Traffic"]

WRITES = frozenset({"create", "delete", "order"})
ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Slot:
    """When, how and for which phase an operation is sent; `at` is monotonic, None means now."""

    phase: Phase
    connection: ConnectionClass = "kept"
    at: float | None = None
    prefix: str = ""


@dataclass(slots=True)
class _Found:
    """What an answer says beyond its status; these become fields of the history's line."""

    outcome: Outcome
    error: str | None = None
    state: State | None = None
    key: str | None = None
    hash: str | None = None
    meta: str | None = None
    made: str | None = None
    seen: tuple[str, ...] = ()
    total: int | None = None
    makes: int = 0
    fields: dict[str, str] = field(default_factory=dict)


class Traffic:
    """Performs operations: each method sends one request, records it, and keeps the keyring true."""

    def __init__(
        self,
        workload: Workload,
        client: Client,
        keyring: Keyring,
        record: Callable[[Operation], None],
        rng: random.Random,
        *,
        label: str,
    ) -> None:
        self.workload, self.client, self.keyring = workload, client, keyring
        self._record, self._rng, self._label = record, rng, label
        self._numbers = itertools.count(1)
        self._wall_minus_monotonic = time.time() - time.monotonic()

    async def create(self, request: Request, slot: Slot, *, fixed: bool = False, keep: bool = True) -> Key | None:
        """Create one key; return it when it was acknowledged. `keep` lets the load draw it later."""
        name, payload = self._new_name(), self._new_payload()
        expected = _Found("ok", hash=digest(payload.encode()), meta=self._expected_meta("describe", name), makes=1)
        operation = await self._send(request, slot, {"name": name, "payload": payload}, expected)
        if operation.outcome != "ok" or operation.key is None:
            return None
        key = Key(operation.key, name, fixed=fixed)
        if keep:
            self.keyring.add(key)
        return key

    async def read(self, request: Request, key: Key, slot: Slot) -> Operation:
        """Read or describe one key; a key that is being deleted may be gone."""
        variables = {"ref": key.ref, "name": key.name}
        return await self._send(request, slot, variables, _Found("ok", key=key.ref), key=key)

    async def delete(self, request: Request, key: Key, slot: Slot) -> None:
        """Delete a key that was taken out of the keyring before."""
        key.doomed = True
        operation = await self._send(request, slot, {"ref": key.ref, "name": key.name}, _Found("ok", key=key.ref))
        if operation.outcome == "ok":
            self.keyring.deleted.append(key)

    async def list(self, request: Request, slot: Slot) -> None:
        """Read one page of the list, somewhere in it."""
        pages = max(1, len(self.keyring) // request.limit)
        offset = request.limit * self._rng.randrange(pages)
        await self._send(request, slot, {"limit": str(request.limit), "offset": str(offset)}, _Found("ok"))

    async def count(self, request: Request, slot: Slot) -> None:
        """Ask how many keys there are."""
        await self._send(request, slot, {}, _Found("ok"))

    async def order(self, request: Request, slot: Slot) -> Order | None:
        """Place an order; return it when it was accepted."""
        name = self._new_name()
        expected = _Found("ok", meta=self._expected_meta("poll", name), makes=request.makes)
        operation = await self._send(request, slot, {"name": name}, expected)
        if operation.outcome != "ok" or operation.key is None:
            return None
        order = Order(operation.key, name)
        self.keyring.orders.append(order)
        return order

    async def poll(self, request: Request, order: Order, slot: Slot) -> Operation:
        """Look at an order once."""
        order.polls += 1
        variables = {"ref": order.ref, "name": order.name}
        operation = await self._send(request, slot, variables, _Found("ok", key=order.ref))
        if operation.state in {"done", "failed"}:
            order.over, order.made = True, operation.made
        return operation

    async def fetch(self, poll: Request, order: Order, slot: Slot) -> Operation | None:
        """Read what a finished order has made; None when it named nothing."""
        if order.made is None:
            return None
        made = next(made for made in poll.made if order.made.startswith(f"{made.name}:"))
        ref = order.made.removeprefix(f"{made.name}:")
        request = Request(f"fetch {made.name}", "read", made.read, headers=made.headers, absent=poll.absent)
        expected = _Found("ok", key=order.made)
        return await self._send(request, slot, {"ref": ref, "name": order.name}, expected, made=made)

    async def _send(
        self,
        request: Request,
        slot: Slot,
        variables: Mapping[str, str],
        expected: _Found,
        *,
        key: Key | None = None,
        made: Made | None = None,
    ) -> Operation:
        message = self._message(request, {**self.workload.variables, **variables})
        due = slot.at if slot.at is not None else time.monotonic()
        reply = await self.client.send(message, slot.connection, at=slot.at)
        found = self._interpret(request, reply, variables, expected, doomed=key is not None and key.doomed)
        if made is not None and not made.compare:
            found.hash = None
        operation = self._line(request, slot, message, reply, found, due=due)
        self._record(operation)
        return operation

    def _message(self, request: Request, variables: Mapping[str, str]) -> Message:
        headers = {**self.workload.headers, **request.headers}
        body = b""
        if request.body is not None:
            body = json.dumps(_rendered(request.body, variables)).encode()
            headers.setdefault("Content-Type", "application/json")
        return Message(
            method=request.method,
            path=render(request.path, variables),
            headers=tuple((name, render(value, variables)) for name, value in headers.items()),
            body=body,
            upload_s=self._rng.uniform(*request.upload_s) if request.upload_s else 0.0,
            pieces=request.pieces,
        )

    def _line(
        self, request: Request, slot: Slot, message: Message, reply: Reply, found: _Found, *, due: float
    ) -> Operation:
        headers = {name.lower(): value for name, value in reply.headers.items()}
        wall = self._wall_minus_monotonic
        return Operation(
            n=next(self._numbers),
            op=f"{slot.prefix}{request.name}",
            kind=request.kind,
            phase=slot.phase,
            at=due + wall,
            start=reply.start + wall,
            end=reply.end + wall,
            outcome=found.outcome,
            key=found.key,
            status=reply.status,
            error=found.error,
            release=headers.get(self.workload.release_header.lower()),
            instance=headers.get(self.workload.instance_header.lower()),
            connection=reply.connection,
            bytes=len(reply.body),
            hash=found.hash,
            meta=found.meta,
            state=found.state,
            made=found.made,
            upload_s=round(message.upload_s, 3),
            seen=found.seen,
            total=found.total,
            makes=found.makes,
        )

    def _interpret(
        self, request: Request, reply: Reply, variables: Mapping[str, str], expected: _Found, *, doomed: bool
    ) -> _Found:
        """Return what the answer means. `info`: a write that may have happened although nobody said so."""
        found = expected
        if reply.error is not None or reply.status is None:
            found.error = reply.error or "no answer"
            found.outcome = "info" if request.kind in WRITES and reply.sent else "fail"
        elif reply.status in request.expect:
            self._read_answer(request, reply, variables, found)
        elif reply.status in request.absent and request.kind in {"read", "describe", "delete", "poll"}:
            found.state = "absent"
            found.outcome = "ok" if doomed else "fail"
        else:
            found.outcome = "info" if request.kind in WRITES and reply.status >= 500 else "fail"
        return found

    def _read_answer(self, request: Request, reply: Reply, variables: Mapping[str, str], found: _Found) -> None:
        if request.kind == "read":
            found.state, found.hash = "present", digest(reply.body)
            return
        if request.kind == "delete":
            return
        try:
            answer = json.loads(reply.body)
            self._read_json(request, answer, variables, found)
        except (ValueError, KeyError, TypeError) as fault:
            # The status said yes, but the answer does not hold what the workload file says it holds.
            found.outcome = "info" if request.kind in WRITES else "fail"
            found.error = f"unreadable answer ({type(fault).__name__})"

    def _read_json(self, request: Request, answer: Any, variables: Mapping[str, str], found: _Found) -> None:
        match request.kind:
            case "create" | "order":
                found.key = _path(_at(answer, request.ref))
            case "describe":
                found.state = "present"
                found.meta = _seen_meta(request, answer)
                found.error = _difference(request, answer, {**self.workload.variables, **variables})
            case "list":
                found.seen = tuple(_path(_at(item, request.item)) for item in _at(answer, request.items))
                found.total = int(_at(answer, request.total)) if request.total else None
            case "count":
                found.total = int(_at(answer, request.total))
            case _:
                self._read_poll(request, answer, variables, found)

    def _read_poll(self, request: Request, answer: Any, variables: Mapping[str, str], found: _Found) -> None:
        state = str(_at(answer, request.state))
        found.state = "done" if state in request.done else "failed" if state in request.failed else "pending"
        if found.state == "failed":
            found.error = f"order ended as {state}"
        if found.state == "done":
            found.meta = _seen_meta(request, answer)
            found.error = _difference(request, answer, {**self.workload.variables, **variables})
            for made in request.made:
                if isinstance(answer, dict) and answer.get(made.name) is not None:
                    found.made = f"{made.name}:{_path(answer[made.name])}"
                    break

    def _expected_meta(self, kind: str, name: str) -> str | None:
        request = self.workload.one("describe" if kind == "describe" else "poll")
        if request is None or not request.compare:
            return None
        variables = {**self.workload.variables, "name": name, "ref": ""}
        return digest({field: render(text, variables) for field, text in request.compare.items()})

    def _new_name(self) -> str:
        return f"{self._label}-{self._rng.getrandbits(64):016x}"

    def _new_payload(self) -> str:
        least, most = self.workload.payload_bytes
        return "".join(self._rng.choices(ALPHABET, k=self._rng.randint(least, most)))


def _rendered(body: Any, variables: Mapping[str, str]) -> Any:  # Any: JSON
    if isinstance(body, str):
        return render(body, variables)
    if isinstance(body, Mapping):
        return {name: _rendered(item, variables) for name, item in body.items()}
    if isinstance(body, list):
        return [_rendered(item, variables) for item in body]
    return body


def _at(answer: Any, dotted: str) -> Any:  # Any: JSON
    for part in dotted.split("."):
        answer = answer[part]
    return answer


def _path(reference: Any) -> str:  # Any: JSON that should be a string
    if not isinstance(reference, str) or not reference:
        raise TypeError("a reference must be a text")
    return urlsplit(reference).path


def _get(answer: Any, dotted: str) -> str | None:  # Any: JSON
    try:
        value = _at(answer, dotted)
    except (KeyError, TypeError):
        return None
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _seen_meta(request: Request, answer: Any) -> str | None:
    if not request.compare:
        return None
    return digest({field: _get(answer, field) for field in request.compare})


def _difference(request: Request, answer: Any, variables: Mapping[str, str]) -> str | None:
    """Name the compared fields that differ, without their values."""
    wrong = [field for field, text in request.compare.items() if _get(answer, field) != render(text, variables)]
    return f"{', '.join(wrong)} differs from what was written" if wrong else None
