"""Keys that are made anew: when they are due, once, and without a client of Barbican's noticing more than a new key."""

import datetime as dt
from contextlib import nullcontext

import pytest
import sqlalchemy as sa

from bascule.release import Release
from bascule.rpc import Client, EmbeddedTransport
from bascule_keymanager.api.pipeline import Frame
from bascule_keymanager.clock import utc_now
from bascule_keymanager.errors import StoreFailed
from bascule_keymanager.identity import RELEASE
from bascule_keymanager.objects import Rotation
from bascule_keymanager.storage.rotations import RotationStore
from bascule_keymanager.storage.version_tables import secret_rotations
from bascule_keymanager.worker.api import WorkerApi
from bascule_keymanager.worker.loop import WorkerLoop
from bascule_keymanager.worker.rotator import Rotator

ORDER = {"type": "key", "meta": {"name": "k", "algorithm": "aes", "bit_length": 256}}


class Clock:
    """The time, and as much later as the test says."""

    def __init__(self):
        self.later = dt.timedelta()

    def __call__(self):
        return utc_now() + self.later

    def advance(self, seconds):
        self.later += dt.timedelta(seconds=seconds)


@pytest.fixture
def clock(keymanager):
    """The clock of the key manager's rotations."""
    clock = Clock()
    keymanager.parts.rotations = RotationStore(keymanager.database, clock)
    keymanager.rotator = rotator_of(keymanager)
    return clock


def rotator_of(keymanager, speaking=lambda: nullcontext(RELEASE)):
    return Rotator(keymanager.parts.rotations, keymanager.parts.versions, keymanager.projects, speaking)


@pytest.fixture
def client(keymanager, clock):
    return keymanager.client()


@pytest.fixture
def key(keymanager, client):
    """The path of a key that was ordered."""
    order = client.simulate_post("/v1/orders", json=ORDER).json["order_ref"]
    keymanager.processor.process_id(order.rpartition("/")[2])
    made = client.simulate_get("/v1" + order.partition("/v1")[2]).json["secret_ref"]
    return "/v1" + made.partition("/v1")[2]


def own(path):
    return path.replace("/v1/", "/v1/bascule/")


def read(client, path):
    answer = client.simulate_get(path + "/payload", headers={"Accept": "application/octet-stream"})
    assert answer.status_code == 200, answer.text
    return answer.content


def put(client, path, interval_s=3600):
    return client.simulate_put(own(path) + "/rotation", json={"interval_s": interval_s})


def shown(client, path):
    return client.simulate_get(own(path) + "/rotation").json["rotation"]


def versions(client, path):
    return client.simulate_get(own(path) + "/versions").json["versions"]


def test_a_key_is_made_anew_when_it_is_due_and_not_before(keymanager, client, key, clock):
    old = read(client, key)
    before = client.simulate_get(key).json
    assert put(client, key).status_code == 200
    keymanager.rotator.sweep()
    assert [each["version"] for each in versions(client, key)] == [1]
    clock.advance(3601)
    keymanager.rotator.sweep()
    keymanager.rotator.sweep()
    new = read(client, key)
    assert (len(new), new != old) == (32, True)
    newest, oldest = versions(client, key)
    assert (newest["version"], newest["labels"], newest["origin"]) == (2, ["current"], "rotation")
    assert (oldest["labels"], read(client, own(key) + "/versions/previous")) == (["previous"], old)
    after = client.simulate_get(key).json
    before.pop("updated"), after.pop("updated")
    assert after == before
    clock.advance(3600)
    keymanager.rotator.sweep()
    assert [each["version"] for each in versions(client, key)] == [3, 2, 1]


def test_a_rotation_that_was_late_keeps_its_hour_and_one_that_was_missed_is_not_made_up_for(
    keymanager, client, key, clock
):
    put(client, key)
    due = shown(client, key)["next"]
    clock.advance(3660)
    keymanager.rotator.sweep()
    following = dt.datetime.fromisoformat(shown(client, key)["next"]) - dt.datetime.fromisoformat(due)
    assert following == dt.timedelta(hours=1)
    clock.advance(10 * 3600)
    for _ in range(3):
        keymanager.rotator.sweep()
    assert [each["version"] for each in versions(client, key)] == [3, 2, 1]
    assert dt.datetime.fromisoformat(shown(client, key)["next"]) > clock()


