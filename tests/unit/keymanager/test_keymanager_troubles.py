"""What a client is told while the database or the secret store does not work: 503, why, and that it may try again."""

import sqlite3

import psycopg
import pymysql
import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from bascule.lifecycle import OutOfTouch
from bascule_keymanager.errors import HsmFailed
from bascule_keymanager.storage.database import trouble_of

TEXT = {"payload": "hunter2", "payload_content_type": "text/plain"}


def failure(cause, kind=exc.OperationalError, **more):
    return kind("INSERT hunter2", {}, cause, **more)


@pytest.mark.parametrize(
    ("told", "trouble"),
    [
        (failure(pymysql.err.OperationalError(2003, "no server")), "away"),
        (failure(pymysql.err.OperationalError(2013, "lost")), "away"),
        (failure(pymysql.err.OperationalError(1040, "too many")), "away"),
        (failure(pymysql.err.OperationalError(1114, "the table is full")), "full"),
        (failure(pymysql.err.OperationalError(1030, "Got error 28 from storage engine")), "full"),
        (failure(pymysql.err.OperationalError(1030, "Got error 122 from storage engine")), None),
        (failure(pymysql.err.ProgrammingError(1146, "no such table"), exc.ProgrammingError), None),
        (failure(psycopg.OperationalError("connection refused")), "away"),
        (failure(psycopg.errors.AdminShutdown("stopping")), "away"),
        (failure(psycopg.errors.CannotConnectNow("starting")), "away"),
        (failure(psycopg.errors.TooManyConnections("sorry"), exc.OperationalError), "away"),
        (failure(psycopg.errors.DiskFull("no space")), "full"),
        (failure(psycopg.errors.UndefinedTable("no such table"), exc.ProgrammingError), None),
        (failure(psycopg.InterfaceError("gone"), exc.InterfaceError, connection_invalidated=True), "away"),
        (exc.TimeoutError("no connection is free"), "away"),
        (ValueError("ours"), None),
    ],
)
def test_only_what_another_try_may_cure_is_told_from_the_rest(told, trouble):
    assert trouble_of(told) == trouble


def test_a_file_that_cannot_be_opened_is_away(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/no/such/folder.db")
    with pytest.raises(exc.OperationalError) as refused, engine.connect():
        pass
    assert trouble_of(refused.value) == "away"
    assert isinstance(refused.value.orig, sqlite3.OperationalError)


def test_a_full_disk_refuses_writes_clearly_and_keeps_nobody_from_reading(client, keymanager, capsys):
    def limit(pages):
        def on_the_connection_that_writes(connection):
            now = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {now + pages}")

        keymanager.database.write(on_the_connection_that_writes)

    kept = client.simulate_post("/v1/secrets", json=TEXT)
    limit(0)
    answers = [client.simulate_post("/v1/secrets", json={**TEXT, "payload": "hunter2" * 900}) for _ in range(4)]
    assert answers[-1].status_code == 503
    assert answers[-1].headers["Retry-After"] == "1"
    assert answers[-1].json == {
        "code": 503,
        "title": "Service Unavailable",
        "description": "Secret creation failure seen - the database has no room left; "
        "try again later, or contact site administrator.",
    }
    path = kept.json["secret_ref"].partition("/v1")[2]
    text = client.simulate_get(f"/v1{path}/payload", headers={"Accept": "text/plain"})
    assert (text.status_code, text.text) == (200, "hunter2")
    limit(1_000)
    assert client.simulate_post("/v1/secrets", json=TEXT).status_code == 201
    assert "hunter2" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (OutOfTouch("keymanager"), "the database cannot be reached at the moment"),
        (HsmFailed("CKR_DEVICE_REMOVED"), "the secret store cannot be used at the moment"),
    ],
)
def test_what_comes_back_by_itself_is_told_with_503(client, keymanager, monkeypatch, trouble, reason):
    def fail(*_args, **_more):
        raise trouble

    monkeypatch.setattr(keymanager.parts.secrets, "add", fail)
    answer = client.simulate_post("/v1/secrets", json=TEXT)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert answer.json["description"].startswith(f"Secret creation failure seen - {reason};")
