"""The OpenAPI description says what there is: every route and method, every schema, and no more."""

import importlib.util
import re
from pathlib import Path

import falcon.inspect
import pytest
import yaml

from bascule_keymanager.api.app import make_api
from bascule_keymanager.api.description.document import describe
from bascule_keymanager.api.description.operations import OPERATIONS
from bascule_keymanager.api.pipeline import Frame

ROOT = Path(__file__).parent.parent.parent.parent
WRITTEN = ROOT / "docs" / "reference" / "keymanager-openapi.yaml"


@pytest.fixture(scope="module")
def described():
    return describe()


def test_the_written_description_is_the_one_that_the_code_gives(described):
    spec = importlib.util.spec_from_file_location("describe_keymanager", ROOT / "tools" / "describe_keymanager.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert WRITTEN.read_text() == tool.text(), "write it again with `make describe-api`"
    assert yaml.safe_load(WRITTEN.read_text()) == described


def test_every_route_and_method_is_described_and_no_other(keymanager):
    app = make_api(
        keymanager.settings,
        secrets=keymanager.secrets,
        versions=keymanager.parts.versions,
        projects=keymanager.projects,
        orders=keymanager.orders,
        holdings=keymanager.parts.holdings,
        accept_order=keymanager.accept,
        rotations=keymanager.parts.rotations,
        rotate_now=keymanager.rotate_now,
        frame=Frame.of(keymanager.settings),
    )
    served = {
        (method.method, route.path)
        for route in falcon.inspect.inspect_routes(app)
        for method in route.methods
        if not method.internal
    }
    assert served == {(operation.method, operation.path) for operation in OPERATIONS}
    assert len(OPERATIONS) == len(served)


def test_every_reference_leads_to_something_and_everything_is_referred_to(described):
    def references(part):
        if isinstance(part, dict):
            return {part["$ref"]} if "$ref" in part else set().union(*map(references, part.values()))
        return set().union(*map(references, part)) if isinstance(part, list) else set()

    there = {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "parameters", "responses")
        for name in described["components"][kind]
    }
    assert references(described) == there


def test_operations_have_names_of_their_own_and_all_their_parameters(described):
    names = []
    for path, methods in described["paths"].items():
        parameters = [parameter["name"] for parameter in methods.get("parameters", [])]
        assert parameters == re.findall(r"{(\w+)}", path)
        names += [method["operationId"] for name, method in methods.items() if name != "parameters"]
    assert len(names) == len(set(names)) == len(OPERATIONS)


def test_what_only_our_checker_understands_is_not_described(described):
    assert "oldRequired" not in str(described)
    body = described["components"]["schemas"]["SecretBody"]
    assert body["properties"]["payload"] == {"type": "string", "writeOnly": True}
