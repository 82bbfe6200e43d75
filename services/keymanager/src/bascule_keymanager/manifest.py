"""What this release says of itself: generated from the code, frozen when it is cut."""

import json

from bascule.documents.codec import to_plain
from bascule.documents.manifest import Manifest
from bascule.objects import schemas_of
from bascule.rpc import manifest as rpc_manifest
from bascule_keymanager.api.microversions import LATEST, OLDEST, shown
from bascule_keymanager.identity import DRAIN_S, RELEASE, SERVICE, UPGRADES_FROM
from bascule_keymanager.migrations.changes import CHANGES
from bascule_keymanager.objects import OBJECTS
from bascule_keymanager.worker.api import WorkerApi

__all__ = ["build_manifest"]

_PHASES = ("expand", "migrate", "contract")


def build_manifest() -> Manifest:
    """Return the manifest of this code, without the files that a cut release adds to it."""
    ids = tuple(change.id for change in CHANGES)
    return Manifest(
        service=SERVICE,
        release=RELEASE,
        upgrades_from=UPGRADES_FROM,
        skip_level=len(UPGRADES_FROM) > 1,
        schema=dict.fromkeys(_PHASES, ids),
        objects=schemas_of(OBJECTS, RELEASE),
        rpc=rpc_manifest(WorkerApi, RELEASE),
        api=(shown(OLDEST), shown(LATEST)),
        drain_s=DRAIN_S,
    )


if __name__ == "__main__":
    print(json.dumps(to_plain(build_manifest()), indent=1, sort_keys=True))  # noqa: T201 - read by tools/cut_release.py
