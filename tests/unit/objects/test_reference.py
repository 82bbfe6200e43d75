"""The example of docs/reference/objects.md, as it stands there, and the packages that importing it may load."""

import json
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import sqlalchemy as sa

from bascule.objects import Stored, field
from bascule.objects.database import Database
from bascule.objects.indirection import Indirection, Remote, remotable
from bascule.release import Release

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "objects.md"


def example(number):
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[number]


def test_the_example_of_rows_runs():
    engine = sa.create_engine("sqlite://")
    texts = [sa.Column(name, sa.String(8)) for name in ("state", "owner_name", "note")]
    jobs = sa.Table("jobs", sa.MetaData(), sa.Column("id", sa.String(8), primary_key=True), *texts)
    jobs.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(jobs).values(id="j-1", state="new", note="of a newer release"))
    names = {"__name__": "bascule_reference", "JOBS": jobs, "engine": engine}
    names |= {"Database": Database, "Stored": Stored, "field": field, "Literal": Literal}
    exec(example(1), {**names, "live_pin": lambda: Release.parse("2026.2")})
    with engine.begin() as connection:
        assert connection.execute(sa.select(jobs)).all() == [("j-1", "done", None, "of a newer release")]


def test_the_example_of_rows_from_afar_runs():
    engine = sa.create_engine("sqlite://")
    tries = sa.Column("tries", sa.Integer)
    jobs = sa.Table("jobs", sa.MetaData(), sa.Column("id", sa.String(8), primary_key=True), tries)
    jobs.metadata.create_all(engine)
    names = {"__name__": "bascule_reference", "JOBS": jobs, "engine": engine, "contextmanager": contextmanager}
    names |= {"Database": Database, "Stored": Stored, "Indirection": Indirection, "Remote": Remote}
    exec(example(2), {**names, "remotable": remotable, "live_pin": lambda: Release.parse("2026.2")})
    with engine.begin() as connection:
        assert connection.execute(sa.select(jobs)).all() == [("j-1", 1)]


def test_the_example_of_the_reference_runs_and_travels():
    names = {"__name__": "bascule_reference"}
    exec(example(0), names)
    made = names["Order"](
        id="7d3d21f6-6a0b-4f80-9e2b-3f0f2b9d9a11",
        state="failed",
        payload="c2VjcmV0",
        steps=[names["Step"](title="generate")],
        bit_length=256,
    )
    assert "c2VjcmV0" not in repr(made)
    older = made.to_primitive(Release.parse("2026.2"))
    assert older["versioned_object.data"] == {
        "id": "7d3d21f6-6a0b-4f80-9e2b-3f0f2b9d9a11",
        "state": "done",
        "payload": "c2VjcmV0",
        "bits": "256",
    }
    assert names["Order"].from_json(json.dumps(older)).bit_length == 256


def test_objects_load_nothing_but_the_standard_library():
    code = "import sys, bascule.objects.types; print(*{name.partition('.')[0] for name in sys.modules})"
    run = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path.insert(0, {str(PAGE.parents[2] / 'src')!r}); {code}",
    ]
    loaded = subprocess.run(run, check=True, capture_output=True, text=True).stdout.split()
    assert {name for name in loaded if not name.startswith("_")} <= {*sys.stdlib_module_names, "bascule"}
