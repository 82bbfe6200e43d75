import json
import sys

import pytest
from click.testing import CliRunner

from bascule.schema import schema_cli

REVISION = '''
"""A revision."""
import sqlalchemy as sa
from alembic import op

revision = "a1"
{comment}

def upgrade():
    op.{call}
'''


def lint(*arguments, stdin=None):
    def no_engine():
        raise AssertionError("lint needs no database")

    return CliRunner().invoke(schema_cli(no_engine), ["lint", *map(str, arguments)], input=stdin)


@pytest.fixture
def write(tmp_path):
    def write_revision(name, call, comment=""):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(REVISION.format(call=call, comment=comment))
        return path

    return write_revision


def test_a_script_without_refusals_ends_with_0(tmp_path):
    script = tmp_path / "a.sql"
    script.write_text("SET lock_timeout = '1s'; ALTER TABLE t ADD COLUMN a int;")
    result = lint(script, "--database", "postgresql")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "1 files, 0 refused, 0 warnings" in result.stderr


def test_a_refused_script_on_stdin_ends_with_1_and_says_what_is_safe():
    result = lint("-", "--database", "postgresql", stdin="CREATE INDEX i ON t (a)")
    assert result.exit_code == 1
    assert "-: refuse index-blocks-writers: CREATE INDEX i ON t (a)" in result.stdout
    assert "instead (expand): CREATE INDEX CONCURRENTLY" in result.stdout


def test_json_is_one_document(write):
    path = write("a.py", 'drop_column("t", "a")')
    result = lint(path, "--database", "mariadb", "--phase", "expand", "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (document["format"], document["database"]) == (1, "mariadb")
    (finding,) = document["findings"]
    assert (finding["file"], finding["code"], finding["phase"]) == (str(path), "drop-column", "contract")


def test_a_directory_stands_for_its_revisions(write, tmp_path):
    write("versions/2027.1/a.py", 'add_column("t", sa.Column("a", sa.Integer()))')
    write("versions/2027.2/b.py", 'drop_table("t")')
    (tmp_path / "versions" / "env.py").write_text("raise AssertionError('not a revision')")
    result = lint(tmp_path, "--database", "postgresql", "--phase", "expand")
    assert result.exit_code == 1
    assert "2 files, 1 refused" in result.stderr


def test_a_comment_in_the_revision_allows_a_code(write):
    allowed = "# bascule: allow drop-table because nothing ever used it"
    result = lint(write("a.py", 'drop_table("t")', allowed), "--database", "sqlite", "--phase", "expand")
    assert result.exit_code == 0
    assert "warn drop-table (allowed: nothing ever used it)" in result.stdout


def test_a_revision_that_cannot_be_imported_is_one_sentence(write):
    result = lint(write("a.py", "x()", "import no_such_module"), "--database", "sqlite")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "No module named 'no_such_module'" in result.stderr


def test_a_revision_without_alembic_is_refused_with_what_to_do(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "alembic", None)
    monkeypatch.delitem(sys.modules, "bascule.schema.lint.revisions", raising=False)
    result = lint(write("a.py", "x()"), "--database", "sqlite")
    assert result.exit_code == 1
    assert "install bascule[schema]" in result.stderr


def test_an_unknown_database_is_wrong_usage():
    assert lint("-", "--database", "oracle", stdin="").exit_code == 2
