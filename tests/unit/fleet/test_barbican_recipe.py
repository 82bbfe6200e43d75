"""The recipe for Barbican: data only, complete, and as its manifests vouch for it."""

import argparse
import importlib.util
import json
import re
import stat
import sys
import tomllib
import types
from pathlib import Path

import pytest
from click.testing import CliRunner

from bascule import fleet
from bascule.cli.main import cli
from bascule.documents.codec import to_plain
from bascule.documents.manifest import Manifest
from bascule.fleet.config import FleetConfig
from bascule.fleet.fleet import Fleet
from bascule.fleet.recipe import Recipe, builtin_recipes
from bascule.fleet.releases import Releases
from bascule.gate.workload import read_workload
from bascule.release import Release

FOLDER = builtin_recipes()["barbican"].parent
ROLL = Path(__file__).parents[3] / "examples" / "barbican" / "roll.py"


def load_module(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def releases():
    return Releases.load(FOLDER / "releases")


@pytest.mark.parametrize("name", ["14.0.2", "15.0.1", "22.0.0", "23.0.0"])
def test_every_file_of_a_release_is_the_one_its_manifest_vouches_for(releases, name):
    folder = releases.get(name)
    folder.verify_files()
    assert f"barbican=={name} " in folder.lock.read_text()


@pytest.mark.parametrize("name", ["14.0.2", "15.0.1", "22.0.0", "23.0.0"])
def test_every_dependency_is_pinned_with_hashes_and_names_no_index(releases, name):
    text = releases.get(name).lock.read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip()]
    assert len(lines) > 90
    assert all(re.match(r"[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line) for line in lines)


def test_the_only_way_is_from_14_to_15(releases):
    assert [str(source) for source in releases.get("15.0.1").manifest.upgrades_from] == ["14.0.2"]
    assert releases.get("15.0.1").manifest.schema == {"expand": ("8c74e2d7f1ff",)}


def test_the_workload_can_be_read_and_has_work_that_takes_long():
    workload = read_workload(FOLDER / "workload.toml")
    slow = next(request for request in workload.operations if request.name == "order rsa 4096")
    assert slow.body["meta"]["bit_length"] == 4096
    assert slow.weight > 0


def test_the_recipe_has_no_secret_in_its_commands():
    recipe = Recipe.load(FOLDER / "recipe.toml")
    words = [word for role in recipe.file.roles.values() for word in role.command]
    words += [word for command in recipe.file.commands.values() for word in command]
    assert not [word for word in words if "url" in word or "kek" in word or "password" in word]


def test_the_engine_knows_nothing_of_barbican():
    sources = [path for path in Path(fleet.__file__).parent.rglob("*.py") if "recipes" not in path.parts]
    assert sources
    assert not [path.name for path in sources if "barbican" in path.read_text().lower()]


def test_the_example_writes_a_fleet_that_loads_with_every_variable_and_keeps_secrets_to_itself(tmp_path):
    roll = load_module(ROLL, "barbican_roll")
    database = types.SimpleNamespace(new_database=lambda: "mysql+pymysql://u:hidden@127.0.0.1:1/d?charset=utf8mb4")
    broker = types.SimpleNamespace(transport_url="rabbit://u:hidden@127.0.0.1:2/")
    roll.write_fleet(
        tmp_path, database, broker, types.SimpleNamespace(socket="/run/admin.sock", url="http://127.0.0.1:3")
    )
    assert "hidden" not in (tmp_path / "fleet.toml").read_text()
    conf = tmp_path / "config" / "barbican.conf"
    assert stat.S_IMODE(conf.stat().st_mode) == 0o600
    opened = Fleet.open(FleetConfig.load(tmp_path / "fleet.toml"))
    release = Release.parse("15.0.1")
    recipe = opened.recipe(release)
    variables = opened.variables(opened.first_node, release, listen="127.0.0.1:21000")
    assert opened.environment(recipe, variables)["HOME"] == str(conf.parent)
    for role in recipe.file.roles.values():
        assert recipe.expand(role.command, variables)[0].startswith(variables["venv"])


def test_both_pipelines_exist(releases):
    recipe = tomllib.loads((FOLDER / "recipe.toml").read_text())
    paste = (FOLDER / "paste.ini").read_text()
    for name in releases.folders:
        assert f"[composite:{recipe['releases'][str(name)]['variables']['pipeline']}]" in paste


@pytest.mark.parametrize(
    ("pipeline", "identity"),
    [("some-pipeline", ("Confirmed", "theirs", "user")), ("with-keystone", (None, "theirs", None))],
)
def test_each_answer_names_its_release_and_instance_and_callers_are_known(monkeypatch, pipeline, identity):
    seen, made = {}, []

    def application(environ, start_response):
        seen.update(environ)
        start_response("201 Created", [("Content-Type", "application/json")])
        return [b"{}"]

    def loadapp(uri):
        assert uri == f"config:/etc/paste.ini#{pipeline}"
        return application

    monkeypatch.setitem(sys.modules, "paste", types.ModuleType("paste"))
    deploy = types.ModuleType("paste.deploy")
    deploy.loadapp = loadapp
    monkeypatch.setitem(sys.modules, "paste.deploy", deploy)
    common = types.ModuleType("barbican.common")
    common.policy = types.SimpleNamespace(get_enforcer=lambda: made.append("policies"))
    monkeypatch.setitem(sys.modules, "barbican", types.ModuleType("barbican"))
    monkeypatch.setitem(sys.modules, "barbican.common", common)
    monkeypatch.setenv("BARBICAN_PASTE", "/etc/paste.ini")
    monkeypatch.setenv("BARBICAN_PIPELINE", pipeline)
    monkeypatch.setenv("BASCULE_RELEASE", "15.0.1")
    monkeypatch.setenv("BASCULE_INSTANCE", "api-2")
    wsgi = load_module(FOLDER / "wsgi.py", "barbican_wsgi")
    answered = []
    body = wsgi.application({"HTTP_X_PROJECT_ID": "theirs"}, lambda status, headers: answered.append((status, headers)))
    assert body == [b"{}"]
    [(status, headers)] = answered
    assert status == "201 Created"
    assert dict(headers) == {
        "Content-Type": "application/json",
        "X-Bascule-Release": "15.0.1",
        "X-Bascule-Instance": "api-2",
    }
    names = ("HTTP_X_IDENTITY_STATUS", "HTTP_X_PROJECT_ID", "HTTP_X_USER_ID")
    assert tuple(seen.get(name) for name in names) == identity
    assert made == ["policies"]  # before the first request


def test_a_fleet_has_the_releases_of_the_recipe_beside_its_own(tmp_path):
    own = Path(__file__).parents[3] / "releases"
    path = tmp_path / "fleet.toml"
    path.write_text(f'[fleet]\nname = "keys"\nrecipe = "barbican"\nreleases = "{own}"\n[roles.api]\ncount = 1\n')
    known = Fleet.open(FleetConfig.load(path)).releases
    ours = known.get("2026.2.1")
    assert known.get("23.0.0").manifest.service == "barbican"
    assert known.get("23.0.0").release in ours.manifest.upgrades_from
    assert known.train.releases.index(known.get("23.0.0").release) < known.train.releases.index(ours.release)


def test_a_release_that_is_there_twice_is_the_fleets_own(tmp_path):
    for folder, drain_s in (("own", 1.0), ("brought", 2.0)):
        (tmp_path / folder / "1.0").mkdir(parents=True)
        manifest = Manifest(service="some", release=Release.parse("1.0"), drain_s=drain_s)
        (tmp_path / folder / "1.0" / "manifest.json").write_text(json.dumps(to_plain(manifest)))
    releases = Releases.load(tmp_path / "own", tmp_path / "brought")
    assert releases.get("1.0").manifest.drain_s == 1.0


ADOPT = Path(__file__).parents[3] / "examples" / "adoption" / "adopt.py"


def test_barbicans_processes_have_the_roles_of_ours_that_take_their_place(tmp_path):
    path = tmp_path / "fleet.toml"
    path.write_text('[fleet]\nname = "keys"\nrecipe = "barbican"\n[roles.listener]\ncount = 1\n')
    fleet = Fleet.open(FleetConfig.load(path))
    theirs = fleet.recipe(Release.parse("23.0.0")).file.roles
    ours = Recipe.load(Path(__file__).parents[3] / "releases" / "2026.2.1" / "recipe.toml").file.roles
    assert theirs.keys() == ours.keys() == {"api", "worker", "listener"}
    assert [name for name, role in ours.items() if role.listens] == ["api"]  # the others go last


@pytest.mark.parametrize(("projects", "left", "verdict"), [(3, 0, "PASS"), (3, 1, "REFUSE"), (0, 0, "INCONCLUSIVE")])
def test_an_adoption_fails_when_nobody_heard_of_a_projects_end(projects, left, verdict):
    assert load_module(ADOPT, "adopt_barbican").Ended(projects, left).verdict == verdict


def test_every_command_of_the_page_on_adoption_is_one_that_there_is(monkeypatch, tmp_path):
    adopt = load_module(ADOPT, "adopt_barbican")
    blocks = [block for found in adopt.commands(adopt.PAGE.read_text()).values() for block in found]
    lines = [line for block in blocks for line in block.splitlines()]
    assert {line.split()[0] for line in lines} == {"bascule"}
    monkeypatch.setenv("BASCULE_FLEET", str(tmp_path / "fleet.toml"))
    for line in lines:
        outcome = CliRunner().invoke(cli, line.split()[1:])
        assert outcome.exit_code == 1, line  # refused for want of a fleet, rather than not understood
    options = argparse.Namespace(ways="forward,back,again,onward", barbican=Release.parse("22.0.0"))
    (tmp_path / "config").mkdir()
    shared = tmp_path / "config" / "barbican.conf"
    shared.write_text("[queue]\nshare_with_barbican = True\n")
    ways = {way.name: way for way in adopt.ways(options, tmp_path)}
    assert "share_with_barbican = False" in shared.read_text()  # before the way from which there is no way back
    assert [str(ways[name].source) for name in ("forward", "onward")] == ["22.0.0", "2026.2.1"]
    assert [str(ways[name].target) for name in ("forward", "onward")] == ["2026.2.1", "2027.2"]
    assert "roll-back" in ways["back"].go
    assert all(f"--to {way.target}" in way.prepare[0] for way in ways.values() if way.prepare)


def test_the_load_of_the_adoption_has_work_that_takes_long():
    workload = read_workload(ADOPT.with_name("workload.toml"), {"token": "t"})
    assert {request.name for request in workload.drawn()} >= {"create", "read", "order key", "order rsa 4096"}
    assert workload.headers == {"X-Auth-Token": "$token"}
