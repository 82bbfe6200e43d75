"""/v1/secret-stores and /v1/transport_keys answer as Barbican's do, and stores follow the configuration."""

import pytest

from bascule_keymanager.config import load_settings
from bascule_keymanager.config_stores import ConfiguredStore
from bascule_keymanager.errors import ConfigRefused
from bascule_keymanager.storage.secret_stores import StoreStillChosen

BASE = "http://falconframework.org"
SOFT = ConfiguredStore("Software Only Crypto", "store_crypto", "simple_crypto", global_default=True)
VAULT = ConfiguredStore("VaultSecretStore", "vault_plugin", None, global_default=False)


@pytest.fixture
def choice(make_keymanager, sqlite_url):
    keymanager = make_keymanager(sqlite_url, secret_stores=(SOFT, VAULT))
    keymanager.parts.holdings.secret_stores.sync(keymanager.settings.secret_stores)
    return keymanager


def description(answer):
    return answer.status_code, answer.json["description"]


@pytest.fixture
def client(keymanager):
    return keymanager.client(roles="admin,reader")


def test_without_a_choice_there_are_no_stores(client):
    text = "Not Found. Multiple backends support is not enabled in service configuration."
    for path in ("", "/global-default", "/preferred", "/x"):
        assert description(client.simulate_get("/v1/secret-stores" + path)) == (404, text)
    assert description(client.simulate_post("/v1/secret-stores/x/preferred")) == (404, text)


def test_stores_are_shown_and_one_is_preferred(choice):
    client = choice.client(roles="admin,reader")
    first, second = client.simulate_get("/v1/secret-stores").json["secret_stores"]
    path = first["secret_store_ref"].removeprefix(BASE)
    assert {"created", "updated"} < set(first)
    assert {name: first[name] for name in ("status", "name", "secret_store_plugin", "crypto_plugin")} == {
        "status": "ACTIVE",
        "name": "Software Only Crypto",
        "secret_store_plugin": "store_crypto",
        "crypto_plugin": "simple_crypto",
    }
    assert (first["global_default"], second["global_default"], second["crypto_plugin"]) == (True, False, None)
    assert client.simulate_get(path).json == first
    assert client.simulate_get("/v1/secret-stores/global-default").json == first
    assert description(client.simulate_get("/v1/secret-stores/x")) == (404, "Not Found. Secret store not found.")

    none = (404, "Not Found. No preferred secret store defined for this project.")
    assert description(client.simulate_get("/v1/secret-stores/preferred")) == none
    for store in (first, second):
        preference = store["secret_store_ref"].removeprefix(BASE) + "/preferred"
        assert client.simulate_post(preference).status_code == 204
        assert client.simulate_get("/v1/secret-stores/preferred").json == store
    assert description(choice.client(project="p2").simulate_get("/v1/secret-stores/preferred")) == none
    assert client.simulate_delete(path + "/preferred").status_code == 204
    assert description(client.simulate_delete(path + "/preferred")) == none


def test_rows_follow_the_configuration_and_keep_their_ids(choice):
    stores = choice.parts.holdings.secret_stores
    before = {store.name: store.id for store in stores.all()}
    later = [
        ConfiguredStore("Software Only Crypto", "store_crypto", "simple_crypto", global_default=False),
        ConfiguredStore("PKCS11 HSM", "store_crypto", "p11_crypto", global_default=True),
    ]
    stores.sync(later)
    stores.sync(later)
    after = {store.name: store.id for store in stores.all()}
    assert set(after) == {"Software Only Crypto", "PKCS11 HSM"}
    assert after["Software Only Crypto"] == before["Software Only Crypto"]
    assert stores.default().name == "PKCS11 HSM"
    stores.sync([])
    assert {store.name for store in stores.all()} == set(after)


