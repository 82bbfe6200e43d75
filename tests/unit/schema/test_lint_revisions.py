"""Alembic revisions and operation trees, judged without a database."""

import pytest
import sqlalchemy as sa
from alembic import op
from alembic.operations import ops

from bascule.schema.lint.revisions import lint_operations, lint_revision

DATABASES = ["postgresql", "mysql", "mariadb", "sqlite"]
TABLE, OLD_KEY = "secret_consumer_metadata", "_secret_consumer_resource_uc"
WIDER = ["secret_id", "service", "resource_type", "resource_id"]


def refused(upgrade, database, **how):
    return {finding.code for finding in lint_revision(upgrade, database, **how) if finding.severity == "refuse"}


def found(upgrade, database, **how):
    return {finding.code for finding in lint_revision(upgrade, database, **how)}


# Barbican's revision 8c74e2d7f1ff, told again: a column may be NULL, a unique constraint covers other columns than
# before, and the column gets an index and a foreign key; all in the one branch that Barbican has.
def barbican_in_one_step():
    with op.batch_alter_table(TABLE) as batch:
        batch.alter_column("project_id", existing_type=sa.String(36), nullable=True)
        batch.drop_constraint(OLD_KEY, type_="unique")
        batch.create_unique_constraint(OLD_KEY, WIDER)
        batch.create_index("ix_consumer_project", ["project_id"])
        batch.create_foreign_key("fk_consumer_project", "projects", ["project_id"], ["id"])


def barbican_expand_on_postgresql():
    op.alter_column(TABLE, "project_id", existing_type=sa.String(36), nullable=True)
    with op.get_context().autocommit_block():
        op.create_index("ix_consumer_project", TABLE, ["project_id"], postgresql_concurrently=True)
        op.create_index("uq_consumer", TABLE, WIDER, unique=True, postgresql_concurrently=True)
    op.execute(f"ALTER TABLE {TABLE} ADD CONSTRAINT uq_consumer UNIQUE USING INDEX uq_consumer")
    op.create_foreign_key("fk_p", TABLE, "projects", ["project_id"], ["id"], postgresql_not_valid=True)


def barbican_expand_on_mariadb():
    op.alter_column(TABLE, "project_id", existing_type=sa.String(36), nullable=True)
    op.create_index("ix_consumer_project", TABLE, ["project_id"])
    op.create_unique_constraint("uq_consumer", TABLE, WIDER)
    op.execute("SET foreign_key_checks=0")
    op.create_foreign_key("fk_p", TABLE, "projects", ["project_id"], ["id"])


def barbican_expand_on_sqlite():
    op.create_index("ix_consumer_project", TABLE, ["project_id"])
    op.create_index("uq_consumer", TABLE, WIDER, unique=True)


def barbican_contract():
    op.drop_constraint(OLD_KEY, TABLE, type_="unique")


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("phase", [None, "expand", "contract"])
def test_barbicans_revision_is_refused_as_one_step(database, phase):
    codes = refused(barbican_in_one_step, database, phase=phase)
    assert ("mixed-phases" in codes) if phase is None else codes


@pytest.mark.parametrize(
    ("expand", "database"),
    [
        (barbican_expand_on_postgresql, "postgresql"),
        (barbican_expand_on_mariadb, "mysql"),
        (barbican_expand_on_mariadb, "mariadb"),
        (barbican_expand_on_sqlite, "sqlite"),
    ],
)
def test_the_expand_half_of_barbicans_revision_is_accepted(expand, database):
    assert refused(expand, database, phase="expand") == set()
    assert refused(expand, database) == set()


@pytest.mark.parametrize("database", ["postgresql", "mysql", "mariadb"])
def test_the_contract_half_of_barbicans_revision_is_accepted_in_contract_only(database):
    assert refused(barbican_contract, database, phase="contract") == set()
    assert refused(barbican_contract, database, phase="expand")


def alter(**how):
    return lambda: op.alter_column("t", "c", **how)


VARCHAR = sa.String


@pytest.mark.parametrize(
    ("database", "old", "new", "code"),
    [
        ("postgresql", VARCHAR(50), VARCHAR(100), "widen-type"),
        ("postgresql", VARCHAR(50), sa.Text(), "widen-type"),
        ("postgresql", VARCHAR(100), VARCHAR(60), "change-type"),
        ("postgresql", sa.Integer(), sa.BigInteger(), "change-type"),
        ("postgresql", None, VARCHAR(100), "change-type"),
        ("mariadb", VARCHAR(50), VARCHAR(60), None),
        ("mariadb", VARCHAR(50), VARCHAR(100), "change-type"),
        ("mariadb", VARCHAR(60), VARCHAR(50), "change-type"),
        ("mysql", sa.Enum("a", "b"), sa.Enum("a", "b", "c"), "append-enum-value"),
        ("mysql", sa.Enum("a", "b"), sa.Enum("b", "a", "c"), "change-type"),
        ("mysql", sa.Integer(), sa.BigInteger(), "change-type"),
        ("sqlite", sa.Integer(), sa.BigInteger(), "unsupported-alter"),
    ],
)
def test_a_type_change_is_judged_by_the_old_type(database, old, new, code):
    assert found(alter(existing_type=old, existing_nullable=True, type_=new), database) == ({code} if code else set())


