"""Changes that stand in Alembic's revisions: collected in order, and refused where they cannot be used."""

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory
from click.testing import CliRunner
from support.alembic_project import Project

from bascule.errors import SchemaError
from bascule.schema import AddColumn, Options, Retype, SchemaEngine
from bascule.schema.alembic import (
    BadRevision,
    ScriptsUnreadable,
    StillUndecided,
    Undecided,
    UnsafeBesideChanges,
    alembic_cli,
    alembic_engine,
    collect_changes,
    read_revisions,
)
from bascule.schema.refusals import BadChange


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path, f"sqlite:///{tmp_path / 'service.db'}")


def index(name, *, table="accounts", column="owner", extra=""):
    return f'AddIndex(id="{name}", table="{table}", name="ix_{name}", columns=["{column}"]{extra})'


def head(release, *changes):
    return f'release = "{release}"\nchanges = ({", ".join(changes)},)'


def ids(where, database="sqlite"):
    return [(change.id, change.release) for change in collect_changes(where, database)]


def nobody(_release):
    return []


def test_changes_come_in_the_order_of_revisions_each_with_its_release(project):
    project.revision("b", head("2027.1", index("second"), index("third")), down="a")
    project.revision("c", down="b", upgrade="op.create_table('other', sa.Column('id', sa.Integer, primary_key=True))")
    project.revision("d", head("2027.2", index("fourth")), down="c")
    project.revision("a", head("2026.2", index("first")))
    expected = [("first", "2026.2"), ("second", "2027.1"), ("third", "2027.1"), ("fourth", "2027.2")]
    config = Config(str(project.ini))
    for where in (
        project.ini,
        str(project.ini),
        project.path / "migrations",
        config,
        ScriptDirectory.from_config(config),
    ):
        assert ids(where) == expected
    assert [one.revision for one in read_revisions(project.ini)] == ["a", "b", "d"]


def test_the_engine_takes_what_was_collected(db, project):
    project.revision("a", head("2026.2", index("first")))
    project.revision("b", head("2027.1", index("second", column="number")), down="a")
    engine = SchemaEngine(
        db, release="2027.1", changes=collect_changes(project.ini, "sqlite"), live_older=nobody, live_same=nobody
    )
    assert [str(status.release) for status in engine.status()] == ["2026.2", "2027.1"]


def test_branches_are_put_in_the_order_of_their_releases(project):
    project.revision("root")
    project.revision("left1", head("1", index("l1")), down="root")
    project.revision("left3", head("3", index("l3")), down="left1")
    project.revision("right2", head("2", index("r2")), down="root")
    project.revision("right3", head("3", index("r3")), down="right2")
    project.revision("merge", head("4", index("m")), down=("left3", "right3"))
    found = ids(project.ini)
    assert [release for _, release in found] == ["1", "2", "3", "3", "4"]
    assert [name for name, _ in found][:2] == ["l1", "r2"]


def test_a_release_may_not_go_back_along_a_branch_or_a_dependency(project):
    project.revision("a", head("2027.2", index("first")))
    project.revision("b", down="a")
    project.revision("c", head("2027.1", index("second")), down="b")
    with pytest.raises(BadRevision, match=r"c\.py: its changes are of release 2027\.1, but it is built on a\.py"):
        ids(project.ini)
    project.revision("c", head("2027.1", index("second")), depends_on="a")
    with pytest.raises(BadRevision, match="releases must not go back"):
        ids(project.ini)


def test_revisions_of_people_who_never_heard_of_us_declare_nothing(project):
    project.revision("a", 'changes = ["see the ticket"]\nrelease = "spring"')
    project.revision("b", "changes = 3", down="a")
    assert ids(project.ini) == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"changes = ({index('a')},)", "not which release brings them"),
        (f'release = "1"\nchanges = {index("a")}', "put a comma behind its only change"),
        (head("spring", index("a")), "'spring' is not a release name"),
        (head("1", index("a", extra=', release="2"')), "its changes are of releases 1, 2; make a revision for each"),
        (head("1", index("a"), index("a")), r"the id a is taken already, in r\.py"),
        (head("1", index("a"), '"owner"'), "holds 'owner', which is none of the changes"),
    ],
)
def test_what_is_not_declared_well_is_refused_by_the_revisions_name(project, text, sentence):
    project.revision("r", text)
    with pytest.raises(BadRevision, match=sentence) as refused:
        ids(project.ini)
    assert refused.value.path.name == "r.py"


def test_an_id_is_taken_for_ever(project):
    project.revision("a", head("1", index("same")))
    project.revision("b", head("2", index("same")), down="a")
    with pytest.raises(BadRevision, match=r"b\.py: the id same is taken already, in a\.py"):
        ids(project.ini)


def test_a_change_that_does_not_fit_itself_is_refused_as_the_revision_is_read(project):
    project.revision("a", head("1", 'AddColumn(id="x", table="t", column="c", type=sa.Integer, nullable=False)'))
    with pytest.raises(BadChange, match="give it `default` or `fill`"):
        ids(project.ini)


def test_directories_that_alembic_cannot_read_are_refused(project, tmp_path):
    with pytest.raises(ScriptsUnreadable, match="nowhere"):
        ids(tmp_path / "nowhere")
    project.revision("a", down="missing")
    with pytest.warns(UserWarning, match="missing"), pytest.raises(ScriptsUnreadable):
        ids(project.ini)


