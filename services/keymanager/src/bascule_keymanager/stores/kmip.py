"""Barbican's kmip_plugin: payloads and keys are objects of a KMIP server, and keys of orders are made there.

Needs the extra bascule-keymanager[kmip].
"""

import uuid
from collections.abc import Mapping
from typing import Any

from kmip.core.enums import CryptographicUsageMask

from bascule_keymanager.errors import StoreLacks
from bascule_keymanager.storage.projects import Project
from bascule_keymanager.stores.generate import CannotGenerate
from bascule_keymanager.stores.kmip_connections import Connections, Missing
from bascule_keymanager.stores.kmip_objects import ASYMMETRIC, SYMMETRIC, object_of, payload_of
from bascule_keymanager.stores.store import OPAQUE, Form, Found, Kept, KeptPair, KeySpec, PairIds

__all__ = ["KmipStore"]

_UUID = "key_uuid"
# What a server asks about a pair of keys: what each of the two is for.
_MASKS = {
    "rsa": (
        [CryptographicUsageMask.VERIFY, CryptographicUsageMask.ENCRYPT],
        [CryptographicUsageMask.SIGN, CryptographicUsageMask.DECRYPT],
    ),
    "dsa": ([CryptographicUsageMask.VERIFY], [CryptographicUsageMask.SIGN]),
}


class KmipStore:
    """Keeps payloads in a KMIP server, and their names in our tables."""

    plugin_name = "barbican.plugin.kmip_secret_store.KMIPSecretStore"

    def __init__(self, connections: Connections, *, pkcs1_only: bool = False) -> None:
        self._connections, self._pkcs1_only = connections, pkcs1_only

    def keep(self, project: Project, secret_id: str, payload: bytes, form: Form = OPAQUE) -> Kept:  # noqa: ARG002
        """Keep a payload. Raises StoreFailed."""
        made = object_of(payload, form, str(uuid.uuid4()), pkcs1_only=self._pkcs1_only)
        return self._kept(self._connections.once(lambda client: client.register(made)))

    def read(self, found: Found) -> bytes:
        """Return a payload. Raises StoreFailed."""
        name = found.metadata[_UUID]
        try:
            return payload_of(self._connections.repeatable(lambda client: client.get(name)))
        except ValueError as unreadable:
            raise StoreLacks("[kmip_plugin] an object is no key or certificate in DER") from unreadable

    def forget(self, metadata: Mapping[str, str]) -> None:
        """Destroy what is kept. Raises StoreFailed."""
        if _UUID not in metadata:
            return
        try:
            self._connections.repeatable(lambda client: client.destroy(metadata[_UUID]))
        except Missing:
            return  # gone already, which is all that was asked for

    def generate_symmetric(self, project: Project, secret_id: str, spec: KeySpec) -> Kept:  # noqa: ARG002
        """Have the server make a key. Raises CannotGenerate, StoreFailed."""
        algorithm = _algorithm(spec, SYMMETRIC, ASYMMETRIC)
        return self._kept(self._connections.once(lambda client: client.create(algorithm, spec.bit_length)))

    def generate_asymmetric(self, project: Project, ids: PairIds, spec: KeySpec) -> KeptPair:  # noqa: ARG002
        """Have the server make a pair of keys; none with a passphrase. Raises CannotGenerate, StoreFailed."""
        algorithm = _algorithm(spec, ASYMMETRIC, SYMMETRIC)
        if spec.passphrase or (self._pkcs1_only and spec.algorithm.lower() == "dsa"):
            raise CannotGenerate(spec, "unsupported")
        verifies, signs = _MASKS[spec.algorithm.lower()]
        public, private = self._connections.once(
            lambda client: client.create_key_pair(
                algorithm, spec.bit_length, public_usage_mask=verifies, private_usage_mask=signs
            )
        )
        return KeptPair(self._kept(private), self._kept(public))

    def _kept(self, name: Any) -> Kept:  # Any: the library has no types
        return Kept(self.plugin_name, {_UUID: str(name)})


def _algorithm(
    spec: KeySpec, known: Mapping[str, tuple[Any, tuple[int, ...]]], others: Mapping[str, Any]
) -> Any:  # Any: the library's enumeration
    name = spec.algorithm.lower()
    if name in others:
        raise CannotGenerate(spec, "wrong algorithm")
    algorithm, lengths = known.get(name, (None, ()))
    if algorithm is None or (lengths and spec.bit_length not in lengths):
        raise CannotGenerate(spec, "no store")
    return algorithm
