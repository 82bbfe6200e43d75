"""What every request carries, whoever asks: a name, a version, a line in the log, figures, and an answer."""

import json
import re
import socket
import threading
import urllib.request

import falcon.testing
import pytest
import structlog
from support.keymanager_fleet import RELEASES
from support.waiting import eventually

from bascule.documents.codec import from_plain
from bascule.documents.manifest import Manifest
from bascule.errors import LifecycleError
from bascule.lifecycle import caps_at
from bascule.release import Release
from bascule_keymanager.api import microversions
from bascule_keymanager.api.envelope import Envelope
from bascule_keymanager.api.health import Condition
from bascule_keymanager.api.metrics import Metrics
from bascule_keymanager.api.microversions import LATEST, OLDEST, latest_at, shown
from bascule_keymanager.api.pipeline import Frame
from bascule_keymanager.api.process import _Advertised
from bascule_keymanager.config import _parsed
from bascule_keymanager.errors import ConfigRefused
from bascule_keymanager.manifest import build_manifest
from bascule_keymanager.policy.policies import Policies
from bascule_keymanager.storage.database import Database
from bascule_keymanager.whole_api import has_whole_api

REQUEST_ID = re.compile(r"req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
VERSION = "OpenStack-API-Version"


@pytest.fixture
def asked(client):
    """Ask for a version of the API, and tell what came of it."""

    def ask(version, path="/v1/secrets", **headers):
        return client.simulate_get(path, headers={VERSION: version, **headers})

    return ask


@pytest.fixture
def framed(keymanager):
    """A client of an application that shares this with its process."""

    def build(settings=None, **parts):
        other = keymanager.again(**settings) if settings else keymanager
        return other.client(frame=Frame(Policies(other.settings.options), **parts))

    return build


@pytest.mark.parametrize(
    ("header", "version"),
    [
        ("key-manager 1.0", "1.0"),
        ("key-manager 1.1", "1.1"),
        ("key-manager 1.2", "1.2"),
        ("key-manager latest", "1.2"),
        ("KEY-Manager   1.1", "1.1"),
        ("compute 2.90, key-manager 1.1, identity 3.14", "1.1"),
        ("key-manager 1.1,key-manager 1.2", "1.2"),
        ("compute 2.90", "1.0"),
        ("key-manager", "1.0"),
        ("", "1.0"),
    ],
)
def test_a_request_is_served_in_the_version_that_it_names(asked, header, version):
    answer = asked(header)
    assert answer.status_code == 200
    assert answer.headers[VERSION] == f"key-manager {version}"
    assert answer.headers["Vary"] == "openstack-api-version"


@pytest.mark.parametrize(
    ("version", "status"),
    [("1.3", 406), ("2.0", 406), ("0.9", 406), ("1.x", 400), ("one", 400), ("1", 400), ("<b>", 400)],
)
@pytest.mark.parametrize("path", ["/", "/v1", "/v1/secrets"])
def test_a_version_that_is_none_is_refused_in_what_the_client_reads(asked, version, status, path):
    named = f"key-manager {version}"
    page = asked(named, path, Accept="text/html")
    assert page.status_code == status
    assert page.headers["Content-Type"].startswith("text/html")
    assert version.replace("<", "&lt;").replace(">", "&gt;") in page.text
    assert "<b>" not in page.text
    told = asked(named, path, Accept="application/json")
    assert told.json["message"].startswith("Invalid microversion: ")
    assert asked(named, path, Accept="image/png").headers["Content-Type"].startswith("text/plain")
    assert VERSION not in page.headers


def test_who_is_nobody_hears_that_first(keymanager):
    answer = keymanager.client(project=None).simulate_get("/v1/secrets", headers={VERSION: "key-manager 9.9"})
    assert answer.status_code == 401
    assert VERSION not in answer.headers
    assert "Vary" not in answer.headers
    assert REQUEST_ID.fullmatch(answer.headers["X-Openstack-Request-Id"])


def test_versions_are_shown_in_both_shapes(asked, client):
    old = client.simulate_get("/")
    assert old.status_code == 300
    [shown_] = old.json["versions"]["values"]
    assert shown_["status"] == "stable"
    assert "max_version" not in shown_
    new = asked("key-manager latest", "/")
    assert new.status_code == 300
    [shown_] = new.json["versions"]
    assert (shown_["status"], shown_["min_version"], shown_["max_version"]) == ("CURRENT", "1.0", "1.2")
    assert asked("key-manager 1.1", "/v1").json == {"version": shown_}
    assert client.simulate_get("/", params={"build": ""}).json == {"build": str(build_manifest().release)}


def test_a_client_that_wants_a_home_document_is_sent_to_the_version(client):
    home = client.simulate_get("/", headers={"Accept": "application/json-home"})
    assert home.status_code == 302
    assert home.headers["Location"].endswith("/v1/")
    both = client.simulate_get("/", headers={"Accept": "application/json, application/json-home;q=0.5"})
    assert both.status_code == 300


def test_a_fleet_shows_no_newer_version_than_its_oldest_process_serves(framed):
    client = framed(maximum=lambda: (1, 0))
    assert client.simulate_get("/", headers={VERSION: "key-manager latest"}).headers[VERSION] == "key-manager 1.0"
    assert client.simulate_get("/v1/secrets", headers={VERSION: "key-manager 1.1"}).status_code == 406
    half = framed(maximum=lambda: (1, 1))
    [version] = half.simulate_get("/", headers={VERSION: "key-manager latest"}).json["versions"]
    assert version["max_version"] == "1.1"


def test_what_each_release_serves_is_what_its_manifest_says():
    frozen = [json.loads(path.read_text()) for path in sorted(RELEASES.glob("*/manifest.json"))]
    manifests = [*(from_plain(Manifest, document) for document in frozen), build_manifest()]
    for manifest in manifests:
        assert shown(latest_at(manifest.release)) == caps_at(manifest.release, manifests).api
    assert latest_at(Release.parse("2025.1")) == OLDEST
    assert latest_at(Release.parse("2099.1")) == LATEST == max(microversions._SERVED)


@pytest.mark.parametrize(
    ("pin", "expected"),
    [("2026.2", False), ("2026.2.1", True), ("2026.2.9", True), ("2027.1", False), ("2027.2", True), ("2028.1", True)],
)
def test_the_whole_api_is_offered_where_every_process_of_the_fleet_has_it(pin, expected):
    assert has_whole_api(Release.parse(pin)) is expected
    assert latest_at(Release.parse(pin)) == (LATEST if expected else OLDEST)


def test_while_the_fleet_cannot_be_asked_the_version_from_before_is_shown():
    answers = [Release.parse("2027.2"), LifecycleError("out of touch"), Release.parse("2026.2")]

    class Member:
        def advertised(self):
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    advertised = _Advertised(Member())
    assert [advertised.maximum() for _ in range(3)] == [(1, 2), (1, 2), (1, 0)]


def test_every_answer_has_a_name_of_its_own_and_says_who_gave_it(client):
    names = set()
    for path in ("/", "/healthcheck", "/v1/secrets", "/v1/nothing", "/nothing"):
        answer = client.simulate_get(path, headers={"X-Openstack-Request-Id": "req-mine"})
        assert answer.headers["X-Bascule-Release"] == str(build_manifest().release)
        names.add(answer.headers["X-Openstack-Request-Id"])
    assert len(names) == 5
    assert all(REQUEST_ID.fullmatch(name) for name in names)


GLOBAL = "req-01234567-89ab-4def-8123-456789abcdef"


def test_the_log_has_one_line_for_a_request_and_no_secret(keymanager):
    client = keymanager.client()
    with structlog.testing.capture_logs() as lines:
        answer = client.simulate_post(
            "/v1/secrets?name=hunter1",
            json={"name": "hunter2", "payload": "hunter3", "payload_content_type": "text/plain"},
            headers={"X-Auth-Token": "hunter4", "X-Openstack-Request-Id": GLOBAL},
        )
        client.simulate_get("/healthcheck")
        client.simulate_get("/readiness")
    assert answer.status_code == 201
    [line] = [line for line in lines if line["event"] == "request"]
    assert line["took_ms"] > 0
    known = {"method": "POST", "path": "/v1/secrets", "status": 201, "project": "p1", "user": "u1"}
    assert {name: line[name] for name in known} == known
    assert line["request_id"] == answer.headers["X-Openstack-Request-Id"]
    assert line["global_request_id"] == GLOBAL
    assert "hunter" not in repr(lines)
    quiet = keymanager.again(access_log=False).client()
    with structlog.testing.capture_logs() as lines:
        quiet.simulate_get("/v1/secrets")
    assert lines == []


def test_a_layer_that_fails_is_answered_and_its_words_are_not_logged():
    def broken(environ, start_response):
        raise RuntimeError("hunter2")

    with structlog.testing.capture_logs() as lines:
        answer = falcon.testing.TestClient(Envelope(broken, None, access_log=False)).simulate_get("/v1")
    assert answer.status_code == 500
    assert answer.json["description"] == "System failure seen - please contact site administrator."
    assert "hunter2" not in answer.text + repr(lines)
    assert lines[0]["error"] == "RuntimeError"


def test_a_process_is_taken_out_by_a_file_and_by_draining(framed, keymanager, tmp_path):
    condition = Condition(keymanager.database, str(tmp_path / "out"))
    client = framed(condition=condition)

    def both():
        health, ready = client.simulate_get("/healthcheck"), client.simulate_get("/readiness")
        return health.status_code, health.text, ready.status_code, ready.json["process"]

    assert both() == (200, "OK", 200, "ok")
    (tmp_path / "out").touch()
    assert both() == (503, "DISABLED BY FILE", 503, "disabled by file")
    (tmp_path / "out").unlink()
    assert both() == (200, "OK", 200, "ok")
    condition.drain()
    assert both() == (503, "DRAINING", 503, "draining")
    assert VERSION not in client.simulate_get("/healthcheck").headers


def test_a_process_without_its_database_is_up_and_not_ready(framed):
    class Gone:
        asked = 0

        def condition(self):
            self.asked += 1
            return "not reachable (OperationalError)"

    gone = Gone()
    client = framed(condition=Condition(gone))
    for _ in range(3):
        answer = client.simulate_get("/readiness")
        assert answer.status_code == 503
        assert answer.json == {"ready": False, "process": "ok", "database": "not reachable (OperationalError)"}
    assert gone.asked == 1  # a second is not over
    assert client.simulate_get("/healthcheck").status_code == 200


def test_a_database_that_hangs_does_not_hang_who_asks_about_it(framed):
    released = threading.Event()

    class Hanging:
        def condition(self):
            released.wait(30)
            return "ok"

    client = framed(condition=Condition(Hanging(), patience_s=0.05))
    assert client.simulate_get("/readiness").json["database"] == "no answer in time"
    released.set()


def test_a_database_that_answers_says_so_and_one_that_cannot_does_not_name_itself(keymanager, tmp_path):
    assert keymanager.database.condition() == "ok"
    broken = Database(f"sqlite:///{tmp_path}/no/such/folder/hunter2.db")
    assert broken.condition() == "not reachable (OperationalError)"


def test_figures_count_by_route_and_never_by_id_or_project(framed, post_secret):
    metrics = Metrics()
    client = framed({"metrics_path": "/metrics"}, metrics=metrics)
    for _ in range(2):
        assert client.simulate_get(post_secret()).status_code == 200
    client.simulate_get("/v1/secrets/no-id")
    client.simulate_get("/nothing")
    metrics.answered("PURGE", "/v1/secrets", "405", 0.1)
    text = client.simulate_get("/metrics").text
    counted = dict(re.findall(r"^keymanager_http_requests_total\{(.*)\} (\S+)$", text, re.MULTILINE))
    route = 'method="GET",route="/v1/secrets/{secret_id}"'
    assert counted[f'{route},status="200"'] == "2.0"
    assert counted[f'{route},status="404"'] == "1.0"
    assert counted['method="GET",route="none",status="404"'] == "1.0"
    assert f"keymanager_http_request_duration_seconds_count{{{route}}} 3.0" in text
    assert "PURGE" not in text
    assert "p1" not in text
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", text)


def test_figures_are_shown_nowhere_unless_somebody_says_where(framed):
    assert framed(metrics=Metrics()).simulate_get("/metrics").status_code == 404


def test_figures_have_a_port_of_their_own_which_the_next_process_takes_over():
    first, second = Metrics(), Metrics()
    first.watch({"own": ("Which one.", lambda: 1.0)})
    second.watch({"own": ("Which one.", lambda: 2.0)})
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    server = first.serve(address)
    try:
        assert "keymanager_own 1.0" in scrape(address)
        waiting = second.serve(address)
        try:
            server.stop()
            assert "keymanager_own 2.0" in scrape(address)
        finally:
            waiting.stop()
    finally:
        server.stop()
    with pytest.raises(ConfigRefused, match="HOST:PORT"):
        first.serve("9312")


def scrape(address):
    """The figures, as soon as somebody shows them there."""
    found = []

    def shown_there():
        try:
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
                found.append(answer.read().decode())
        except OSError:
            return False
        return True

    eventually(shown_there, what="a port with figures")
    return found[-1]


def with_file(keymanager, tmp_path, *lines, **more):
    path = tmp_path / "more.conf"
    path.write_text("\n".join([*lines, ""]))
    return keymanager.again(options=_parsed([str(path)]), **more).client(project="a" * 32, user="b" * 32)


def test_browsers_are_let_in_from_where_the_operator_says(keymanager, tmp_path):
    asks = {"Origin": "https://horizon", "Access-Control-Request-Method": "PUT"}
    asks["Access-Control-Request-Headers"] = "X-Auth-Token"
    client = with_file(keymanager, tmp_path, "[cors]", "allowed_origin = https://horizon")
    answer = client.simulate_options("/v1/secrets", headers=asks)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "https://horizon"
    assert "Access-Control-Allow-Origin" in client.simulate_get("/v1/secrets", headers=asks).headers
    other = client.simulate_get("/v1/secrets", headers={"Origin": "https://elsewhere"})
    assert "Access-Control-Allow-Origin" not in other.headers
    assert "Access-Control-Allow-Origin" not in keymanager.client().simulate_get("/v1/secrets", headers=asks).headers


def test_a_proxy_is_believed_only_where_the_operator_says_so(keymanager, tmp_path):
    sent = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "keys.example"}

    def reference(client):
        return client.simulate_get("/", headers=sent).json["versions"]["values"][0]["links"][0]["href"]

    believing = with_file(keymanager, tmp_path, "[oslo_middleware]", "enable_proxy_headers_parsing = True")
    assert reference(believing) == "https://keys.example/v1/"
    assert "keys.example" not in reference(keymanager.client())


