"""Why the key manager does not start or a command refuses; what HTTP clients see is in api/errors.py."""

from bascule.errors import BasculeError, LifecycleError

__all__ = [
    "ConfigRefused",
    "DamagedOrder",
    "DamagedPayload",
    "HsmFailed",
    "KekRefused",
    "KeyManagerError",
    "SealedOrdersLost",
    "StoreFailed",
    "StoreLacks",
    "UnknownPlugin",
    "UnreadableKek",
]


class KeyManagerError(BasculeError):
    """Something is wrong with this key manager that an operator can put right."""


class ConfigRefused(LifecycleError):
    """The configuration file is missing or cannot be used."""

    def __init__(self, path: str | None, reason: str) -> None:
        self.path, self.reason = path, reason
        where = f"configuration file {path}" if path else "configuration"
        super().__init__(
            f"the {where} cannot be used: {reason}; correct it, or name another with --config-file or KEYMANAGER_CONFIG"
        )


class KekRefused(LifecycleError):
    """A configured master key is not a Fernet key; the key itself is never repeated."""

    def __init__(self, position: int) -> None:
        self.position = position
        super().__init__(
            f"[simple_crypto_plugin] kek number {position} is not 32 bytes in URL-safe base64; put the right key there"
        )


class UnreadableKek(KeyManagerError):
    """No configured master key opens this project key."""

    def __init__(self, kek_id: str) -> None:
        self.kek_id = kek_id
        super().__init__(
            f"no configured [simple_crypto_plugin] kek opens the project key {kek_id}; add the key that wrapped it",
            next_command="keymanager-status upgrade check",
        )


class DamagedPayload(KeyManagerError):
    """What is stored of a payload is not what was stored: its seal does not hold."""

    def __init__(self, secret_id: str) -> None:
        self.secret_id = secret_id
        super().__init__(
            f"the stored payload of secret {secret_id} is damaged, or was moved here from another secret; "
            "restore its row of encrypted_data from a backup"
        )


class DamagedOrder(KeyManagerError):
    """What is stored of an order's meta is not what was stored: its seal does not hold, or its key is gone."""

    def __init__(self, order_id: str) -> None:
        self.order_id = order_id
        super().__init__(
            f"the sealed meta of order {order_id} is damaged, or was moved here from another order; restore its row of "
            "orders, and the row of kek_data that it names, from a backup, or delete the order",
            next_command="keymanager-manage orders status",
        )


class SealedOrdersLost(KeyManagerError):
    """A rollback would lose the meta of orders whose seal does not hold."""

    def __init__(self, orders: int, example: str) -> None:
        self.orders, self.example = orders, example
        super().__init__(
            f"the sealed meta of {orders} orders does not open, for example of {example}, and older releases would "
            "find them empty; restore their rows of orders from a backup, delete them, or go back without them",
            next_command="keymanager-db-manage rollback --accept-loss",
        )


class UnknownPlugin(KeyManagerError):
    """A row was made by a plugin that is not configured here."""

    def __init__(self, plugin_name: str) -> None:
        self.plugin_name = plugin_name
        super().__init__(
            f"what {plugin_name} stored cannot be read without it; name it in [crypto] enabled_crypto_plugins "
            "or [secretstore] enabled_secretstore_plugins"
        )


class HsmFailed(KeyManagerError):
    """The PKCS#11 module refused, or could not be reached."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"the PKCS#11 module of [p11_crypto_plugin] failed: {reason}; look at the module, its token and the login",
            next_command="keymanager-manage hsm check_mkek",
        )


class StoreFailed(KeyManagerError):
    """A secret store elsewhere refused, or could not be reached."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the secret store failed: {reason}; look at the store, and at how this process gets into it")


class StoreLacks(StoreFailed):
    """A secret store elsewhere answers, and does not have a payload as it was kept: no other try will find it."""
