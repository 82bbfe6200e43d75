"""python-barbicanclient as a library: everything that its managers and objects do."""

import time
from collections.abc import Iterable
from typing import Any

from barbicanclient import client
from keystoneauth1 import session, token_endpoint

from barbican_clients.place import Place
from barbican_clients.transcript import Json, Transcript

NOWHERE = "11111111-1111-4111-8111-111111111111"
LATER = "2099-01-01T00:00:00"
BINARY = bytes(range(256))
TYPES = ("symmetric", "public", "private", "certificate", "passphrase", "opaque")
_DONE_S = 60


def tell(run: Transcript, place: Place) -> None:
    """Tell the whole scenario."""
    scenario = _Library(place)
    for chapter in (
        scenario.clients,
        scenario.payloads,
        scenario.kinds,
        scenario.second_steps,
        scenario.refusals,
        scenario.deletions,
        scenario.lists,
        scenario.metadata,
        scenario.consumers,
        scenario.containers,
        scenario.typed_containers,
        scenario.key_orders,
        scenario.pair_orders,
        scenario.order_refusals,
        scenario.access,
        scenario.container_access,
        scenario.roles,
        scenario.administration,
    ):
        run.chapter(chapter)


class _Library:
    def __init__(self, place: Place) -> None:
        self._place = place
        self._sessions = {name: place.session(name) for name in place.people}
        self._barbican = self._client()

    def _client(self, name: str = "member", **more: Any) -> Any:
        return client.Client(session=self._sessions[name], region_name=self._place.region, **more)

    def _stored(self, name: str, payload: str | bytes = "the payload", **more: Any) -> Any:
        secret = self._barbican.secrets.create(name=name, payload=payload, **more)
        secret.store()
        return secret

    def clients(self, run: Transcript) -> None:
        """How a client finds the service, and which versions they agree on."""
        run.step("a client agrees on a version", lambda: self._barbican.client.microversion)
        for version in ("1.0", "1.1", "1.2"):
            run.step(
                f"a client asks for version {version}",
                lambda version=version: self._client(microversion=version).client.microversion,
            )
        for version in ("1.3", "2.0"):
            run.step(f"a client asks for version {version}", lambda version=version: self._client(microversion=version))
        run.step("a client asks for an API that there is not", lambda: self._client(version="v2"))
        run.step(
            "a client is told where to go",
            lambda: len(client.Client(session=self._sessions["member"], endpoint=self._place.url).secrets.list()),
        )
        bare = session.Session(auth=token_endpoint.Token(self._place.url, "no such token"))
        run.step(
            "a client has a token that is none",
            lambda: client.Client(session=bare, endpoint=self._place.url).secrets.list(),  # noqa: PLW0108 - all of it
        )
        run.step(
            "a client has no token",
            lambda: client.Client(endpoint=self._place.url, project_id="project").secrets.list(),  # noqa: PLW0108
        )
        run.step("a client has nothing", client.Client)

    def payloads(self, run: Transcript) -> None:
        """Every kind of payload, kept and read."""
        secrets = self._barbican.secrets
        kept = {
            "a text": {"payload": "the payload"},
            "a text of many alphabets": {"payload": "пароль · 密码 · \N{KEY}"},
            "bytes": {"payload": BINARY},
            "a text with its type": {"payload": "typed", "payload_content_type": "text/plain"},
            "base64 with its type": {
                "payload": "AQIDBA==",
                "payload_content_type": "application/octet-stream",
                "payload_content_encoding": "base64",
            },
            "a key in PKCS#8": {
                "payload": "MAMCAQA=",
                "payload_content_type": "application/pkcs8",
                "payload_content_encoding": "base64",
            },
            "a text of blanks around": {"payload": "  blanks  "},
            "a text of 20,000 letters": {"payload": "x" * 20_000},
        }
        for what, fields in kept.items():
            made = secrets.create(name=what, **fields)
            run.step(f"{what} is kept", made.store)
            run.step(f"{what} is described", lambda made=made: secrets.get(made.secret_ref), secret_shown)
            run.step(
                f"{what} is read", lambda made=made: secrets.get(made.secret_ref).payload,
                lambda payload: len(payload) if len(payload) > 1000 else payload,
            )  # fmt: skip
            run.step(f"{what} knows itself", lambda made=made: made, secret_shown)
        text = run.step(
            "a text is found by its id", lambda: secrets.get(self._stored("by id").secret_ref[-36:]), secret_shown
        )
        run.step("a text that is found by its id is read", lambda: text.payload)
        asked = self._stored("asked", payload=b"bytes that are text")
        run.step(
            "bytes are read as text",
            lambda: secrets.get(asked.secret_ref, payload_content_type="text/plain").payload,
        )
        run.step("a secret is printed", lambda: str(secrets.get(asked.secret_ref)).splitlines(), _table)
        run.step("a secret is a dictionary", lambda: secrets.get(asked.secret_ref).to_dict())
        run.step("a secret is named after its reference", lambda: repr(asked))

    def kinds(self, run: Transcript) -> None:
        """Every type of secret, with all that may be said of one."""
        for kind in TYPES:
            made = self._barbican.secrets.create(
                name=f"of type {kind}", payload="p", secret_type=kind, algorithm="aes", bit_length=256, mode="cbc",
                expiration=LATER,
            )  # fmt: skip
            run.step(f"a secret of type {kind} is kept", made.store)
            run.step(
                f"a secret of type {kind} is described",
                lambda made=made: self._barbican.secrets.get(made.secret_ref),
                secret_shown,
            )
        zone = self._barbican.secrets.create(name="zone", payload="p", expiration="2099-01-01T02:00:00+02:00")
        run.step("a secret that expires in a zone is kept", zone.store)
        run.step(
            "a secret that expires in a zone is described",
            lambda: self._barbican.secrets.get(zone.secret_ref).expiration,
        )
        nameless = self._barbican.secrets.create(payload="p")
        run.step("a secret without a name is kept", nameless.store)
        run.step(
            "a secret without a name is described",
            lambda: self._barbican.secrets.get(nameless.secret_ref),
            secret_shown,
        )

    def second_steps(self, run: Transcript) -> None:
        """Secrets whose payload comes later."""
        secrets = self._barbican.secrets
        first = secrets.create(name="of two steps", algorithm="aes", bit_length=128)
        run.step("a secret is made without a payload", first.store)
        run.step("a secret without a payload is described", lambda: secrets.get(first.secret_ref), secret_shown)
        run.step("a secret without a payload is read", lambda: secrets.get(first.secret_ref).payload)
        run.step("its payload comes", lambda: secrets.update(first.secret_ref, "later"))
        run.step("a secret with its payload is described", lambda: secrets.get(first.secret_ref), secret_shown)
        run.step("a secret with its payload is read", lambda: secrets.get(first.secret_ref).payload)
        run.step("its payload comes again", lambda: secrets.update(first.secret_ref, "again"))
        second = secrets.create(name="of bytes later")
        second.store()
        second.payload = BINARY
        run.step("bytes come", second.update)
        run.step("bytes that came are read", lambda: secrets.get(second.secret_ref).payload)
        run.step("bytes that came are described", lambda: secrets.get(second.secret_ref), secret_shown)
        third = self._stored("of nothing later", payload=None)
        run.step("nothing comes", lambda: secrets.update(third.secret_ref, ""))
        run.step("a number comes", lambda: secrets.update(third.secret_ref, 7))
        run.step("too much comes", lambda: secrets.update(third.secret_ref, "x" * 20_001))
        run.step("a payload comes for nothing", lambda: secrets.update(_ref(self._place, "secrets", NOWHERE), "x"))

    def refusals(self, run: Transcript) -> None:
        """Offer what is not kept, and look for what is not found."""
        secrets = self._barbican.secrets
        refused: dict[str, dict[str, Any]] = {
            "an empty text": {"payload": ""},
            "a number": {"payload": 7},
            "too long a text": {"payload": "x" * 20_001},
            "a text of more than a request": {"payload": "x" * 30_000},
            "a text that is of blanks": {"payload": "   "},
            "a secret of an unknown type": {"payload": "p", "secret_type": "riddle"},
            "a secret of a past expiration": {"payload": "p", "expiration": "2001-01-01T00:00:00"},
            "a secret of an expiration that is none": {"payload": "p", "expiration": "soon"},
            "a secret of a negative length": {"payload": "p", "bit_length": -1},
            "a secret of a length that is text": {"payload": "p", "bit_length": "256"},
            "a secret of too long a name": {"payload": "p", "name": "n" * 256},
            "a secret of too long an algorithm": {"payload": "p", "algorithm": "a" * 256},
            "a payload of an unknown type": {"payload": "p", "payload_content_type": "image/png"},
            "bytes without an encoding": {"payload": "p", "payload_content_type": "application/octet-stream"},
            "bytes that are not base64": {
                "payload": "?",
                "payload_content_type": "application/octet-stream",
                "payload_content_encoding": "base64",
            },
            "a text with an encoding": {
                "payload": "p",
                "payload_content_type": "text/plain",
                "payload_content_encoding": "base64",
            },
            "a type without a payload": {"payload_content_type": "text/plain"},
        }
        for what, fields in refused.items():
            run.step(f"{what} is offered", lambda fields=fields: secrets.create(**fields).store())
        kept = self._stored("kept")

        def rename() -> None:
            kept.name = "another"

        run.step("what is kept is not renamed", rename)
        run.step("what is kept is not kept again", kept.store)
        run.step("a reference that is none", lambda: secrets.get("here"))
        run.step("nothing is found", lambda: secrets.get(_ref(self._place, "secrets", NOWHERE)).name)
        run.step("nothing is read", lambda: secrets.get(_ref(self._place, "secrets", NOWHERE)).payload)
        first = "11111111-1111-1111-8111-111111111111"
        run.step("an id of another kind finds nothing", lambda: secrets.get(_ref(self._place, "secrets", first)).name)

    def deletions(self, run: Transcript) -> None:
        """Delete, and find nothing any more."""
        secrets = self._barbican.secrets
        first, second = self._stored("first to go"), self._stored("second to go")
        reference = first.secret_ref
        run.step("a secret is deleted", first.delete)
        run.step("a deleted secret is described", lambda: secrets.get(reference).name)
        run.step("a deleted secret is read", lambda: secrets.get(reference).payload)
        run.step("a deleted secret is deleted by itself", first.delete)
        run.step("a deleted secret is deleted by its reference", lambda: secrets.delete(reference))
        run.step("a secret is deleted by its reference", lambda: secrets.delete(second.secret_ref))
        run.step("nothing is deleted", lambda: secrets.delete(_ref(self._place, "secrets", NOWHERE)))
        run.step("a secret that is not kept is deleted", lambda: secrets.create(name="not kept").delete())

    def lists(self, run: Transcript) -> None:
        """Pages, filters and sorting, of a project that has nothing else."""
        mine = self._client("other member")
        run.step("nothing is listed", mine.secrets.list)
        run.step("nothing is counted", mine.secrets.total)
        made = [
            {"name": f"listed {number:02}", "payload": "p", "algorithm": ("aes", "rsa")[number % 2],
             "bit_length": (128, 256, 2048)[number % 3], "mode": ("cbc", "gcm", None)[number % 3],
             "secret_type": TYPES[number % 6], "expiration": f"20{90 + number % 5}-01-01T00:00:00"}
            for number in range(12)
        ]  # fmt: skip
        for fields in made:
            mine.secrets.create(**fields).store()
        run.step("secrets are counted", mine.secrets.total)
        run.step("a page is of ten", lambda: len(mine.secrets.list()))
        asked: dict[str, dict[str, Any]] = {
            "all": {"limit": 100},
            "an algorithm": {"algorithm": "rsa", "limit": 100},
            "a mode": {"mode": "gcm", "limit": 100},
            "a length": {"bits": 2048},
            "a type": {"secret_type": "passphrase"},
            "a name": {"name": "listed 07"},
            "a name that nothing has": {"name": "nobody"},
            "a name with a wildcard": {"name": "listed 0%", "limit": 100},
            "what was made after 2001": {"created": "gt:2001-01-01T00:00:00", "limit": 100},
            "what was made before 2001": {"created": "lt:2001-01-01T00:00:00"},
            "what was changed after 2001": {"updated": "gte:2001-01-01T00:00:00", "limit": 100},
            "what expires in 2092 or later": {"expiration": "gte:2092-01-01T00:00:00", "limit": 100},
            "what expires between": {"expiration": "gt:2090-01-01T00:00:00,lt:2093-01-01T00:00:00", "limit": 100},
            "an algorithm and a mode": {"algorithm": "aes", "mode": "cbc"},
        }
        for what, fields in asked.items():
            run.step(
                f"secrets are listed by {what}",
                lambda fields=fields: sorted(s.name for s in mine.secrets.list(**fields)),
            )
        for order in ("name", "name:desc", "expiration:desc,name:asc", "bit_length,name", "secret_type:desc,name"):
            run.step(
                f"secrets are sorted by {order}",
                lambda order=order: [s.name for s in mine.secrets.list(limit=100, sort=order)],
            )
        run.step("secrets are listed whole", lambda: mine.secrets.list(limit=2, sort="name"), _secrets_shown)
        run.step("the middle is listed", lambda: [s.name for s in mine.secrets.list(limit=5, offset=5, sort="name")])
        run.step("the end is listed", lambda: [s.name for s in mine.secrets.list(limit=5, offset=10, sort="name")])
        run.step("beyond the end is listed", lambda: mine.secrets.list(limit=5, offset=50))
        run.step("secrets are sorted by nothing known", lambda: mine.secrets.list(sort="colour"))
        run.step("secrets are listed by a time that is none", lambda: mine.secrets.list(created="yesterday"))

    def metadata(self, run: Transcript) -> None:
        """User metadata, which the client has no objects for; its adapter asks as it asks for all else."""
        api, secret = self._barbican.client, self._stored("with metadata")
        path = f"secrets/{secret.secret_ref[-36:]}/metadata"
        run.step("no metadata is read", lambda: api.get(path))
        run.step("metadata is put", lambda: api.put(path, json={"metadata": {"Colour": "blue", "size": "1"}}).json())
        run.step("metadata is read", lambda: api.get(path))
        run.step("a key is added", lambda: api.post(path, json={"key": "shape", "value": "round"}))
        run.step("a key is added again", lambda: api.post(path, json={"key": "shape", "value": "round"}))
        run.step("a key is read", lambda: api.get(f"{path}/shape"))
        run.step("a key is changed", lambda: api.put(f"{path}/shape", json={"key": "shape", "value": "flat"}).json())
        run.step("another key is changed", lambda: api.put(f"{path}/shape", json={"key": "no", "value": "flat"}))
        run.step("a key is deleted", lambda: api.delete(f"{path}/shape").status_code)
        run.step("a deleted key is read", lambda: api.get(f"{path}/shape"))
        run.step("metadata of a number", lambda: api.put(path, json={"metadata": {"size": 1}}))
        run.step("metadata of a key with a blank", lambda: api.put(path, json={"metadata": {"a b": "c"}}))
        run.step("metadata is left", lambda: api.get(path))

    def consumers(self, run: Transcript) -> None:
        """Who uses a secret, and what that keeps from being deleted."""
        secrets = self._barbican.secrets
        secret = self._stored("used")
        server = {"service": "nova", "resource_type": "server", "resource_id": "server-1"}
        volume = {"service": "cinder", "resource_type": "volume", "resource_id": "volume-1"}
        run.step("nobody uses it", lambda: secrets.list_consumers(secret.secret_ref))
        run.step("a server uses it", lambda: secrets.register_consumer(secret.secret_ref, **server), secret_shown)
        run.step(
            "a server uses it, said again", lambda: secrets.register_consumer(secret.secret_ref, **server), secret_shown
        )
        run.step("a volume uses it", lambda: secrets.register_consumer(secret.secret_ref, **volume), secret_shown)
        run.step("who uses it", lambda: secrets.list_consumers(secret.secret_ref), _consumers_shown)
        run.step("the first who uses it", lambda: secrets.list_consumers(secret.secret_ref, limit=1), _consumers_shown)
        run.step(
            "the second who uses it",
            lambda: secrets.list_consumers(secret.secret_ref, limit=1, offset=1),
            _consumers_shown,
        )
        run.step("a used secret is described", lambda: secrets.get(secret.secret_ref), secret_shown)
        run.step("a used secret is deleted", lambda: secrets.delete(secret.secret_ref))
        run.step("a server leaves it", lambda: secrets.remove_consumer(secret.secret_ref, **server))
        run.step("a server leaves it again", lambda: secrets.remove_consumer(secret.secret_ref, **server))
        run.step("who still uses it", lambda: secrets.list_consumers(secret.secret_ref), _consumers_shown)
        run.step(
            "a service without a name", lambda: secrets.register_consumer(secret.secret_ref, **server | {"service": ""})
        )
        run.step("a service uses nothing", lambda: secrets.register_consumer(NOWHERE, **server))
        run.step("a used secret is deleted all the same", lambda: secrets.delete(secret.secret_ref, force=True))
        run.step("a used secret is gone", lambda: secrets.get(secret.secret_ref).name)
        old = self._client(microversion="1.0")
        other = self._stored("used of old")
        run.step("an old client says who uses it", lambda: old.secrets.register_consumer(other.secret_ref, **server))
        run.step("an old client asks who uses it", lambda: old.secrets.list_consumers(other.secret_ref))
        secrets.register_consumer(other.secret_ref, **server)
        run.step("an old client sees nobody", lambda: old.secrets.get(other.secret_ref), secret_shown)
        middle = self._client(microversion="1.1")
        run.step("a client of 1.1 sees who uses it", lambda: middle.secrets.get(other.secret_ref), secret_shown)
        run.step("a client of 1.1 deletes what is used", lambda: middle.secrets.delete(other.secret_ref))
        run.step("an old client deletes what is used", lambda: old.secrets.delete(other.secret_ref))

    def containers(self, run: Transcript) -> None:
        """Containers of anything, and who uses them."""
        containers = self._barbican.containers
        one, two = self._stored("one"), self._stored("two")
        container = containers.create(name="of two", secrets={"First": one, "second": two})
        run.step("a container is stored", container.store)
        run.step("a container is described", lambda: containers.get(container.container_ref), container_shown)
        run.step("a container is printed", lambda: str(containers.get(container.container_ref)).splitlines(), _table)
        empty = containers.create()
        run.step("an empty container is stored", empty.store)
        run.step("an empty container is described", lambda: containers.get(empty.container_ref), container_shown)
        fresh = containers.create(name="of a new one", secrets={"new": self._barbican.secrets.create(payload="n")})
        run.step("a container stores its secrets", fresh.store)
        run.step("a container that stored its secrets", lambda: containers.get(fresh.container_ref), container_shown)
        run.step("a container's secret is read", lambda: containers.get(fresh.container_ref).secrets["new"].payload)
        for name in ("nova", "cinder"):
            run.step(
                f"{name} uses the container",
                lambda name=name: containers.register_consumer(container.container_ref, name, f"http://{name}.example"),
                container_shown,
            )
        run.step(
            "nova leaves the container",
            lambda: containers.remove_consumer(container.container_ref, "nova", "http://nova.example"),
        )
        run.step(
            "nova leaves the container again",
            lambda: containers.remove_consumer(container.container_ref, "nova", "http://nova.example"),
        )
        run.step("a used container is described", lambda: containers.get(container.container_ref), container_shown)
        run.step("containers are counted", containers.total)
        run.step("containers are listed", lambda: [c.name for c in containers.list()])
        run.step("containers are listed by name", lambda: containers.list(name="of two"), _containers_shown)
        run.step("containers are listed by type", lambda: containers.list(type="rsa"))
        run.step("the second container is listed", lambda: [c.name for c in containers.list(limit=1, offset=1)])
        one.delete()
        run.step("a container without its first", lambda: containers.get(container.container_ref), container_shown)
        run.step("a container is deleted", container.delete)
        run.step("a deleted container is deleted by itself", container.delete)
        run.step("an empty container is deleted by its reference", lambda: containers.delete(empty.container_ref))
        run.step("a deleted container is described", lambda: containers.get(empty.container_ref))
        run.step("a deleted container is deleted", lambda: containers.delete(empty.container_ref))
        lost = containers.create(name="lost", secrets={"lost": self._lost()})
        run.step("a container of nothing is not stored", lost.store)
        run.step("a container of too long a name is not stored", lambda: containers.create(name="n" * 256).store())
        twice = containers.create(name="twice", secrets={"a": two, "b": two})
        run.step("a container of one secret twice is not stored", twice.store)

    def _lost(self) -> Any:
        secret = self._stored("lost")
        secret.delete()
        secret._secret_ref = _ref(self._place, "secrets", NOWHERE)  # noqa: SLF001 - the client would not ask
        return secret

    def typed_containers(self, run: Transcript) -> None:
        """Containers of keys and of certificates."""
        containers = self._barbican.containers
        public, private, passphrase, certificate, intermediates = (
            self._stored(name) for name in ("public", "private", "passphrase", "certificate", "intermediates")
        )
        keys = containers.create_rsa("keys", public_key=public, private_key=private, private_key_passphrase=passphrase)
        run.step("a pair of keys is stored", keys.store)
        run.step("a pair of keys is described", lambda: containers.get(keys.container_ref), container_shown)
        run.step("a pair of keys is printed", lambda: str(containers.get(keys.container_ref)).splitlines(), _table)
        half = containers.create_rsa("half", public_key=public)
        run.step("half a pair of keys is not stored", half.store)
        chain = containers.create_certificate(
            "chain", certificate=certificate, intermediates=intermediates, private_key=private,
            private_key_passphrase=passphrase,
        )  # fmt: skip
        run.step("a certificate is stored", chain.store)
        run.step("a certificate is described", lambda: containers.get(chain.container_ref), container_shown)
        run.step("a certificate is printed", lambda: str(containers.get(chain.container_ref)).splitlines(), _table)
        bare = containers.create_certificate("bare", private_key=private)
        run.step("a certificate without one is not stored", bare.store)
        run.step("pairs of keys are listed", lambda: containers.list(type="rsa"), _containers_shown)
        run.step("a certificate is deleted", lambda: containers.delete(chain.container_ref))

    def key_orders(self, run: Transcript) -> None:
        """Keys that are made there."""
        orders = self._barbican.orders
        ordered: dict[str, dict[str, Any]] = {
            "a key": {"algorithm": "aes", "bit_length": 256},
            "a key of a mode": {"algorithm": "AES", "bit_length": 128, "mode": "cbc", "name": "of a mode"},
            "a key that expires": {"algorithm": "aes", "bit_length": 192, "expiration": LATER, "name": "expires"},
            "a key of two halves": {"algorithm": "aes", "bit_length": 256, "mode": "xts"},
            "a key for HMAC": {"algorithm": "hmacsha256", "bit_length": 256, "name": "hmac"},
            "a key of a type": {
                "algorithm": "aes", "bit_length": 256, "payload_content_type": "application/octet-stream"
            },
        }  # fmt: skip
        references = []
        for what, fields in ordered.items():
            order = orders.create_key(**fields)
            references.append(run.step(f"{what} is ordered", order.submit))
            done = run.step(f"{what} is made", lambda order=order: _done(orders, order.order_ref), order_shown)
            secret = self._barbican.secrets.get(done.secret_ref)
            run.step(f"{what} is described, which was ordered", lambda secret=secret: secret, secret_shown)
            run.step(f"{what} is read, which was ordered", lambda secret=secret: len(secret.payload) * 8)
        run.step("an order is not submitted twice", order.submit)
        run.step("an order is printed", lambda: str(orders.get(order.order_ref)).splitlines(), _table)
        run.step("orders are counted", orders.total)
        run.step("orders are listed", orders.list, _orders_shown)
        run.step("the second order is listed", lambda: orders.list(limit=1, offset=1), _orders_shown)
        run.step("an order is deleted", lambda: orders.delete(references[0]))
        run.step("a deleted order is described", lambda: orders.get(references[0]))
        run.step("a deleted order is deleted", lambda: orders.delete(references[0]))
        run.step("the key of a deleted order is read", lambda: len(secret.payload))
        run.step("a described order is deleted", lambda: orders.get(references[1]).delete())

    def pair_orders(self, run: Transcript) -> None:
        """Pairs of keys that are made there."""
        orders = self._barbican.orders
        ordered: dict[str, dict[str, Any]] = {
            "a pair": {"algorithm": "rsa", "bit_length": 2048, "name": "pair"},
            "a pair with a passphrase": {"algorithm": "rsa", "bit_length": 2048, "pass_phrase": "open", "name": "shut"},
            "a pair for signatures": {"algorithm": "dsa", "bit_length": 1024, "expiration": LATER},
        }
        for what, fields in ordered.items():
            order = orders.create_asymmetric(**fields)
            run.step(f"{what} is ordered", order.submit)
            done = run.step(f"{what} is made", lambda order=order: _done(orders, order.order_ref), order_shown)
            if not done.container_ref:
                continue
            container = run.step(
                f"{what} is in a container",
                lambda done=done: self._barbican.client.get(f"containers/{done.container_ref[-36:]}"),
                lambda found: {**found, "secret_refs": sorted(found["secret_refs"], key=lambda one: one["name"])},
            )
            for part in sorted(container["secret_refs"], key=lambda one: str(one["name"])):
                secret = self._barbican.secrets.get(part["secret_ref"])
                run.step(f"{what}: its {part['name']}", lambda secret=secret: secret, secret_shown)
                run.step(f"{what}: its {part['name']} is read", lambda secret=secret: secret.payload, _key_shape)
            run.step(
                f"{what} is a container of the client",
                lambda done=done: self._barbican.containers.get(done.container_ref),
                container_shown,
            )
        # The client knows no container of this pair, so that it can list none as long as there is one.
        run.step("containers are not listed", self._barbican.containers.list)
        run.step("the pair for signatures goes", lambda: self._barbican.containers.delete(done.container_ref))
        run.step("containers are listed again", lambda: len(self._barbican.containers.list()))

    def order_refusals(self, run: Transcript) -> None:
        """Orders that are not taken, and one that fails."""
        orders = self._barbican.orders
        refused: dict[str, dict[str, Any]] = {
            "a key of nothing": {},
            "a key of no length": {"algorithm": "aes"},
            "a key of an odd length": {"algorithm": "aes", "bit_length": 129},
            "a key of a length that is text": {"algorithm": "aes", "bit_length": "256"},
            "a key of the past": {"algorithm": "aes", "bit_length": 256, "expiration": "2001-01-01T00:00:00"},
            "a key of too long a name": {"algorithm": "aes", "bit_length": 256, "name": "n" * 256},
            "a key of an unknown type": {"algorithm": "aes", "bit_length": 256, "payload_content_type": "image/png"},
        }
        for what, fields in refused.items():
            run.step(f"{what} is not ordered", lambda fields=fields: orders.create_key(**fields).submit())
        for what, fields in {
            "a key of an unknown algorithm": {"algorithm": "rot13", "bit_length": 128},
            "a key of a strange length": {"algorithm": "aes", "bit_length": 72},
        }.items():
            order = orders.create_key(**fields)
            run.step(f"{what} is ordered", order.submit)
            run.step(f"{what} is not made", lambda order=order: _done(orders, order.order_ref), order_shown)
        curve = orders.create_asymmetric(algorithm="ec", bit_length=256)
        run.step("a pair on a curve is ordered", curve.submit)
        run.step("a pair on a curve is not made", lambda: _done(orders, curve.order_ref), order_shown)
        run.step("an order of nothing is made", orders.create)
        run.step("an order of an unknown kind is made", lambda: orders.create("certificate"))
        run.step("no order is described", lambda: orders.get(_ref(self._place, "orders", NOWHERE)))
        run.step("a reference of an order that is none", lambda: orders.get("here"))

    def access(self, run: Transcript) -> None:
        """Who may read a secret, beside those whose role says so."""
        acls, secret = self._barbican.acls, self._stored("guarded")
        reference, people = secret.secret_ref, self._place.people
        second, stranger = self._client("second member"), self._client("other member")
        everybody = {"a second member": second, "a stranger": stranger, "a reader": self._client("reader")}

        def readers(when: str) -> None:
            for who, theirs in everybody.items():
                run.step(f"{who} reads {when}", lambda theirs=theirs: theirs.secrets.get(reference).payload)

        run.step("no list is read", lambda: acls.get(reference), acl_shown)
        readers("what has no list")
        private = acls.create(entity_ref=reference, project_access=False)
        run.step("a secret becomes private", private.submit)
        run.step("the list of a private secret", lambda: acls.get(reference), acl_shown)
        readers("what is private")
        shared = acls.create(entity_ref=reference, users=[people["other member"].user], project_access=False)
        run.step("a stranger is let in", shared.submit)
        run.step("the list of a shared secret", lambda: acls.get(reference), acl_shown)
        run.step("the list is printed", lambda: str(acls.get(reference).read).splitlines(), _table)
        readers("what is shared with a stranger")
        found = acls.get(reference)
        found.read.users.append(people["second member"].user)
        run.step("a second member is let in", found.submit)
        readers("what is shared with two")
        run.step("the list of a secret of two", lambda: acls.get(reference), acl_shown)
        opened = acls.get(reference)
        opened.read.project_access = True
        run.step("a secret becomes public", opened.submit)
        run.step("a secret shows its list", lambda: self._barbican.secrets.get(reference).acls, acl_shown)
        run.step("the reading alone is taken off", lambda: acls.get(reference).read.remove())  # noqa: PLW0108 - got now
        run.step("a list is gone", lambda: acls.get(reference), acl_shown)
        run.step("a list is taken off that is not there", acls.create(reference).remove)
        writing = acls.create(entity_ref=reference, users=["somebody"], operation_type="write")
        run.step("a list for writing is not taken", writing.submit)
        run.step("a list of nothing is not sent", acls.create(entity_ref=reference).submit)
        run.step("a list of text is not sent", acls.create(entity_ref=reference, users="somebody").submit)
        run.step("a list of numbers is not taken", acls.create(entity_ref=reference, users=[1]).submit)
        run.step("a list of nothing known", lambda: acls.get(_ref(self._place, "secrets", NOWHERE)))
        run.step("a stranger asks for the list", lambda: stranger.acls.get(reference))
        run.step("a stranger sets the list", lambda: stranger.acls.create(reference, project_access=True).submit())

    def container_access(self, run: Transcript) -> None:
        """Who may read a container."""
        acls, container = self._barbican.acls, self._barbican.containers.create(name="guarded")
        reference = container.store()
        stranger = self._client("other member")
        run.step("no list of a container is read", lambda: acls.get(reference), acl_shown)
        run.step("a stranger describes a container", lambda: stranger.containers.get(reference))
        users = [self._place.people["other member"].user]
        run.step("a stranger is let into a container", acls.create(reference, users, project_access=False).submit)
        run.step("the list of a container", lambda: acls.get(reference), acl_shown)
        run.step("a stranger describes a shared container", lambda: stranger.containers.get(reference), container_shown)
        run.step("a container shows its list", lambda: self._barbican.containers.get(reference).acls, acl_shown)
        run.step("a container's list is taken off", lambda: acls.get(reference).remove())
        run.step("a container's list is gone", lambda: acls.get(reference), acl_shown)

    def roles(self, run: Transcript) -> None:
        """Ask as each role of a project, old and new, and as people of another project."""
        secret, container = self._stored("of roles"), self._barbican.containers.create(name="of roles")
        order = self._barbican.orders.create_key(algorithm="aes", bit_length=256, name="of roles")
        container.store()
        order.submit()
        _done(self._barbican.orders, order.order_ref)
        for who in ("admin", "second member", "reader", "creator", "observer", "audit", "other member", "other admin"):
            theirs = self._client(who)
            made = theirs.secrets.create(name=f"of {who}", payload="p")
            run.step(f"the {who} keeps a secret", made.store)
            run.step(f"the {who} describes a secret", lambda t=theirs: t.secrets.get(secret.secret_ref).name)
            run.step(f"the {who} reads a secret", lambda t=theirs: t.secrets.get(secret.secret_ref).payload)
            run.step(f"the {who} lists secrets", lambda t=theirs: bool(t.secrets.list()))
            run.step(
                f"the {who} describes a container", lambda t=theirs: t.containers.get(container.container_ref).name
            )
            run.step(f"the {who} lists containers", lambda t=theirs: bool(t.containers.list()))
            run.step(f"the {who} describes an order", lambda t=theirs: t.orders.get(order.order_ref).name)
            run.step(f"the {who} orders a key", lambda t=theirs: t.orders.create_key("k", "aes", 256).submit())
        for who in ("reader", "other member", "other admin", "second member"):
            run.step(f"the {who} deletes a secret", lambda who=who: self._client(who).secrets.delete(secret.secret_ref))
        run.step(
            "the reader deletes a container", lambda: self._client("reader").containers.delete(container.container_ref)
        )

    def administration(self, run: Transcript) -> None:
        """Ask what administrators ask, and for what has gone from Barbican."""
        mine, theirs = self._barbican.client, self._client("admin").client
        run.step("quotas are read", lambda: mine.get("quotas"))
        run.step("quotas of projects are not read", lambda: mine.get("project-quotas"))
        run.step("quotas of projects are read", lambda: theirs.get("project-quotas"))
        run.step("stores are not told", lambda: mine.get("secret-stores"))
        run.step("transport keys are listed", lambda: mine.get("transport_keys"))
        run.step("authorities are listed", self._barbican.cas.list)
        run.step("an authority is described", lambda: self._barbican.cas.get(_ref(self._place, "cas", NOWHERE)).name)


