"""What importing costs and which way the arrows go."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LOADED = """
import json, sys
before = set(sys.modules)
{what}
print(json.dumps(sorted({{name.partition(".")[0] for name in set(sys.modules) - before}})))
"""


def loaded_by(what):
    done = subprocess.run([sys.executable, "-c", LOADED.format(what=what)], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_importing_bascule_loads_no_third_party_module():
    assert loaded_by("import bascule") - set(sys.stdlib_module_names) == {"bascule"}


def test_documents_release_and_errors_use_the_standard_library_only():
    names = [path.stem for path in (ROOT / "src/bascule/documents").glob("*.py") if path.stem != "__init__"]
    modules = ["bascule.errors", "bascule.release", *(f"bascule.documents.{name}" for name in names)]
    assert len(modules) > 6
    assert loaded_by("import " + ", ".join(modules)) - set(sys.stdlib_module_names) == {"bascule"}


def test_help_loads_neither_fleet_nor_gate_nor_rich():
    what = "from bascule.cli import main; main.cli.main(['--help'], standalone_mode=False)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{what}\nprint(sorted(sys.modules), file=sys.stderr)"],
        capture_output=True,
        text=True,
        check=True,
    )
    for heavy in ("rich", "sqlalchemy", "jinja2", "bascule.fleet", "bascule.gate"):
        assert f"'{heavy}'" not in done.stderr


def test_the_arrows_go_down():
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("source", ["fleet", "gate"])
def test_fleet_and_gate_name_no_service_that_they_handle(source):
    """A recipe is data: nothing below fleet or gate but the recipes themselves knows a service's name."""
    for path in (ROOT / "src/bascule" / source).rglob("*.py"):
        if "recipes" in path.parts:
            continue
        text = path.read_text().lower()
        assert "keymanager" not in text, path
        assert "barbican" not in text, path
