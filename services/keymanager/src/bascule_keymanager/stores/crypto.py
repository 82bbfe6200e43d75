"""Barbican's store_crypto: payloads stay in our own database, sealed by a crypto plugin."""

import os
from collections.abc import Callable, Mapping

from bascule_keymanager.crypto.plugin import CryptoPlugin, Place
from bascule_keymanager.errors import UnknownPlugin
from bascule_keymanager.storage.projects import Project, Projects
from bascule_keymanager.stores.generate import CannotGenerate, check_algorithm, make_key, make_pair
from bascule_keymanager.stores.store import OPAQUE, Form, Found, Kept, KeptPair, KeySpec, PairIds

__all__ = ["STORE_CRYPTO", "CryptoStore"]

# Full class names of Barbican are part of its stored format.
STORE_CRYPTO = "barbican.plugin.store_crypto.StoreCryptoAdapterPlugin"


class CryptoStore:
    """Writes with one plugin, and reads what any of the plugins wrote."""

    plugin_name = STORE_CRYPTO

    def __init__(
        self,
        projects: Projects,
        writes: CryptoPlugin,
        reads: Mapping[str, CryptoPlugin],
        random: Callable[[int], bytes] | None = None,
    ) -> None:
        self._projects, self._plugin, self._plugins = projects, writes, reads
        # A module's own random bytes, where it has some.
        own: Callable[[int], bytes] = getattr(writes, "random", os.urandom)
        self._random = random or own

    def keep(self, project: Project, secret_id: str, payload: bytes, form: Form = OPAQUE) -> Kept:  # noqa: ARG002
        """Seal a payload with the project's key, which is made now if there is none."""
        key = self._projects.key_of(project, self._plugin)
        sealed = self._plugin.seal(key, payload, Place(secret_id, project.external_id))
        return Kept(STORE_CRYPTO, kek_id=key.id, sealed=sealed)

    def read(self, found: Found) -> bytes:
        """Return a payload. Raises UnknownPlugin, UnreadableKek, or DamagedPayload."""
        if found.key is None or found.sealed is None:
            raise AssertionError("the caller looks whether there is a payload")
        plugin = self._plugins.get(found.key.plugin_name)
        if plugin is None:
            raise UnknownPlugin(found.key.plugin_name)
        return plugin.open(found.key, found.sealed, found.place)

    def forget(self, metadata: Mapping[str, str]) -> None:
        """Do nothing: whoever deletes the secret's rows has deleted all there is."""

    def generate_symmetric(self, project: Project, secret_id: str, spec: KeySpec) -> Kept:
        """Make a key and seal it. Raises CannotGenerate."""
        return self.keep(project, secret_id, make_key(spec, self._random))

    def generate_asymmetric(self, project: Project, ids: PairIds, spec: KeySpec) -> KeptPair:
        """Make a pair of keys and seal them, and the passphrase. Raises CannotGenerate."""
        check_algorithm(spec, symmetric=False)
        if not self._plugin.makes_pairs:
            raise CannotGenerate(spec, "unsupported")
        pair = make_pair(spec)
        passphrase = None
        if ids.passphrase is not None and spec.passphrase:
            passphrase = self.keep(project, ids.passphrase, spec.passphrase.encode())
        return KeptPair(
            private=self.keep(project, ids.private, pair.private),
            public=self.keep(project, ids.public, pair.public),
            passphrase=passphrase,
        )