def secret_shown(secret: Any) -> Json:
    """Return all that the client knows of a secret but its payload."""
    names = (
        "secret_ref", "name", "status", "secret_type", "algorithm", "bit_length", "mode", "expiration", "content_types",
        "payload_content_type", "created", "updated", "consumers",
    )  # fmt: skip
    return {name: getattr(secret, name) for name in names}


def container_shown(container: Any) -> Json:
    """Return all that the client knows of a container."""
    names = ("container_ref", "name", "status", "created", "updated", "secret_refs", "consumers")
    return {"class": type(container).__name__, **{name: getattr(container, name) for name in names}}


def order_shown(order: Any) -> Json:
    """Return all that the client knows of an order."""
    names = (
        "order_ref", "status", "name", "algorithm", "bit_length", "mode", "pass_phrase", "expiration",
        "payload_content_type", "secret_ref", "container_ref", "error_status_code", "error_reason", "created",
        "updated",
    )  # fmt: skip
    return {"class": type(order).__name__, **{name: getattr(order, name) for name in names if hasattr(order, name)}}


def acl_shown(acl: Any) -> Json:
    """Return all that the client knows of a list of who may read."""
    return [
        {
            "operation": each.operation_type, "project access": each.project_access,
            "users": each.users and set(each.users), "created": each.created, "updated": each.updated,
        }
        for each in acl.operation_acls
    ]  # fmt: skip


