"""A key manager in this process, on a SQLite file of the test's own."""

import functools
import itertools
from dataclasses import dataclass, field, replace

import falcon.testing
import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from support.keymanager_schema import make_schema

from bascule_keymanager.api.app import make_app
from bascule_keymanager.api.pipeline import Frame
from bascule_keymanager.config import Settings, _parsed
from bascule_keymanager.policy.policies import Policies
from bascule_keymanager.service import Parts
from bascule_keymanager.storage.database import Database
from bascule_keymanager.stores.configured import at_this_release
from bascule_keymanager.worker.processor import OrderProcessor
from bascule_keymanager.worker.rotator import Rotator

# What a service has whose operator wrote no file; read once, as its policies are: both take longer than most tests.
NO_FILES = _parsed([])


@functools.cache
def default_policies():
    return Policies(NO_FILES)


@dataclass
class KeyManager:
    """The parts of one key manager; `wakes` are the orders that a worker was woken for.

    `seals_orders` says whether the pin allows that.
    """

    settings: Settings
    database: Database
    wakes: list[str] = field(default_factory=list)
    seals_orders: bool = False

    def __post_init__(self):
        self.parts = Parts(self.settings)
        self.parts.database = self.database
        self.projects, self.secrets, self.orders = self.parts.projects, self.parts.secrets, self.parts.orders
        self.stores = self.parts.stores
        self.processor = OrderProcessor(self.orders, self.projects, self.stores)
        self.rotator = Rotator(self.parts.rotations, self.parts.versions, self.projects, at_this_release)

    def accept(self, caller, kind, meta, request_id):
        project = self.projects.get_or_create(caller.project)
        seal_for = caller.project if self.seals_orders else None
        return self.orders.add(
            project.id, caller.user, kind, meta, lambda _c, name, _at: self.wakes.append(name), seal_for=seal_for
        )

    def rotate_now(self, secret_id, request_id):
        return self.parts.rotations.hasten(secret_id, lambda _connection, _at: self.wakes.append(secret_id))

    def key_of(self, project="p1"):
        """The newest key of a project, of the plugin that seals what is new; made now if there is none."""
        plugin = next(iter(self.parts.crypto_plugins.values()))
        return self.projects.key_of(self.projects.get_or_create(project), plugin)

    def client(self, project="p1", user="u1", roles=None, frame=None):
        """A client that is believed its headers; without roles it is an ordinary member."""
        if frame is None and self.settings.options is NO_FILES:
            frame = Frame(default_policies())
        app = make_app(
            self.settings,
            secrets=self.secrets,
            versions=self.parts.versions,
            projects=self.projects,
            orders=self.orders,
            holdings=self.parts.holdings,
            accept_order=self.accept,
            rotations=self.parts.rotations,
            rotate_now=self.rotate_now,
            frame=frame,
        )
        headers = {"X-Project-Id": project, "X-User-Id": user} if project else {}
        if roles is not None:
            headers["X-Roles"] = roles
        return falcon.testing.TestClient(app, headers=headers)

    def again(self, **changes):
        """Another process on the same database."""
        values = {name: getattr(self.settings, name) for name in Settings.__slots__} | changes
        return KeyManager(Settings(**values), Database(self.settings.database_url))

    def contract(self):
        """Contract every change, without watching for a second each whether an old process writes: there is none."""
        schema = self.parts.schema
        schema.options = replace(schema.options, watch_s=0.0)
        schema.contract()

    def count_statements(self):
        """Return a list that grows by every statement from here on."""
        seen = []
        for engine in (self.database.reader, self.database.writer):
            sa.event.listen(engine, "before_cursor_execute", lambda _c, _k, text, *_rest: seen.append(text))
        return seen


@pytest.fixture
def sqlite_url(tmp_path):
    return f"sqlite:///{tmp_path}/keymanager.db"


@pytest.fixture
def make_keymanager():
    """Build key managers on a database URL; their connections are closed at the end."""
    yield from keymanager_makers()


@pytest.fixture(scope="module")
def make_shared_keymanager():
    """The same for one that all tests of a module share."""
    yield from keymanager_makers()


def keymanager_makers():
    made = []

    def make(url, **options):
        options = {"auth_strategy": "noauth", "options": NO_FILES, **options}
        settings = Settings(database_url=url, keks=(Fernet.generate_key().decode(),), **options)
        database = Database(url, sqlite_synchronous=False)
        make_schema(settings)
        made.append(KeyManager(settings, database))
        return made[-1]

    yield make
    for keymanager in made:
        keymanager.database.dispose()


@pytest.fixture
def keymanager(make_keymanager, sqlite_url):
    return make_keymanager(sqlite_url)


@pytest.fixture
def client(keymanager):
    return keymanager.client()


@pytest.fixture
def post_secret(client):
    """Make a secret and return its path."""
    numbers = itertools.count()

    def post(payload="abc", **fields):
        body = {"name": f"s{next(numbers)}", "payload": payload, "payload_content_type": "text/plain", **fields}
        answer = client.simulate_post("/v1/secrets", json={k: v for k, v in body.items() if v is not None})
        assert answer.status_code == 201, answer.text
        return "/v1" + answer.json["secret_ref"].partition("/v1")[2]

    return post
