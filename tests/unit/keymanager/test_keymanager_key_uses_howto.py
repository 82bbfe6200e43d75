"""The how-to's Python blocks do what it says, from a client on the wire."""

import re
import threading
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

HOWTO = Path(__file__).parents[3] / "docs" / "howto" / "encrypt-with-a-key-you-do-not-hold.md"
PEOPLE = {"owner-token": ("owner", "member,reader"), "application-token": ("app", "key-manager:key-user")}


class Silent(WSGIRequestHandler):
    def log_message(self, *_args):
        pass


@pytest.fixture
def served(keymanager):
    """The key manager on a port; who asks is told by the token, as Keystone would."""
    app = keymanager.client().app

    def with_tokens(environ, start_response):
        user, roles = PEOPLE[environ["HTTP_X_AUTH_TOKEN"]]
        named = {"HTTP_X_PROJECT_ID": "shop", "HTTP_X_USER_ID": user, "HTTP_X_ROLES": roles}
        return app({**environ, **named}, start_response)

    with make_server("127.0.0.1", 0, with_tokens, handler_class=Silent) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_blocks_of_the_howto_run_one_after_the_other(served, keymanager, monkeypatch):
    monkeypatch.setenv("KEY_MANAGER_URL", served)
    monkeypatch.setenv("OWNER_TOKEN", "owner-token")
    monkeypatch.setenv("APPLICATION_TOKEN", "application-token")
    blocks = re.findall(r"```python\n(.*?)```", HOWTO.read_text(), re.DOTALL)
    names = {}
    for block in blocks:
        exec(compile(block, HOWTO.name, "exec"), names)
        while keymanager.wakes:
            keymanager.processor.process_id(keymanager.wakes.pop())
    assert len(blocks) == 7
    assert names["moved"]["ciphertext"].split(":")[3] == names["new_id"] != names["key_id"]
    assert names["application"].get(f"{served}/v1/secrets/{names['key_id']}/payload").status_code == 403
