"""The databases that can be migrated online, chosen in one table."""

import sqlalchemy as sa

from bascule.schema.databases.base import Column, Constraint, Database, Impact, Pace, Step, Trigger
from bascule.schema.databases.mariadb import MariaDB
from bascule.schema.databases.postgresql import PostgreSQL
from bascule.schema.databases.sqlite import SQLite
from bascule.schema.refusals import UnsupportedDatabase

__all__ = ["Column", "Constraint", "Database", "Impact", "Pace", "Step", "Trigger", "database_of"]

_BY_NAME: dict[str, type[Database]] = {"sqlite": SQLite, "postgresql": PostgreSQL, "mariadb": MariaDB}


def database_of(dialect: sa.Dialect) -> Database:
    """Return the database that a connection's dialect speaks to. Raises UnsupportedDatabase, also for MySQL proper."""
    name = "mariadb" if dialect.name == "mysql" and getattr(dialect, "is_mariadb", False) else dialect.name
    if name not in _BY_NAME or (name == "sqlite" and dialect.driver != "pysqlite"):
        raise UnsupportedDatabase(f"{name} with the driver {dialect.driver}", "SQLite, PostgreSQL or MariaDB")
    return _BY_NAME[name](dialect)
