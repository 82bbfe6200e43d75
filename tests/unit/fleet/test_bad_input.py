"""Bad input gives one clear sentence and the next command, and changes nothing."""

import hashlib
import json
import os
import subprocess

import pytest
from support.stub_fleet import NEW, releases_running, service_state

from bascule.documents.codec import UnknownKey, to_plain
from bascule.documents.manifest import Artefact, Manifest
from bascule.errors import BasculeError, DocumentError, PlanRefused
from bascule.fleet import operations
from bascule.fleet.config import FleetConfig
from bascule.fleet.engine import Silent, Stopped
from bascule.fleet.fleet import Fleet
from bascule.fleet.journal import Journal, JournalFull
from bascule.fleet.lock import AlreadyRunning, fleet_lock
from bascule.fleet.releases import UnknownRelease, WrongDigest


def everything_below(directory):
    """What a directory holds, by name and content; logs and the service's own lock apart."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file() and path.name not in ("log", "lock", "apply.lock") and "-shm" not in path.name
    }


def assert_refused(fleet, act, kind, *words):
    before, running = service_state(fleet), releases_running(fleet)
    with pytest.raises(kind) as refusal:
        act()
    error = refusal.value
    assert isinstance(error, BasculeError)
    assert all(word in error.sentence for word in words), error.sentence
    assert "\n" not in error.sentence
    assert error.next_command
    assert (service_state(fleet), releases_running(fleet)) == (before, running)
    document = operations.run_document(fleet)
    assert document is None or (document.plan_hash != "" and document.source is None), "a run was begun"


def test_an_unknown_release_is_refused_with_a_near_match(running):
    assert_refused(
        running, lambda: running.releases.get("2.00.1"), UnknownRelease, "no release '2.00.1'", "did you mean"
    )


def test_a_release_name_that_is_no_release_is_refused(running):
    assert_refused(running, lambda: running.releases.get("latest"), UnknownRelease, "latest", "it has 1.0, 2.0")


def test_an_unreachable_node_is_refused(planned, tmp_path):
    fleet, path = planned
    (tmp_path / "plug").write_text("a file where a directory should be")
    fleet.first_node.directory = tmp_path / "plug" / "node"
    assert_refused(
        fleet, lambda: operations.apply(fleet, path, Silent()), PlanRefused, "cannot be reached", "Not a directory"
    )


def test_a_wheel_whose_sha256_differs_is_refused(planned):
    fleet, path = planned
    folder = fleet.releases.get(NEW).path
    (folder / "stub.whl").write_bytes(b"not what was cut")
    manifest = fleet.releases.get(NEW).manifest
    forged = Manifest(
        service="stub",
        release=NEW,
        upgrades_from=manifest.upgrades_from,
        schema=manifest.schema,
        artefacts=(Artefact("stub.whl", hashlib.sha256(b"what was cut").hexdigest()),),
    )
    (folder / "manifest.json").write_text(json.dumps(to_plain(forged)))
    opened = Fleet.open(fleet.config)
    plan, facts = operations.create_plan(opened, NEW)
    path = operations.save_plan(opened, plan, facts)
    assert_refused(
        opened, lambda: operations.apply(opened, path, Silent()), PlanRefused, "sha256", "nothing was installed"
    )
    with pytest.raises(WrongDigest):
        opened.first_node.artefacts.stage(opened.releases.get(NEW), timeout_s=10)
    assert opened.first_node.artefacts.staged() == (opened.observe().releases()[0],)


def test_a_missing_wheel_is_refused(planned):
    fleet, _ = planned
    folder = fleet.releases.get(NEW)
    manifest = Manifest(service="stub", release=NEW, artefacts=(Artefact("gone.whl", "0" * 64),))
    (folder.path / "manifest.json").write_text(json.dumps(to_plain(manifest)))
    opened = Fleet.open(fleet.config)
    with pytest.raises(BasculeError, match="lacks its file"):
        opened.releases.get(NEW).verify_files()


def test_a_stale_plan_is_refused_and_says_what_changed(planned):
    fleet, path = planned
    text = fleet.config.path.read_text()
    fleet.config.path.write_text(text.replace("soak_s = 0.2", "soak_s = 0.3"))
    reopened = Fleet.open(FleetConfig.load(fleet.config.path))
    assert_refused(
        reopened, lambda: operations.apply(reopened, path, Silent()), operations.StalePlan, "config", "changed"
    )


def test_an_edited_plan_is_refused(planned):
    fleet, path = planned
    data = json.loads(path.read_text())
    data["steps"][0]["title"] = "something else"
    path.write_text(json.dumps(data))
    assert_refused(
        fleet, lambda: operations.apply(fleet, path, Silent()), operations.ChangedPlan, "was changed after it was made"
    )


def test_a_second_apply_beside_a_running_one_is_refused(planned):
    fleet, path = planned
    with fleet_lock(fleet.config.state / "apply.lock"):
        assert_refused(fleet, lambda: operations.apply(fleet, path, Silent()), AlreadyRunning, f"pid {os.getpid()}")


def test_another_plan_beside_an_unfinished_run_is_refused(planned):
    fleet, path = planned
    other, facts = operations.create_plan(fleet, NEW)
    with pytest.raises(Stopped):
        operations.apply(fleet, path, Silent(), until="check")
    twin = operations.save_plan(fleet, operations.create_plan(fleet, NEW)[0], facts, path.parent / "other.json")
    data = json.loads(twin.read_text())
    assert data["hash"] != operations.load_plan(path)[0].hash or other.hash != data["hash"]
    with pytest.raises(PlanRefused, match="not finished|paused"):
        operations.apply(fleet, twin, Silent())


def test_a_plan_that_is_not_there_or_no_plan_is_refused(running, tmp_path):
    assert_refused(running, lambda: operations.load_plan(tmp_path / "none.json"), DocumentError, "cannot be read")
    (tmp_path / "bad.json").write_text("{")
    assert_refused(running, lambda: operations.load_plan(tmp_path / "bad.json"), DocumentError, "is not a plan")


def test_an_unknown_key_in_the_fleet_file_is_refused_with_a_near_match(fleet_path):
    fleet_path.write_text(fleet_path.read_text().replace("canary_s", "canery_s"))
    with pytest.raises(DocumentError, match="did you mean 'canary_s'") as refusal:
        FleetConfig.load(fleet_path)
    assert isinstance(refusal.value.__cause__, UnknownKey)
    assert refusal.value.next_command == f"edit {fleet_path}"


def test_a_role_on_an_unknown_node_is_refused(fleet_path):
    fleet_path.write_text(fleet_path.read_text() + '\n[roles.extra]\nnodes = ["moon"]\n')
    with pytest.raises(DocumentError, match="names the node 'moon', which is not among local"):
        FleetConfig.load(fleet_path)


def test_a_missing_fleet_file_is_refused(tmp_path):
    with pytest.raises(BasculeError, match="there is no fleet file"):
        FleetConfig.load(tmp_path / "fleet.toml")


def test_an_unknown_step_to_stop_at_is_refused(planned):
    fleet, path = planned
    assert_refused(
        fleet, lambda: operations.apply(fleet, path, Silent(), until="lunch"), PlanRefused, "no step 'lunch'"
    )


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 600 KiB; it takes root to make one."""
    directory = tmp_path / "tiny"
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", directory], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("LOUD: no root to mount a small file system, so the full-disk tests are not run")
    yield directory
    subprocess.run(["umount", directory], check=True)


def test_a_full_disk_in_the_state_directory_is_refused_before_anything_is_changed(fleet_path, tiny_disk):
    text = fleet_path.read_text().replace('releases = "releases"', f'releases = "releases"\nstate = "{tiny_disk}"')
    fleet_path.write_text(text)
    fleet = Fleet.open(FleetConfig.load(fleet_path))
    with pytest.raises(PlanRefused, match="KiB free, and the journal needs 10 MiB; nothing was changed") as refusal:
        operations.install(fleet, NEW, Silent())
    assert refusal.value.next_command == f"df {tiny_disk}"
    assert fleet.alive() == {}


def test_a_disk_that_fills_up_under_the_journal_stops_before_the_next_effect(planned, tiny_disk):
    _, path = planned
    plan, _ = operations.load_plan(path)
    journal = Journal(tiny_disk / "journal.sqlite")
    run = journal.begin(plan)
    with (tiny_disk / "filler").open("wb") as filler, pytest.raises(OSError, match="No space left"):
        while True:
            filler.write(b"x" * 65536)
            filler.flush()
    with pytest.raises(JournalFull, match="nothing is done that it does not hold"):
        for _ in range(500):
            journal.note(run, "stage:local", "noted", text="x" * 400)
    journal.close()
