"""A table whose key runs out, with rows of another table and of its own that refer to it (PostgreSQL)."""

import sqlalchemy as sa
from support.people import make_engine, write

from bascule.schema import WidenKey

REFERENCE = WidenKey(id="pets-owner", table="pets", column="owner")
KEY = WidenKey(id="owners-id", table="owners", column="id")
LARGEST = 2**31 - 1


def start(db, count=9):
    write(
        db,
        "CREATE TABLE owners (id serial PRIMARY KEY, name varchar(20), "
        "parent integer REFERENCES owners (id) ON DELETE SET NULL)",
    )
    write(db, "CREATE INDEX ix_name_id ON owners (name, id)")
    write(
        db,
        "CREATE TABLE pets (id integer PRIMARY KEY, "
        "owner integer NOT NULL CONSTRAINT fk_owner REFERENCES owners (id) ON DELETE CASCADE)",
    )
    write(db, "CREATE INDEX ix_owner ON pets (owner)")
    for number in range(1, count + 1):
        insert(db, f"name {number}")


def engine(db, changes=(REFERENCE, KEY), **options):
    return make_engine(db, changes, **options)


def insert(db, name, key=None):
    """Insert an owner and a pet of it; return the key, which the database gives out when none is given."""
    with db.begin() as connection:
        columns, values = ("id, name", ":k, :n") if key else ("name", ":n")
        sql = sa.text(f"INSERT INTO owners ({columns}) VALUES ({values}) RETURNING id")
        found = connection.execute(sql, {"k": key, "n": name}).scalar_one()
        pet = sa.text("INSERT INTO pets (id, owner) VALUES (:k % 1000000, :k)")
        connection.execute(pet, {"k": found})
        return found


def live_on(db, phase):
    insert(db, "later")
    write(db, "UPDATE owners SET id = 70 WHERE id = 9 AND NOT EXISTS (SELECT 1 FROM pets WHERE owner = 9)")
    write(db, "DELETE FROM owners WHERE id = 4")


def rows(db):
    with db.begin() as connection:
        joined = sa.text("SELECT o.id, o.name, p.owner FROM owners o JOIN pets p ON p.owner = o.id ORDER BY o.id")
        return [tuple(row) for row in connection.execute(joined)]


def shape(db):
    """Return columns, keys, references and indexes of both tables."""
    inspector = sa.inspect(db)
    return {
        table: (
            sorted((c["name"], str(c["type"]), c["nullable"], c["default"]) for c in inspector.get_columns(table)),
            inspector.get_pk_constraint(table)["constrained_columns"],
            inspector.get_pk_constraint(table)["name"],
            sorted((k["name"], k["referred_table"], str(k["options"])) for k in inspector.get_foreign_keys(table)),
            sorted((i["name"], *i["column_names"]) for i in inspector.get_indexes(table)),
        )
        for table in ("owners", "pets")
    }


def picture(db):
    with db.begin() as connection:
        unproved = connection.scalar(sa.text("SELECT count(*) FROM pg_constraint WHERE NOT convalidated"))
        left = connection.scalar(sa.text("SELECT count(*) FROM pg_proc WHERE proname LIKE 'bsc%'"))
    return rows(db), shape(db), unproved, left, [(one.id, one.phase) for one in engine(db).verify()]
