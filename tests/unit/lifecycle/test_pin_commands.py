"""`pin hold | release | show | retire` on a service's own command line, and what a pin means."""

import json

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from support.waiting import eventually

from bascule.documents.manifest import Manifest, RpcMethod
from bascule.lifecycle import ManifestMissing, Registry, caps_at, pin_commands
from bascule.lifecycle.obstacles import obstacles
from bascule.lifecycle.pin import MemberRow, PinRow
from bascule.release import Release

OLD, NEW, NEXT = Release.parse("2026.2"), Release.parse("2027.1"), Release.parse("2027.2")


@pytest.fixture
def engine(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/service.db")
    yield engine
    engine.dispose()


def registry(engine, release=NEW, **options):
    it = Registry(
        engine, service="small", release=release, supported_from=OLD, **{"ttl_s": 0.5, "beat_s": 0.05, **options}
    )
    it.create_tables()
    return it


def run(engine, *arguments):
    return CliRunner().invoke(pin_commands(lambda: registry(engine)), list(arguments))


def test_show_hold_and_release(engine):
    assert run(engine, "show").stdout == "not set (epoch 0)\n"
    with registry(engine, manifest=Manifest("small", NEW)).join("api-1", "api") as member:
        eventually(lambda: member.pin == NEW)
        assert run(engine, "hold", "2026.2").stdout == "the pin is held at 2026.2\n"
        eventually(lambda: member.pin == OLD)
        shown = run(engine, "show").stdout.splitlines()
        assert shown[0] == "2026.2 (epoch 4, held at 2026.2)"
        assert shown[1] == "kept from rising: it is held at 2026.2"
        assert shown[-1].startswith("api-1 (api, 2027.1, pid ")
        document = json.loads(run(engine, "show", "--json").stdout)
        assert (document["pin"], document["hold"], document["epoch"]) == ("2026.2", "2026.2", 4)
        assert document["processes"][0]["supported_from"] == "2026.2"
        assert len(document["processes"][0]["manifest"]) == 16
        assert run(engine, "release").stdout == "the pin is no longer held\n"
        eventually(lambda: member.pin == NEW)


def test_retire_forgets_the_gone_and_refuses_the_living_with_one_sentence(engine):
    with registry(engine).join("api-1", "api"):
        refused = run(engine, "retire", "api-1")
        assert refused.exit_code == 1
        assert refused.stderr.startswith("api-1 (2027.1, pid ")
        assert refused.stderr.endswith("is alive; stop it first; next: small-manage pin show\n")
    assert run(engine, "retire", "api-1").stdout == "1 processes named api-1 are forgotten\n"
    unknown = run(engine, "retire", "api-1")
    assert (unknown.exit_code, unknown.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize("arguments", [("hold", "newest"), ("hold", "2026.1")])
def test_a_hold_that_makes_no_sense_is_refused(engine, arguments):
    refused = run(engine, *arguments)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.count("\n") == 1


def test_a_database_out_of_reach_is_said_without_its_address(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/no-such-secret-folder/service.db")
    refused = run(engine, "show")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("the database could not be asked (OperationalError)")
    assert "secret" not in refused.stderr


def member(release, *, acknowledged=3, manifest=None):
    return MemberRow("x", "api-1", "api", release, "h", 7, 0.0, 0.0, "live", acknowledged, manifest=manifest)


def test_what_keeps_the_pin_from_rising_is_named():
    row = PinRow(OLD, 3)
    assert obstacles(row, [member(NEW)]) == ()
    assert obstacles(row, [member(OLD), member(NEW)]) == ("api-1 (2026.2, pid 7) is not of release 2027.1",)
    assert obstacles(row, [member(NEW, acknowledged=2)]) == ("api-1 (2027.1, pid 7) has not acknowledged epoch 3",)
    assert obstacles(row, [member(None), member(NEW)])[0].startswith("api-1 (a release that cannot be read, pid 7)")
    twins = [member(NEW, manifest="a"), member(NEW, manifest="b")]
    assert obstacles(row, twins) == ("release 2027.1 runs with 2 different manifests",)


MANIFESTS = [
    Manifest(
        "small", OLD, rpc={"work": RpcMethod(OLD, "1.0")}, objects={"Job": {"version": "1.0"}}, api=("1.0", "1.0")
    ),
    Manifest(
        "small",
        NEXT,
        rpc={"work": RpcMethod(OLD, "1.0"), "ask": RpcMethod(NEXT, "1.1")},
        objects={"Job": {"version": "1.2"}},
        api=("1.0", "1.3"),
        schema={"contract": ("rename",)},
    ),
]


def test_one_pin_caps_api_rpc_objects_and_stored_format_together():
    low, high = caps_at(NEW, MANIFESTS), caps_at(NEXT, MANIFESTS)
    assert (low.release, low.api, low.rpc, low.objects, low.changes) == (
        OLD,
        "1.0",
        {"work": "1.0"},
        {"Job": "1.0"},
        (),
    )
    assert (high.api, high.objects, high.changes) == ("1.3", {"Job": "1.2"}, ("rename",))
    assert high.rpc == {"ask": "1.1", "work": "1.0"}


def test_a_pin_that_no_manifest_explains_is_refused():
    with pytest.raises(ManifestMissing, match=r"there are those of 2026\.2, 2027\.2"):
        caps_at(Release.parse("2026.1"), MANIFESTS)
