"""castellan with Barbican behind it, as Nova, Cinder and Octavia use it."""

import datetime as dt
import time
from collections.abc import Callable
from typing import Any

from castellan import key_manager, options
from castellan.common.credentials.keystone_password import KeystonePassword
from castellan.common.credentials.keystone_token import KeystoneToken
from castellan.common.objects import opaque_data, passphrase, private_key, public_key, symmetric_key, x_509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from oslo_config import cfg
from oslo_context import context as oslo_context

from barbican_clients.place import DOMAIN, Place
from barbican_clients.transcript import Json, Transcript

NOWHERE = "11111111-1111-4111-8111-111111111111"
LATER = "2099-01-01T00:00:00"
CONSUMER = {"service": "cinder", "resource_type": "volume", "resource_id": "volume-1"}


def tell(run: Transcript, place: Place) -> None:
    """Tell the whole scenario."""
    scenario = _Castellan(place)
    for chapter in (
        scenario.logging_in,
        scenario.objects,
        scenario.made_keys,
        scenario.refusals,
        scenario.consumers,
        scenario.lists,
        scenario.deletions,
        scenario.people,
    ):
        run.chapter(chapter)


class _Castellan:
    def __init__(self, place: Place) -> None:
        self._place = place
        self._keys = self._manager()
        self._kept: dict[str, tuple[str, Any]] = {}

    def _manager(self, **more: Any) -> Any:
        conf = cfg.ConfigOpts()
        conf([])
        options.set_defaults(
            conf,
            backend="barbican",
            auth_endpoint=self._place.auth_url,
            barbican_endpoint_type="public",
        )
        manager = key_manager.API(conf)
        for name, value in {"barbican_region_name": self._place.region, **more}.items():
            conf.set_override(name, value, group="barbican")
        return manager

    def _context(self, name: str = "member") -> KeystonePassword:
        person = self._place.people[name]
        return KeystonePassword(
            person.password,
            auth_url=self._place.auth_url,
            username=person.username,
            user_domain_id=DOMAIN,
            project_name=person.project_name,
            project_domain_id=DOMAIN,
        )

    def _token(self, name: str = "member") -> str:
        token: str = self._place.session(name).get_token()
        return token

    def logging_in(self, run: Transcript) -> None:
        """Every kind of context that castellan knows."""
        opaque, person = opaque_data.OpaqueData, self._place.people["member"]
        ways: dict[str, Callable[[], Any]] = {
            "a password": self._context,
            "a token": lambda: KeystoneToken(
                self._token(), auth_url=self._place.auth_url, project_id=person.project
            ),
            "a request": lambda: oslo_context.RequestContext(
                auth_token=self._token(), user_id=person.user, project_id=person.project
            ),
            "a wrong password": lambda: KeystonePassword(
                "wrong", auth_url=self._place.auth_url, username=person.username, user_domain_id=DOMAIN,
                project_name=person.project_name, project_domain_id=DOMAIN,
            ),
            "a token that is none": lambda: KeystoneToken(
                "no such token", auth_url=self._place.auth_url, project_id=person.project
            ),
            "no context": lambda: None,
        }  # fmt: skip
        for what, context in ways.items():
            kept = run.step(f"bytes are stored with {what}", lambda c=context: self._keys.store(c(), opaque(b"bytes")))
            if kept:
                run.step(f"bytes are read with {what}", lambda c=context, k=kept: self._keys.get(c(), k).get_encoded())
        named = self._manager(barbican_endpoint=self._place.url)
        run.step("bytes are stored where the options say", lambda: named.store(self._context(), opaque(b"bytes")))

    def objects(self, run: Transcript) -> None:
        """Every managed object, stored and got."""
        for name, managed in _material().items():
            expiration = LATER if name == "a passphrase" else None
            kept = run.step(
                f"{name} is stored", lambda m=managed, e=expiration: self._keys.store(self._context(), m, expiration=e)
            )
            self._kept[name] = (kept, managed)
            run.step(
                f"{name} is got",
                lambda k=kept: self._keys.get(self._context(), k),
                lambda got, m=managed: shown(got, m),
            )
            run.step(
                f"{name} is described", lambda k=kept: self._keys.get(self._context(), k, metadata_only=True), shown
            )

    def made_keys(self, run: Transcript) -> None:
        """Keys that are made there."""
        key = run.step("a key is made", lambda: self._keys.create_key(self._context(), "AES", 256, name="made"))
        run.step("a made key is got", lambda: self._keys.get(self._context(), key), shown)
        run.step("a made key's length", lambda: 8 * len(self._keys.get(self._context(), key).get_encoded()))
        later = run.step(
            "a key that expires is made", lambda: self._keys.create_key(self._context(), "aes", 128, expiration=LATER)
        )
        run.step("a key that expires is got", lambda: self._keys.get(self._context(), later), shown)
        pair = run.step(
            "a pair of keys is made", lambda: self._keys.create_key_pair(self._context(), "RSA", 2048, name="pair")
        )
        for kind, one in zip(("private", "public"), pair, strict=True):
            run.step(f"a made {kind} key is got", lambda one=one: self._keys.get(self._context(), one), shown)
        run.step("both are of one pair", lambda: self._is_pair(*pair))
        run.step("a key of a strange length", lambda: self._keys.create_key(self._context(), "AES", 72))
        run.step("a key of an odd length", lambda: self._keys.create_key(self._context(), "AES", 129))
        run.step("a pair of a strange length", lambda: self._keys.create_key_pair(self._context(), "RSA", 520))

    def _is_pair(self, private: str, public: str) -> bool:
        own = serialization.load_der_private_key(self._keys.get(self._context(), private).get_encoded(), None)
        assert isinstance(own, rsa.RSAPrivateKey)
        return _spki(own) == self._keys.get(self._context(), public).get_encoded()

    def refusals(self, run: Transcript) -> None:
        """Ask for what is not there, or not to be had."""
        context = self._context()
        run.step("nothing is got", lambda: self._keys.get(context, NOWHERE))
        run.step("no id is got", lambda: self._keys.get(context, None))
        run.step("an id that is none is got", lambda: self._keys.get(context, "here"))
        run.step("nothing is deleted", lambda: self._keys.delete(context, NOWHERE))
        run.step("no id is deleted", lambda: self._keys.delete(context, None))
        run.step("nothing is used", lambda: self._keys.add_consumer(context, NOWHERE, CONSUMER))
        run.step("nobody leaves nothing", lambda: self._keys.remove_consumer(context, NOWHERE, CONSUMER))
        run.step("a list of what there is not", lambda: self._keys.list(context, object_type=str))
        large = opaque_data.OpaqueData(b"x" * 20_000)
        run.step("too much is stored", lambda: self._keys.store(context, large))
        past = opaque_data.OpaqueData(b"x")
        run.step("the past is stored", lambda: self._keys.store(context, past, expiration="2001-01-01T00:00:00"))

    def consumers(self, run: Transcript) -> None:
        """Who uses a secret."""
        context, (key, managed) = self._context(), self._kept["a symmetric key"]
        run.step("a volume uses a key", lambda: self._keys.add_consumer(context, key, CONSUMER))
        run.step("a volume uses a key, said again", lambda: self._keys.add_consumer(context, key, CONSUMER))
        run.step("a used key is got", lambda: self._keys.get(context, key), lambda got: shown(got, managed))
        run.step("a used key is deleted", lambda: self._keys.delete(context, key))
        run.step("a volume leaves a key", lambda: self._keys.remove_consumer(context, key, CONSUMER))
        run.step("a volume leaves a key again", lambda: self._keys.remove_consumer(context, key, CONSUMER))
        run.step("a key is used no longer", lambda: self._keys.get(context, key).consumers)

    def lists(self, run: Transcript) -> None:
        """List what there is, of a project that has nothing else."""
        context = self._context("other member")
        run.step("nothing is listed", lambda: self._keys.list(context))
        for managed in _material().values():
            self._keys.store(context, managed)
        for details in (False, True):
            run.step(
                f"all are listed{' without their bytes' if details else ''}",
                lambda details=details: self._keys.list(context, metadata_only=details),
                lambda got: sorted((shown(one) for one in got), key=lambda one: one["name"] or ""),
            )
        for kind in (symmetric_key.SymmetricKey, private_key.PrivateKey, passphrase.Passphrase, x_509.X509):
            run.step(
                f"objects of the class {kind.__name__} are listed",
                lambda kind=kind: self._keys.list(context, object_type=kind),
                lambda got: [shown(one) for one in got],
            )

    def deletions(self, run: Transcript) -> None:
        """Objects go, used ones by force."""
        context = self._context()
        for name, (kept, _) in self._kept.items():
            run.step(f"{name} is deleted", lambda kept=kept: self._keys.delete(context, kept))
        run.step("a deleted key is got", lambda: self._keys.get(context, self._kept["a symmetric key"][0]))
        run.step("a deleted key is deleted", lambda: self._keys.delete(context, self._kept["a symmetric key"][0]))
        used = self._keys.store(context, opaque_data.OpaqueData(b"used"))
        self._keys.add_consumer(context, used, CONSUMER)
        run.step("used bytes are deleted", lambda: self._keys.delete(context, used))
        run.step("used bytes are deleted by force", lambda: self._keys.delete(context, used, force=True))
        run.step("used bytes are gone", lambda: self._keys.get(context, used))

    def people(self, run: Transcript) -> None:
        """Other people of the project, and of another."""
        key = self._keys.store(self._context(), opaque_data.OpaqueData(b"mine", name="mine"))
        for who in ("reader", "other member", "second member", "admin"):
            theirs = self._context(who)
            run.step(f"the {who} gets it", lambda c=theirs: self._keys.get(c, key), shown)
            run.step(f"the {who} stores", lambda c=theirs: self._keys.store(c, opaque_data.OpaqueData(b"theirs")))
            run.step(f"the {who} deletes it", lambda c=theirs: self._keys.delete(c, key))


