"""The test that docs/howto/prove-compatibility.md gives to a service, run by pytest itself in a copy of the sample."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from unit.testing.sample import FIRST, R1, SECOND_TEXT, edited, frozen

from bascule.documents.codec import to_plain
from bascule.errors import DocumentError
from bascule.objects import Object, field, frozen_of
from bascule.testing import frozen_manifests

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "prove-compatibility.md"


@pytest.fixture
def copy_of_the_service(tmp_path):
    (tmp_path / "releases" / "2026.2").mkdir(parents=True)
    cut = json.dumps(to_plain(frozen(FIRST, R1)))
    (tmp_path / "releases" / "2026.2" / "manifest.json").write_text(cut, encoding="utf-8")
    (test,) = re.findall(r"```python\n(# tests.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "test_compat.py").write_text(test, encoding="utf-8")
    return tmp_path


def run(folder, text):
    (folder / "service.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_compat.py"]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_shipped_test_passes_and_fails_as_it_should(copy_of_the_service):
    good = run(copy_of_the_service, SECOND_TEXT)
    assert good.returncode == 0, good.stdout
    assert "13 passed" in good.stdout
    bad = run(copy_of_the_service, edited(SECOND_TEXT, [('str(new["number"])', 'new["number"]')]))
    assert bad.returncode == 1
    assert "FAILED test_compat.py::test_old_and_new_understand_each_other[Secret-down-2026.2]" in bad.stdout
    assert "a change of Secret returns a count on its way down that must be str, not int" in bad.stdout
    assert "1 failed, 12 passed" in bad.stdout


def test_the_cases_load_nothing_but_the_standard_library():
    source = PAGE.parents[2] / "src"
    code = (
        f"import sys; sys.path.insert(0, {str(source)!r})\n"
        "from bascule.objects import Object, frozen_of\n"
        "from bascule.testing import check, compat_cases\n"
        "from bascule.documents.manifest import Manifest\n"
        "from bascule.release import Release\n"
        "class A(Object):\n    a: int\n"
        "for case in compat_cases([A], [Manifest('s', Release.parse('1'), objects=frozen_of([A]))]): check(case)\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, capture_output=True, text=True)
    loaded = {name for name in done.stdout.split() if not name.startswith("_")}
    assert loaded <= {*sys.stdlib_module_names, "bascule"}


def test_manifests_are_read_oldest_first_and_must_be_there(tmp_path):
    with pytest.raises(DocumentError, match="without frozen releases nothing is compared"):
        frozen_manifests(tmp_path)
    for release in ("14.0", "9.1"):
        (tmp_path / release).mkdir()
        text = json.dumps({"service": "s", "release": release})
        (tmp_path / release / "manifest.json").write_text(text, encoding="utf-8")
    assert [str(each.release) for each in frozen_manifests(tmp_path)] == ["9.1", "14.0"]
    (tmp_path / "9.1" / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(DocumentError, match=r"9\.1/manifest\.json is no JSON"):
        frozen_manifests(tmp_path)


def test_a_fingerprint_sees_elements_read_only_flags_and_the_envelope():
    def of(annotation, *, read_only=False, **options):
        body = {"__annotations__": {"a": annotation}, "__module__": __name__, "a": field(read_only=read_only)}
        return frozen_of([type(Object)("Printed", (Object,), body, **options)])["Printed"]["fingerprint"]

    prints = [
        of(list[int]),
        of(list[str]),
        of(list[int | None]),
        of(set[int]),
        of(list[int], read_only=True),
        of(list[int], namespace="other"),
        of(list[int], prefix="nova_object"),
        of(list[int], version="1.1"),
    ]
    assert len(set(prints)) == len(prints)
    assert of(list[int]) == prints[0]


def test_a_frozen_schema_lists_what_the_release_has():
    assert list(frozen(FIRST, R1).objects) == ["Child", "Other", "Secret"]
    assert frozen(FIRST, R1).objects["Secret"]["read_only"] == ["id"]

    class Young(Object, since="2027.1"):
        a: int

    assert frozen_of([Young], R1) == {}
    assert list(frozen_of([Young])) == ["Young"]
