"""Barbican's vault_plugin: payloads are kept by HashiCorp Vault or OpenBao, reached through castellan.

Needs the extra bascule-keymanager[vault]. Keys are made here and kept there, in the form that Barbican reads.
"""

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Protocol

from bascule_keymanager.config_stores import VaultSettings
from bascule_keymanager.errors import ConfigRefused, StoreFailed, StoreLacks
from bascule_keymanager.storage.projects import Project
from bascule_keymanager.stores.generate import KeyPair, make_key, make_pair
from bascule_keymanager.stores.store import OPAQUE, Form, Found, Kept, KeptPair, KeySpec, PairIds

__all__ = ["Backend", "VaultStore", "castellan_backend"]

_KEY_ID, _VERSION, _CURRENT = "key_id", "version", "1"


class Backend(Protocol):
    """What we need of a store elsewhere: names for bytes."""

    def store(self, payload: bytes) -> str:
        """Keep the bytes, and return the name that they were given."""

    def get(self, name: str) -> bytes:
        """Return the bytes."""

    def delete(self, name: str) -> None:
        """Delete the bytes; nothing happens where they are gone."""


class VaultStore:
    """Keeps payloads in Vault, and their names in our tables."""

    plugin_name = "barbican.plugin.vault_secret_store.VaultSecretStore"

    def __init__(self, make_backend: Callable[[], Backend], random: Callable[[int], bytes] = os.urandom) -> None:
        self._make_backend, self._random = make_backend, random

    @cached_property
    def _backend(self) -> Backend:
        return self._make_backend()

    def keep(self, project: Project, secret_id: str, payload: bytes, form: Form = OPAQUE) -> Kept:  # noqa: ARG002
        """Keep a payload. Raises StoreFailed."""
        name: str = self._asked(self._backend.store, payload)
        return Kept(self.plugin_name, {_KEY_ID: name, _VERSION: _CURRENT})

    def read(self, found: Found) -> bytes:
        """Return a payload. Raises StoreFailed, also for one that a Barbican kept which wrote no version beside it."""
        if found.metadata.get(_VERSION) != _CURRENT:
            # It may be base64 or not, and nothing tells which: a guess might change a payload without anybody noticing.
            raise StoreLacks("this secret was kept by a Barbican that did not say how; read it there and keep it anew")
        payload: bytes = self._asked(self._backend.get, found.metadata[_KEY_ID])
        return payload

    def forget(self, metadata: Mapping[str, str]) -> None:
        """Delete a payload. Raises StoreFailed."""
        if _KEY_ID in metadata:
            self._asked(self._backend.delete, metadata[_KEY_ID])

    def generate_symmetric(self, project: Project, secret_id: str, spec: KeySpec) -> Kept:
        """Make a key and keep it. Raises CannotGenerate, StoreFailed."""
        return self.keep(project, secret_id, make_key(spec, self._random))

    def generate_asymmetric(self, project: Project, ids: PairIds, spec: KeySpec) -> KeptPair:
        """Make a pair of keys and keep them; all of it or nothing. Raises CannotGenerate, StoreFailed."""
        pair: KeyPair = make_pair(spec)
        kept: list[Kept] = []
        try:
            for secret_id, payload in (
                (ids.private, pair.private),
                (ids.public, pair.public),
                *([(ids.passphrase, spec.passphrase.encode())] if ids.passphrase and spec.passphrase else []),
            ):
                kept.append(self.keep(project, secret_id, payload))
        except StoreFailed:
            for each in kept:
                self.forget(each.metadata)
            raise
        return KeptPair(kept[0], kept[1], kept[2] if len(kept) == 3 else None)

    @staticmethod
    def _asked(ask: Callable[..., Any], argument: Any) -> Any:  # Any: one of the three of Backend
        try:
            return ask(argument)
        except Exception as failure:  # the library has one tree for each backend; a text may quote what was sent
            raise StoreFailed(f"[vault_plugin] failed with {type(failure).__name__}") from failure


class _Castellan:
    """castellan's key manager, as a Backend."""

    def __init__(self, manager: Any, opaque: Any, missing: type[Exception]) -> None:  # Any: the library has no types
        self._manager, self._opaque, self._missing = manager, opaque, missing

    def store(self, payload: bytes) -> str:
        """Keep the bytes."""
        return str(self._manager.store(None, self._opaque(payload)))

    def get(self, name: str) -> bytes:
        """Return the bytes."""
        return bytes(self._manager.get(None, name).get_encoded())

    def delete(self, name: str) -> None:
        """Delete the bytes."""
        try:
            self._manager.delete(None, name)
        except self._missing:
            return  # gone already, which is all that was asked for


def castellan_backend(settings: VaultSettings) -> Backend:
    """Return Vault as these settings describe it; nothing is asked of it yet. Raises ConfigRefused."""
    try:
        from castellan import key_manager, options  # noqa: PLC0415 - an extra
        from castellan.common import exception  # noqa: PLC0415
        from castellan.common.objects import opaque_data  # noqa: PLC0415
    except ImportError:
        raise ConfigRefused(None, "vault_plugin needs castellan; install bascule-keymanager[vault]") from None
    from oslo_config import cfg  # noqa: PLC0415 - only for castellan

    conf = cfg.ConfigOpts()
    options.set_defaults(
        conf,
        backend="vault",
        vault_root_token_id=settings.root_token_id,
        vault_approle_role_id=settings.approle_role_id,
        vault_approle_secret_id=settings.approle_secret_id,
        vault_kv_mountpoint=settings.kv_mountpoint,
        vault_url=settings.vault_url,
        vault_ssl_ca_crt_file=settings.ssl_ca_crt_file,
        vault_namespace=settings.namespace,
        vault_kv_path=settings.kv_path,
        vault_kv_version=settings.kv_version,
    )
    return _Castellan(key_manager.API(conf), opaque_data.OpaqueData, exception.ManagedObjectNotFoundError)
