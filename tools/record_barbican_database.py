"""Record a small database of real Barbican, and what Barbican answers from it.

Installs Barbican in a throw-away environment, serves it in-process on SQLite with simple_crypto, makes secrets and an
order, and writes tests/data/barbican-<version>.sql (the database as SQL) and .json (the master key, and for every
secret Barbican's own answers). The tests then open that database with the key manager. It takes no arguments.
"""

import argparse
import base64
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

VERSION, AS_OF = "23.0.0", "2026-11-15"
DATA = Path(__file__).parent.parent / "tests" / "data"

CONFIG = """[DEFAULT]
host_href = http://barbican.example
db_auto_create = False
[database]
connection = sqlite:///{folder}/barbican.db
[queue]
enable = False
[oslo_policy]
enforce_new_defaults = False
[secretstore]
enabled_secretstore_plugins = store_crypto
[crypto]
enabled_crypto_plugins = simple_crypto
[simple_crypto_plugin]
kek = '{kek}'
"""
PASTE = """[composite:main]
use = egg:Paste#urlmap
/v1: api
[pipeline:api]
pipeline = request_id context microversion app
[app:app]
paste.app_factory = barbican.api.app:create_main_app
[filter:request_id]
paste.filter_factory = oslo_middleware:RequestId.factory
[filter:context]
paste.filter_factory = barbican.api.middleware.context:ContextMiddleware.factory
[filter:microversion]
paste.filter_factory = barbican.api.middleware.microversion:MicroversionMiddleware.factory
"""


def main() -> None:
    """Install Barbican, record in its environment, and keep the result."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    inside = arguments.parse_args().inside
    if inside:
        record(inside)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python = install(folder)
        kek = base64.urlsafe_b64encode(os.urandom(32)).decode()
        (folder / ".barbican").mkdir()
        (folder / ".barbican" / "barbican.conf").write_text(CONFIG.format(folder=folder, kek=kek))
        (folder / "paste.ini").write_text(PASTE)
        environment = {**os.environ, "HOME": name}
        url = f"sqlite:///{folder}/barbican.db"
        upgrade = [python.parent / "barbican-db-manage", "-d", url, "upgrade"]
        subprocess.run(upgrade, env=environment, check=True, capture_output=True)
        subprocess.run([python, __file__, "--inside", folder], env=environment, check=True)
        keep(folder, kek)


def install(folder: Path) -> Path:
    """Return the Python of a new environment with Barbican in it."""
    python = folder / "venv" / "bin" / "python"
    packages = [f"barbican=={VERSION}", "setuptools<81", "webtest"]
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, folder / "venv"], check=True)
    pip = ["uv", "pip", "install", "--quiet", "--python", python, "--exclude-newer", AS_OF, *packages]
    subprocess.run(pip, check=True)
    return python


def record(folder: Path) -> None:
    """Make secrets and an order through Barbican's own application, and write down what it answers."""
    from paste import deploy  # noqa: PLC0415 - only Barbican's environment has these
    from webtest import TestApp  # noqa: PLC0415

    identity = {
        "HTTP_X_PROJECT_ID": "project-one",
        "HTTP_X_USER_ID": "user-one",
        "HTTP_X_ROLES": "admin,creator,member",
        "HTTP_X_IDENTITY_STATUS": "Confirmed",
    }
    client = TestApp(deploy.loadapp(f"config:{folder}/paste.ini"), extra_environ=identity)
    binary = base64.b64encode(bytes(range(256))).decode()
    bodies = [
        {"name": "text", "payload": "täxt", "payload_content_type": "text/plain", "secret_type": "passphrase"},
        {
            "name": "binary",
            "payload": binary,
            "payload_content_type": "application/octet-stream",
            "payload_content_encoding": "base64",
            "algorithm": "aes",
            "bit_length": 2048,
            "mode": "cbc",
            "expiration": "2999-01-01T00:00:00",
        },
        {"name": "without payload"},
        {"name": "two steps"},
        {"name": "deleted", "payload": "x", "payload_content_type": "text/plain"},
    ]
    references = [client.post_json("/v1/secrets", body).json["secret_ref"] for body in bodies]
    paths = [reference.removeprefix("http://barbican.example") for reference in references]
    client.put(paths[3], b"second step", content_type="application/octet-stream")
    client.delete(paths[4])
    key = {"name": "ordered", "algorithm": "aes", "bit_length": 256, "mode": "cbc"}
    order = client.post_json("/v1/orders", {"type": "key", "meta": key}).json["order_ref"]
    order_path = order.removeprefix("http://barbican.example")
    order_shown = client.get(order_path).json
    paths.append(order_shown["secret_ref"].removeprefix("http://barbican.example"))
    found = {path: described(client, path) for path in paths}
    answers = {"secrets": found, "order": {"path": order_path, "shown": order_shown}}
    (folder / "answers.json").write_text(json.dumps(answers))


def described(client: object, path: str) -> dict[str, object]:
    """Return what Barbican says of one secret: its description, and its payload in base64."""
    get = client.get  # type: ignore[attr-defined]  # webtest is not installed where types are checked
    shown = get(path, headers={"Accept": "application/json"}, expect_errors=True)
    payload = get(f"{path}/payload", expect_errors=True)
    return {
        "status": shown.status_int,
        "shown": shown.json,
        "payload_status": payload.status_int,
        "payload": base64.b64encode(payload.body).decode() if payload.status_int == 200 else None,
    }


def keep(folder: Path, kek: str) -> None:
    """Write the database as SQL text and the answers beside it."""
    DATA.mkdir(exist_ok=True)
    with sqlite3.connect(folder / "barbican.db") as connection:
        (DATA / f"barbican-{VERSION}.sql").write_text("\n".join(connection.iterdump()) + "\n")
    answers = json.loads((folder / "answers.json").read_text())
    document = {"barbican": VERSION, "kek": kek, **answers}
    (DATA / f"barbican-{VERSION}.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