def test_modify_forgets_what_is_not_said_again():
    assert "modify-forgets" in found(alter(existing_type=VARCHAR(50), type_=VARCHAR(60)), "mysql")


@pytest.mark.parametrize("database", ["mysql", "mariadb"])
def test_not_null_belongs_into_contract_on_mysql(database):
    change = alter(existing_type=sa.Integer(), existing_nullable=True, nullable=False)
    assert refused(change, database, phase="expand") == {"set-not-null"}
    assert refused(change, database, phase="contract") == set()
    assert found(alter(existing_type=sa.Integer(), nullable=True), database) == {"drop-not-null"}


def test_a_batch_on_sqlite_copies_the_table_unless_it_only_adds():
    def adds():
        with op.batch_alter_table("t") as batch:
            batch.add_column(sa.Column("c", sa.Integer()))
            batch.create_index("ix", ["c"])

    def drops():
        with op.batch_alter_table("t") as batch:
            batch.drop_column("c")

    def copies():
        with op.batch_alter_table("t", recreate="always") as batch:
            batch.add_column(sa.Column("c", sa.Integer()))

    assert refused(adds, "sqlite") == set()
    assert refused(drops, "sqlite", phase="expand") == {"batch-rebuild", "drop-column"}
    assert refused(copies, "sqlite") == {"batch-rebuild"}
    assert refused(drops, "postgresql", phase="contract") == set()


def test_concurrently_needs_an_autocommit_block():
    def upgrade():
        op.create_index("ix", "t", ["a"], postgresql_concurrently=True)

    assert refused(upgrade, "postgresql") == {"concurrently-in-transaction"}


def test_a_table_made_in_the_revision_is_exempt():
    def upgrade():
        op.create_table("n", sa.Column("id", sa.BigInteger(), primary_key=True), sa.Column("a", sa.String(9)))
        op.create_index("ix", "n", ["a"])
        op.create_unique_constraint("uq", "n", ["a"])
        op.bulk_insert(sa.table("n", sa.column("a", sa.String())), [{"a": "secret"}])

    for database in ("postgresql", "mysql", "mariadb"):
        assert found(upgrade, database) == set()


def test_what_a_revision_asks_of_the_database_is_told():
    def upgrade():
        op.drop_column("t", "a")
        if sa.inspect(op.get_bind()).has_table("t"):
            op.drop_column("t", "b")

    findings = lint_revision(upgrade, "postgresql", phase="expand")
    assert [finding.code for finding in findings] == ["drop-column", "asks-the-database"]
    line = upgrade.__code__.co_firstlineno + 2
    assert (findings[1].severity, findings[1].statement) == ("refuse", f"line {line}: NoInspectionAvailable")


def test_a_revision_may_ask_for_the_kind_of_database_and_execute_on_its_connection():
    def upgrade():
        if op.get_bind().dialect.name == "postgresql":
            op.get_bind().execute(sa.text("LOCK TABLE t"))

    assert found(upgrade, "postgresql") == {"lock-table"}
    assert found(upgrade, "mysql") == set()


@pytest.mark.parametrize("database", ["mysql", "mariadb"])
def test_a_revision_that_asks_for_mysql_is_judged_on_mariadb_too(database):
    def upgrade():
        if op.get_bind().engine.name == "mysql":
            op.execute("ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4")

    assert refused(upgrade, database) == {"convert-charset"}


def test_raw_sql_declares_its_effect_in_a_comment():
    def upgrade():
        op.execute("-- bascule: expand because it only makes a helper\nCALL make_helper()")

    assert found(upgrade, "postgresql", phase="expand") == set()
    assert found(lambda: op.execute("CALL make_helper()"), "postgresql") == {"raw-sql-undeclared"}


def test_values_are_not_shown():
    def upgrade():
        op.execute("UPDATE t SET a = 'hunter2', b = 4711")

    (finding,) = lint_revision(upgrade, "postgresql")
    assert "hunter2" not in repr(finding)
    assert "4711" not in repr(finding)


def test_an_operation_tree_is_judged_like_a_revision():
    tree = ops.UpgradeOps(
        [ops.ModifyTableOps("t", [ops.AddColumnOp("t", sa.Column("a", sa.Integer())), ops.DropColumnOp("t", "b")])]
    )
    findings = lint_operations(tree, "postgresql")
    assert {finding.code for finding in findings} == {"drop-column", "mixed-phases"}
    (finding,) = lint_operations([ops.DropTableOp("t")], "mysql", phase="expand")
    assert finding.severity == "refuse"