def _secrets_shown(found: Iterable[Any]) -> Json:
    return [secret_shown(secret) for secret in found]


def _containers_shown(found: Iterable[Any]) -> Json:
    return [container_shown(container) for container in found]


def _orders_shown(found: Iterable[Any]) -> Json:
    return [order_shown(order) for order in found]


def _consumers_shown(found: Iterable[Any]) -> Json:
    return [str(consumer).splitlines() and vars(consumer) for consumer in found]


def _table(lines: list[str]) -> Json:
    """Return the rows of a printed table without its padding, which the length of an address decides."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not line.startswith("+")]


def _key_shape(payload: str | bytes) -> Json:
    text = payload.encode() if isinstance(payload, str) else payload
    if text.startswith(b"-----"):
        return text.splitlines()[0].decode()
    return "DER" if text[:1] == b"\x30" and len(text) > 100 else payload


def _done(orders: Any, reference: str) -> Any:
    """Return the order when it is done; it may be worked on by another process, so a client waits."""
    until = time.monotonic() + _DONE_S
    while (order := orders.get(reference)).status == "PENDING":
        assert time.monotonic() < until, "an order is not done"
        time.sleep(0.05)
    return order


def _ref(place: Place, kind: str, name: str) -> str:
    return f"{place.url}/v1/{kind}/{name}"
