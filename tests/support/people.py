"""A table that two releases share while a column is split and another renamed, and what each release writes to it.

The old release knows `fullname` and `nick`; the new one `first`, `last` and `alias`.
"""

import itertools
from dataclasses import dataclass, field

import sqlalchemy as sa
from hypothesis import strategies as st

from bascule.schema import Options, Pace, Rename, Retry, SchemaEngine, Split
from bascule.schema.refusals import Stopped

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


def join_name(first, last):
    """Give `fullname` from `first` and `last`, as NAMES does in SQL."""
    return None if first is None or last is None else f"{first} {last}"


@dataclass
class Person:
    """What one row must be, by the rule in plain words: whoever wrote last is never altered, nobody's part is lost."""

    fullname: str | None
    first: str | None = None
    last: str | None = None
    spelling: str | None = None

    @property
    def is_virgin(self):
        return self.first is None and self.last is None

    def old_write(self, fullname):
        changed, self.fullname = fullname != self.fullname, fullname
        if changed and join_name(self.first, self.last) != fullname:
            self.fill()

    def new_write(self, parts):
        if self.is_virgin:
            self.fill()
        self.first, self.last = parts.get("first", self.first), parts.get("last", self.last)
        joined = join_name(self.first, self.last)
        if split_name(self.fullname) == (self.first, self.last):
            self.spelling = joined  # two spellings of the old side say the same: it may be either
        else:
            self.fullname = joined

    def fill(self):
        self.first, self.last = split_name(self.fullname)

    def as_row(self):
        return (self.fullname, self.first, self.last)


@dataclass
class History:
    """Applies operations to a database and to the model of it, and compares the two after each."""

    db: sa.Engine
    model: dict[str, Person] = field(default_factory=dict)
    schema: SchemaEngine = None

    def __post_init__(self):
        self.schema = make_engine(self.db, [NAMES])

    def run(self, operations):
        for operation, *arguments in operations:
            getattr(self, operation)(*arguments)
            self.compare(filled=False)

    def finish(self):
        """Run the backfill to its end: every row is then the same on both sides."""
        self.schema.migrate()
        for person in self.model.values():
            if person.is_virgin:
                person.fill()
        self.compare(filled=True)
        assert all(status.rows_stale == 0 for status in self.schema.verify())

    def compare(self, *, filled):
        found = {key: (row["fullname"], row["first"], row["last"]) for key, row in people(self.db).items()}
        for key, person in self.model.items():
            assert found[key][0] in (person.fullname, person.spelling or person.fullname)
            person.fullname, person.spelling = found[key][0], None
            # The backfill may or may not have reached a row that nobody wrote since expand.
            allowed = [person.as_row()]
            if person.is_virgin and not filled:
                allowed.append((person.fullname, *split_name(person.fullname)))
            assert found[key] in allowed
            if found[key] != person.as_row():
                person.fill()
        assert set(found) == set(self.model)

    def insert_old(self, key, fullname, fails):
        if key not in self.model:
            write(self.db, "INSERT INTO people (id, fullname) VALUES (:k, :v)", {"k": key, "v": fullname}, fails=fails)
            if not fails:
                self.model[key] = Person(fullname, *split_name(fullname))

    def insert_new(self, key, first, last, fails):
        if key not in self.model:
            values = {"k": key, "f": first, "l": last}
            write(self.db, "INSERT INTO people (id, first, last) VALUES (:k, :f, :l)", values, fails=fails)
            if not fails:
                self.model[key] = Person(join_name(first, last), first, last)

    def update_old(self, key, fullname, fails):
        write(self.db, "UPDATE people SET fullname = :v WHERE id = :k", {"k": key, "v": fullname}, fails=fails)
        if key in self.model and not fails:
            self.model[key].old_write(fullname)

    def update_new(self, key, parts, fails):
        sets = ", ".join(f"{name} = :{name}" for name in parts)
        write(self.db, f"UPDATE people SET {sets} WHERE id = :k", {"k": key, **parts}, fails=fails)
        if key in self.model and not fails:
            self.model[key].new_write(parts)

    def backfill_some(self, batches):
        stop_at = itertools.count()
        try:
            self.schema.migrate(should_stop=lambda: next(stop_at) >= batches)
        except Stopped:
            return

    def roll_back_and_expand(self):
        """The new columns go and come back empty; the old ones keep what either release wrote."""
        self.schema.rollback()
        assert columns(self.db) == ["id", "fullname", "nick", "age"]
        found = {key: row["fullname"] for key, row in people(self.db).items()}
        assert found == {key: person.fullname for key, person in self.model.items()}
        self.schema.expand()
        self.model = {key: Person(person.fullname) for key, person in self.model.items()}


_KEYS = [str(number) for number in range(8)]
_BLANKS_CASE_ACCENTS = "aAbé  "


def operations(*, at_least=25):
    """Return hypothesis' strategy for histories, long enough that a wrong rule shows within thirty of them."""
    text = st.one_of(st.none(), st.text(alphabet=_BLANKS_CASE_ACCENTS, max_size=6))
    part = st.text(alphabet=_BLANKS_CASE_ACCENTS, max_size=4)
    key, fails = st.sampled_from(_KEYS), st.sampled_from([False, False, False, True])
    # A new writer does not put NULL: in a row that was never filled it would be no change at all.
    parts = st.dictionaries(st.sampled_from(["first", "last"]), part, min_size=1)
    update_old = st.tuples(st.just("update_old"), key, text, fails)
    update_new = st.tuples(st.just("update_new"), key, parts, fails)
    operation = st.one_of(
        update_new,
        update_old,
        update_new,
        update_old,
        st.tuples(st.just("insert_old"), key, text, fails),
        st.tuples(st.just("insert_new"), key, part, part, fails),
        st.tuples(st.just("backfill_some"), st.integers(1, 2)),
        st.tuples(st.just("roll_back_and_expand")),
    )
    return st.lists(operation, min_size=at_least, max_size=at_least + 10)


def starting_rows():
    """Return hypothesis' strategy for the rows that are there before expand; two keys are left for inserts."""
    text = st.one_of(st.none(), st.text(alphabet=_BLANKS_CASE_ACCENTS, max_size=6))
    return st.fixed_dictionaries(dict.fromkeys(_KEYS[:6], text))