BATCH = 'with op.batch_alter_table("accounts") as batch:\n    batch.{}'


@pytest.mark.parametrize(
    ("database", "upgrade", "instead"),
    [
        ("postgresql", 'op.alter_column("accounts", "owner", new_column_name="x")', r"declare Rename\(\.\.\.\) in"),
        ("mariadb", 'op.drop_column("accounts", "owner")', r"declare DropColumn\(\.\.\.\) in"),
        ("postgresql", 'op.alter_column("accounts", "n", type_=sa.BigInteger)', r"declare Retype\(\.\.\.\)"),
        ("sqlite", BATCH.format('alter_column("n", nullable=False)'), "declare Retype, Rename, SetNotNull"),
        ("postgresql", 'op.create_index("ix", "accounts", ["owner"])', r"declare AddIndex\(\.\.\.\)"),
        ("mysql", 'op.create_foreign_key("fk", "other", "accounts", ["x"], ["id"])', r"declare AddForeignKey"),
        ("postgresql", 'op.execute("VACUUM FULL accounts")', "instead: plain VACUUM, or pg_repack"),
        ("sqlite", 'sa.inspect(op.get_bind()).get_columns("accounts")', "put it into a revision of its own"),
    ],
)
def test_changes_and_unsafe_operations_on_the_same_table_are_refused_with_the_safe_form(
    project, database, upgrade, instead
):
    project.revision("r", head("1", index("a")), upgrade=upgrade)
    with pytest.raises(UnsafeBesideChanges, match=instead) as refused:
        ids(project.ini, database)
    assert refused.value.next_command == f"lint {project.versions / 'r.py'} --database {database}"


@pytest.mark.parametrize(
    "upgrade",
    [
        'op.add_column("accounts", sa.Column("note", sa.Text))',
        'op.drop_table("other")',
        'op.create_table("log", sa.Column("id", sa.BigInteger, primary_key=True))\nop.create_index("i", "log", ["id"])',
    ],
)
def test_what_is_safe_or_about_another_table_stands_beside_changes(project, upgrade):
    project.revision("r", head("1", index("a")), upgrade=upgrade)
    assert ids(project.ini, "postgresql") == [("a", "1")]


def test_what_is_left_undecided_is_refused_wherever_it_stands(project):
    column = (
        'AddColumn(id="c", table="t", column="c", type=sa.Integer, nullable=False, default=Undecided("a currency"))'
    )
    project.revision("r", head("1", column))
    with pytest.raises(StillUndecided, match=r"change c of revision r\.py is still undecided: a currency"):
        ids(project.ini)
    project.revision("r", head("1", index("a"), 'Undecided("rename, or drop and add?")'))
    with pytest.raises(StillUndecided, match=r"what revision r\.py changes is still undecided: rename, or"):
        ids(project.ini)


def test_nobody_gets_past_what_is_undecided_by_another_way(db):
    with db.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (id integer PRIMARY KEY, old text)")
    for change in (
        AddColumn(id="c", table="t", column="c", type=sa.Integer(), nullable=False, default=Undecided("what")),
        AddColumn(id="c", table="t", column="c", type=sa.Integer(), nullable=False, fill=Undecided("what")),
        Retype(id="c", table="t", old="old", old_type=sa.Text(), new="n", type=sa.Integer(), up=Undecided("what")),
    ):
        with pytest.raises(SchemaError, match="what"):
            SchemaEngine(db, release="1", changes=[change], live_older=nobody, live_same=nobody).expand()
    assert [column["name"] for column in sa.inspect(db).get_columns("t")] == ["id", "old"]


def run(project, *arguments, url=None, **how):
    hasty = Options(watch_s=0)
    cli = alembic_cli(project.ini, url, release="2027.1", live_older=nobody, live_same=nobody, options=hasty, **how)
    return CliRunner().invoke(cli, list(arguments), prog_name="accounts-db-manage")


def test_the_whole_command_line_comes_from_the_ini_file(project, db):
    with db.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE accounts (id integer PRIMARY KEY, owner text)")
    project.revision("r", head("2027.1", index("a")))
    for phase in ("expand", "migrate", "contract"):
        assert run(project, phase).exit_code == 0
    assert run(project, "status", url=lambda: db.url).stdout.startswith("a (2027.1, accounts): contracted")
    assert run(project, "status", url="sqlite://").stdout.startswith("a (2027.1, accounts): planned")


def test_a_revision_that_cannot_be_used_is_one_sentence_on_the_command_line(project):
    path = project.revision("r", head("2027.1", index("a")), upgrade='op.drop_column("accounts", "owner")')
    result = run(project, "expand")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.endswith(
        f"declare DropColumn(...) in `changes` instead; next: accounts-db-manage lint {path} --database sqlite"
    )


def test_a_database_that_is_not_named_or_not_known_is_refused(project):
    project.ini.write_text("[alembic]\nscript_location = %(here)s/migrations\n")
    assert "no database is named" in run(project, "status").stderr
    with pytest.raises(SchemaError, match="can be migrated online"):
        alembic_engine(project.ini, "mssql+pymssql://", release="1", live_older=nobody, live_same=nobody)
