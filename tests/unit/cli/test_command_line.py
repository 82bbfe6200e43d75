import json
import subprocess
import sys

import pytest

from bascule.cli.main import cli


def bascule(*arguments, cwd):
    argv = [sys.executable, "-m", "bascule.cli", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=cwd, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("words", [(), ("plan",), ("upgrade",), ("fleet",), ("gate",), ("demo",)])
def test_help_teaches_without_a_fleet(words, tmp_path):
    done = bascule(*words, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "Usage:" in done.stdout


def test_every_verb_of_upgrade_is_there(tmp_path):
    said = bascule("upgrade", "--help", cwd=tmp_path).stdout
    for verb in ("check", "apply", "status", "pause", "resume", "abort", "roll-back"):
        assert verb in said


def test_without_a_fleet_file_the_refusal_names_the_next_command(tmp_path):
    done = bascule("fleet", "status", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "there is no fleet file at" in done.stderr
    assert "next: bascule" in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_usage_is_two(tmp_path):
    assert bascule("plan", "create", cwd=tmp_path).returncode == 2
    assert bascule("lunch", cwd=tmp_path).returncode == 2


def test_every_command_has_help_text():
    import click

    def walk(command, path):
        assert command.help or path == ("bascule",), path
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                walk(command.get_command(context, name), (*path, name))

    walk(cli, ("bascule",))


def test_a_bad_fleet_file_is_refused_as_one_sentence(tmp_path):
    (tmp_path / "fleet.toml").write_text('[fleet]\nname = "x"\nrecipie = "y"\n[roles.api]\n')
    done = bascule("fleet", "status", cwd=tmp_path)
    assert done.returncode == 1
    assert "did you mean 'recipe'?" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 2


def test_releases_are_listed_as_one_document(tmp_path):
    folder = tmp_path / "releases" / "1.0"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"service": "s", "release": "1.0"}))
    (tmp_path / "fleet.toml").write_text('[fleet]\nname = "x"\nreleases = "releases"\n[roles.api]\n')
    done = bascule("fleet", "releases", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)[0]["release"] == "1.0"


def test_the_demo_laid_out_by_hand_can_be_planned_and_is_never_laid_over(tmp_path):
    first = bascule("demo", "--lay-out", "hands-on", cwd=tmp_path)
    assert first.stdout == f"export BASCULE_FLEET={tmp_path / 'hands-on' / 'fleet.toml'}\n"
    assert (tmp_path / "hands-on" / "keymanager.conf").stat().st_mode & 0o777 == 0o600
    listed = bascule("--fleet", "hands-on/fleet.toml", "fleet", "status", cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    again = bascule("demo", "--lay-out", "hands-on", cwd=tmp_path)
    assert again.returncode == 1
    assert "has a fleet.toml already" in again.stderr
