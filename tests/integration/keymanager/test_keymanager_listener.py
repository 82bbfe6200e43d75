"""The listener ends projects that the identity service tells of, over RabbitMQ."""

import contextlib
import dataclasses
import threading
import time

import pytest
from oslo_config import cfg

from bascule.rpc.rabbitmq.oslo_parts import oslo
from bascule_keymanager.config_messaging import Messaging, Notifications
from bascule_keymanager.errors import ConfigRefused
from bascule_keymanager.listener.notifications import ProjectDeletions
from bascule_keymanager.listener.process import ListenerProcess
from bascule_keymanager.storage.project_end import Ended

DEADLINE_S = 60.0


def wait_for(fact, what):
    deadline = time.monotonic() + DEADLINE_S
    while not fact():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}"
        threading.Event().wait(0.02)


@pytest.fixture
def keymanager(make_keymanager, tmp_path, monkeypatch):
    monkeypatch.setenv("BASCULE_INSTANCE", "listener-1")
    return make_keymanager(f"sqlite:///{tmp_path}/keymanager.db")


@pytest.fixture
def exchange(tmp_path):
    return f"keystone-{tmp_path.name}"[:60]


@pytest.fixture
def keystone(rabbitmq, exchange, tmp_path):
    """Tell as Keystone does what became of what."""
    (tmp_path / "keystone.conf").write_text(f"[DEFAULT]\ncontrol_exchange = {exchange}\n")
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[str(tmp_path / "keystone.conf")], default_config_dirs=[])
    transport = oslo.get_notification_transport(conf, url=rabbitmq.transport_url)
    notifier = oslo.Notifier(transport, "identity.host", driver="messagingv2", topics=["notifications"])
    yield lambda event, resource: notifier.info({}, f"identity.{event}", {"resource_info": resource})
    transport.cleanup()


@pytest.fixture
def listener(keymanager, rabbitmq, exchange):
    told = Messaging(url=rabbitmq.transport_url, notifications=Notifications(True, exchange, pool="keymanager"))
    with contextlib.closing(_Closing(dataclasses.replace(keymanager.settings, messaging=told))) as closing:
        closing.process.start()
        yield closing.process


class _Closing:
    def __init__(self, settings):
        self.process = ListenerProcess(settings)

    def close(self):
        self.process.drain()
        self.process.stop()


def post(keymanager, project):
    body = {"payload": "x", "payload_content_type": "text/plain"}
    assert keymanager.client(project=project).simulate_post("/v1/secrets", json=body).status_code == 201


def secrets_of(keymanager, project):
    return keymanager.client(project=project).simulate_get("/v1/secrets").json["total"]


def test_a_deleted_project_is_ended_and_other_news_are_passed_over(keymanager, listener, keystone):
    for project in ("p1", "p2", "p3"):
        post(keymanager, project)
    keystone("project.created", "p2")
    keystone("user.deleted", "p2")
    keystone("project.deleted", "p1")
    keystone("project.deleted", "nobody")
    keystone("project.deleted", "p3")
    # The news are taken by several threads, and so not always done in their order.
    wait_for(lambda: secrets_of(keymanager, "p1") == secrets_of(keymanager, "p3") == 0, "both are ended")
    assert secrets_of(keymanager, "p2") == 1


class Flaky:
    """A database that is away at first."""

    def __init__(self, failures):
        self.failures, self.ended = failures, []

    def end(self, project):
        if self.failures:
            self.failures -= 1
            raise OSError("hunter2")
        self.ended.append(project)
        return Ended(1, 0)


@pytest.mark.parametrize(("requeues", "answer"), [(True, "REQUEUE"), (False, "HANDLED")])
def test_what_could_not_be_ended_comes_again_unless_barbicans_way_is_configured(requeues, answer, capsys):
    stopping = threading.Event()
    stopping.set()
    flaky = Flaky(1)
    endpoint = ProjectDeletions(flaky, requeues=requeues, stopping=stopping)
    told = ({}, "identity.host", "identity.project.deleted", {"resource_info": "p1"}, {})
    assert endpoint.info(*told) == getattr(oslo.NotificationResult, answer)
    assert endpoint.info(*told) == oslo.NotificationResult.HANDLED
    assert flaky.ended == ["p1"]
    assert "hunter2" not in capsys.readouterr().out


@pytest.mark.parametrize("payload", [None, "p1", {}, {"resource_info": 5}, {"resource_info": ""}])
def test_odd_notifications_are_passed_over(payload):
    flaky = Flaky(0)
    endpoint = ProjectDeletions(flaky, requeues=True)
    assert endpoint.info({}, "host", "identity.project.deleted", payload, {}) == oslo.NotificationResult.HANDLED
    assert endpoint.info({}, "host", "deleted", {"resource_info": "p1"}, {}) == oslo.NotificationResult.HANDLED
    assert flaky.ended == []


def test_a_listener_that_has_nothing_to_listen_to_is_refused(keymanager):
    with pytest.raises(ConfigRefused, match="keystone_notifications"):
        ListenerProcess(keymanager.settings)
