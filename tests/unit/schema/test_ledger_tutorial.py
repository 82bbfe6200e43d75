"""The tutorial of online schema changes does what it says, command by command, and its links lead somewhere."""

import re
from pathlib import Path

import pytest
from support.console import Console, agrees, blocks

DOCS = Path(__file__).parents[3] / "docs"
PAGE = DOCS / "tutorial" / "online-schema-changes.md"


def test_every_command_of_the_tutorial_prints_what_the_page_says(tmp_path):
    (tmp_path / "bascule").symlink_to(DOCS.parent)
    home = tmp_path / "hands-on"
    home.mkdir()
    commands = blocks(PAGE.read_text(encoding="utf-8"))
    assert len(commands) > 25
    with Console(home) as console:
        for command, expected in commands:
            printed = console.run(command)
            assert agrees(expected, printed), f"{command}\n" + "\n".join(printed)


@pytest.mark.parametrize("page", ["tutorial/online-schema-changes.md", "howto/adopt-online-schema-changes.md"])
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", (DOCS / page).read_text(encoding="utf-8")):
        assert ((DOCS / page).parent / target).exists(), target


def test_other_output_than_expected_is_noticed():
    assert agrees(["a ... c", "...", "z"], ["a b c", "1", "2", "z"])
    assert agrees(["...", "z"], ["z"])
    assert not agrees(["a"], ["a", "b"])
    assert not agrees(["a ... c", "z"], ["a b", "z"])
    assert not agrees([], ["Error"])
