"""Nobody enters without a token that Keystone confirms, and Keystone is not asked about each twice."""

import json
import logging
import threading

import falcon.testing
import pytest
import structlog
from support.keystone_stub import running
from support.waiting import eventually

from bascule_keymanager.api import token_gate
from bascule_keymanager.api.context import Caller
from bascule_keymanager.api.environment import CALLER
from bascule_keymanager.api.token_cache import TokenCache
from bascule_keymanager.api.token_gate import TokenGate
from bascule_keymanager.config import _parsed
from bascule_keymanager.errors import ConfigRefused
from bascule_keymanager.log import configure_log


@pytest.fixture
def keystone():
    with running() as keystone:
        yield keystone


@pytest.fixture
def options(tmp_path):
    def build(url, *lines):
        path = tmp_path / "authtoken.conf"
        section = [
            *("[keystone_authtoken]", "auth_type = password", f"auth_url = {url}", "username = keys"),
            *("password = secret-of-the-service", "project_name = service", "user_domain_name = d"),
            *("project_domain_name = d", "www_authenticate_uri = http://identity", "http_request_max_retries = 0"),
            *("service_token_roles_required = True", "service_type = key-manager"),
        ]
        path.write_text("\n".join([*section, *lines, ""]))
        return _parsed([str(path)])

    return build