def test_a_store_that_projects_chose_must_stay_configured(choice):
    stores = choice.parts.holdings.secret_stores
    vault = next(store for store in stores.all() if store.name == VAULT.name)
    stores.prefer(choice.projects.get_or_create("p1").id, vault.id)
    with pytest.raises(StoreStillChosen, match="'VaultSecretStore' is not configured any more, and 1 projects"):
        stores.sync([SOFT])
    assert len(stores.all()) == 2


CONFIGURATION = """
[database]
connection = sqlite:///x.db
[simple_crypto_plugin]
kek = dGhpcnR5X3R3b19ieXRlX2tleWJsYWhibGFoYmxhaGg=
plugin_name = Soft
[secretstore]
enable_multiple_secret_stores = True
"""


@pytest.fixture
def load(tmp_path):
    def load(text):
        path = tmp_path / "keymanager.conf"
        path.write_text(CONFIGURATION + text)
        return load_settings(str(path)).secret_stores

    return load


def test_stores_are_read_from_barbicans_options(load):
    text = """stores_lookup_suffix = soft, vault
[secretstore:soft]
secret_store_plugin = store_crypto
crypto_plugin = simple_crypto
global_default = True
[secretstore:vault]
secret_store_plugin = vault_plugin
"""
    soft = ConfiguredStore("Soft", "store_crypto", "simple_crypto", global_default=True)
    assert load(text) == (soft, VAULT)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "needs stores_lookup_suffix"),
        ("stores_lookup_suffix = a\n", r"\[secretstore:a\] secret_store_plugin is not set"),
        ("stores_lookup_suffix = a\n[secretstore:a]\nsecret_store_plugin = x\n", "0 secret stores have global_default"),
        (
            "stores_lookup_suffix = a, b\n[secretstore:b]\n{0}\n[secretstore:a]\n{0}\nglobal_default = True".format(
                "secret_store_plugin = x"
            ),
            "two secret stores have the same name",
        ),
    ],
)
def test_a_configuration_that_says_too_little_is_refused(load, text, reason):
    with pytest.raises(ConfigRefused, match=reason):
        load(text)


def test_transport_keys_are_kept(client):
    path = "/v1/transport_keys"
    assert client.simulate_get(path).json == {"transport_keys": [], "total": 0}
    references = []
    for number in range(3):
        added = client.simulate_post(path, json={"plugin_name": f"p{number % 2}", "transport_key": f" k{number} "})
        assert added.status_code == 201
        assert added.headers["location"] == added.json["transport_key_ref"]
        references.append(added.json["transport_key_ref"])
    listed = client.simulate_get(path + "?limit=2").json
    assert listed["transport_keys"] == references[:2]
    assert listed["next"] == f"{BASE}{path}?limit=2&offset=2"
    assert client.simulate_get(path + "?plugin_name=p1").json == {"transport_keys": references[1:2], "total": 1}

    one = references[0].removeprefix(BASE)
    shown = client.simulate_get(one).json
    assert (shown["plugin_name"], shown["transport_key"], shown["status"]) == ("p0", "k0", "ACTIVE")
    assert client.simulate_delete(one).status_code == 204
    missing = (404, "Not Found. Transport Key not found.")
    assert description(client.simulate_delete(one)) == missing
    assert description(client.simulate_get(one)) == missing
    invalid = (404, "Not Found. Provided transport key id is invalid.")
    assert description(client.simulate_get(path + "/x")) == invalid
    assert client.simulate_get(path).json["total"] == 2


@pytest.mark.parametrize("field", ["plugin_name", "transport_key"])
def test_both_fields_of_a_transport_key_are_needed(client, field):
    for value in (None, " "):
        body = {"plugin_name": "p", "transport_key": "k", field: value}
        answer = client.simulate_post("/v1/transport_keys", json={k: v for k, v in body.items() if v is not None})
        text = f"Provided object does not match schema 'Transport Key': {field} must be provided. "
        assert description(answer) == (400, f"{text}Invalid property: '{field}'")
