"""What is being answered, and what the worker tells its main process."""

from bascule.lifecycle.board import Board, Outcome
from bascule.lifecycle.inflight import InFlight, UnfinishedRequest


def test_requests_in_flight_are_named_oldest_first_without_their_query():
    now = [10.0]
    in_flight = InFlight(clock=lambda: now[0])
    with in_flight.tracking("GET", "/v1/secrets?name=mine"):
        now[0] = 12.5
        with in_flight.tracking("POST", "/v1/orders"):
            assert in_flight.unfinished() == (
                UnfinishedRequest("GET", "/v1/secrets", 2.5),
                UnfinishedRequest("POST", "/v1/orders", 0.0),
            )
    assert in_flight.unfinished() == ()


def test_the_worker_tells_its_outcome_and_its_reason():
    board = Board()
    assert board.outcome is Outcome.NOT_SERVING
    board.refuse("pin ä is too new" + "x" * 9_000)
    assert board.outcome is Outcome.REFUSED
    assert board.sentence.startswith("pin ä is too new")
