"""The configuration file is Barbican's, and says clearly when it is not enough."""

import inspect
import re
from pathlib import Path

import pytest
from keystoneauth1 import loading
from keystonemiddleware.opts import list_auth_token_opts
from oslo_middleware import cors, http_proxy_to_wsgi
from oslo_policy import opts as policy_opts

from bascule_keymanager import config as options
from bascule_keymanager import config_messaging as messaging
from bascule_keymanager import config_stores
from bascule_keymanager.config import Settings, load_settings
from bascule_keymanager.errors import ConfigRefused
from bascule_keymanager.storage.database import Database, _with_driver

ROOT = Path(__file__).parent.parent.parent.parent
EXAMPLE = ROOT / "services" / "keymanager" / "keymanager.conf.example"
MINIMAL = "[database]\nconnection = sqlite:///x.db\n[simple_crypto_plugin]\nkek = k1\nkek = 'k2'\n"


@pytest.fixture
def load(tmp_path):
    def load(text):
        path = tmp_path / "keymanager.conf"
        path.write_text(text)
        return load_settings(str(path))

    return load


def groups():
    return {
        "DEFAULT": (*options._DEFAULT, *messaging._DEFAULT),
        "database": options._DATABASE,
        "simple_crypto_plugin": options._SIMPLE_CRYPTO,
        "crypto": options._CRYPTO,
        "p11_crypto_plugin": options._P11_CRYPTO,
        "secretstore": (*config_stores._PLUGINS, *config_stores._STORES),
        "vault_plugin": config_stores._VAULT,
        "queue": (*options._QUEUE, *messaging._QUEUE),
        "keystone_notifications": messaging._NOTIFICATIONS,
        "worker": options._WORKER,
        "quotas": options._QUOTAS,
        "healthcheck": options._HEALTHCHECK,
        "metrics": options._METRICS,
    }


def of_libraries():
    from bascule_keymanager.api.audit import AuditMiddleware

    audit = inspect.getmodule(AuditMiddleware)
    plugin = loading.get_auth_plugin_conf_options("password")
    listed = {
        "keystone_authtoken": [*list_auth_token_opts()[0][1], *plugin],
        "oslo_policy": policy_opts.list_opts()[0][1],
        "cors": cors.CORS_OPTS,
        "oslo_middleware": http_proxy_to_wsgi.OPTS,
        "audit_middleware_notifications": audit.list_opts()[0][1],
    }
    return {section: {option.dest for option in options} for section, options in listed.items()}


def test_the_example_loads_and_its_commented_values_are_the_defaults(load):
    plain = load_settings(str(EXAMPLE))
    # The example shows a value for these, though there is none by default.
    without_default = [option.name for group in groups().values() for option in group if option.default in (None, [])]
    pattern = rf"(?m)^#(?!(?:{'|'.join(without_default)}) )(\w+ = )"
    everything = load(re.sub(pattern, r"\1", EXAMPLE.read_text()))
    assert plain == everything
    assert plain == Settings(database_url=plain.database_url, keks=plain.keks)


def test_the_example_has_every_option():
    ours = EXAMPLE.read_text().partition("# The sections below")[0]
    assert re.findall(r"(?m)^\[(\w+)\]$", ours) == list(groups())
    named = re.findall(r"(?m)^#?(\w+) = ", ours)
    assert named == [option.name for group in groups().values() for option in group]


def test_the_example_names_options_that_the_libraries_have():
    theirs = EXAMPLE.read_text().partition("# The sections below")[2]
    sections = re.split(r"(?m)^\[(\w+)\]$", theirs)[1:]
    shown = dict(zip(sections[::2], sections[1::2], strict=True))
    known = of_libraries()
    assert list(shown) == list(known)
    for section, text in shown.items():
        named = set(re.findall(r"(?m)^#?(\w+) = ", text))
        assert named, section
        assert named <= known[section], section


def test_several_master_keys_and_barbicans_old_name_of_the_database_are_read(load):
    assert load(MINIMAL).keks == ("k1", "k2")
    old = "[DEFAULT]\nsql_connection = sqlite:///old.db\n[simple_crypto_plugin]\nkek = k\n"
    assert load(old).database_url == "sqlite:///old.db"


def test_neither_keys_nor_the_database_url_show_in_a_repr(load):
    shown = repr(load(MINIMAL.replace("x.db", "hunter2.db")))
    assert "k1" not in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[simple_crypto_plugin]\nkek = k\n", "[database] connection is not set"),
        ("[database]\nconnection = sqlite:///x\n", "[simple_crypto_plugin] kek is not set"),
        ("nonsense", "not in oslo.config's format"),
    ],
)
def test_a_file_that_is_not_enough_is_refused_with_the_reason(load, text, reason):
    with pytest.raises(ConfigRefused) as refusal:
        load(text)
    assert reason in str(refusal.value)


def test_without_a_file_nothing_starts(monkeypatch):
    monkeypatch.delenv("KEYMANAGER_CONFIG", raising=False)
    with pytest.raises(ConfigRefused, match="no file is named"):
        load_settings()


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("mysql://u:p@h/d", "mysql+pymysql"),
        ("mysql+mysqlconnector://u:p@h/d?charset=utf8", "mysql+pymysql"),
        ("mariadb://u:p@h/d", "mysql+pymysql"),
        ("postgresql+psycopg2://u:p@h/d", "postgresql+psycopg"),
        ("sqlite:///x.db", "sqlite"),
    ],
)
def test_the_driver_is_ours_whatever_barbicans_file_named(url, driver):
    assert Database(url).url.drivername == driver


@pytest.mark.parametrize("url", ["oracle://u:hunter2@h/d", "no url with hunter2"])
def test_a_database_that_we_do_not_know_is_refused_without_repeating_its_url(url):
    with pytest.raises(ConfigRefused) as refusal:
        Database(url)
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    "option", ["[queue]\nshare_with_barbican = True\n", "[keystone_notifications]\nenable = True\n"]
)
def test_what_needs_a_broker_is_refused_without_one(load, option):
    with pytest.raises(ConfigRefused, match="transport_url is not set"):
        load(MINIMAL + option)
    told = load("[DEFAULT]\ntransport_url = rabbit://u:hunter2@h/\n" + MINIMAL + option)
    assert told.messaging.url == "rabbit://u:hunter2@h/"
    assert "hunter2" not in repr(told)


@pytest.mark.parametrize(
    ("named", "installed", "taken"),
    [
        ("mysql", True, "mysql+pymysql"),
        ("mysql+pymysql", True, "mysql+pymysql"),
        ("mysql+mysqldb", True, "mysql+mysqldb"),
        ("mysql+mysqldb", False, "mysql+pymysql"),
        ("mysql+mysqlconnector", True, "mysql+pymysql"),
    ],
)
def test_the_driver_in_c_is_taken_where_it_is_named_and_installed(monkeypatch, named, installed, taken):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: (name == "MySQLdb" and installed) or None)
    assert _with_driver(f"{named}://barbican:secret@db/barbican").drivername == taken


def test_every_option_of_the_hsm_reaches_its_settings(tmp_path):
    path = tmp_path / "keymanager.conf"
    lines = ["[database]", "connection = sqlite://", "[simple_crypto_plugin]", "kek = x", "[p11_crypto_plugin]"]
    lines += ["library_path = /opt/hsm/library.so", "login = 4711", "token_labels = one,two", "slot_id = 5"]
    path.write_text("\n".join([*lines, ""]))
    p11 = load_settings(str(path)).p11
    assert (p11.module, p11.login, p11.token_labels, p11.slot_id) == ("/opt/hsm/library.so", "4711", ("one", "two"), 5)
