"""What the writers and the judge need of each database, by its plain driver: connections, and what its catalog says."""

import re
import sqlite3
from dataclasses import dataclass

__all__ = ["Address", "Connection", "address_of", "catalog", "connect", "create_people", "fences", "phases", "rows"]

_STATE_TABLES = ("bascule_change", "bascule_schema_journal", "bascule_tripwire")
_INTEGER = {"age"}
_NICK = {
    "sqlite": {"plain": "varchar(100)", "blind": "varchar(100) COLLATE NOCASE", "citext": "text COLLATE NOCASE"},
    "postgresql": {"plain": "varchar(100)", "blind": "varchar(100) COLLATE ci", "citext": "citext"},
    # The database's own collation is blind already, to blanks at the end too; the last one is to accents.
    "mariadb": {
        "plain": "varchar(100) COLLATE utf8mb4_bin",
        "blind": "varchar(100)",
        "citext": "varchar(100) COLLATE utf8mb4_unicode_520_ci",
    },
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is: its kind, and what its driver wants to connect."""

    kind: str
    url: str
    arguments: dict[str, object]


def address_of(url):
    """Return the address behind a SQLAlchemy URL."""
    import sqlalchemy as sa

    parts = sa.make_url(url)
    if parts.get_backend_name() == "sqlite":
        return Address("sqlite", url, {"database": parts.database})
    arguments = {"host": parts.host, "port": parts.port, "user": parts.username, "password": parts.password}
    if parts.get_backend_name() == "postgresql":
        return Address("postgresql", url, {**arguments, "dbname": parts.database})
    return Address("mariadb", url, {**arguments, "database": parts.database, "charset": "utf8mb4"})


def connect(address, *, prepares=True):
    """Open a connection that commits by itself unless told BEGIN, and prepares what it says often, as writers do."""
    if address.kind == "sqlite":
        driver = sqlite3.connect(**address.arguments, isolation_level=None, timeout=5)
        driver.execute("PRAGMA journal_mode = WAL")
        driver.execute("PRAGMA synchronous = OFF")
    elif address.kind == "postgresql":
        import psycopg

        driver = psycopg.connect(**address.arguments, autocommit=True, prepare_threshold=5 if prepares else None)
    else:
        import pymysql

        # Rows found, not rows changed: whether a write reached its row is what the judge wants to know.
        driver = pymysql.connect(**address.arguments, autocommit=True, client_flag=pymysql.constants.CLIENT.FOUND_ROWS)
    return Connection(address.kind, driver)


class Connection:
    """One driver connection; parameters are written `:name` everywhere."""

    def __init__(self, kind, driver):
        self.kind, self.driver = kind, driver
        self.cursor = driver.cursor()

    def run(self, sql, parameters=None):
        """Run one statement; return how many rows it reached."""
        if self.kind != "sqlite" and parameters:
            sql = re.sub(r":(\w+)", r"%(\1)s", sql)
        self.cursor.execute(sql, parameters or ({} if self.kind == "sqlite" else None))
        return self.cursor.rowcount

    def read(self, sql, parameters=None):
        """Run one query; return its rows."""
        self.run(sql, parameters)
        return list(map(tuple, self.cursor.fetchall()))

    def be_patient(self, seconds):
        """Wait so long for a lock; 0 gives up at once."""
        if self.kind == "sqlite":
            self.run(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
        elif self.kind == "postgresql":
            self.run(f"SET lock_timeout = '{max(int(seconds * 1000), 10)}ms'")
        else:
            self.run(f"SET SESSION lock_wait_timeout = {int(seconds)}, innodb_lock_wait_timeout = {int(seconds)}")

    def trouble(self, error):
        """Say what an error means: `lock`, `duplicate`, `null`, `refused`, or what it says itself."""
        attribute = {"sqlite": "sqlite_errorcode", "postgresql": "sqlstate"}.get(self.kind)
        code = getattr(error, attribute, 0) if attribute else error.args[0]
        if code in ("55P03", "40P01", "40001", 1205, 1213, 1020) or (self.kind == "sqlite" and code & 0xFF in (5, 6)):
            return "lock"
        if code in ("23505", 1062, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE):
            return "duplicate"
        if code in ("23502", 1048, 1364, sqlite3.SQLITE_CONSTRAINT_NOTNULL):
            return "null"
        if "which is fenced off" in str(error):
            return "refused"
        return f"{type(error).__name__} {error}"


def create_people(connection, *, strict, indexed, nick):
    """Make the old release's table anew, and forget every change; `strict` forbids NULL in one column."""
    connection.run("DROP TABLE IF EXISTS people")
    if connection.kind == "postgresql":
        connection.run(
            "DO $$ DECLARE x text; BEGIN FOR x IN SELECT 'FUNCTION ' || oid::regprocedure FROM pg_proc "
            "WHERE proname LIKE 'bsc%' UNION ALL SELECT 'SEQUENCE ' || sequencename FROM pg_sequences "
            "WHERE sequencename LIKE 'bsc%' LOOP EXECUTE 'DROP ' || x; END LOOP; END $$"
        )
        connection.run("CREATE EXTENSION IF NOT EXISTS citext")
        ci = "provider = icu, locale = 'und-u-ks-level2', deterministic = false"
        connection.run(f"CREATE COLLATION IF NOT EXISTS ci ({ci})")
    kind = _NICK[connection.kind][nick] + (" NOT NULL" if strict else "")
    connection.run(
        f"CREATE TABLE people (id varchar(36) PRIMARY KEY, fullname varchar(100), nick {kind}, zip varchar(100), "
        "city varchar(100), age integer)"
    )
    if indexed:
        connection.run("CREATE INDEX ix_people_nick ON people (nick, age)")
    there = state_tables(connection)
    if connection.kind == "mariadb":  # also what is left of a copy whose engine was killed
        kinds = "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = database()"
        for name, kind in connection.read(kinds):
            if name.startswith(("bsc_", "zzz_")):
                connection.run(f"DROP {'SEQUENCE' if kind == 'SEQUENCE' else 'TABLE'} {name}")
    for table in _STATE_TABLES:
        if table in there:
            connection.run(f"DELETE FROM {table}")


def state_tables(connection):
    if connection.kind == "sqlite":
        names = connection.read("SELECT name FROM sqlite_master WHERE type = 'table'")
    elif connection.kind == "postgresql":
        names = connection.read("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    else:
        names = connection.read("SELECT table_name FROM information_schema.tables WHERE table_schema = database()")
    return {name for (name,) in names}


def phases(connection):
    """Return the phase of each change that the database remembers."""
    return dict(connection.read("SELECT id, phase FROM bascule_change"))


def fences(connection):
    """Return what the fence of each change does to old writers, where there is one: `count` or `refuse`."""
    return dict(connection.read("SELECT id, fence FROM bascule_change"))


def columns(connection):
    """Return the names of the table's columns."""
    if connection.kind == "sqlite":
        return [name for (name,) in connection.read("SELECT name FROM pragma_table_xinfo('people')")]
    if connection.kind == "postgresql":
        query = (
            "SELECT attname FROM pg_attribute WHERE attrelid = 'people'::regclass AND attnum > 0 AND NOT attisdropped"
        )
    else:
        query = (
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_schema = database() AND table_name = 'people' ORDER BY ordinal_position"
        )
    return [name for (name,) in connection.read(query)]


def rows(connection):
    """Return every row as {id: {column: value}}."""
    names = columns(connection)
    quoted = [f"`{name}`" if connection.kind == "mariadb" else f'"{name}"' for name in names]
    found = connection.read(f"SELECT {', '.join(quoted)} FROM people")
    return {row[names.index("id")]: dict(zip(names, row, strict=True)) for row in found}


def triggers(connection):
    """Return the names of the table's triggers that fire."""
    if connection.kind == "sqlite":
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    elif connection.kind == "postgresql":
        query = "SELECT tgname FROM pg_trigger WHERE tgrelid = 'people'::regclass AND tgenabled = 'O'"
    else:
        query = "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = database()"
    return {name for (name,) in connection.read(query)}


def drop_trigger(connection, name):
    """Do what no one should."""
    connection.run(f"DROP TRIGGER {name}" + (" ON people" if connection.kind == "postgresql" else ""))


def run_past_triggers(connection, sql, parameters):
    """Write as a replica or a restore would: no trigger sees it."""
    if connection.kind == "mariadb":
        connection.run("SET @bascule_backfill = 1")
        reached = connection.run(sql, parameters)
        connection.run("SET @bascule_backfill = NULL")
        return reached
    connection.run("BEGIN" if connection.kind == "postgresql" else "BEGIN IMMEDIATE")
    if connection.kind == "postgresql":
        connection.run("SET LOCAL session_replication_role = replica")
        reached = connection.run(sql, parameters)
    else:
        there = connection.read("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        for name, _ in there:
            connection.run(f"DROP TRIGGER {name}")
        reached = connection.run(sql, parameters)
        for _, create in there:
            connection.run(create)
    connection.run("COMMIT")
    return reached


def catalog(connection):
    """Return all that the catalog says of the table, to compare before and after."""
    if connection.kind == "sqlite":
        return (
            connection.read("SELECT * FROM pragma_table_xinfo('people')"),
            sorted(connection.read("SELECT type, name FROM sqlite_master WHERE tbl_name = 'people'")),
        )
    if connection.kind == "postgresql":
        return (
            connection.read(
                "SELECT column_name, data_type, character_maximum_length, collation_name, is_nullable, column_default "
                "FROM information_schema.columns WHERE table_name = 'people' ORDER BY ordinal_position"
            ),
            sorted(connection.read("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'people'")),
            sorted(connection.read("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")),
            sorted(connection.read("SELECT proname FROM pg_proc WHERE proname LIKE 'bsc%'")),
            sorted(connection.read("SELECT sequencename FROM pg_sequences WHERE sequencename LIKE 'bsc%'")),
            sorted(connection.read("SELECT conname FROM pg_constraint WHERE conrelid = 'people'::regclass")),
        )
    return (
        connection.read(
            "SELECT column_name, column_type, collation_name, is_nullable, column_default, ordinal_position "
            "FROM information_schema.columns WHERE table_schema = database() AND table_name = 'people' "
            "ORDER BY ordinal_position"
        ),
        sorted(
            connection.read(
                "SELECT index_name, seq_in_index, column_name FROM information_schema.statistics "
                "WHERE table_schema = database() AND table_name = 'people'"
            )
        ),
        sorted(triggers(connection)),
        sorted(name for name in state_tables(connection) if name.startswith("bsc_")),
    )


def sessions(connection):
    """Return how many sessions the server keeps for this database."""
    if connection.kind == "sqlite":
        return 0
    if connection.kind == "postgresql":
        query = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND backend_type = 'client backend'"
        )
    else:
        query = "SELECT count(*) FROM information_schema.processlist WHERE db = database()"
    ((number,),) = connection.read(query)
    return number
