"""The releases that were cut are what their manifests say, and the newest says what the code says."""

import hashlib
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from bascule.documents.codec import from_plain, to_plain
from bascule.documents.manifest import Manifest
from bascule.release import Release
from bascule_keymanager import __version__
from bascule_keymanager.manifest import build_manifest

ROOT = Path(__file__).parent.parent.parent.parent
CUT = sorted(path.parent for path in (ROOT / "releases").glob("*/manifest.json"))
BESIDE = {"mutants.toml"}  # bad upgrades for the gate's own proof: no part of the release
FILES = ("artefacts", "lock", "recipe", "workload")


def manifest_of(folder):
    return from_plain(Manifest, json.loads((folder / "manifest.json").read_text()))


NEWEST = max((Release.parse(folder.name) for folder in CUT), default=None)
HERE = Release.parse(__version__)


def test_the_code_that_is_here_is_the_newest_release_or_one_that_upgrades_from_it():
    assert HERE == NEWEST or (HERE > NEWEST and NEWEST in build_manifest().upgrades_from)


@pytest.mark.parametrize("folder", CUT, ids=lambda folder: folder.name)
def test_every_file_of_a_release_is_the_one_its_manifest_vouches_for(folder):
    manifest = manifest_of(folder)
    assert str(manifest.release) == folder.name
    vouched = [*manifest.artefacts, manifest.lock, manifest.recipe, manifest.workload]
    assert len(manifest.artefacts) == 2
    for artefact in vouched:
        assert hashlib.sha256((folder / artefact.file).read_bytes()).hexdigest() == artefact.sha256, artefact.file
    files = {path.name for path in folder.iterdir()} - BESIDE
    assert files == {*(artefact.file for artefact in vouched), "manifest.json"}
    assert "index-url" not in (folder / manifest.lock.file).read_text()


def test_the_manifest_of_the_newest_release_is_what_the_code_generates_once_it_is_cut():
    folder = ROOT / "releases" / __version__
    if HERE > NEWEST:  # in the making: its manifest is frozen when it is cut
        assert not folder.exists()
        return
    written = json.loads((folder / "manifest.json").read_text())
    generated = to_plain(build_manifest())
    for key in FILES:
        written.pop(key), generated.pop(key)
    assert written == json.loads(json.dumps(generated))


@pytest.mark.parametrize("folder", CUT, ids=lambda folder: folder.name)
def test_what_a_release_said_is_still_readable_and_said(folder):
    cut, here = manifest_of(folder), build_manifest()
    assert cut.release in here.upgrades_from or cut.release == here.release
    assert [each for phase, ids in cut.schema.items() for each in ids if each not in here.schema[phase]] == []
    assert cut.api[0] == here.api[0]
    assert Decimal(cut.api[1]) <= Decimal(here.api[1])


def test_a_release_that_was_cut_is_not_cut_again_by_accident(tmp_path):
    (tmp_path / __version__).mkdir()
    cut = [sys.executable, ROOT / "tools" / "cut_release.py", __version__, "--into", tmp_path]
    refused = subprocess.run(cut, check=False, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "was cut already" in refused.stderr
    assert list((tmp_path / __version__).iterdir()) == []


def test_a_release_is_not_cut_under_another_name(tmp_path):
    cut = [sys.executable, ROOT / "tools" / "cut_release.py", "1999.1", "--into", tmp_path]
    refused = subprocess.run(cut, check=False, capture_output=True, text=True)
    assert refused.returncode == 1
    assert f"the code calls itself {__version__}" in refused.stderr
    assert list(tmp_path.iterdir()) == []
