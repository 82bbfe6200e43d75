"""`openstack`, with the plugin of python-barbicanclient: every verb of secrets, orders, containers and lists.

Each command is the program's own main function in a process of its own, forked from one that has it imported: starting
Python anew for each would take most of the time.
"""

import contextlib
import importlib.metadata
import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import openstackclient.shell

from barbican_clients.place import DOMAIN, Place
from barbican_clients.transcript import Json, Transcript

NOWHERE = "11111111-1111-4111-8111-111111111111"
LATER = "2099-01-01T00:00:00"
_DONE_S = 60
_JSON = ("-f", "json")


def tell(run: Transcript, place: Place) -> None:
    """Tell the whole scenario."""
    for group in importlib.metadata.entry_points().groups:
        if group.startswith("openstack."):  # the program looks at all of them, in every process
            for point in importlib.metadata.entry_points(group=group):
                with contextlib.suppress(Exception):
                    point.load()
    with tempfile.TemporaryDirectory() as folder:
        scenario = _Commands(place, Path(folder))
        for chapter in (
            scenario.secrets,
            scenario.secret_lists,
            scenario.consumers,
            scenario.containers,
            scenario.orders,
            scenario.access,
            scenario.refusals,
        ):
            run.chapter(chapter)


class _Commands:
    def __init__(self, place: Place, folder: Path) -> None:
        self._place, self._folder = place, folder

    def ask(self, *arguments: str, who: str = "member") -> dict[str, Json]:
        """Run one command as this person."""
        person = self._place.people[who]
        environment = {
            "OS_AUTH_URL": self._place.auth_url,
            "OS_IDENTITY_API_VERSION": "3",
            "OS_REGION_NAME": self._place.region,
            "OS_USERNAME": person.username,
            "OS_PASSWORD": person.password,
            "OS_PROJECT_NAME": person.project_name,
            "OS_USER_DOMAIN_ID": DOMAIN,
            "OS_PROJECT_DOMAIN_ID": DOMAIN,
            "COLUMNS": "500",
        }
        out, err = self._folder / "out", self._folder / "err"
        child = os.fork()
        if not child:
            _become(list(arguments), environment, out, err)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        told: dict[str, Json] = {"exit": code}
        if text := out.read_text():
            told["prints"] = _parsed(text) if "json" in arguments else text
        if said := err.read_text().strip():
            told["says"] = said
        return told

    def _step(self, run: Transcript, name: str, *arguments: str, who: str = "member", **more: Any) -> Any:
        told = run.step(name, lambda: self.ask(*arguments, who=who), **more)
        return told.get("prints") if told else None

    def secrets(self, run: Transcript) -> None:
        """Openstack secret store, get, update, delete."""
        kept = self._folder / "payload"
        kept.write_bytes(b"from a file")
        text = self._step(run, "a text is stored", "secret", "store", *_JSON, "-n", "text", "-p", "the payload", "-t",
                          "text/plain")  # fmt: skip
        uri = text["Secret href"]
        self._step(run, "a text is described", "secret", "get", *_JSON, uri)
        for option in ("--payload", "--decrypt", "-d"):
            self._step(run, f"a text is read with {option}", "secret", "get", *_JSON, uri, option)
        self._step(run, "a text is read alone", "secret", "get", "-f", "value", "-c", "Payload", uri, "-p")
        saved = self._folder / "saved"
        self._step(run, "a text is saved", "secret", "get", uri, "--file", str(saved))
        run.step("a saved text", saved.read_bytes)
        self._step(run, "a text is described by its id", "secret", "get", *_JSON, uri[-36:])
        full = self._step(
            run, "all of a secret is stored", "secret", "store", *_JSON, "--name", "full", "--payload", "AQIDBA==",
            "--payload-content-type", "application/octet-stream", "--payload-content-encoding", "base64",
            "--secret-type", "symmetric", "--algorithm", "aes", "--bit-length", "128", "--mode", "gcm",
            "--expiration", LATER,
        )["Secret href"]  # fmt: skip
        self._step(run, "all of a secret is described", "secret", "get", *_JSON, full)
        self._step(run, "bytes are read", "secret", "get", "-f", "value", full, "-p", "-t", "application/octet-stream")
        self._step(run, "bytes are read as text", "secret", "get", "-f", "value", full, "-p")
        file = self._step(run, "a file is stored", "secret", "store", *_JSON, "-F", str(kept), "-n", "file")
        self._step(run, "a file is read", "secret", "get", *_JSON, file["Secret href"], "-p", "-t",
                   "application/octet-stream")  # fmt: skip
        self._step(run, "a file is described", "secret", "get", *_JSON, file["Secret href"])
        later = self._step(run, "a secret is stored without a payload", "secret", "store", *_JSON, "-n", "later")
        self._step(run, "nothing is read", "secret", "get", *_JSON, later["Secret href"], "-p")
        self._step(run, "a payload comes", "secret", "update", later["Secret href"], "came later")
        self._step(run, "what came is read", "secret", "get", *_JSON, later["Secret href"], "-p")
        self._step(run, "a payload comes again", "secret", "update", later["Secret href"], "came again")
        self._step(run, "a secret is deleted", "secret", "delete", uri)
        self._step(run, "a deleted secret is described", "secret", "get", *_JSON, uri)
        self._step(run, "a deleted secret is deleted", "secret", "delete", uri)

    def secret_lists(self, run: Transcript) -> None:
        """Openstack secret list, of a project that has nothing else."""
        theirs = "other member"
        self._step(run, "nothing is listed", "secret", "list", *_JSON, who=theirs)
        for name, algorithm, kind in (("a", "aes", "symmetric"), ("b", "rsa", "private"), ("c", "aes", "opaque")):
            self.ask("secret", "store", "-n", name, "-p", "p", "-a", algorithm, "-s", kind, who=theirs)
        for what, options in {
            "all": (),
            "a name": ("-n", "b"),
            "an algorithm": ("--algorithm", "aes"),
            "a length": ("--bit-length", "256"),
            "another length": ("-b", "128"),
            "a mode": ("--mode", "cbc"),
            "a type": ("--secret-type", "private"),
        }.items():
            self._step(run, f"secrets are listed by {what}", "secret", "list", *_JSON, *options, who=theirs,
                       shown=_by_name)  # fmt: skip
        self._step(run, "one secret is listed", "secret", "list", *_JSON, "-l", "1", "-o", "1", who=theirs)
        self._step(run, "secrets are listed as values", "secret", "list", "-f", "value", "-c", "Name", "-l", "1",
                   who=theirs)  # fmt: skip

    def consumers(self, run: Transcript) -> None:
        """Openstack secret consumer create, list, delete."""
        uri = self.ask("secret", "store", *_JSON, "-n", "used", "-p", "p")["prints"]["Secret href"]
        volume = ("-s", "cinder", "-t", "volume", "-i", "volume-1")
        self._step(run, "nobody uses a secret", "secret", "consumer", "list", *_JSON, uri)
        self._step(run, "a volume uses a secret", "secret", "consumer", "create", *volume, uri)
        self._step(run, "who uses a secret", "secret", "consumer", "list", *_JSON, uri)
        self._step(run, "a used secret is deleted", "secret", "delete", uri)
        self._step(run, "a volume leaves a secret", "secret", "consumer", "delete", *volume, uri)
        self._step(run, "a volume leaves a secret again", "secret", "consumer", "delete", *volume, uri)
        self._step(run, "a volume uses a secret once more", "secret", "consumer", "create", *volume, uri)
        self._step(run, "who uses a secret, beyond the end", "secret", "consumer", "list", *_JSON, uri, "-o", "5")
        self._step(run, "a used secret is deleted by force", "secret", "delete", "--force", uri)

    def containers(self, run: Transcript) -> None:
        """Openstack secret container create, get, list, delete."""
        one, two, three = (
            self.ask("secret", "store", *_JSON, "-n", name, "-p", "p")["prints"]["Secret href"] for name in "xyz"
        )
        create = ("secret", "container", "create", *_JSON)
        get = ("secret", "container", "get")
        made = self._step(run, "a container is made", *create, "-n", "both", "-s", f"one={one}", "-s", f"two={two}")
        self._step(run, "a container is described", *get, *_JSON, made["Container href"])
        keys = self._step(run, "a pair of keys is made", *create, "--type", "rsa", "-n", "keys", "-s",
                          f"public_key={one}", "-s", f"private_key={two}", "-s",
                          f"private_key_passphrase={three}")  # fmt: skip
        self._step(run, "a pair of keys is described", *get, *_JSON, keys["Container href"])
        self._step(run, "a pair of keys is described in values", *get, "-f", "value", keys["Container href"])
        chain = self._step(run, "a certificate is made", *create, "--type", "certificate", "-n", "chain", "-s",
                           f"certificate={one}", "-s", f"private_key={two}", "-s",
                           f"intermediates={three}")  # fmt: skip
        self._step(run, "a certificate is described in values", *get, "-f", "value", chain["Container href"])
        self._step(run, "half a pair of keys is not made", *create, "--type", "rsa", "-s", f"public_key={one}")
        self._step(run, "a container of nothing is not made", *create)
        self._step(run, "a container of an unknown type is not made", *create, "--type", "box", "-s", f"a={one}")
        self._step(
            run, "containers are listed", "secret", "container", "list", "-f", "value", "-c", "Name", "-c", "Type"
        )
        self._step(run, "containers are listed by name", "secret", "container", "list", *_JSON, "-n", "both")
        self._step(run, "containers are listed by type", "secret", "container", "list", "-f", "value", "-t", "rsa")
        self._step(run, "one container is listed", "secret", "container", "list", *_JSON, "-l", "1")
        self._step(run, "a container is deleted", "secret", "container", "delete", made["Container href"])
        self._step(run, "a deleted container is described", *get, *_JSON, made["Container href"])

    def orders(self, run: Transcript) -> None:
        """Openstack secret order create, get, list, delete."""
        create = ("secret", "order", "create", *_JSON)
        for what, options in {
            "a key": ("key",),
            "a key of options": ("key", "-n", "options", "-a", "aes", "-b", "128", "-m", "gcm", "-x", LATER),
            "a pair": ("asymmetric", "-n", "pair", "-a", "rsa", "-b", "2048"),
            "a key that fails": ("key", "-a", "rot13"),
        }.items():
            order = self._step(run, f"{what} is ordered", *create, *options)
            uri = order["Order href"]
            self._await(uri)
            self._step(run, f"the order of {what}", "secret", "order", "get", *_JSON, uri)
        self._step(run, "a key of an odd length is not ordered", *create, "key", "-b", "129")
        self._step(run, "an order of an unknown kind", *create, "certificate")
        self._step(run, "orders are listed", "secret", "order", "list", *_JSON)
        self._step(run, "one order is listed", "secret", "order", "list", *_JSON, "-l", "1", "-o", "2")
        self._step(run, "an order is deleted", "secret", "order", "delete", uri)
        self._step(run, "a deleted order is described", "secret", "order", "get", *_JSON, uri)
        self._step(run, "a deleted order is deleted", "secret", "order", "delete", uri)

    def _await(self, uri: str) -> None:
        until = time.monotonic() + _DONE_S
        while self.ask("secret", "order", "get", *_JSON, uri)["prints"]["Status"] == "PENDING":
            assert time.monotonic() < until, "an order is not done"

    def access(self, run: Transcript) -> None:
        """Openstack acl get, submit, user add, user remove, delete."""
        uri = self.ask("secret", "store", *_JSON, "-n", "guarded", "-p", "guarded")["prints"]["Secret href"]
        stranger, second = (self._place.people[name].user for name in ("other member", "second member"))
        listed = {"shown": _by_users}
        self._step(run, "no list is read", "acl", "get", *_JSON, uri)
        self._step(run, "a stranger reads it", "secret", "get", *_JSON, uri, "-p", who="other member")
        self._step(run, "a list is set", "acl", "submit", *_JSON, "-u", stranger, "--no-project-access", uri, **listed)
        self._step(run, "a list is read", "acl", "get", *_JSON, uri, **listed)
        self._step(run, "a listed stranger reads it", "secret", "get", *_JSON, uri, "-p", who="other member")
        self._step(
            run, "a second member reads what is private", "secret", "get", *_JSON, uri, "-p", who="second member"
        )
        self._step(run, "a user is added", "acl", "user", "add", *_JSON, "--user", second, uri, **listed)
        self._step(run, "a second member reads it", "secret", "get", *_JSON, uri, "-p", who="second member")
        self._step(run, "a user is removed", "acl", "user", "remove", *_JSON, "-u", stranger, uri, **listed)
        self._step(run, "project access is given", "acl", "user", "add", *_JSON, "--project-access", uri, **listed)
        self._step(run, "a list is deleted", "acl", "delete", uri)
        self._step(run, "a deleted list is read", "acl", "get", *_JSON, uri)
        box = self.ask("secret", "container", "create", *_JSON, "-s", f"a={uri}")["prints"]["Container href"]
        self._step(run, "a container's list is set", "acl", "submit", *_JSON, "-u", stranger, box, **listed)
        self._step(run, "a stranger describes a container", "secret", "container", "get", *_JSON, box,
                   who="other member")  # fmt: skip
        self._step(run, "a container's list is deleted", "acl", "delete", box)
        self._step(run, "a list of no reference", "acl", "get", *_JSON, "here")

    def refusals(self, run: Transcript) -> None:
        """Ask for what cannot be, and hear what the program says."""
        nothing = f"{self._place.url}/v1/secrets/{NOWHERE}"
        self._step(run, "nothing is described", "secret", "get", *_JSON, nothing)
        self._step(run, "an id that is none is described", "secret", "get", *_JSON, "here")
        self._step(run, "an unknown type is stored", "secret", "store", *_JSON, "-s", "riddle", "-p", "p")
        self._step(run, "the past is stored", "secret", "store", *_JSON, "-p", "p", "-x", "2001-01-01T00:00:00")
        self._step(run, "an unknown content type is stored", "secret", "store", *_JSON, "-p", "p", "-t", "image/png")
        self._step(run, "too much is stored", "secret", "store", *_JSON, "-p", "x" * 20_001, "-t", "text/plain")
        self._step(run, "a reader stores", "secret", "store", *_JSON, "-p", "p", who="reader")
        self._step(run, "a reader lists", "secret", "list", *_JSON, who="reader")
        self._step(run, "a reader orders", "secret", "order", "create", *_JSON, "key", who="reader")
        self._step(run, "authorities are listed", "ca", "list", *_JSON)
        self._step(run, "an authority is described", "ca", "get", *_JSON, nothing.replace("/secrets/", "/cas/"))
        self._step(run, "the catalogue is known", "catalog", "show", "-f", "value", "-c", "type", "key-manager")


def _become(arguments: list[str], environment: dict[str, str], out: Path, err: Path) -> None:
    """Be the program: its arguments, its environment and its output, until it ends."""
    code = 70
    try:
        for number, path in ((1, out), (2, err)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        for name in [name for name in os.environ if name.startswith("OS_")]:
            del os.environ[name]
        os.environ.update(environment)
        logging.disable(logging.NOTSET)  # it tells people what went wrong through its log
        sys.argv = ["openstack", *arguments]
        code = openstackclient.shell.main(arguments) or 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _parsed(text: str) -> Json:
    try:
        return json.loads(text)
    except ValueError:
        return text  # the program broke off: it found something that it cannot put into JSON


def _by_name(told: dict[str, Json]) -> Json:
    return {**told, "prints": sorted(told.get("prints") or [], key=lambda row: row["Name"] or "")}


def _by_users(told: dict[str, Json]) -> Json:
    return {**told, "prints": [{**row, "Users": set(row["Users"] or [])} for row in told.get("prints") or []]}
