"""Our key manager in the place of the recorded Barbican: its API and its worker in this process."""

import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import falcon.testing
from cryptography.fernet import Fernet
from support.barbican_corpus import BAD_TOKEN, Actor, Answer, Area, Masks, Outcome, Request, replay

from bascule_keymanager.api.process import ApiProcess
from bascule_keymanager.config import load_settings
from bascule_keymanager.service import Parts
from bascule_keymanager.worker.process import WorkerProcess

CORPUS = Path(__file__).parent.parent / "data" / "barbican-23"

_HOST = "keys.example"
# What a token check takes away from a request, whoever sent it: only its own word counts.
_IDENTITY = ("x-project-id", "x-user-id", "x-roles", "x-identity-status")


def replay_area(area: Area, folder: Path, database_url: str | None = None) -> list[Outcome]:
    """Ask a new key manager everything that is in this area, and return what became of each pair.

    Its database is the empty one at this URL, or SQLite in the folder.
    """
    with Served(folder, area.configuration, database_url or f"sqlite:///{folder}/keymanager.db") as served:
        masks = Masks(f"http://{_HOST}", _people(area))
        masks.values["identity"] = "http://identity.example/v3"
        actors = {name: _filled(actor, masks) for name, actor in area.actors.items()}

        def ask(request: Request, actor: Actor | str) -> Answer:
            return served.ask(request, actor)

        filled = Area(area.name, area.about, area.configuration, actors, area.pairs)
        return list(replay(filled, ask, masks, served.settle))


class Served:
    """One API process and one worker process, made as their programs make them, but for the token check.

    Who asks is told by the headers that keystonemiddleware sets, in the mode that believes them.
    """

    def __init__(self, folder: Path, configuration: Mapping[str, Mapping[str, str]], database_url: str) -> None:
        path = folder / "keymanager.conf"
        path.write_text(_config(database_url, configuration))
        self._settings = load_settings(str(path))
        self._api, self._worker = ApiProcess(self._settings), WorkerProcess(self._settings)

    def __enter__(self):
        schema = Parts(self._settings).schema
        schema.expand()
        schema.migrate()
        schema.engine.dispose()
        self._api.start()
        self._worker.start()
        self._app = self._api.make_app()
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.stop()
        self._api.stop()

    def ask(self, request: Request, actor: Actor | str) -> Answer:
        """Send one request, and return the answer."""
        path, _, query = request.path.partition("?")
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _IDENTITY}
        environ = falcon.testing.create_environ(
            path=path,
            query_string=query,
            host=_HOST,
            method=request.method,
            headers={**headers, **_identity(actor)},
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


def _config(database_url: str, configuration: Mapping[str, Mapping[str, str]]) -> str:
    own = {
        "DEFAULT": {"auth_strategy": "noauth"},
        "database": {"connection": database_url, "sqlite_synchronous": "False"},
        "simple_crypto_plugin": {"kek": f"'{Fernet.generate_key().decode()}'"},
    }
    lines = []
    for section in {**own, **configuration}:
        values = {**own.get(section, {}), **configuration.get(section, {})}
        lines += [f"[{section}]", *(f"{name} = {value}" for name, value in values.items())]
    return "\n".join(lines) + "\n"


def _identity(actor: Actor | str) -> dict[str, str]:
    if isinstance(actor, str):
        return {"X-Identity-Status": "Invalid"} if actor == BAD_TOKEN else {}
    return {
        "X-Identity-Status": "Confirmed",
        "X-Project-Id": actor.project,
        "X-User-Id": actor.user,
        "X-Roles": ",".join(actor.roles),
    }


def _people(area: Area) -> dict[str, str]:
    names = sorted({name for actor in area.actors.values() for name in (actor.project, actor.user)})
    # Every actor's name may stand in a request, whether that actor asks anything in this area or not.
    everybody = [*names, "{project}", "{other project}", *(f"{{user of {name}}}" for name in _EVERYBODY)]
    return {name.strip("{}"): f"{number:032x}" for number, name in enumerate(dict.fromkeys(everybody), start=0xABC)}


_EVERYBODY = ("admin", "member", "second member", "reader", "other admin", "other member")


def _filled(actor: Actor, masks: Masks) -> Actor:
    return Actor(masks.fill(actor.project), masks.fill(actor.user), actor.roles)


def replay_areas(areas: Iterable[Area], folder: Path) -> Iterator[Outcome]:
    """Replay all these areas, each on a database of its own within this folder."""
    for area in areas:
        own = folder / area.name
        own.mkdir()
        yield from replay_area(area, own)
