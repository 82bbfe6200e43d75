import subprocess
import sys

import pytest

from bascule.schema.lint import lint_sql
from bascule.schema.lint.actions import actions
from bascule.schema.lint.sql import split_clauses, statements


def codes(script, database="postgresql", **how):
    return [finding.code for finding in lint_sql(script, database, **how)]


def verbs(script, database="postgresql"):
    return [action.verb for statement in statements(script, database) for action in actions(statement)]


def test_a_semicolon_in_a_string_a_comment_or_a_body_ends_no_statement():
    script = "SELECT ';' -- a;\n; /* b; */ SELECT $x$ ; $x$; SELECT 1"
    assert len(statements(script, "postgresql")) == 3
    trigger = "CREATE TRIGGER x BEFORE UPDATE ON t FOR EACH ROW BEGIN IF a THEN SET b = 1; END IF; END; SELECT 1"
    assert len(statements(trigger, "mariadb")) == 2


def test_a_value_is_taken_for_no_keyword_and_shown_to_nobody():
    (statement,) = statements("UPDATE t SET a = 'SECRET, WHERE x = 1', b = 4711", "postgresql")
    assert "WHERE" not in statement.text
    assert statement.shown == "UPDATE t SET a = '?', b = ?"


def test_a_backslash_escapes_on_mariadb_and_not_on_postgresql():
    assert len(statements(r"SELECT 'a\'; SELECT 2", "postgresql")) == 2
    assert len(statements(r"SELECT 'a\'; SELECT 2'", "mariadb")) == 1


def test_what_mysql_runs_inside_a_comment_is_read():
    assert verbs("/*!50003 DROP TABLE t */", "mysql") == ["drop table"]
    assert verbs("/* DROP TABLE t */", "mysql") == []


@pytest.mark.parametrize("name", ['"drop column a"', "`t`", "public.t", '"my schema"."t"', "DBO.T"])
def test_names_are_read_however_they_are_quoted(name):
    assert verbs(f"ALTER TABLE {name} ADD COLUMN c int", "mysql" if "`" in name else "postgresql") == ["add column"]


def test_clauses_are_split_outside_brackets():
    assert split_clauses("ADD a NUMERIC (1, 2), DROP b") == ("ADD a NUMERIC (1, 2)", "DROP b")
    assert verbs("ALTER TABLE t ADD a numeric(1,2), DROP b, RENAME TO c") == [
        "add column",
        "drop column",
        "rename table",
    ]
    assert verbs("ALTER TABLE t ADD (a int, b int)", "mariadb") == ["add column", "add column"]


def test_a_table_of_the_same_script_is_exempt():
    made = "CREATE TABLE n (id bigint); "
    assert codes(made + "CREATE INDEX i ON n (id); ALTER TABLE n ALTER id SET NOT NULL; DROP TABLE n") == []
    assert "index-blocks-writers" in codes(made + "CREATE INDEX i ON t (id)")


def test_a_foreign_key_of_a_new_table_still_stops_writers_of_an_old_one():
    made = "CREATE TABLE n (id bigint); "
    assert "foreign-key-checked-at-once" in codes(made + "ALTER TABLE n ADD FOREIGN KEY (id) REFERENCES old (id)")
    assert codes(made + "CREATE TABLE p (id bigint); ALTER TABLE n ADD FOREIGN KEY (id) REFERENCES p (id)") == []


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("ALTER TABLE t ADD c int DEFAULT 0 NOT NULL REFERENCES p (id)", "inline-constraint"),
        ("ALTER TABLE t ADD c text DEFAULT 'uuid()'", None),
        ("ALTER TABLE t ADD c timestamptz DEFAULT (now() AT TIME ZONE 'utc') NOT NULL", None),
        ("ALTER TABLE t ADD c numeric(10, 2) DEFAULT 0.5", None),
        ("ALTER TABLE t ADD c jsonb DEFAULT '{}'::jsonb NOT NULL", None),
        ("ALTER TABLE t ADD c int DEFAULT nextval('s')", "volatile-default"),
        ("CREATE TABLE n (a int) WITH (fillfactor = 70)", None),
        ("INSERT INTO t SELECT 1, 'a'", None),
        ("UPDATE t SET a = 1 WHERE 1 = 1", "whole-table-write"),
        ("WITH b AS (SELECT id FROM t LIMIT 9) UPDATE t SET a = 1 FROM b WHERE b.id = t.id", None),
        ("WITH b AS (SELECT 1) DELETE FROM t", "whole-table-write"),
        ("UPDATE t SET a = s.a FROM s WHERE s.id = t.id", "unbounded-write"),
        ("DO $a$ $b$ ; $a$", "raw-sql-undeclared"),
    ],
)
def test_close_calls(script, code):
    assert codes("SET lock_timeout = '1s';" + script) == ([code] if code else [])


