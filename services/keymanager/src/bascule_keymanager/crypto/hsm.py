"""A PKCS#11 module that many threads use. When it has lost its sessions, it is opened again, once.

Needs the extra bascule-keymanager[pkcs11].
"""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bascule_keymanager.crypto.unwrapped import UnwrappedKeys
from bascule_keymanager.errors import ConfigRefused, HsmFailed

__all__ = ["Handle", "Hsm", "OpenHsm", "P11Settings", "find_key"]

T = TypeVar("T")
Handle = Any  # Any: PyKCS11's own objects, which have no types


@dataclass(frozen=True, slots=True)
class P11Settings:
    """The options of [p11_crypto_plugin], in Barbican's names."""

    module: str | None = None  # the path of the library
    login: str | None = field(default=None, repr=False)
    token_serial_number: str | None = None
    token_labels: tuple[str, ...] = ()
    slot_id: int = 1
    rw_session: bool = True
    mkek_label: str | None = None
    mkek_length: int = 32
    hmac_label: str | None = None
    hmac_key_type: str = "CKK_AES"
    hmac_keygen_mechanism: str = "CKM_AES_KEY_GEN"
    hmac_mechanism: str = "CKM_SHA256_HMAC"
    encryption_mechanism: str = "CKM_AES_CBC"
    key_wrap_mechanism: str = "CKM_AES_CBC_PAD"
    key_wrap_generate_iv: bool = True
    always_set_cka_sensitive: bool = True
    pkek_length: int = 32
    pkek_cache_ttl: int = 900
    pkek_cache_limit: int = 1_000


class OpenHsm:
    """The module while it is open: sessions that are logged in, and handles, which die with it."""

    def __init__(self, settings: P11Settings, api: Any) -> None:
        self.api, self._settings = api, settings
        self._library = api.PyKCS11Lib()
        self._library.load(settings.module)
        try:
            self._slot = _slot(settings, self._library)
            self._idle: queue.SimpleQueue[Handle] = queue.SimpleQueue()
            # Keys that are unwrapped in this session live as long as it does.
            self.keeper = self._open_session()
            self.master_keys: dict[str, Handle] = {}
            self.project_keys: UnwrappedKeys[Handle] = UnwrappedKeys(
                most=settings.pkek_cache_limit, ttl_s=settings.pkek_cache_ttl, forget=self._destroy
            )
        except BaseException:
            self._library.unload()
            raise

    @contextmanager
    def session(self) -> Iterator[Handle]:
        """Lend a session; one in which something failed is closed, since it may still be in the middle of it."""
        try:
            session = self._idle.get_nowait()
        except queue.Empty:
            session = self._open_session()
        try:
            yield session
        except BaseException:
            self._quietly(session.closeSession)
            raise
        self._idle.put(session)

    def close(self) -> None:
        """Give everything back; a module that is gone is given up."""
        self._quietly(self._library.unload)

    def _open_session(self) -> Handle:
        api = self.api
        flags = api.CKF_SERIAL_SESSION | (api.CKF_RW_SESSION if self._settings.rw_session else 0)
        session = self._library.openSession(self._slot, flags)
        try:
            session.login(self._settings.login or "")
        except api.PyKCS11Error as refused:
            if refused.value != api.CKR_USER_ALREADY_LOGGED_IN:
                raise
        return session

    def _destroy(self, handle: Handle) -> None:
        self._quietly(lambda: self.keeper.destroyObject(handle))

    def _quietly(self, undo: Callable[[], object]) -> None:
        with suppress(self.api.PyKCS11Error):  # whoever uses the module next finds out, and opens it again
            undo()


