"""Payloads of secrets that move to a table of their own: the old release knows `secrets.payload` and `secrets.kind`."""

import sqlalchemy as sa
from support.people import make_engine, write

from bascule.schema import ExtractTable

CHANGE = ExtractTable(
    id="secrets-payloads",
    table="secrets",
    new="payloads",
    key={"secret_id": sa.String(36)},
    columns={"payload": sa.String(40), "kind": sa.String(10)},
)


def start(db, count=6):
    write(
        db,
        "CREATE TABLE secrets (id varchar(36) PRIMARY KEY, name varchar(20), "
        "payload varchar(40) NOT NULL, kind varchar(10))",
    )
    for number in range(count):
        insert_old(db, f"{number:02}", f"payload {number}")


def engine(db, change=CHANGE, **options):
    return make_engine(db, [change], **options)


def insert_old(db, key, payload, kind="raw"):
    write(db, "INSERT INTO secrets (id, payload, kind) VALUES (:k, :p, :d)", {"k": key, "p": payload, "d": kind})


def update_old(db, key, payload):
    write(db, "UPDATE secrets SET payload = :p WHERE id = :k", {"k": key, "p": payload})


def insert_new(db, key, payload, kind="raw"):
    with db.begin() as connection:
        connection.execute(sa.text("INSERT INTO secrets (id) VALUES (:k)"), {"k": key})
        connection.execute(sa.text("INSERT INTO payloads VALUES (:k, :p, :d)"), {"k": key, "p": payload, "d": kind})


def update_new(db, key, payload):
    write(db, "UPDATE payloads SET payload = :p WHERE secret_id = :k", {"k": key, "p": payload})


def delete_new(db, key):
    write(db, "DELETE FROM payloads WHERE secret_id = :k", {"k": key})


def delete(db, key):
    write(db, "DELETE FROM secrets WHERE id = :k", {"k": key})


def old_side(db):
    """Return {id: (payload, kind)} as the old release reads it; rows without a payload are left out."""
    with db.begin() as connection:
        found = connection.execute(sa.text("SELECT id, payload, kind FROM secrets WHERE payload IS NOT NULL"))
        return {row[0]: tuple(row[1:]) for row in found}


def new_side(db):
    with db.begin() as connection:
        found = connection.execute(sa.text("SELECT secret_id, payload, kind FROM payloads WHERE payload IS NOT NULL"))
        return {row[0]: tuple(row[1:]) for row in found}


def live_on(db, phase):
    if phase in ("contract", "purge"):
        insert_new(db, "later", "new")
        update_new(db, "03", "new 3")
        delete(db, "05")
    elif phase != "rollback":
        insert_old(db, "later", "old")
        update_old(db, "03", "old 3")
        delete(db, "05")


def picture(db):
    inspector = sa.inspect(db)
    columns = [(column["name"], column["nullable"]) for column in inspector.get_columns("secrets")]
    there = inspector.has_table("payloads")
    found = new_side(db) if there else old_side(db)
    statuses = [(status.id, status.phase) for status in engine(db).verify()]
    return columns, there, sorted(found.items()), statuses