def test_what_alembic_prints_is_read_without_its_own_books():
    script = """
        BEGIN;
        CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);
        -- Running upgrade a1 -> b2
        SET LOCAL lock_timeout = '1s';
        ALTER TABLE t DROP COLUMN a;
        UPDATE alembic_version SET version_num='b2' WHERE alembic_version.version_num = 'a1';
        INSERT INTO alembic_version (version_num) VALUES ('b2') RETURNING alembic_version.version_num;
        DELETE FROM alembic_version WHERE alembic_version.version_num = 'b2';
        COMMIT;
    """
    assert codes(script) == ["drop-column"]


def test_a_validated_check_makes_not_null_free():
    check = "ALTER TABLE t ADD CONSTRAINT k CHECK (c IS NOT NULL) NOT VALID; "
    assert "set-not-null" in codes(check + "ALTER TABLE t ALTER c SET NOT NULL")
    assert "set-not-null" not in codes(
        check + "ALTER TABLE t VALIDATE CONSTRAINT k; ALTER TABLE t ALTER c SET NOT NULL"
    )


def test_an_allowed_refusal_becomes_a_warning_with_its_reason():
    script = "-- bascule: allow whole-table-write because t has five rows\nUPDATE t SET a = 1"
    (finding,) = lint_sql(script, "postgresql")
    assert (finding.severity, finding.allowed) == ("warn", "t has five rows")
    (finding,) = lint_sql(script.replace(" because t has five rows", ""), "postgresql")
    assert finding.severity == "refuse"


def test_a_declared_phase_counts_for_raw_sql():
    declared = "-- bascule: contract safe because nobody calls f\nCALL remove_f()"
    assert codes(declared, phase="contract") == []
    assert codes(declared, phase="expand") == ["wrong-phase"]
    assert codes("CALL remove_f()") == ["raw-sql-undeclared"]


@pytest.mark.parametrize(
    ("phase", "script", "fits"),
    [
        ("expand", "ALTER TABLE t ADD a int", True),
        ("contract", "ALTER TABLE t ADD a int", False),
        ("migrate", "ALTER TABLE t ADD a int", False),
        ("contract", "ALTER TABLE t DROP a", True),
        ("migrate", "DROP TABLE t", False),
        ("migrate", "UPDATE t SET a = 1 WHERE id = 4", True),
        ("expand", "UPDATE t SET a = 1 WHERE id = 4", False),
        ("expand", "INSERT INTO t VALUES (1)", True),
    ],
)
def test_each_phase_takes_only_what_belongs_there(phase, script, fits):
    refused = [finding.code for finding in lint_sql(script, "postgresql", phase=phase) if finding.severity == "refuse"]
    assert (refused == []) is fits


@pytest.mark.parametrize(
    ("phase", "script", "home"),
    [
        ("expand", "DROP INDEX CONCURRENTLY i", "contract"),
        ("contract", "ALTER TABLE t ADD a int", "expand"),
        ("contract", "INSERT INTO t VALUES (1)", "expand"),
        ("expand", "DELETE FROM t WHERE id = 1", "migrate"),
    ],
)
def test_a_wrong_phase_names_the_right_one(phase, script, home):
    findings = lint_sql(f"SET lock_timeout = 1; {script}", "postgresql", phase=phase)
    assert [finding.phase for finding in findings if finding.code == "wrong-phase"] == [home]


def test_importing_the_schema_package_loads_no_linter_and_no_alembic():
    program = (
        "import sys, bascule.schema; assert 'bascule.schema.lint' not in sys.modules; "
        "import bascule.schema.lint; assert 'alembic' not in sys.modules and 'sqlalchemy' in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
