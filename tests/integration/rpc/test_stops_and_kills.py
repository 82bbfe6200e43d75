"""What becomes of casts when servers stop and processes are killed; the long form is `make fuzz-rpc`."""

import pytest
from support.rpc_kills import kill_under_load
from support.rpc_processes import EffectCareless
from support.rpc_stops import stop_under_load


def test_a_stop_under_load_loses_nothing_where_a_stock_server_loses_what_it_took(rabbitmq, tmp_path):
    stock, drained, ours = stop_under_load(rabbitmq.transport_url, tmp_path, stops=1)
    assert (drained.lost, ours.lost, ours.twice, drained.twice) == (0, 0, 0, 0)
    assert stock.lost > 0, "the stock server lost nothing, so this run shows nothing"


@pytest.mark.parametrize("transport", ["broker", "embedded"])
def test_every_durable_cast_has_one_effect_while_workers_and_relays_are_killed(transport, request, tmp_path):
    broker = request.getfixturevalue("rabbitmq") if transport == "broker" else None
    url = f"sqlite:///{tmp_path}/service.db"
    result = kill_under_load(url, tmp_path, broker=broker, seconds=4, seed=1, every_s=0.3)
    assert (result.without_effect, result.with_two) == (0, 0)
    assert result.cast > 100
    assert result.kills > 3


def test_the_count_sees_effects_that_happen_twice(tmp_path):
    url = f"sqlite:///{tmp_path}/service.db"
    result = kill_under_load(url, tmp_path, seconds=4, seed=1, every_s=0.1, handlers=EffectCareless)
    assert result.with_two > 0
