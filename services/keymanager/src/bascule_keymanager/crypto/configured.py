"""Every crypto plugin that ships here, by the name that a configuration file calls it."""

from collections.abc import Callable, Mapping

from bascule_keymanager.config import Settings
from bascule_keymanager.crypto.envelope import Envelope
from bascule_keymanager.crypto.p11 import P11Crypto
from bascule_keymanager.crypto.plugin import CryptoPlugin
from bascule_keymanager.crypto.simple import MasterKeys, SimpleCrypto
from bascule_keymanager.errors import ConfigRefused

__all__ = ["crypto_plugins", "plugin_names"]

_Make = Callable[[Settings, MasterKeys], CryptoPlugin]

_PLUGINS: dict[str, _Make] = {
    "simple_crypto": lambda _settings, master_keys: SimpleCrypto(master_keys),
    "p11_crypto": lambda settings, _master_keys: P11Crypto(settings.p11),
    "envelope": lambda _settings, master_keys: Envelope(master_keys),
}


def crypto_plugins(settings: Settings) -> dict[str, CryptoPlugin]:
    """Return the configured plugins by the names that they have in `kek_data`, the one that seals what is new first.

    Those that need nothing but the master keys come last unless they are named: what they sealed is read anyway.
    Raises ConfigRefused, KekRefused.
    """
    wanted = _wanted(settings)
    unknown = [name for name in wanted if name not in _PLUGINS]
    if unknown:
        known = ", ".join(_PLUGINS)
        raise ConfigRefused(None, f"[crypto] enabled_crypto_plugins names {unknown[0]!r}; there are {known}")
    master_keys = MasterKeys(settings.keks)
    names = dict.fromkeys([*wanted, "simple_crypto", "envelope"])
    plugins = [_PLUGINS[name](settings, master_keys) for name in names]
    return {plugin.plugin_name: plugin for plugin in plugins}


def plugin_names(plugins: Mapping[str, CryptoPlugin]) -> dict[str, str]:
    """Return, by what a configuration file calls it, the name that each of these plugins has in `kek_data`."""
    names = {
        "simple_crypto": SimpleCrypto.plugin_name,
        "p11_crypto": P11Crypto.plugin_name,
        "envelope": Envelope.plugin_name,
    }
    return {short: name for short, name in names.items() if name in plugins}


def _wanted(settings: Settings) -> tuple[str, ...]:
    """Return what is configured: where projects choose among stores, the default store's plugin, then the others'."""
    if not settings.secret_stores:
        return settings.crypto_plugins
    stores = sorted(settings.secret_stores, key=lambda store: not store.global_default)
    if stores[0].crypto_plugin is None and stores[0].store_plugin not in ("vault_plugin", "kmip_plugin"):
        raise ConfigRefused(None, f"the default secret store {stores[0].store_plugin!r} is none that we have")
    return tuple(store.crypto_plugin for store in stores if store.crypto_plugin)
