"""Processes that serve an ASGI application are replaced, stopped and cut."""

import time

from support.waiting import eventually

from .test_serving import NEW, OLD, Client, InBackground, get_fresh


def test_an_old_asgi_process_is_replaced_without_a_lost_request(run, listener):
    old = run("asgi", OLD, BASCULE_DRAIN_S="3").wait_ready()
    assert "lifespan startup" in old.notes
    kept = [Client(listener) for _ in range(5)]
    assert [client.get() for client in kept] == [(200, OLD)] * 5
    slow = InBackground()
    for _ in range(50):
        slow.run(lambda: get_fresh(listener, "/slow?2"))
    eventually(lambda: old.notes.count("got /slow") == 50)
    new = run("asgi", NEW, BASCULE_DRAIN_S="0.5").wait_ready()
    old.terminate()
    eventually(lambda: "drain" in old.notes)
    late = time.monotonic() + 0.5
    eventually(lambda: time.monotonic() > late)  # clients idle for a moment, which is within the linger
    assert [client.get() for client in kept] == [(200, OLD)] * 5
    assert all(client.closed for client in kept), "a late request is answered with Connection: close"
    assert get_fresh(listener) == (200, NEW)
    assert slow.join().answers == [(200, OLD)] * 50
    assert slow.failures == []
    assert old.exit_code() == 0
    assert old.notes[-2:] == ["lifespan shutdown", "stop"]
    new.terminate()
    assert new.exit_code() == 0


def test_an_asgi_request_that_outlives_the_deadline_is_named(run, listener):
    old = run("asgi", OLD, BASCULE_DRAIN_S="0.5", SMALL_DEADLINE_S="1").wait_ready()
    requests = InBackground()
    requests.run(lambda: get_fresh(listener, "/secret?60", {"X-Request-ID": "req-1"}))
    eventually(lambda: "got /secret" in old.notes)
    old.terminate()
    assert old.exit_code() == 1
    assert "abandoned GET /secret req-1 after" in old.stderr
    assert "?60" not in old.stderr
    assert len(requests.join().failures) == 1


def test_an_asgi_service_that_refuses_to_start_says_why_and_is_never_ready(run):
    service = run("asgi", OLD, SMALL_REFUSES="1")
    assert service.exit_code() == 1
    assert service.stderr.splitlines()[-1] == "this release is too old; next: small pin hold 1"
    assert not service.ready_file.exists()