def test_a_key_is_made_anew_now_when_somebody_asks_for_it(keymanager, client, key):
    assert client.simulate_post(own(key) + "/rotation").status_code == 404
    put(client, key)
    assert client.simulate_post(own(key) + "/rotation").status_code == 202
    assert keymanager.wakes[-1] == key.rpartition("/")[2]
    assert keymanager.rotator.rotate_id(keymanager.wakes[-1]) == "rotated"
    assert keymanager.rotator.rotate_id(keymanager.wakes[-1]) == "not due"
    assert shown(client, key)["last"] is not None
    assert [each["version"] for each in versions(client, key)] == [2, 1]


def test_a_rotation_is_changed_and_taken_away(keymanager, client, key, clock):
    assert client.simulate_get(own(key) + "/rotation").status_code == 404
    assert put(client, key, 60).json["rotation"]["interval_s"] == 60
    assert put(client, key, 7200).json["rotation"]["interval_s"] == 7200
    clock.advance(3600)
    keymanager.rotator.sweep()
    assert len(versions(client, key)) == 1
    assert client.simulate_delete(own(key) + "/rotation").status_code == 204
    assert client.simulate_delete(own(key) + "/rotation").status_code == 404
    clock.advance(7200)
    keymanager.rotator.sweep()
    assert len(versions(client, key)) == 1
    assert put(client, key, 5).status_code == 400


@pytest.mark.parametrize(
    "fields",
    [
        {"secret_type": "passphrase"},
        {"secret_type": "symmetric"},
        {"secret_type": "symmetric", "algorithm": "aes", "bit_length": 256},
        {"secret_type": "symmetric", "algorithm": "aes", "bit_length": 255, "payload": None},
        {"secret_type": "symmetric", "algorithm": "rsa", "bit_length": 2048, "payload": None},
    ],
    ids=["a passphrase", "of no algorithm", "kept as text", "of a length", "a pair"],
)
def test_what_no_worker_makes_anew_is_refused(client, post_secret, fields):
    payload = fields.get("payload", "text")
    path = post_secret(**{"payload": payload, "payload_content_type": payload and "text/plain", **fields})
    refused = put(client, path)
    assert refused.status_code == 409
    assert refused.json["description"].startswith("Secret rotation update issue seen - ")
    assert client.simulate_get(own(path) + "/rotation").status_code == 404


def test_a_store_that_fails_is_told_of_and_asked_again_later(keymanager, client, key, clock, monkeypatch, capfd):
    put(client, key)
    clock.advance(3601)
    [store] = {id(each.store): each.store for each in keymanager.stores._writers[:1]}.values()

    def fail(*_arguments):
        raise StoreFailed("of its door being shut")

    with monkeypatch.context() as patch:
        patch.setattr(type(store), "generate_symmetric", fail)
        keymanager.rotator.sweep()
        keymanager.rotator.sweep()
    told = shown(client, key)
    assert (told["failures"], told["failure"]) == (1, "the secret store failed; the operator's log says how")
    assert "of its door being shut" in "".join(capfd.readouterr())
    keymanager.rotator.sweep()
    assert len(versions(client, key)) == 1
    clock.advance(31)
    keymanager.rotator.sweep()
    assert len(versions(client, key)) == 2
    told = shown(client, key)
    assert (told["failures"], told["failure"]) == (0, None)


def test_a_key_that_has_as_many_versions_as_it_may_says_so_and_none_goes_unasked(make_keymanager, sqlite_url):
    keymanager = make_keymanager(sqlite_url, max_key_versions=3)
    clock = Clock()
    keymanager.parts.rotations = RotationStore(keymanager.database, clock)
    client = keymanager.client()
    body = {"secret_type": "symmetric", "algorithm": "aes", "bit_length": 128}
    path = "/v1" + client.simulate_post("/v1/secrets", json=body).json["secret_ref"].partition("/v1")[2]
    assert put(client, path, 60).status_code == 200
    for _ in range(4):
        clock.advance(61)
        rotator_of(keymanager).sweep()
    assert len(read(client, path)) == 16  # the first turn gave the secret its payload
    assert shown(client, path)["failure"].startswith("there are as many versions as may be")
    assert [each["version"] for each in versions(client, path)] == [3, 2, 1]
    assert client.simulate_delete(own(path) + "/versions/1/payload").status_code == 204
    clock.advance(61)
    rotator_of(keymanager).sweep()
    assert [each["version"] for each in versions(client, path)] == [4, 3, 2]
    assert shown(client, path)["failure"] is None


