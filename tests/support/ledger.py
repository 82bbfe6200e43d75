"""The ledger of examples/, taken from release to release with its own revisions."""

import importlib
import sys
from pathlib import Path

import sqlalchemy as sa
from alembic import command

from bascule.schema import Options

EXAMPLES = Path(__file__).parents[2] / "examples"
LEDGER = EXAMPLES / "ledger"
RELEASES = ("1", "2", "3", "4")
QUICK = Options(watch_s=0.0)
_MADE = {}


def parts(release, url):
    """The service at a release, on a database; `close` ends its connections."""
    if str(EXAMPLES) not in sys.path:
        sys.path.insert(0, str(EXAMPLES))
    if (release, url) not in _MADE:
        _MADE[release, url] = importlib.import_module("ledger.service").Parts(release, str(url))
    return _MADE[release, url]


def close():
    """End all connections."""
    while _MADE:
        _MADE.popitem()[1].engine.dispose()


def start(url, release="1"):
    """Make a database of that release, with the rows that `fill` writes; one release after the other."""
    command.upgrade(parts("1", url).alembic, "head")
    fill(parts("1", url).book)
    for number in RELEASES[1 : RELEASES.index(release) + 1]:
        step(url, number)


def step(url, release):
    """Take the database to the release, one after the one it is at; nobody writes meanwhile."""
    command.upgrade(parts(release, url).alembic, "head")
    schema = parts(release, url).schema(QUICK)
    for phase in ("expand", "migrate", "fence", "contract", "purge"):
        getattr(schema, phase)()


OWNERS = ("Ada Lovelace", "Grace Brewster Hopper", "Émilie du Châtelet")


def fill(book):
    for owner in OWNERS:
        account = book.open(owner)
        for cents, memo in ((1250, "books"), (-7, None), (10_000_001, "50% of a: 'house'")):
            book.post(account, cents * account, memo)


def seen(book):
    """Everything that users of the service see."""
    return {number: (owner, tuple(book.postings(number))) for number, owner in book.accounts().items()}


def write_through(old, new, expected):
    """Write through both releases, each over what the other wrote. Adds to `expected` what is to be seen."""
    for mine, other, name in ((old, new, "Old Writer"), (new, old, "New Writer")):
        account = mine.open(name)
        posting = mine.post(account, 314, "by mine")
        other.correct(posting, 2718, "by other")
        second = other.post(account, -5, None)
        mine.correct(second, -6, "by mine again")
        expected[account] = (name, ((2718, "by other"), (-6, "by mine again")))
        assert {seen(book)[account] for book in (old, new)} == {expected[account]}


def take_over(url, old, new):
    """Lead from one release to another while both write. Returns both, the schema, and what all must see now."""
    before, after = parts(old, url), parts(new, url)
    expected = seen(before.book)
    command.upgrade(after.alembic, "head")
    schema = after.schema(QUICK)
    schema.expand()
    write_through(before.book, after.book, expected)
    assert seen(before.book) == expected
    schema.migrate()
    assert seen(before.book) == seen(after.book) == expected
    write_through(before.book, after.book, expected)
    assert seen(before.book) == seen(after.book) == expected
    return before, after, schema, expected


def dump(url):
    """Schema and rows in words that do not tell by which way they came to be."""
    engine = parts("1", url).engine
    metadata = sa.MetaData()
    metadata.reflect(engine, only=lambda name, _: name in {"accounts", "postings"})
    found = {}
    inspector = sa.inspect(engine)
    for name, table in metadata.tables.items():
        columns = sorted(table.c, key=lambda column: column.name)
        with engine.connect() as connection:
            rows = [tuple(row) for row in connection.execute(sa.select(*columns).order_by(table.c.id))]
        found[name] = {
            "columns": [(c.name, c.type.compile(engine.dialect), c.nullable, _default(c)) for c in columns],
            "indexes": sorted((index["name"], tuple(index["column_names"])) for index in inspector.get_indexes(name)),
            "keys": sorted((key["name"], key["referred_table"]) for key in inspector.get_foreign_keys(name)),
            "checks": sorted(str(check["name"]) for check in inspector.get_check_constraints(name)),
            "rows": rows,
        }
    return found


def _default(column):
    return str(column.server_default.arg) if column.server_default is not None else None
