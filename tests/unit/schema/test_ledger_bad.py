"""Every revision in examples/ledger/bad is refused, by what it says itself, with the sentence that it gives."""

import re
import shutil

import pytest
from alembic import command
from support.ledger import LEDGER, QUICK, close, parts, start
from support.quick_sqlite import without_disk

from bascule.errors import BasculeError
from bascule.schema.alembic import alembic_engine, collect_changes
from bascule.schema.lint.paths import lint_path

BAD = sorted((LEDGER / "bad").glob("*.py"))
REFUSED = re.compile(r"Refused by (?P<by>\S+)(?: --phase (?P<phase>\w+))?(?: on (?P<on>\w+)| after r2)?: (?P<says>.*)")


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A database of the first release, with rows."""
    path = tmp_path_factory.mktemp("bad") / "ledger.db"
    with without_disk():
        start(f"sqlite:///{path}")
        close()
    return path


def test_there_is_a_revision_for_each_way_of_doing_it_wrong():
    assert len(BAD) >= 15


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_revision_is_refused_with_the_sentence_that_it_gives(path, first, tmp_path):
    text = path.read_text(encoding="utf-8")
    told = REFUSED.search(text)
    if told["by"] == "lint":
        code, _, happens = told["says"].partition(": ")
        (findings,) = lint_path(path, told["on"], phase=told["phase"]).values()
        refused = {finding.code: finding.happens for finding in findings if finding.severity == "refuse"}
        assert refused[code].startswith(happens)
        return
    url = f"sqlite:///{shutil.copy(first, tmp_path / 'ledger.db')}"
    with pytest.raises(BasculeError, match=re.escape(told["says"])):
        run(told["by"], url, path, revision=re.search(r'^revision = "(\d+)"', text, re.MULTILINE)[1])
    close()


def run(by, url, path, *, revision):
    """Run the phases up to the one that must refuse, with the bad revision on top of the good ones below it."""
    if path.stem == "edited_after_expand":
        parts("2", url).schema(QUICK).expand()
    below = str(int(revision) - 1)
    config = parts(below, url).alembic
    locations = config.get_main_option("version_locations")
    own = shutil.copytree(LEDGER / "bad", f"{url.removeprefix('sqlite:///')}.versions", ignore=_all_but(path.name))
    config.set_main_option("version_locations", f"{locations}:{own}")
    if by == "collect":
        collect_changes(config, "sqlite" if path.stem != "rename_beside_operation" else "postgresql")
        return
    command.upgrade(config, "head")
    schema = alembic_engine(config, url, release=str(int(revision)), live_older=nobody, live_same=nobody, options=QUICK)
    schema.expand()
    if by == "migrate":
        schema.migrate()


def nobody(_release):
    return []


def _all_but(name):
    return lambda _directory, names: [one for one in names if one != name]
