"""Stores that keep payloads outside our database, by the names that a configuration file calls them."""

from collections.abc import Callable
from pathlib import Path

from bascule.release import Release
from bascule_keymanager.config import Settings
from bascule_keymanager.errors import ConfigRefused
from bascule_keymanager.stores.configured import Writer
from bascule_keymanager.stores.store import Store

__all__ = ["STORE_CRYPTO_NAME", "first_of", "writers_elsewhere"]

STORE_CRYPTO_NAME = "store_crypto"
# The first release of ours that reads what is kept there; None where all of them do.
_SINCE: dict[str, Release | None] = {"vault_plugin": None, "kmip_plugin": Release.parse("2028.1")}


def writers_elsewhere(settings: Settings) -> dict[str, Writer]:
    """Return those that the settings name; nothing is asked of them yet. Raises ConfigRefused."""
    unknown = sorted(set(settings.store_plugins) - {STORE_CRYPTO_NAME, *_MAKERS})
    if unknown or not settings.store_plugins:
        names = f"[secretstore] enabled_secretstore_plugins names {', '.join(unknown) or 'none'}"
        raise ConfigRefused(None, f"{names}; there are {', '.join((STORE_CRYPTO_NAME, *_MAKERS))}")
    named = {*settings.store_plugins, *(store.store_plugin for store in settings.secret_stores)}
    return {name: Writer(make(settings), _SINCE[name]) for name, make in _MAKERS.items() if name in named}


def first_of(settings: Settings) -> str:
    """Return the name of the store that takes what is new, unless a project chose another one."""
    chosen = (store.store_plugin for store in settings.secret_stores if store.global_default)
    return next(chosen, settings.store_plugins[0])


def _vault(settings: Settings) -> Store:
    from bascule_keymanager.stores.vault import VaultStore, castellan_backend  # noqa: PLC0415 - an extra

    return VaultStore(lambda: castellan_backend(settings.vault))


def _kmip(settings: Settings) -> Store:
    try:
        from bascule_keymanager.stores.kmip import KmipStore  # noqa: PLC0415 - an extra
        from bascule_keymanager.stores.kmip_connections import kmip_connections  # noqa: PLC0415 - as above
    except ImportError:
        raise ConfigRefused(None, "kmip_plugin needs PyKMIP; install bascule-keymanager[kmip]") from None
    keyfile = settings.kmip.keyfile
    if keyfile is not None and _others_may_read(keyfile):
        raise ConfigRefused(None, f"[kmip_plugin] keyfile {keyfile} is open to others; give it the mode 0400")
    return KmipStore(kmip_connections(settings.kmip), pkcs1_only=settings.kmip.pkcs1_only)


def _others_may_read(path: str) -> bool:
    try:
        return bool(Path(path).stat().st_mode & 0o077)
    except OSError as unreadable:
        raise ConfigRefused(None, f"[kmip_plugin] keyfile {path} cannot be read ({unreadable.strerror})") from None


_MAKERS: dict[str, Callable[[Settings], Store]] = {"vault_plugin": _vault, "kmip_plugin": _kmip}
