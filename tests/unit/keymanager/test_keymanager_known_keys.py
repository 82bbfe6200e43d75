"""The keys that seal payloads are read anew every ten seconds, and never shown."""

import pytest
import sqlalchemy as sa

from bascule_keymanager.storage import known_keys
from bascule_keymanager.storage.known_keys import KnownKeys, StoredKey


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def kek_id(keymanager, client, post_secret):
    post_secret("payload")
    with keymanager.database.reader.connect() as connection:
        return connection.exec_driver_sql("SELECT id FROM kek_data").scalar_one()


def relabel(keymanager, label):
    with keymanager.database.writer.begin() as connection:
        connection.execute(sa.text("UPDATE kek_data SET kek_label = :label"), {"label": label})


def test_a_key_is_read_anew_after_ten_seconds(keymanager, kek_id):
    clock = Clock()
    keys = KnownKeys(clock)
    relabel(keymanager, "one")

    def label():
        return keymanager.database.read(lambda connection: keys.find(connection, kek_id)).kek_label

    assert label() == "one"
    relabel(keymanager, "two")
    clock.now_s = 9.9
    assert label() == "one"
    clock.now_s = 10.0
    assert label() == "two"


def test_a_key_that_is_not_there_is_not_remembered(keymanager, kek_id):
    keys = KnownKeys()
    for _ in range(2):
        seen = keymanager.count_statements()
        found = keymanager.database.read(lambda connection: keys.find(connection, "no such key"))
        assert (found, len(seen)) == (StoredKey(None, None, None), 1)


def test_few_keys_are_remembered(keymanager, kek_id, monkeypatch):
    monkeypatch.setattr(known_keys, "_MOST", 1)
    keys = KnownKeys()
    with keymanager.database.writer.begin() as connection:
        key = "project_id, plugin_name, kek_label, plugin_meta, active, bind_completed"
        columns = f"{key}, created_at, updated_at, deleted, status"
        connection.exec_driver_sql(f"INSERT INTO kek_data (id, {columns}) SELECT 'other', {columns} FROM kek_data")
    for each in (kek_id, "other", kek_id):
        seen = keymanager.count_statements()
        assert keymanager.database.read(lambda connection, each=each: keys.find(connection, each)).plugin_name
        assert len(seen) == 1


def test_the_wrapped_key_is_never_shown():
    assert "hunter" not in repr(StoredKey("simple", "label", "hunter"))
