"""The key manager's schema at this release; an empty database gets a copy of what the phases made once on its server.

The phases are some 280 transactions, and what they do is tested elsewhere.
"""

import functools
import tempfile
from pathlib import Path

import sqlalchemy as sa
from support.quick_sqlite import without_disk

from bascule_keymanager.config import Settings
from bascule_keymanager.service import Parts

__all__ = ["make_schema", "run_phases"]


def make_schema(settings):
    """Bring the database of these settings to this release's schema, as `keymanager-db-manage` does."""
    url = sa.make_url(settings.database_url)
    copy = {"sqlite": _copy_file, "postgresql": _copy_database, "mysql": _copy_tables}[url.get_backend_name()]
    if not copy(url):
        run_phases(settings)


def run_phases(settings):
    """Do what `keymanager-db-manage expand` and `migrate` do."""
    schema = Parts(settings).schema
    schema.expand()
    schema.migrate()
    schema.engine.dispose()


def _copy_file(url):
    """Make the file of a new SQLite database."""
    if Path(url.database).exists():
        return False
    Path(url.database).write_bytes(_made_file())
    return True


@functools.cache
def _made_file():
    with tempfile.TemporaryDirectory() as folder, without_disk():
        path = Path(folder) / "keymanager.db"
        run_phases(_settings(f"sqlite:///{path}"))
        assert [found.name for found in path.parent.iterdir()] == [path.name]  # no log beside it: the file is whole
        return path.read_bytes()


def _copy_database(url):
    """Put a copy of PostgreSQL's template in the place of an empty database."""
    if not _is_empty(url):
        return False
    template = _made_database(url.set(database="postgres"))
    _do(
        url.set(database="postgres"),
        f"DROP DATABASE {url.database} WITH (FORCE)",
        f"CREATE DATABASE {url.database} TEMPLATE {template}",
    )
    return True


@functools.cache
def _made_database(server):
    _do(server, "DROP DATABASE IF EXISTS keymanager_made", "CREATE DATABASE keymanager_made")
    run_phases(_settings(server.set(database="keymanager_made")))
    return "keymanager_made"


def _copy_tables(url):
    """Make in an empty MariaDB database what the phases made in another of the same character set."""
    if not _is_empty(url):
        return False
    database = "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata WHERE "
    [(charset, collation)] = _do(url, f"{database} schema_name = database()")
    _do(url, "SET foreign_key_checks = 0", *_made_tables(url.set(database="mysql"), charset, collation))
    return True


@functools.cache
def _made_tables(server, charset, collation):
    """The statements that make all again that the phases make."""
    made = f"keymanager_made_{collation}"
    _do(
        server,
        f"DROP DATABASE IF EXISTS {made}",
        f"CREATE DATABASE {made} CHARACTER SET {charset} COLLATE {collation}",
    )
    url = server.set(database=made)
    run_phases(_settings(url))
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        told = connection.exec_driver_sql
        kinds = dict(told("SHOW FULL TABLES").all())
        assert set(kinds.values()) == {"BASE TABLE"}, kinds  # nothing else is copied
        statements = [told(f"SHOW CREATE TABLE `{table}`").one()[1] for table in kinds]
        for table in kinds:
            for row in told(f"SELECT * FROM `{table}`").all():
                values = sa.text(f"INSERT INTO `{table}` VALUES ({', '.join(f':v{n}' for n in range(len(row)))})")
                values = values.bindparams(**{f"v{n}": value for n, value in enumerate(row)})
                statements.append(str(values.compile(engine, compile_kwargs={"literal_binds": True})))
        for trigger in told("SHOW TRIGGERS").all():
            _, mode, text, *_ = told(f"SHOW CREATE TRIGGER `{trigger[0]}`").one()
            statements += [f"SET sql_mode = '{mode}'", text]
    return tuple(statements)


def _settings(url):
    return Settings(database_url=sa.make_url(url).render_as_string(hide_password=False), keks=())


def _is_empty(url):
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    return not sa.inspect(engine).get_table_names()


def _do(url, *statements):
    """Run these, each for itself, on one connection; return the rows of the last."""
    engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect().execution_options(no_parameters=True) as connection:  # a % is a %
        for statement in statements:
            result = connection.exec_driver_sql(statement)
        return result.all() if result.returns_rows else []
