"""The operations of what is ours and not Barbican's."""

from bascule_keymanager.api.description.operation import Operation
from bascule_keymanager.api.key_uses import KEY_USES

__all__ = ["OWN_OPERATIONS"]

_KEY_USES = {
    "encrypt": ("Encrypt with a key", "Encrypted"),
    "decrypt": ("Decrypt with a key", "Decrypted"),
    "wrap": ("Wrap a key with a key", "Wrapped"),
    "unwrap": ("Unwrap a key", "Unwrapped"),
    "data-key": ("Make a key, plain and wrapped", "DataKey"),
    "wrapped-data-key": ("Make a key, wrapped alone", "Wrapped"),
    "rewrap": ("Seal again with the key as it is now", "Encrypted"),
}

OWN_OPERATIONS: tuple[Operation, ...] = tuple(
    Operation("POST", use.path, summary, ((200, shows),), body=use.schema.body, refusals=(400, 409, 413, 415))
    for use in KEY_USES
    for summary, shows in (_KEY_USES[use.verb],)
)
