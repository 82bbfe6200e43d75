import tomllib
from pathlib import Path

import pytest

from bascule.documents.codec import from_plain
from bascule.fleet.config import FleetConfig, FleetFile
from bascule.fleet.recipe import Recipe, builtin_recipes
from bascule.fleet.releases import Releases

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "docs" / "reference" / "fleet.example.toml"


def test_the_commented_example_is_a_fleet_file():
    config = FleetConfig.load(EXAMPLE)
    assert config.file.roles["api"].count == 3


def test_the_commented_example_names_every_key():
    text = EXAMPLE.read_text()
    data = tomllib.loads(text)
    for section, kind in (("fleet", "FleetSection"), ("balancer", "BalancerConfig"), ("policy", "PolicyConfig")):
        import bascule.fleet.config as module

        assert set(data[section]) == set(getattr(module, kind).__dataclass_fields__), section
    assert set(data["nodes"][0]) == {"name", "transport", "directory"}
    assert set(data["roles"]["api"]) == {"count", "nodes", "ports"}
    assert set(data) == set(FleetFile.__dataclass_fields__)
    assert from_plain(FleetFile, data, strict=True)


@pytest.mark.parametrize("path", [*builtin_recipes().values(), *ROOT.glob("releases/*/recipe.toml")], ids=str)
def test_recipes_that_ship_can_be_read(path):
    recipe = Recipe.load(path)
    assert recipe.file.roles


@pytest.mark.parametrize("folder", [path.parent / "releases" for path in builtin_recipes().values()], ids=str)
def test_releases_that_ship_with_a_recipe_are_whole(folder):
    releases = Releases.load(folder)
    assert releases.folders
    for release in releases.folders.values():
        release.verify_files()
