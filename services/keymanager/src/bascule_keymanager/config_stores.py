"""The part of the configuration file that says which secret stores projects may choose from."""

from dataclasses import dataclass

from oslo_config import cfg

from bascule_keymanager.errors import ConfigRefused

__all__ = ["ConfiguredStore", "load_secret_stores"]

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
