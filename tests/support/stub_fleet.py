"""A fleet of real processes of the stub service, on a shared socket, in a temporary directory."""

import json
import socket
import sys
from pathlib import Path

from bascule.documents.codec import to_plain
from bascule.documents.manifest import Manifest
from bascule.release import Release

STUB = Path(__file__).parents[1] / "data" / "stub"
OLD, NEW = Release.parse("1.0"), Release.parse("2.0")

FLEET = """
[fleet]
name = "stub"
recipe = "{recipe}"
releases = "releases"

[balancer]
bind = "127.0.0.1:{port}"

[policy]
canary_s = 0.2
soak_s = 0.2

[variables]
service_state = "{state}"
python = "{python}"

[environment]

[roles.api]
count = 2

[roles.worker]
count = 1
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def write_fleet(directory):
    for release, sources in ((OLD, ()), (NEW, (OLD,))):
        folder = directory / "releases" / str(release)
        folder.mkdir(parents=True)
        changes = dict.fromkeys(("expand", "migrate", "contract"), ("widen",)) if sources else {}
        manifest = Manifest(service="stub", release=release, upgrades_from=sources, schema=changes)
        (folder / "manifest.json").write_text(json.dumps(to_plain(manifest)))
    path = directory / "fleet.toml"
    path.write_text(
        FLEET.format(recipe=STUB / "recipe.toml", port=free_port(), state=directory / "service", python=sys.executable)
    )
    return path


def service_state(fleet):
    return json.loads((Path(fleet.config.file.variables["service_state"]) / "state.json").read_text())


def looks(fleet):
    """How often the service was asked for its status."""
    return len((Path(fleet.config.file.variables["service_state"]) / "looks").read_text())


def releases_running(fleet):
    return sorted({str(release) for found in fleet.alive().values() for release in found})


def starts(fleet):
    """How often each instance was started, by release."""
    root = fleet.first_node.directory / "run"
    return {path.parent.name: len(path.read_text().split()) for path in sorted(root.glob("*/starts"))}
