"""Let Barbican's own clients tell their scenarios to real Barbican and to our key manager, and compare what they heard.

Installs Barbican, Keystone and the clients in environments of their own and runs all of it on the loopback: one real
Keystone, and for each kind of client a new Barbican and a new key manager. docs/howto/use-your-clients.md has more.
"""

import argparse
import json
import secrets
import subprocess
import sys
import tempfile
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from barbican_recording.people import OTHER_PROJECT, PROJECT, Person, make_endpoint, make_people, service_user
from barbican_recording.servers import AS_OF, BARBICAN, KEYSTONE, barbican, install, keystone
from support.client_runs import CORPUS, KINDS, Step, compared, load_intended, run_scenario, unmet
from support.keymanager_servers import keymanager_servers

CLIENTS = ("python-barbicanclient", "python-openstackclient", "castellan")


@dataclass(frozen=True, slots=True)
class Known:
    """A person as a scenario knows them."""

    user: str
    username: str
    password: str
    project: str
    project_name: str


def main() -> None:
    """Run all kinds of clients, or those that are named."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("kinds", nargs="*", help=f"run only these kinds: {', '.join(KINDS)}")
    arguments.add_argument("--environments", type=Path, help="keep the environments here, and use them again")
    arguments.add_argument("--record", action="store_true", help="write what Barbican told into tests/data")
    arguments.add_argument("--steps", action="store_true", help="print every step, not only those that differ")
    chosen = arguments.parse_args()
    if unknown := set(chosen.kinds) - set(KINDS):
        arguments.error(f"no such kind: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as name:
        environments = chosen.environments or Path(name) / "environments"
        steps = _run(Path(name), environments, chosen.kinds or KINDS, record=chosen.record)
    _print(steps, every=chosen.steps)
    if any(not step.is_alike for step in steps) or unmet(steps):
        sys.exit(1)


def _run(folder: Path, environments: Path, kinds: list[str], *, record: bool) -> list[Step]:
    """Return the steps of all these kinds."""
    identity_programs = install(environments, "keystone", KEYSTONE)
    programs = install(environments, "barbican", BARBICAN)
    python = _install_clients(environments)
    password, intended = secrets.token_urlsafe(12), load_intended()
    steps: list[Step] = []
    with keystone(identity_programs, folder / "identity", password) as identity_url:
        authtoken, people = service_user(identity_url, password), _known(make_people(identity_url, password))

        def told(side: str, kind: str, url: str) -> dict[str, Any]:
            region = f"{side}-{kind}"
            make_endpoint(identity_url, password, "key-manager", region, url)
            place = {"auth_url": identity_url, "region": region, "url": url, "people": people}
            began = time.monotonic()
            transcript = run_scenario(python, kind, place, folder / region)
            print(f"{kind} asked {side}: {time.monotonic() - began:.1f} s", flush=True)
            return transcript

        for kind in kinds:
            with barbican(programs, folder / "barbicans" / kind, authtoken, {}) as url:
                theirs = told("barbican", kind, url)
            if record:
                _write(kind, theirs)
            kek = urlsafe_b64encode(secrets.token_bytes(32)).decode()
            with keymanager_servers(folder / "ours" / kind, kek, authtoken) as url:
                ours = told("bascule", kind, url)
            steps += compared(kind, theirs["steps"], ours["steps"], intended)
    return steps


def _install_clients(folder: Path) -> Path:
    """Return the interpreter of an environment that holds the clients alone; made once per folder."""
    environment = folder / "clients"
    python = environment / "bin" / "python"
    if not (environment / "bin" / "openstack").exists():
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, environment], check=True)
        to = ["--python", python, "--exclude-newer", AS_OF]
        subprocess.run([uv, "pip", "install", "--quiet", *to, *CLIENTS], check=True)
    return python


def _known(people: Mapping[str, Person]) -> dict[str, Known]:
    projects = {people["member"].project: PROJECT, people["other member"].project: OTHER_PROJECT}
    return {
        name: Known(person.user, person.username, person.password, person.project, projects[person.project])
        for name, person in people.items()
    }


def _write(kind: str, transcript: Mapping[str, Any]) -> None:
    CORPUS.mkdir(parents=True, exist_ok=True)
    document = {"barbican": BARBICAN, "keystone": KEYSTONE, **transcript}
    (CORPUS / f"{kind}.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def _print(steps: list[Step], *, every: bool) -> None:
    for step in steps:
        if not step.is_alike:
            print(f"\n{step}")
        elif every:
            print(f"{step.kind}: {step.name}")
    for step in unmet(steps):
        print(f"\n{step.kind}: {step.name}: meant to differ, and does not")
    print(f"\n{'client':<12}{'steps':>7}{'alike':>7}{'meant':>7}{'differ':>8}")
    for kind in dict.fromkeys(step.kind for step in steps):
        own = [step for step in steps if step.kind == kind]
        alike = sum(step.barbican == step.ours for step in own)
        differ = sum(not step.is_alike for step in own)
        print(f"{kind:<12}{len(own):>7}{alike:>7}{len(own) - alike - differ:>7}{differ:>8}")


if __name__ == "__main__":
    main()
