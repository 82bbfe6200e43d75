"""Payloads are stored as Barbican's simple_crypto stores them."""

import base64
import threading

import pytest
from cryptography.fernet import Fernet

from bascule_keymanager.crypto.plugin import Place, ProjectKey, Sealed, stored_text
from bascule_keymanager.crypto.simple import MasterKeys, SimpleCrypto
from bascule_keymanager.errors import DamagedPayload, KekRefused, UnreadableKek
from bascule_keymanager.storage.new_secrets import NewSecret

PLACE = Place("s", "p1")


def simple(*keys):
    return SimpleCrypto(MasterKeys(keys))


def key(wrapped, name="k"):
    return ProjectKey(name, SimpleCrypto.plugin_name, None, wrapped)


def rows(keymanager, text):
    with keymanager.database.reader.connect() as connection:
        return connection.exec_driver_sql(text).all()


def test_what_is_stored_opens_with_nothing_but_fernet_and_the_master_key(keymanager, post_secret):
    post_secret("the payload")
    [(cypher, wrapped, content_type)] = rows(
        keymanager,
        "SELECT e.cypher_text, k.plugin_meta, e.content_type FROM encrypted_data e JOIN kek_data k ON k.id = e.kek_id",
    )
    assert isinstance(cypher, str)
    assert isinstance(wrapped, str)
    project_key = Fernet(keymanager.settings.keks[0]).decrypt(wrapped.encode())
    assert Fernet(project_key).decrypt(base64.b64decode(cypher)) == b"the payload"
    assert content_type == "text/plain"


def test_rows_carry_barbicans_own_names(keymanager, post_secret):
    post_secret()
    assert rows(
        keymanager, "SELECT plugin_name, algorithm, bit_length, mode, active, bind_completed FROM kek_data"
    ) == [("barbican.plugin.crypto.simple_crypto.SimpleCryptoPlugin", "aes", 128, "cbc", 1, 1)]
    assert dict(rows(keymanager, "SELECT key, value FROM secret_store_metadata")) == {
        "plugin_name": "barbican.plugin.store_crypto.StoreCryptoAdapterPlugin",
        "content_type": "text/plain",
    }
    [(label, external)] = rows(keymanager, "SELECT kek_label, external_id FROM kek_data, projects")
    assert label.startswith(f"project-{external}-key-")


@pytest.mark.parametrize("spelling", [lambda t: t, lambda t: t.encode(), lambda t: "\\x" + t.encode().hex()])
def test_what_barbican_bound_as_bytes_is_read_whatever_the_database_made_of_it(spelling):
    master, project_key = Fernet.generate_key(), Fernet.generate_key()
    wrapped = Fernet(master).encrypt(project_key).decode()
    cypher = base64.b64encode(Fernet(project_key).encrypt(b"payload")).decode()
    assert simple(master.decode()).open(key(spelling(wrapped)), Sealed(spelling(cypher)), PLACE) == b"payload"
    assert stored_text(spelling(cypher)) == cypher


def test_the_first_master_key_wraps_and_every_one_reads():
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    before = key(simple(old).new_key("label").wrapped)
    both = simple(new, old)
    assert both.can_unwrap(before)
    Fernet(new).decrypt(both.new_key("label").wrapped.encode())
    assert not simple(new).can_unwrap(before)


def test_a_payload_that_was_changed_is_refused_by_the_name_of_its_secret():
    plugin = simple(Fernet.generate_key().decode())
    project_key = key(plugin.new_key("label").wrapped)
    sealed = plugin.seal(project_key, b"payload", PLACE)
    with pytest.raises(DamagedPayload) as refusal:
        plugin.open(project_key, Sealed(sealed.cypher_text[:-8] + "AAAAAAA="), PLACE)
    assert "secret s " in str(refusal.value)


def test_a_wrong_master_key_is_named_by_what_it_cannot_open_and_never_replaced(keymanager, post_secret):
    path = post_secret("kept")
    stranger = keymanager.again(keks=(Fernet.generate_key().decode(),))
    project = stranger.projects.get_or_create("p1")
    kek_id = stranger.key_of().id
    with pytest.raises(UnreadableKek) as refusal:
        stranger.secrets.add(project, NewSecret("u", payload=b"x", content_type="text/plain"))
    assert kek_id in str(refusal.value)
    assert stranger.client().simulate_get(path + "/payload").status_code == 500
    assert len(rows(keymanager, "SELECT id FROM kek_data")) == 1
    assert keymanager.client().simulate_get(path + "/payload").text == "kept"
    stranger.database.dispose()


def test_a_master_key_that_is_none_is_refused_without_repeating_it():
    with pytest.raises(KekRefused) as refusal:
        MasterKeys([Fernet.generate_key().decode(), "hunter2"])
    assert "kek number 2" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_the_newest_active_project_key_seals(keymanager, post_secret):
    post_secret()
    wrapped = simple(*keymanager.settings.keks).new_key("label").wrapped
    with keymanager.database.writer.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO kek_data SELECT 'newer', '2999-01-01 00:00:00.000000', updated_at, NULL, 0, status,"
            " plugin_name, kek_label, project_id, 1, 1, algorithm, bit_length, mode, ? FROM kek_data",
            (wrapped,),
        )
        connection.exec_driver_sql(
            "INSERT INTO kek_data SELECT 'newest but inactive', '2999-02-01 00:00:00.000000', updated_at, NULL, 0,"
            " status, plugin_name, kek_label, project_id, 0, 1, algorithm, bit_length, mode, 'x' FROM kek_data"
            " WHERE id = 'newer'"
        )
    other = keymanager.again()
    assert other.key_of().id == "newer"
    other.database.dispose()


def test_first_requests_of_a_new_project_at_once_make_one_project_and_one_key(keymanager):
    others = [keymanager.again() for _ in range(8)]
    start, found, failed = threading.Barrier(len(others)), [], []

    def first_request(process):
        start.wait()
        try:
            found.append((process.projects.get_or_create("new").id, process.key_of("new").id))
        except Exception as failure:  # noqa: BLE001 - the test reports it
            failed.append(failure)

    threads = [threading.Thread(target=first_request, args=(process,)) for process in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for process in others:
        process.database.dispose()
    assert failed == []
    assert len(set(found)) == 1
    assert rows(keymanager, "SELECT count(*) FROM projects") == [(1,)]
    assert rows(keymanager, "SELECT count(*) FROM kek_data") == [(1,)]
