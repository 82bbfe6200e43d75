"""A table that two releases know by two names: `people` and `persons`."""

import sqlalchemy as sa
from support.people import create_people, make_engine, write

from bascule.schema import RenameTable

CHANGE = RenameTable(id="people-persons", table="people", new="persons", without_row_counts=True)


def start(db):
    create_people(db, [(f"{number:02}", f"First{number} Last", f"nick{number}") for number in range(5)])
    write(db, "CREATE INDEX ix_nick ON people (nick)")


def engine(db, changes=(CHANGE,), **options):
    return make_engine(db, changes, **options)


def insert(db, table, key):
    write(db, f"INSERT INTO {table} (id, fullname, nick) VALUES (:k, 'Ada King', :t)", {"k": key, "t": table})


def update(db, table, key, value):
    write(db, f"UPDATE {table} SET fullname = :v WHERE id = :k", {"k": key, "v": value})


def delete(db, table, key):
    write(db, f"DELETE FROM {table} WHERE id = :k", {"k": key})


def rows(db, table):
    """Return {id: (fullname, nick)}."""
    with db.begin() as connection:
        found = connection.execute(sa.text(f"SELECT id, fullname, nick FROM {table}"))
        return {row[0]: tuple(row[1:]) for row in found}


def live_on(db, phase):
    table = "persons" if phase in ("contract", "purge") else "people"
    if phase != "rollback":
        insert(db, table, "later")
        update(db, table, "03", "Other")


def picture(db):
    inspector = sa.inspect(db)
    tables = [name for name in inspector.get_table_names() if not name.startswith("bascule_")]
    indexes = [index["name"] for name in tables for index in inspector.get_indexes(name)]
    found = sorted((key, fullname) for key, (fullname, _) in rows(db, tables[0]).items())
    statuses = [(status.id, status.phase) for status in engine(db).verify()]
    return tables, inspector.get_view_names(), indexes, found, statuses