def test_what_was_encrypted_before_a_rotation_still_opens_until_its_key_is_destroyed(keymanager, client, key, clock):
    def use(verb, **body):
        return client.simulate_post(f"{own(key)}/{verb}", json=body)

    first = use("encrypt", plaintext="YQ==").json["ciphertext"]
    put(client, key)
    clock.advance(3601)
    keymanager.rotator.sweep()
    second = use("encrypt", plaintext="Yg==").json["ciphertext"]
    seen = keymanager.count_statements()
    assert use("decrypt", ciphertext=second).json == {"plaintext": "Yg=="}
    assert len(seen) == 1
    answers = use("decrypt", items=[{"ciphertext": first}, {"ciphertext": second}, {"ciphertext": first}])
    assert answers.json == {"items": [{"plaintext": "YQ=="}, {"plaintext": "Yg=="}, {"plaintext": "YQ=="}]}
    assert len(seen) == 3
    moved = use("rewrap", ciphertext=first).json["ciphertext"]
    assert moved.split(":")[4] == second.split(":")[4] != first.split(":")[4]
    assert client.simulate_delete(own(key) + "/versions/1/payload").status_code == 204
    assert use("decrypt", ciphertext=first).status_code == 400
    assert use("decrypt", ciphertext=moved).json == {"plaintext": "YQ=="}


def test_nothing_is_made_anew_while_a_process_knows_of_no_versions(keymanager, client, key, clock):
    put(client, key)
    clock.advance(3601)
    old = rotator_of(keymanager, lambda: nullcontext(Release.parse("2027.2")))
    old.sweep()
    assert old.rotate_id(key.rpartition("/")[2]) == "not due"
    assert len(versions(client, key)) == 1
    frame = Frame(Frame.of(keymanager.settings).policies, speaking=lambda: nullcontext(Release.parse("2027.2")))
    older = keymanager.client(frame=frame)
    for method in ("GET", "PUT", "POST", "DELETE"):
        answer = older.simulate_request(method, own(key) + "/rotation", json={"interval_s": 60})
        assert answer.status_code == 409
        assert "from release 2028.1 on" in answer.json["description"]


def test_a_deleted_key_is_never_made_anew(keymanager, client, key, clock):
    put(client, key)
    clock.advance(3601)
    [due] = keymanager.parts.rotations.due(most=5)
    assert client.simulate_delete(key).status_code == 204
    assert keymanager.rotator.rotate(due) == "not due"
    with keymanager.database.reader.connect() as connection:
        assert connection.execute(sa.select(secret_rotations)).all() == []


def test_a_worker_takes_the_wake_up_of_a_rotation_and_no_message_holds_a_key(keymanager, client, key):
    transport = EmbeddedTransport(keymanager.database.writer, release=RELEASE)
    transport.create_tables()
    put(client, key)
    secret_id = key.rpartition("/")[2]
    caller = Client(WorkerApi, transport, pin=lambda: RELEASE)

    def wake(connection, at):
        rotation = Rotation(secret_id=secret_id, due_at=at.timestamp())
        caller.cast("rotate_secret", connection=connection, rotation=rotation, request_id="req-7")

    assert keymanager.parts.rotations.hasten(secret_id, wake)
    loop = WorkerLoop(
        transport,
        keymanager.orders,
        keymanager.processor,
        keymanager.rotator,
        taker="worker-1",
        sweep_age_s=0.0,
        on_refused=lambda: None,
    )
    assert loop.step()
    assert not loop.step()
    assert [each["version"] for each in versions(client, key)] == [2, 1]
