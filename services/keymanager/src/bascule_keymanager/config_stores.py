"""The part of the configuration file that says which secret stores projects may choose from."""

from dataclasses import dataclass, field

from oslo_config import cfg

from bascule_keymanager.errors import ConfigRefused

__all__ = [
    "ConfiguredStore",
    "KmipSettings",
    "VaultSettings",
    "load_kmip",
    "load_secret_stores",
    "load_store_plugins",
    "load_vault",
]

_STORES = (
    cfg.BoolOpt("enable_multiple_secret_stores", default=False, help="Projects may choose their secret store."),
    cfg.ListOpt("stores_lookup_suffix", default=[], help="Names of the [secretstore:NAME] sections, one per store."),
)
_STORE = (
    cfg.StrOpt("secret_store_plugin", help="The store's plugin, by its short name."),
    cfg.StrOpt(
        "crypto_plugin", help="The plugin that seals for it, where the store keeps its payloads in the database."
    ),
    cfg.BoolOpt("global_default", default=False, help="Whether this store takes what no project chose a store for."),
)
# What people are shown, by the plugin: the section whose plugin_name says so, and what it is called without.
_NAMES = {
    "simple_crypto": ("simple_crypto_plugin", "Software Only Crypto"),
    "p11_crypto": ("p11_crypto_plugin", "PKCS11 HSM"),
    "kmip_plugin": ("kmip_plugin", "KMIP HSM"),
    "vault_plugin": (None, "VaultSecretStore"),
}


_PLUGINS = (
    cfg.MultiStrOpt(
        "enabled_secretstore_plugins",
        default=["store_crypto"],
        help="store_crypto, vault_plugin, kmip_plugin: the first takes what is new, all read what they keep.",
    ),
)
_VAULT = (
    cfg.StrOpt("root_token_id", secret=True, help="A token."),
    cfg.StrOpt("approle_role_id", secret=True, help="An AppRole's role, in the place of a token."),
    cfg.StrOpt("approle_secret_id", secret=True, help="The AppRole's secret."),
    cfg.StrOpt("kv_mountpoint", default="secret", help="Where the store of keys and values is mounted."),
    cfg.StrOpt("kv_path", help="A folder in it."),
    cfg.IntOpt("kv_version", default=2, help="1 or 2."),
    cfg.StrOpt("vault_url", default="http://127.0.0.1:8200", help="Where Vault or OpenBao is."),
    cfg.StrOpt("ssl_ca_crt_file", help="Certificate of whoever signed Vault's."),
    cfg.StrOpt("namespace", help="Namespace of Vault Enterprise."),
)


_KMIP = (
    cfg.StrOpt("username", help="Who we are, beside the certificate."),
    cfg.StrOpt("password", secret=True, help="The password that goes with it."),
    cfg.StrOpt("host", default="localhost", help="Where the KMIP server is."),
    cfg.PortOpt("port", default=5696, help="Its port."),
    cfg.StrOpt("ssl_version", default="PROTOCOL_TLSv1_2", help="A constant of Python's module ssl."),
    cfg.StrOpt("ca_certs", help="Certificates of whoever signed the server's."),
    cfg.StrOpt("certfile", help="Our certificate."),
    cfg.StrOpt("keyfile", help="Its key, in a file that its owner alone may read."),
    cfg.BoolOpt("pkcs1_only", default=False, help="The server takes RSA keys in PKCS#1 alone, and no DSA keys."),
)


@dataclass(frozen=True, slots=True)
class VaultSettings:
    """The options of [vault_plugin]; what lets us in never appears in the repr."""

    root_token_id: str | None = field(default=None, repr=False)
    approle_role_id: str | None = field(default=None, repr=False)
    approle_secret_id: str | None = field(default=None, repr=False)
    kv_mountpoint: str = "secret"
    kv_path: str | None = None
    kv_version: int = 2
    vault_url: str = "http://127.0.0.1:8200"
    ssl_ca_crt_file: str | None = None
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class KmipSettings:
    """The options of [kmip_plugin]; the password never appears in the repr."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    host: str = "localhost"
    port: int = 5696
    ssl_version: str = "PROTOCOL_TLSv1_2"
    ca_certs: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    pkcs1_only: bool = False


@dataclass(frozen=True, slots=True)
class ConfiguredStore:
    """One store that projects may choose; plugins go by their short names, as in the database."""

    name: str
    store_plugin: str
    crypto_plugin: str | None
    global_default: bool


def load_secret_stores(path: str) -> tuple[ConfiguredStore, ...]:
    """Return the stores that projects may choose from; none when they may not choose. Raises ConfigRefused."""
    conf = cfg.ConfigOpts()
    conf.register_opts(_STORES, group="secretstore")
    conf(args=[], project="keymanager", default_config_files=[path], default_config_dirs=[])
    if not conf.secretstore.enable_multiple_secret_stores:
        return ()
    suffixes = conf.secretstore.stores_lookup_suffix
    if not suffixes:
        raise ConfigRefused(path, "[secretstore] enable_multiple_secret_stores needs stores_lookup_suffix")
    stores = tuple(_store(conf, path, f"secretstore:{suffix}") for suffix in suffixes)
    defaults = sum(store.global_default for store in stores)
    if defaults != 1:
        raise ConfigRefused(path, f"{defaults} secret stores have global_default = True, and one must")
    for fact in ("name", "store_plugin and crypto_plugin"):
        of_all = [store.name if fact == "name" else (store.store_plugin, store.crypto_plugin) for store in stores]
        if len(set(of_all)) != len(of_all):
            raise ConfigRefused(path, f"two secret stores have the same {fact}")
    return stores


def _store(conf: cfg.ConfigOpts, path: str, section: str) -> ConfiguredStore:
    conf.register_opts(_STORE, group=section)
    options = conf[section]
    if not options.secret_store_plugin:
        raise ConfigRefused(path, f"[{section}] secret_store_plugin is not set")
    crypto_plugin = options.crypto_plugin or None
    name = _name_of(conf, crypto_plugin or options.secret_store_plugin)
    return ConfiguredStore(name, options.secret_store_plugin, crypto_plugin, options.global_default)


def _name_of(conf: cfg.ConfigOpts, plugin: str) -> str:
    section, default = _NAMES.get(plugin, (None, plugin))
    if section is None:
        return default
    conf.register_opt(cfg.StrOpt("plugin_name", default=default, help="What people are shown."), group=section)
    name: str = conf[section].plugin_name
    return name


def load_store_plugins(path: str) -> tuple[str, ...]:
    """Return the short names of the stores that are enabled where projects may not choose."""
    conf = cfg.ConfigOpts()
    conf.register_opts(_PLUGINS, group="secretstore")
    conf(args=[], project="keymanager", default_config_files=[path], default_config_dirs=[])
    return tuple(conf.secretstore.enabled_secretstore_plugins)


def load_vault(path: str) -> VaultSettings:
    """Return the options of [vault_plugin]."""
    conf = cfg.ConfigOpts()
    conf.register_opts(_VAULT, group="vault_plugin")
    conf(args=[], project="keymanager", default_config_files=[path], default_config_dirs=[])
    return VaultSettings(**{option.dest: conf.vault_plugin[option.dest] for option in _VAULT})


def load_kmip(path: str) -> KmipSettings:
    """Return the options of [kmip_plugin]."""
    conf = cfg.ConfigOpts()
    conf.register_opts(_KMIP, group="kmip_plugin")
    conf(args=[], project="keymanager", default_config_files=[path], default_config_dirs=[])
    return KmipSettings(**{option.dest: conf.kmip_plugin[option.dest] for option in _KMIP})
