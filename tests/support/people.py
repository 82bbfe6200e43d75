"""A table that two releases share while a column is split and another renamed, and what each release writes to it.

The old release knows `fullname` and `nick`; the new one `first`, `last` and `alias`.
"""

import sqlalchemy as sa

from bascule.schema import Options, Pace, Rename, Retry, SchemaEngine, Split

NAMES = Split(
    id="people-names",
    table="people",
    old={"fullname": sa.String(100)},
    new={"first": sa.String(100), "last": sa.String(100)},
    up={
        "first": {
            "sqlite": "substr({o.fullname}, 1, instr({o.fullname} || ' ', ' ') - 1)",
            "postgresql": "split_part({o.fullname}, ' ', 1)",
            "mysql": "substring_index({o.fullname}, ' ', 1)",
        },
        "last": {
            "sqlite": "substr({o.fullname}, instr({o.fullname} || ' ', ' ') + 1)",
            "postgresql": "substr({o.fullname}, strpos({o.fullname} || ' ', ' ') + 1)",
            "mysql": "substring({o.fullname}, locate(' ', concat({o.fullname}, ' ')) + 1)",
        },
    },
    down={
        "fullname": {
            "sqlite": "{n.first} || ' ' || {n.last}",
            "postgresql": "{n.first} || ' ' || {n.last}",
            "mariadb": "concat({n.first}, ' ', {n.last})",
        }
    },
    lossy="a name without a blank gets one at its end",
)
ALIAS = Rename(id="people-alias", table="people", old="nick", new="alias", type=sa.String(50))

QUICK = Options(lease_s=5.0, lease_wait_s=0.0, retry=Retry(within_s=20.0), pace=Pace(0.02, 3, 1.0), watch_s=0.0)


def nobody(_release):
    return []


def make_engine(db, changes=(NAMES, ALIAS), *, options=QUICK, older=nobody, same=nobody, base=None, release="2027.1"):
    return SchemaEngine(
        db, release=release, changes=changes, base=base, live_older=older, live_same=same, options=options
    )


def create_people(db, rows=()):
    """Make the old release's table, with rows of (id, fullname, nick)."""
    with db.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE people (id varchar(36) PRIMARY KEY, fullname varchar(100), nick varchar(50), age integer)"
        )
    for row in rows:
        write(db, "INSERT INTO people (id, fullname, nick) VALUES (:id, :fullname, :nick)", *_named(row))


def _named(row):
    return [dict(zip(("id", "fullname", "nick"), row, strict=True))]


def write(db, sql, *parameters, fails=False):
    """Run one statement in a transaction of its own; with `fails`, roll it back."""
    with db.connect() as connection:
        for values in parameters or ({},):
            connection.execute(sa.text(sql), values)
        if fails:
            connection.rollback()
        else:
            connection.commit()


def people(db):
    """Return every row as {id: {column: value}}."""
    with db.begin() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM people").mappings()
        return {row["id"]: {name: value for name, value in row.items() if name != "id"} for row in rows}


def columns(db, table="people"):
    return [column["name"] for column in sa.inspect(db).get_columns(table)]


def phases(statuses):
    return {status.id: status.phase for status in statuses}


def split_name(fullname):
    """Give `first` and `last` from `fullname`, as NAMES does in SQL."""
    if fullname is None:
        return (None, None)
    first, _, last = fullname.partition(" ")
    return (first, last)
