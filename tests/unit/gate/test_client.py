"""The client behaves as healthy clients do, repeats nothing, and aims at this machine only."""

import asyncio
import random
import socket
import time

import pytest

from bascule.gate.client import Client, Message, NotLoopback, Target

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    "text", ["http://192.0.2.1:80", "http://example.org:80", "https://127.0.0.1:80", "http://127.0.0.1", "127.0.0.1:1"]
)
def test_only_this_machine_is_loaded(text):
    with pytest.raises(NotLoopback, match="not an http address of this machine"):
        Target.parse(text)


@pytest.mark.parametrize("text", ["http://127.0.0.1:9311", "http://localhost:9311/", "http://[::1]:9311"])
def test_loopback_addresses_are_targets(text):
    assert Target.parse(text).port == 9311


def talk(answer, scenario):
    """Serve every connection with `answer(reader, writer, number)` and run `scenario(client, connections)`."""

    async def main():
        connections = []

        async def serve(reader, writer):
            connections.append(writer)
            try:
                await answer(reader, writer, len(connections))
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = Client(Target("127.0.0.1", port), random.Random(1), timeout_s=1.0, lead_s=0.01)
        try:
            return await scenario(client, connections)
        finally:
            client.close()
            server.close()

    return asyncio.run(main())


async def always(reader, writer, _number):
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(OK)


async def once(reader, writer, _number):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(OK)


async def until_closed(wires, wait_s=5.0):
    async with asyncio.timeout(wait_s):
        while any(wire.usable for wire in wires):  # noqa: ASYNC110  # the client says nothing when a peer closes
            await asyncio.sleep(0)


def swallow(answer):
    async def serve(reader, writer, number):
        try:
            await answer(reader, writer, number)
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the client let go

    return serve


def test_a_kept_connection_serves_many_requests_and_a_new_one_only_one():
    async def scenario(client, connections):
        replies = [await client.send(Message("GET", "/"), wanted) for wanted in ("kept", "kept", "kept", "new", "new")]
        return replies, len(connections)

    replies, opened = talk(swallow(always), scenario)
    assert [reply.status for reply in replies] == [200] * 5
    assert [reply.connection for reply in replies] == ["kept-opened", "kept", "kept", "new", "new"]
    assert opened == 3


def test_a_connection_that_the_server_has_closed_is_seen_before_it_is_used_again():
    async def scenario(client, connections):
        first = await client.send(Message("GET", "/"), "kept")
        await until_closed(client._kept)
        second = await client.send(Message("GET", "/"), "kept")
        return first, second, len(connections)

    first, second, opened = talk(swallow(once), scenario)
    assert (first.status, second.status, second.connection, opened) == (200, 200, "kept-opened", 2)


def test_a_close_under_a_request_on_its_way_is_a_failure_and_is_not_repeated():
    async def close_on_second(reader, writer, _number):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")

    async def scenario(client, connections):
        await client.send(Message("GET", "/"), "kept")
        return await client.send(Message("GET", "/"), "kept"), len(connections)

    reply, opened = talk(swallow(close_on_second), scenario)
    assert (reply.status, reply.error, reply.sent, opened) == (None, "closed", True, 1)


def test_a_close_between_the_look_and_the_sending_is_a_failure():
    async def scenario(client, connections):
        await client.send(Message("GET", "/"), "kept")
        (wire,) = client._kept
        sending = asyncio.ensure_future(client.send(Message("GET", "/"), "kept", at=time.monotonic() + 0.2))
        while client._kept:  # noqa: ASYNC110  # until the client has taken its connection and waits
            await asyncio.sleep(0)
        connections[0].transport.abort()
        reply = await sending
        return reply, wire.usable

    reply, usable = talk(swallow(always), scenario)
    assert reply.error in {"closed", "reset"}
    assert not usable


def test_an_answer_that_breaks_off_is_a_failure():
    async def half(reader, writer, _number):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK[:-1])

    async def scenario(client, _):
        return await client.send(Message("GET", "/"), "new")

    assert talk(swallow(half), scenario).error == "closed"


def test_silence_is_a_timeout_and_words_that_are_not_http_are_a_protocol_error():
    async def silent(reader, _writer, _number):
        await reader.read()

    async def babble(reader, writer, _number):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"what?\r\n\r\n")
        await reader.read()

    async def scenario(client, _):
        return await client.send(Message("GET", "/"), "new")

    assert talk(swallow(silent), scenario).error == "timeout"
    assert talk(swallow(babble), scenario).error == "protocol"


def test_nobody_listening_is_refused_and_surely_not_sent():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def main():
        return await Client(Target("127.0.0.1", port), random.Random(1)).send(Message("POST", "/", body=b"x"), "kept")

    reply = asyncio.run(main())
    assert (reply.error, reply.sent) == ("refused", False)


def test_a_slow_uploader_sends_its_headers_first_and_the_body_in_pieces():
    arrived = []

    async def collect(reader, writer, _number):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Content-Length: 10" in head
        received = b""
        while len(received) < 10:
            part = await reader.read(100)
            arrived.append(part)
            received += part
        writer.write(OK)

    async def scenario(client, _):
        return await client.send(Message("POST", "/", body=b"0123456789", upload_s=0.2, pieces=5), "new")

    reply = talk(swallow(collect), scenario)
    assert reply.status == 200
    assert reply.end - reply.start >= 0.2
    assert arrived == [b"01", b"23", b"45", b"67", b"89"]


def test_long_idle_connections_are_used_again_within_the_longest_gap():
    async def scenario(client, connections):
        client._idle_max_s = 0.2  # the gap that the first connection will have
        await client.send(Message("GET", "/"), "idle")
        due = client._idle[0][0]
        client._idle_max_s = 60.0  # however late this test is, the client does not let go
        early = await client.send(Message("GET", "/"), "idle", at=time.monotonic())
        second = await client.send(Message("GET", "/"), "new", at=due)
        reused = await client.send(Message("GET", "/"), "idle")
        return early, second, reused, len(connections)

    early, _, reused, opened = talk(swallow(always), scenario)
    assert (early.connection, reused.connection, opened) == ("idle-opened", "idle", 3)


def test_connection_classes_come_in_the_proportions_of_the_standard_load():
    client = Client(Target("127.0.0.1", 1), random.Random(5))
    drawn = [client.draw_class() for _ in range(4000)]
    assert {name: round(drawn.count(name) / 4000, 1) for name in ("kept", "new", "idle")} == {
        "kept": 0.5,
        "new": 0.3,
        "idle": 0.2,
    }
