"""The key manager's own objects and methods against the manifests of the releases that were cut."""

from pathlib import Path

import pytest

from bascule.testing import check, compat_cases, frozen_manifests
from bascule_keymanager.objects import OBJECTS
from bascule_keymanager.worker.api import WorkerApi

RELEASES = frozen_manifests(Path(__file__).parents[3] / "releases")
CASES = compat_cases(OBJECTS, RELEASES, interfaces=[WorkerApi])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_key_manager_and_its_releases_understand_each_other(case):
    check(case)


def test_every_release_that_was_cut_is_compared():
    titles = {str(case) for case in CASES}
    assert len(RELEASES) >= 2
    for each in RELEASES:
        assert {f"Order-{way}-{each.release}" for way in ("schema", "down", "up")} <= titles
