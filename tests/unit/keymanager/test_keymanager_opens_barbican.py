"""A database that real Barbican wrote opens, and a fresh one of ours has Barbican's shape.

The recording is made by tools/record_barbican_database.py.
"""

import base64
import json
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from bascule_keymanager.config import Settings
from bascule_keymanager.migrations.base import BARBICAN_REVISION, create_base, metadata
from bascule_keymanager.storage.database import Database

DATA = Path(__file__).parent.parent.parent / "data"
RECORDED = json.loads((DATA / "barbican-23.0.0.json").read_text())
# What we add to a fresh database, and to none that Barbican made.
OURS = {"ix_secrets_project_id_created_at", "ix_orders_status_created_at"}


@pytest.fixture
def barbican_url(tmp_path):
    path = tmp_path / "barbican.db"
    with sqlite3.connect(path) as connection:
        connection.executescript((DATA / "barbican-23.0.0.sql").read_text())
    connection.close()
    return f"sqlite:///{path}"


@pytest.fixture
def opened(barbican_url, make_keymanager):
    keymanager = make_keymanager(barbican_url)
    opened = keymanager.again(keks=(RECORDED["kek"],), host_href="http://barbican.example")
    assert isinstance(opened.settings, Settings)
    yield opened
    opened.database.dispose()


def test_every_secret_of_barbican_is_shown_and_read_as_barbican_did(opened):
    client = opened.client(project="project-one", user="user-two")
    assert len(RECORDED["secrets"]) == 6
    for path, recorded in RECORDED["secrets"].items():
        shown = client.simulate_get(path)
        assert (shown.status_code, shown.json) == (recorded["status"], recorded["shown"])
        payload = client.simulate_get(path + "/payload")
        assert payload.status_code == recorded["payload_status"]
        if recorded["payload"] is not None:
            assert payload.content == base64.b64decode(recorded["payload"])
    order = client.simulate_get(RECORDED["order"]["path"])
    assert order.json == RECORDED["order"]["shown"]


def test_new_secrets_are_sealed_with_the_key_that_barbican_made(opened):
    client = opened.client(project="project-one")
    before = client.simulate_get("/v1/secrets").json["total"]
    body = {"payload": "new", "payload_content_type": "text/plain"}
    made = client.simulate_post("/v1/secrets", json=body).json["secret_ref"]
    assert client.simulate_get("/v1" + made.partition("/v1")[2] + "/payload").text == "new"
    assert client.simulate_get("/v1/secrets").json["total"] == before + 1
    with opened.database.reader.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM kek_data").scalar() == 1
        assert connection.exec_driver_sql("SELECT count(DISTINCT kek_id) FROM encrypted_data").scalar() == 1


def shape(url):
    """Return every table's columns (type, whether NULL is allowed), unique keys, foreign keys and indexes."""
    engine = sa.create_engine(url)
    inspector = sa.inspect(engine)
    described = {}
    for table in inspector.get_table_names():
        described[table] = {
            "columns": {c["name"]: (str(c["type"]), c["nullable"]) for c in inspector.get_columns(table)},
            "unique": sorted(tuple(sorted(u["column_names"])) for u in inspector.get_unique_constraints(table)),
            "foreign": sorted(
                (f["constrained_columns"], f["referred_table"]) for f in inspector.get_foreign_keys(table)
            ),
            "indexes": sorted(i["name"] for i in inspector.get_indexes(table) if i["name"] not in OURS),
        }
    engine.dispose()
    return described


def test_a_fresh_database_has_barbicans_shape(barbican_url, tmp_path):
    url = f"sqlite:///{tmp_path}/fresh.db"
    database = Database(url)
    with database.writer.begin() as connection:
        create_base(connection)
    database.dispose()
    assert shape(url) == shape(barbican_url)


def test_barbicans_own_schema_is_left_alone(barbican_url):
    before = shape(barbican_url)
    database = Database(barbican_url)
    with database.writer.begin() as connection:
        create_base(connection)
        stamps = connection.exec_driver_sql("SELECT version_num FROM alembic_version").all()
        indexes = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'index'").scalars().all()
    database.dispose()
    assert stamps == [(BARBICAN_REVISION,)]
    assert OURS.isdisjoint(indexes)
    assert shape(barbican_url) == before


def test_an_interrupted_creation_is_finished(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/half.db")
    with database.writer.begin() as connection:
        metadata.tables["projects"].create(connection)
        metadata.tables["alembic_version"].create(connection)
    with database.writer.begin() as connection:
        create_base(connection)
        create_base(connection)
        assert connection.exec_driver_sql("SELECT count(*) FROM alembic_version").scalar() == 1
        assert sa.inspect(connection).has_table("secrets")
    database.dispose()