AUDIT_MAP = """
[DEFAULT]
target_endpoint_type = None
[path_keywords]
secrets = secret
[service_endpoints]
key-manager = service/security/keymanager
"""


@pytest.mark.filterwarnings("ignore:Invalid uuid")
def test_every_request_of_the_api_is_audited_where_the_operator_says_so(keymanager, tmp_path, caplog):
    (tmp_path / "map.conf").write_text(AUDIT_MAP)
    lines = ["[audit_middleware_notifications]", "use_oslo_messaging = False"]
    client = with_file(keymanager, tmp_path, *lines, audit_map_file=str(tmp_path / "map.conf"))
    catalog = [{"type": "key-manager", "name": "keys", "endpoints": [{"publicURL": "http://falconframework.org"}]}]
    with caplog.at_level("INFO"):
        answer = client.simulate_get("/v1/secrets", headers={"X-Service-Catalog": json.dumps(catalog)})
        assert answer.status_code == 200
        client.simulate_get("/healthcheck")
    events = [record.getMessage() for record in caplog.records if "Event type" in record.getMessage()]
    assert [re.search(r"audit\.http\.(\w+)", event)[1] for event in events] == ["request", "response"]
    assert "'reasonCode': '200'" in events[1]
    with pytest.raises(ConfigRefused, match="audit_map_file"):
        with_file(keymanager, tmp_path, *lines, audit_map_file=str(tmp_path / "none.conf"))
