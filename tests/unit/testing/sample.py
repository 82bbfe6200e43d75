"""The sample service as text, edited and imported: its first release, its second, and whatever a test makes of them."""

import itertools
import sys
import types
from pathlib import Path

from bascule.documents.manifest import Manifest
from bascule.objects import frozen_of
from bascule.release import Release
from bascule.rpc import manifest as methods_of

R1, R2 = Release.parse("2026.2"), Release.parse("2027.1")
TEXT = Path(__file__).with_name("sample_r1.py").read_text(encoding="utf-8")
COUNT = itertools.count()

COUNTED = """changes=[
    change(
        "2027.1",
        newer=("number",),
        older=("count",),
        down=lambda new: {"count": str(new["number"])},
        up=lambda old: {"number": int(old["count"])},
    ),
]"""

NEXT = [
    ("    count: str\n", '    count: str = field(until="2027.1")\n    number: int = field(since="2027.1")\n'),
    ('class Secret(Object, namespace="sample"):', f'class Secret(Object, namespace="sample", {COUNTED}):'),
    (
        '    mode: Literal["a", "b"]\n',
        '    mode: Annotated[Literal["a", "b", "c"], types.Newer("c", since="2027.1", below="b")]\n',
    ),
    ("from typing import Literal", "from typing import Annotated, Literal"),
    ("    # secret\n", '    note: str | None = field(since="2027.1", default=None)\n    # secret\n'),
    ("    # child\n", '    new: bool = field(since="2027.1", default=False)\n    # child\n'),
    (
        "    # api\n",
        '    @method(since="2027.1")\n    def drop(self, id: str) -> None:\n        """Drop."""\n\n    # api\n',
    ),
    ("wait: bool)", 'wait: bool, soon: bool = arg(since="2027.1", default=False))'),
]
"""From the first release to the second: a retyped field, a new word, new fields, a new method and argument."""


def edited(text, edits):
    """Return the text with each (old, new) applied; an old one that is not there is a mistake of the test."""
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def imported(text):
    """Return a module of its own with this text."""
    module = types.ModuleType(f"sample_{next(COUNT)}")
    sys.modules[module.__name__] = module
    exec(compile(text, module.__name__, "exec"), module.__dict__)
    return module


def frozen(module, release):
    """Return the manifest of the module's service, as cut for the release."""
    rpc = {name: each for one in module.INTERFACES for name, each in methods_of(one, release).items()}
    return Manifest("sample", release, objects=frozen_of(module.OBJECTS, release), rpc=rpc)


FIRST = imported(TEXT)
SECOND_TEXT = edited(TEXT, NEXT)
