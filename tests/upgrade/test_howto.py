"""The how-to for the night that matters, typed as it stands, on a fleet of the key manager's released wheels."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.console import agrees, blocks
from support.keymanager_fleet import ROOT

PAGE = ROOT / "docs" / "howto" / "upgrade-a-fleet.md"
# Where the page stops on purpose, and says so.
PAUSES = 3


def typed(command, fleet):
    """Run a command of the page, and return its exit code and the lines that a reader would see."""
    here = {"BASCULE_FLEET": str(fleet.config.path), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", f"{command} 2>&1"],
        env={**os.environ, **here},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    return done.returncode, done.stdout.splitlines()


def test_a_fleet_is_upgraded_back_and_forth_by_what_the_page_says(running):
    commands = blocks(PAGE.read_text())
    assert {command.split()[2] for command, _ in commands} >= {"status", "create", "check", "apply", "roll-back"}
    for command, expected in commands:
        code, lines = typed(command, running)
        assert code == (PAUSES if "--until" in command else 0), (command, lines)
        if not agrees(expected, lines):
            pytest.fail("\n".join([f"$ {command}", *lines, "", "and the page says:", *expected]))
