"""Our key manager in the place of the recorded Barbican: its API and its worker in this process."""

import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import falcon.testing
from cryptography.fernet import Fernet
from support.barbican_corpus import NO_TOKEN, Answer, Area, Masks, Outcome, Request, replay
from support.keymanager_schema import make_schema
from support.keystone_stub import running

from bascule_keymanager.api.process import ApiProcess
from bascule_keymanager.config import load_settings
from bascule_keymanager.worker.process import WorkerProcess

CORPUS = Path(__file__).parent.parent / "data" / "barbican-23"

_HOST = "keys.example"
# Every actor's name may stand in a request, whether that actor asks anything in its area or not.
_EVERYBODY = ("admin", "member", "second member", "reader", "other admin", "other member")


def replay_area(area: Area, folder: Path, database_url: str | None = None) -> list[Outcome]:
    """Ask a new key manager everything that is in this area, and return what became of each pair.

    Its database is the empty one at this URL, or SQLite in the folder. MariaDB keeps whole seconds, so that the order
    in which things were made is not known there: lists are then compared in any order.
    """
    masks = Masks(f"http://{_HOST}", _ids(area))
    with running() as keystone:
        masks.values["identity"] = keystone.url
        for name, actor in area.actors.items():
            project, user = masks.fill(actor.project), masks.fill(actor.user)
            keystone.issue(_token(name), project=project, user=user, roles=actor.roles)
        options = {**_options(database_url or f"sqlite:///{folder}/keymanager.db", keystone.url), **area.configuration}
        with Served(folder, options) as served:
            by_second = database_url is not None and database_url.startswith("mysql")
            return list(replay(area, served.ask, masks, served.settle, any_order=by_second))


class Served:
    """One API process and one worker process, made as their programs make them."""

    def __init__(self, folder: Path, options: Mapping[str, Mapping[str, str]]) -> None:
        path = folder / "keymanager.conf"
        path.write_text(_ini(options))
        self._settings = load_settings(str(path))
        self._api, self._worker = ApiProcess(self._settings), WorkerProcess(self._settings)

    def __enter__(self):
        make_schema(self._settings)
        self._api.start()
        self._worker.start()
        self._app = self._api.make_app()
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.stop()
        self._api.stop()

    def ask(self, request: Request, actor: str) -> Answer:
        """Send one request with the token of this actor, and return the answer."""
        path, _, query = request.path.partition("?")
        token = {} if actor == NO_TOKEN else {"X-Auth-Token": _token(actor)}
        environ = falcon.testing.create_environ(
            path=path,
            query_string=query,
            host=_HOST,
            method=request.method,
            headers={**request.headers, **token},
            body=request.body or b"",
        )
        environ["wsgi.errors"] = io.StringIO()
        started = falcon.testing.StartResponseMock()
        body = self._app(environ, started)
        try:
            content = b"".join(body)
        finally:
            if hasattr(body, "close"):
                body.close()
        return Answer(int(started.status.split()[0]), dict(started.headers), content)

    def settle(self) -> None:
        """Let the worker do all that it was woken for."""
        while self._worker.step():
            pass


def _token(actor: str) -> str:
    return f"token-of-{actor.replace(' ', '-')}"  # that of the actor with a bad token is nobody's


def _options(database_url: str, identity_url: str) -> dict[str, dict[str, str]]:
    return {
        "database": {"connection": database_url, "sqlite_synchronous": "False"},
        "simple_crypto_plugin": {"kek": f"'{Fernet.generate_key().decode()}'"},
        "keystone_authtoken": {
            "auth_type": "password",
            "auth_url": identity_url,
            "www_authenticate_uri": identity_url,
            "username": "keys",
            "password": "secret",
            "project_name": "service",
            "user_domain_id": "default",
            "project_domain_id": "default",
        },
    }


def _ini(options: Mapping[str, Mapping[str, str]]) -> str:
    lines = []
    for section, values in options.items():
        lines += [f"[{section}]", *(f"{name} = {value}" for name, value in values.items())]
    return "\n".join(lines) + "\n"


def _ids(area: Area) -> dict[str, str]:
    """Return an id of Keystone's form for every person and project that the area may name."""
    named = [name for actor in area.actors.values() for name in (actor.project, actor.user)]
    everybody = ["{project}", "{other project}", *(f"{{user of {name}}}" for name in _EVERYBODY), *named]
    return {name.strip("{}"): f"{number:032x}" for number, name in enumerate(dict.fromkeys(everybody), start=0xABC)}


def replay_areas(areas: Iterable[Area], folder: Path) -> Iterator[Outcome]:
    """Replay all these areas, each on a database of its own within this folder."""
    for area in areas:
        own = folder / area.name
        own.mkdir()
        yield from replay_area(area, own)