def shown(managed: Any, original: Any = None) -> Json:
    """Return what castellan says of an object; of its bytes, whether they are those of the original, or their form."""
    fields = {
        name: getattr(managed, name)
        for name in ("id", "name", "format", "algorithm", "bit_length", "consumers")
        if hasattr(managed, name)
    }
    recent = managed.created and abs(managed.created - time.time()) < 86_400
    encoded = managed.get_encoded()
    if original is not None:
        form: Json = encoded == original.get_encoded()
    elif isinstance(encoded, bytes) and len(encoded) > 100:
        form = "DER" if encoded[0] == 0x30 else f"{len(encoded)} bytes"
    else:
        form = type(encoded).__name__
    fields |= {"created": "{time}" if recent else managed.created, "bytes": form}
    return {"class": type(managed).__name__, **fields}


def _material() -> dict[str, Any]:
    """Return one of each managed object."""
    own = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "keys.example")])
    start = dt.datetime(2026, 1, 1)  # noqa: DTZ001 - certificates have no zone
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(own.public_key())
        .serial_number(7)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=3650))
        .sign(own, hashes.SHA256())
    )
    private = own.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "a symmetric key": symmetric_key.SymmetricKey("AES", 256, bytes(range(32)), name="symmetric"),
        "a private key": private_key.PrivateKey("RSA", 2048, private, name="private"),
        "a public key": public_key.PublicKey("RSA", 2048, _spki(own), name="public"),
        "a certificate": x_509.X509(certificate.public_bytes(serialization.Encoding.DER), name="certificate"),
        "opaque data": opaque_data.OpaqueData(bytes(range(256)), name="opaque"),
        "a passphrase": passphrase.Passphrase(b"open sesame", name="passphrase"),
        "bytes without a name": opaque_data.OpaqueData(b"\x00"),
    }


def _spki(own: rsa.RSAPrivateKey) -> bytes:
    return own.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