class Hsm:
    """The module, opened at the first use, and again after it was lost."""

    def __init__(self, settings: P11Settings) -> None:
        if not settings.module:
            raise ConfigRefused(None, "[p11_crypto_plugin] library_path is not set")
        self._settings, self._api = settings, _api()
        self._open: OpenHsm | None = None
        self._lost: OpenHsm | None = None  # until its last user has left
        self._users = 0
        self._turn = threading.Condition()

    def call(self, work: Callable[[OpenHsm], T]) -> T:
        """Do `work` with the open module, and once more after the module had to be opened again. Raises HsmFailed."""
        for last_try in (False, True):
            try:
                opened = self._enter()
            except self._api.PyKCS11Error as failure:
                raise HsmFailed(str(failure)) from failure
            lost = False
            try:
                return work(opened)
            except self._api.PyKCS11Error as failure:
                lost = self._is_lost(failure.value)
                if last_try or not lost:
                    raise HsmFailed(str(failure)) from failure
            finally:
                self._leave(opened, lost=lost)
        raise AssertionError("the last try returns or raises")

    def close(self) -> None:
        """Close the module when nobody uses it any more."""
        with self._turn:
            self._turn.wait_for(lambda: self._users == 0)
            if self._open is not None:
                self._open.close()
            self._open = None

    def _enter(self) -> OpenHsm:
        with self._turn:
            if self._open is None:
                # Closing ends everybody's calls, so the last user of what was lost has to have left.
                self._turn.wait_for(lambda: self._users == 0)
            if self._open is None:
                self._open = OpenHsm(self._settings, self._api)
            self._users += 1
            return self._open

    def _leave(self, opened: OpenHsm, *, lost: bool) -> None:
        with self._turn:
            self._users -= 1
            if lost and self._open is opened:
                self._open, self._lost = None, opened
            if self._users == 0 and self._lost is not None:
                self._lost.close()
                self._lost = None
            self._turn.notify_all()

    def _is_lost(self, code: int) -> bool:
        # What another try on the same module cures, and nothing else: a wrong PIN or a full token is not cured by it.
        api = self._api
        return code in (
            api.CKR_SESSION_HANDLE_INVALID,
            api.CKR_SESSION_CLOSED,
            api.CKR_USER_NOT_LOGGED_IN,
            api.CKR_CRYPTOKI_NOT_INITIALIZED,
            api.CKR_DEVICE_ERROR,
            api.CKR_DEVICE_REMOVED,
            api.CKR_TOKEN_NOT_PRESENT,
            api.CKR_OBJECT_HANDLE_INVALID,
            api.CKR_KEY_HANDLE_INVALID,
            api.CKR_GENERAL_ERROR,
        )


def find_key(session: Handle, api: Any, key_type: str, label: str) -> Handle | None:  # Any: PyKCS11 itself
    """Return the one secret key of this type and label; None where there is none. Raises HsmFailed for two."""
    template = [
        (api.CKA_CLASS, api.CKO_SECRET_KEY),
        (api.CKA_KEY_TYPE, getattr(api, key_type)),
        (api.CKA_LABEL, label),
    ]
    found = session.findObjects(template)
    if len(found) > 1:
        raise HsmFailed(f"there are {len(found)} keys labelled {label}")
    return found[0] if found else None


def _slot(settings: P11Settings, library: Handle) -> int:
    # Serial number, else label, else the number of the slot: the order in which Barbican looks.
    tokens = [(slot, library.getTokenInfo(slot)) for slot in library.getSlotList(tokenPresent=True)]
    if settings.token_serial_number:
        return _one_slot(
            [slot for slot, token in tokens if _name(token.serialNumber) == settings.token_serial_number],
            f"[p11_crypto_plugin] token_serial_number {settings.token_serial_number}",
        )
    if settings.token_labels:
        return _one_slot(
            [slot for slot, token in tokens if _name(token.label) in settings.token_labels],
            f"[p11_crypto_plugin] token_labels {', '.join(settings.token_labels)}",
        )
    return settings.slot_id


def _one_slot(slots: list[int], option: str) -> int:
    if not slots:
        raise HsmFailed(f"no token has {option}")
    return slots[0]


def _name(padded: str) -> str:
    return padded.split("\0", maxsplit=1)[0].strip()


def _api() -> Any:  # Any: a module without types
    try:
        import PyKCS11  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigRefused(None, "p11_crypto needs PyKCS11; install bascule-keymanager[pkcs11]") from None
    return PyKCS11