class Door:
    """A gate with an application behind it that tells who came in."""

    def __init__(self, options, **more):
        self.seen = []
        self.gate = TokenGate(self.app, self.app, options, **{"allow_anonymous": False, "keep_headers": False, **more})
        self.client = falcon.testing.TestClient(self.gate)

    def app(self, environ, start_response):
        self.seen.append(environ)
        caller = environ.get(CALLER)
        body = json.dumps(caller and [caller.project, caller.user, sorted(caller.credentials.roles)]).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    def ask(self, token=None, path="/v1/secrets", method="GET", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            named["X-Auth-Token"] = token
        return self.client.simulate_request(method, path, headers=named)


@pytest.fixture
def door(keystone, options):
    return Door(options(keystone.url))


def test_a_confirmed_token_tells_who_asks_and_is_asked_about_once(door, keystone):
    keystone.issue("t1", roles=("member", "Reader"))
    for _ in range(3):
        assert door.ask("t1").json == ["p1", "u1", ["member", "reader"]]
    assert keystone.asked == ["t1"]
    assert (door.gate.cache.hits, door.gate.cache.misses) == (2, 1)


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/secrets", "/v1/nothing"])
def test_without_a_token_there_is_no_way_in(door, keystone, path):
    keystone.issue("t1")
    for token in (None, "", "t2"):
        answer = door.ask(token, path)
        assert answer.status_code == 401
        assert answer.json["error"]["code"] == 401
        assert answer.headers["WWW-Authenticate"] == 'Keystone uri="http://identity"'
    assert door.seen == []


@pytest.mark.parametrize("path", ["/", "/healthcheck", "/readiness", "/v2", "/v1x"])
def test_what_is_not_of_the_api_needs_none_and_knows_nobody(door, keystone, path):
    assert door.ask(path=path, X_Project_Id="p9", X_Roles="admin").json is None
    assert keystone.asked == []


def test_headers_of_the_client_never_tell_who_asks(door, keystone):
    keystone.issue("t1")
    lies = {"X_Project_Id": "p9", "X_User_Id": "root", "X_Roles": "admin", "X_Identity_Status": "Confirmed"}
    assert door.ask(**lies).status_code == 401
    for _ in range(2):  # confirmed, and remembered
        assert door.ask("t1", **lies).json == ["p1", "u1", ["member", "reader"]]


def test_whoever_reads_headers_behind_the_gate_reads_keystones(keystone, options):
    door = Door(options(keystone.url), keep_headers=True)
    keystone.issue("t1", roles=("member",))
    for _ in range(2):
        door.ask("t1", X_Roles="admin", X_Service_Roles="admin", X_Tenant="p9", X_Openstack_Request_Id="req-1")
        seen = door.seen[-1]
        assert seen["HTTP_X_ROLES"] == "member"
        assert seen["HTTP_X_TENANT"] == seen["HTTP_X_PROJECT_NAME"] == "p1"
        assert "HTTP_X_SERVICE_ROLES" not in seen
        assert "key-manager" in seen["HTTP_X_SERVICE_CATALOG"]
        assert seen["HTTP_X_OPENSTACK_REQUEST_ID"] == "req-1"
    door.ask("t1", X_Openstack_Request_Id="req-2")
    assert door.seen[-1]["HTTP_X_OPENSTACK_REQUEST_ID"] == "req-2"
    assert keystone.asked == ["t1"]


def test_a_token_that_ended_is_not_believed(door, keystone, monkeypatch):
    keystone.issue("t1", valid_s=30)
    assert door.ask("t1").status_code == 200
    confirmed = next(iter(door.gate.cache._known.values()))
    assert confirmed.until <= door.gate.cache._clock() + 30
    keystone.issue("t2", valid_s=-5)
    assert door.ask("t2").status_code == 401


def test_a_revoked_token_is_believed_no_longer_than_its_time_in_memory(keystone, options):
    door = Door(options(keystone.url, "token_cache_time = 100"))
    now = [0.0]
    door.gate.cache._clock = lambda: now[0]
    keystone.issue("t1")
    assert door.ask("t1").status_code == 200
    del keystone.tokens["t1"]
    now[0] = 99.0
    assert door.ask("t1").status_code == 200
    now[0] = 100.5
    assert door.ask("t1").status_code == 401


def test_no_memory_means_asking_every_time(keystone, options):
    door = Door(options(keystone.url, "token_cache_time = -1"))
    keystone.issue("t1")
    for _ in range(3):
        assert door.ask("t1").status_code == 200
    assert keystone.asked == ["t1"] * 3


def test_a_token_with_access_rules_is_judged_request_by_request(door, keystone):
    rules = [{"id": "1", "service": "key-manager", "method": "GET", "path": "/v1/secrets"}]
    keystone.issue("t1", application_credential={"id": "a", "name": "a", "restricted": True, "access_rules": rules})
    assert door.ask("t1").status_code == 200
    assert door.ask("t1", path="/v1/orders").status_code == 401
    assert door.ask("t1", method="DELETE").status_code == 401
    assert door.ask("t1").status_code == 200


def test_a_token_beside_a_services_own_is_another_one(door, keystone):
    keystone.issue("t1")
    keystone.issue("s1", user="compute", roles=("service",))
    keystone.issue("s2", user="somebody", roles=("member",))
    for _ in range(2):
        assert door.ask("t1", X_Service_Token="s1").status_code == 200
        assert door.ask("t1", X_Service_Token="s2").status_code == 401  # not a service
        assert door.ask("t1").status_code == 200
    assert keystone.asked.count("s1") == 1


def test_a_token_of_no_project_enters_but_is_nobody(door, keystone):
    keystone.issue("t1", project=None, roles=("admin",))
    assert door.ask("t1").json is None  # the application answers 401


def test_while_keystone_is_away_known_tokens_work_others_get_503_and_then_all_is_well(door, keystone, monkeypatch):
    keystone.issue("t1")
    keystone.issue("t2")
    assert door.ask("t1").status_code == 200
    keystone.away = True
    now = [1000.0]
    monkeypatch.setattr(door.gate, "_clock", lambda: now[0])
    refused = door.ask("t2")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert refused.json["description"] == "The identity service cannot be asked at the moment."
    assert door.ask("t1").status_code == 200
    keystone.away = False
    at_once = door.ask("t2")
    assert at_once.status_code == 503
    assert at_once.headers["Retry-After"] == "1"
    assert at_once.json["description"] == "The identity service cannot be asked at the moment."
    now[0] += 1.1
    assert door.ask("t2").status_code == 200


def test_a_keystone_that_was_never_there_is_503_and_not_a_fault_of_ours(options):
    door = Door(options("http://127.0.0.1:1"))
    assert door.ask("t1").status_code == 503
    assert door.seen == []


def test_anonymous_people_come_in_only_where_both_options_say_so(keystone, options):
    put_off = options(keystone.url, "delay_auth_decision = True")
    assert Door(put_off).ask().json is None
    assert Door(put_off, allow_anonymous=True).ask("nonsense").json == ["default", None, []]
    assert Door(options(keystone.url), allow_anonymous=True).ask().status_code == 401


def test_without_a_way_to_check_tokens_nothing_starts():
    with pytest.raises(ConfigRefused, match="auth_strategy = noauth"):
        TokenGate(None, None, _parsed([]), allow_anonymous=False, keep_headers=False)


def test_no_token_reaches_the_log(door, keystone, capsys, monkeypatch):
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    before = structlog.get_config()
    monkeypatch.setattr(root, "level", root.level)
    try:
        configure_log("keymanager-api")
        keystone.issue("hunter1")
        keystone.answer_of_unknown = {"error": {"code": 404, "message": "Could not find token: hunter2"}}
        assert door.ask("hunter1", X_Service_Token="hunter2").status_code == 401
        assert door.ask("hunter2").status_code == 401
        assert door.ask("hunter1").status_code == 200
    finally:
        structlog.configure(**before)
    said = capsys.readouterr()
    assert "Authorization failed for token" in said.err
    assert "hunter" not in said.err + said.out


def test_keystones_connection_is_not_waited_for_for_ever(keystone, options):
    conf = options(keystone.url)
    Door(conf)
    assert conf.keystone_authtoken.http_connect_timeout == token_gate._CONNECT_TIMEOUT_S


def test_the_memory_has_a_limit_and_shows_no_token():
    now = [0.0]
    cache = TokenCache(100, clock=lambda: now[0], most=3)
    keys = [cache.key(f"secret-token-{number}", None) for number in range(6)]
    for key in keys[:4]:
        cache.keep(key, Caller("p", "u"), 50, {})
    assert [cache.find(key) is not None for key in keys[:4]] == [False, True, True, True]
    now[0] = 60.0
    cache.keep(keys[4], Caller("p", "u"), 50, {})
    assert len(cache) == 1
    cache.keep(keys[5], Caller("p", "u"), 0, {})
    assert cache.find(keys[5]) is None
    assert "secret-token" not in repr(vars(cache))
    assert cache.key("t", "s") != cache.key("t", None) != TokenCache(1).key("t", None)


@pytest.mark.parametrize(("token", "status", "asked"), [("t1", 200, 1), ("t2", 401, 6)])
def test_requests_that_come_at_once_with_one_token_ask_about_it_once(door, keystone, token, status, asked):
    keystone.issue("t1")
    assert door.ask("t0").status_code == 401  # the service has a token of its own from now on
    keystone.asked.clear()
    answer, asks, held = keystone.answer, [], threading.Event()

    def slowly(*request):
        asks.append(request)
        assert held.wait(30.0)
        return answer(*request)

    keystone.answer = slowly
    statuses = []
    requests = [threading.Thread(target=lambda: statuses.append(door.ask(token).status_code)) for _ in range(6)]
    for request in requests:
        request.start()
    eventually(lambda: door.gate.cache.misses == 7 and asks)
    assert len(asks) == 1
    held.set()
    for request in requests:
        request.join()
    assert statuses == [status] * 6
    assert len(keystone.asked) == asked  # what is not known afterwards, each asks for itself


def test_whoever_waited_too_long_for_another_request_asks_for_itself(door, keystone, monkeypatch):
    monkeypatch.setattr(token_gate, "_LONGEST_WAIT_S", 0.01)
    keystone.issue("t1")
    inquiry, first = door.gate._inquiries.begin(door.gate.cache.key("t1", None))
    assert first
    assert door.ask("t1").status_code == 200
    door.gate._inquiries.end(door.gate.cache.key("t1", None), inquiry)
    assert not door.gate._inquiries._asking
