"""A table of encrypted secrets that two releases share while each is wrapped anew.

The old release knows `blob`; the new one reads `blob2` and `kek_id` where they hold a value, else `blob`.
"""

import sqlalchemy as sa
from support.people import make_engine

from bascule.schema import Blocked, data_migration


def wrap(blob):
    return b"2:" + blob[::-1]


def unwrap(blob2):
    return blob2[2:][::-1]


def declare(**options):
    """Return the change; rows whose secret begins with `lost` are blocked."""

    @data_migration(
        "secrets-rewrap",
        table="secrets",
        old=["blob"],
        new={"blob2": sa.LargeBinary(), "kek_id": sa.String(64)},
        **options,
    )
    def rewrap(rows):
        for row in rows:
            if row.blob.startswith(b"lost"):
                yield Blocked(row.pk, "its key is lost")
            else:
                yield row.becomes(blob2=wrap(row.blob), kek_id="kek-2")

    return rewrap


def down(rows):
    return [row.becomes(blob=unwrap(row.blob2)) for row in rows]


def make(db, change=None, **options):
    return make_engine(db, [change or declare(down=down)], **options)


def create(db, count=10, *, null="NOT NULL"):
    blob = {"postgresql": "bytea", "mysql": "longblob", "sqlite": "blob"}[db.dialect.name]
    quote = db.dialect.identifier_preparer.quote
    sql(db, f"CREATE TABLE secrets (id varchar(36) PRIMARY KEY, name varchar(20), {quote('blob')} {blob} {null})")
    for number in range(count):
        insert_old(db, f"{number:03}", secret(number))


def secret(number):
    return b"\xff\x00'%%s \\ %d" % number


def sql(db, text, **values):
    with db.begin() as connection:
        return connection.execute(sa.text(text), values).rowcount


TABLE = sa.table("secrets", *map(sa.column, ("id", "name", "blob", "blob2", "kek_id")))


def insert(db, key, **values):
    with db.begin() as connection:
        connection.execute(sa.insert(TABLE).values(id=key, **values))


def insert_old(db, key, blob):
    insert(db, key, blob=blob)


def insert_new(db, key, blob, *, both=False):
    insert(db, key, blob2=wrap(blob), kek_id="kek-2", **({"blob": blob} if both else {}))


def update(db, key, **values):
    with db.begin() as connection:
        connection.execute(sa.update(TABLE).where(TABLE.c.id == key).values(**values))


def update_old(db, key, blob):
    update(db, key, blob=blob)


def update_new(db, key, blob, *, both=False):
    update(db, key, blob2=wrap(blob), kek_id="kek-2", **({"blob": blob} if both else {}))


def read_new(db):
    """Return what the new release reads: the new columns, else the old one."""
    with db.begin() as connection:
        rows = connection.execute(sa.select(TABLE)).all()
    return {row.id: unwrap(row.blob2) if row.blob2 is not None else row.blob for row in rows}


def read_old(db):
    with db.begin() as connection:
        return {row.id: row.blob for row in connection.execute(sa.select(TABLE.c.id, TABLE.c.blob))}


def migrated(db):
    """Return the keys of rows that have a new side."""
    with db.begin() as connection:
        return set(connection.scalars(sa.select(TABLE.c.id).where(TABLE.c.blob2.is_not(None))))


def start(db):
    """Begin as `killed_kind` wants it."""
    create(db, 7)


def engine(db):
    return make(db)


def live_on(db, phase):
    """Write as the release that runs during the phase."""
    if phase == "rollback":
        return
    if phase in ("contract", "purge"):
        insert_new(db, "later", b"new later")
        update_new(db, "003", b"new 3")
        return
    insert_old(db, "later", b"old later")
    update_old(db, "003", b"old 3")


def picture(db):
    names = [column["name"] for column in sa.inspect(db).get_columns("secrets")]
    values = sorted(read_new(db).items()) if "blob2" in names and "blob" in names else None
    if values is None:
        sides = [name for name in names if name in ("id", "blob", "blob2")]
        with db.begin() as connection:
            values = sorted(map(tuple, connection.execute(sa.select(*map(sa.column, sides)).select_from(TABLE))))
    return sorted(names), values, [(status.id, status.phase) for status in make(db).verify()]
