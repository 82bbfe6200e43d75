"""The how-to of rotation, typed into a shell as it stands, on an API process and a worker with tokens."""

import base64
import os
import re
import subprocess
from pathlib import Path

import pytest
import requests
from support.keymanager_servers import authtoken, keymanager_servers
from support.keystone_stub import running
from support.waiting import eventually

from bascule.testing.servers.packages import find_program, require
from bascule.testing.servers.skipping import or_skip

PAGE = (Path(__file__).parents[3] / "docs" / "howto" / "rotate-a-credential.md").read_text()
DONE = "-- typed --"


class Shell:
    """A terminal that lives as long as the page; it ends at the first command that fails."""

    def __init__(self, environment):
        self._process = subprocess.Popen(
            ["sh", "-eu"], env={**os.environ, **environment}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def type(self, block):
        """Return what the commands print."""
        # An answer has no newline at its end.
        self._process.stdin.write(f"{block}\necho; echo '{DONE}'\n")
        self._process.stdin.flush()
        printed = []
        for line in self._process.stdout:
            if line.strip() == DONE:
                return "".join(printed).strip()
            printed.append(line)
        raise AssertionError(f"the shell ended in:\n{block}\n{''.join(printed)}")


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """A member of a project, as the page's reader is one; the address of the key manager is in `url`."""
    kek = base64.urlsafe_b64encode(os.urandom(32)).decode()
    folder = tmp_path_factory.mktemp("keymanager")
    with running() as keystone, keymanager_servers(folder, kek, authtoken(f"{keystone.url}/v3")) as url:
        session = requests.Session()
        session.headers["X-Auth-Token"] = keystone.issue("token-of-the-reader")
        session.url = url
        yield session
        session.close()


@pytest.fixture
def shell(client):
    """The reader's terminal, with what the page says that is set, and curl."""
    or_skip(lambda: require("curl", lambda: find_program("curl")))
    secret = {"name": "the shop's database", "payload": "0ld", "payload_content_type": "text/plain"}
    key = {"type": "key", "meta": {"name": "shop", "algorithm": "aes", "bit_length": 256}}
    order = client.post(f"{client.url}/v1/orders", json=key).json()["order_ref"]
    eventually(lambda: client.get(order).json()["status"] == "ACTIVE", what="the key")
    environment = {
        "KEY_MANAGER_URL": client.url,
        "OS_TOKEN": client.headers["X-Auth-Token"],
        "SECRET_REF": client.post(f"{client.url}/v1/secrets", json=secret).json()["secret_ref"],
        "KEY_REF": client.get(order).json()["secret_ref"],
    }
    with Shell(environment) as shell:
        shell.environment = environment
        yield shell


def own(reference):
    return reference.replace("/v1/", "/v1/bascule/")


def read(client, reference, accept="text/plain"):
    answer = client.get(reference + "/payload", headers={"Accept": accept})
    assert answer.status_code == 200, answer.text
    return answer.content


def labels(client, reference):
    return client.get(own(reference) + "/labels").json()["labels"]


def test_the_blocks_of_the_page_run_one_after_the_other(client, shell):
    start, look, keep, tell, move, end, every, now = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    secret, key = shell.environment["SECRET_REF"], shell.environment["KEY_REF"]

    assert shell.type(start) == ""
    assert shell.type(look) == '{"labels": {"current": 1}}'
    assert '"version": 2' in shell.type(keep)
    assert read(client, secret) == b"0ld"
    assert shell.type(tell) == "n3w"
    shell.type(move)
    assert (read(client, secret), read(client, own(secret) + "/versions/previous")) == (b"n3w", b"0ld")

    [back] = re.findall(r'the other way round: `(\{"version".*?\})`', PAGE)
    shell.type(re.sub(r"'\{.*\}'", f"'{back}'", move))
    assert (read(client, secret), labels(client, secret)["previous"]) == (b"0ld", 2)
    shell.type(move)
    shell.type(end)
    assert (read(client, secret), labels(client, secret)) == (b"n3w", {"current": 2})
    versions = client.get(own(secret) + "/versions").json()["versions"]
    assert [each["destroyed"] is None for each in versions] == [True, False]

    first = read(client, key, "application/octet-stream")
    assert '"interval_s": 86400' in shell.type(every)
    assert shell.type(now) == ""
    eventually(lambda: labels(client, key) == {"current": 2, "previous": 1}, what="the new key")
    assert read(client, key, "application/octet-stream") != first
    assert read(client, own(key) + "/versions/previous", "application/octet-stream") == first


def test_what_the_page_says_of_requests_that_are_sent_twice_or_too_late_is_so(client, shell):
    secret = shell.environment["SECRET_REF"]
    new = {"payload": "n3w", "payload_content_type": "text/plain", "labels": ["pending"], "expected_version": 1}
    moved = {"version": 2, "expected_version": 1}
    for number in (2, 3):
        assert client.post(own(secret) + "/versions", json=new).json()["version"] == number
        assert labels(client, secret) == {"current": 1, "pending": number}
    assert client.put(own(secret) + "/labels/current", json=moved).status_code == 200
    for late in (
        client.put(own(secret) + "/labels/current", json=moved),
        client.post(own(secret) + "/versions", json=new),
    ):
        assert late.status_code == 409
        assert "Label 'current' is at version 2, and was expected at 1" in late.json()["description"]
    assert "| 409 `Label 'current' is at version ..., and was expected at ...` |" in PAGE
    assert labels(client, secret) == {"current": 2, "pending": 3, "previous": 1}
