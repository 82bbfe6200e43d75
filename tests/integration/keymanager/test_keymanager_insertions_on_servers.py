"""Transactions of insertions: all or nothing, once, whatever breaks; on MariaDB in one trip."""

import contextlib
import select
import socket
import threading

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import make_url

from bascule_keymanager.storage.database import Database, Unstorable
from bascule_keymanager.storage.insertions import Insertion

_META = sa.MetaData()
FIRST = sa.Table("firsts", _META, sa.Column("id", sa.Integer, primary_key=True, autoincrement=False))
LATER = sa.Table(
    "laters",
    _META,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("text", sa.String(8)),
    sa.Column("is_so", sa.Boolean),
    mysql_default_charset="utf8mb4",
)
INSERT_FIRST, INSERT_LATER = FIRST.insert(), LATER.insert()
# As a row of a project that has a quota of its own: nothing is inserted.
REFUSED = FIRST.insert().from_select(
    ["id"], sa.select(sa.bindparam("id", type_=sa.Integer)).select_from(LATER).where(sa.false())
)
REFUSED = REFUSED.execution_options(preserve_rowcount=True)


@contextlib.contextmanager
def opened(url):
    database = Database(url, pool_size=4)
    _META.create_all(database.writer)
    database.warm()
    yield database
    database.dispose()


@pytest.fixture
def database(server_url):
    with opened(server_url) as database:
        yield database


@pytest.fixture
def on_mariadb(mariadb_url):
    with opened(mariadb_url) as database:
        yield database


def insertions(number, text="ten % of %(id)s", first=INSERT_FIRST):
    others = [
        Insertion(INSERT_LATER, {"id": 10 * number + each, "text": text[:8], "is_so": bool(each)}) for each in (0, 1)
    ]
    return [Insertion(first, {"id": number}), *others]


def found(database):
    def read(connection):
        return (
            sorted(connection.execute(sa.select(FIRST.c.id)).scalars()),
            sorted(tuple(row) for row in connection.execute(sa.select(LATER))),
        )

    return database.read(read)


def both(*numbers):
    return list(numbers), [(10 * each + part, "ten % of", bool(part)) for each in numbers for part in (0, 1)]


def test_all_steps_are_done(database):
    assert database.insert_together(insertions(1))
    assert database.insert_together(insertions(2))
    assert found(database) == both(1, 2)


def test_the_first_alone_is_enough(database):
    assert database.insert_together(insertions(1)[:1])
    assert found(database)[0] == [1]


def test_nothing_is_done_where_the_first_inserts_nothing(database):
    assert not database.insert_together(insertions(1, first=REFUSED))
    assert found(database) == ([], [])
    assert database.insert_together(insertions(1))
    assert found(database) == both(1)


def test_nothing_is_left_of_what_fails_in_the_middle_and_no_lock(database):
    assert database.insert_together(insertions(1))
    with pytest.raises(sa.exc.IntegrityError):
        database.insert_together([*insertions(2), *insertions(1)[1:]])
    assert found(database) == both(1)
    assert database.insert_together(insertions(2))
    assert found(database) == both(1, 2)


def test_what_a_column_does_not_take_is_named_so_and_leaves_nothing(database):
    too_long = [*insertions(1), Insertion(INSERT_LATER, {"id": 99, "text": "a" * 9, "is_so": True})]
    with pytest.raises(Unstorable):
        database.insert_together(too_long)
    assert found(database) == ([], [])


def test_a_transaction_of_steps_is_one_statement_on_mariadb(on_mariadb):
    seen = []
    for engine in (on_mariadb.reader, on_mariadb.writer):
        event.listen(engine, "before_cursor_execute", lambda *arguments: seen.append(arguments[2]))
    assert on_mariadb.insert_together(insertions(1))
    assert len(seen) == 1
    assert seen[0].startswith("BEGIN NOT ATOMIC")


def test_it_reads_nothing_that_it_would_lock(on_mariadb):
    """Another transaction has changed a row of a table that the first insertion looks into: nobody waits for it."""
    assert on_mariadb.insert_together(insertions(1))
    looks = sa.select(sa.bindparam("id", type_=sa.Integer)).select_from(LATER).where(LATER.c.id == 10)
    looking = FIRST.insert().from_select(["id"], looks).execution_options(preserve_rowcount=True)
    with on_mariadb.writer.begin() as other:
        other.execute(LATER.update().values(is_so=True))
        done = []
        thread = threading.Thread(
            target=lambda: done.append(on_mariadb.insert_together([Insertion(looking, {"id": 2})]))
        )
        thread.start()
        thread.join(20)
        assert done == [True]


class Line:
    """A TCP line to a server that breaks at the next blocks as told: before the server has one, or its answer."""

    def __init__(self, url):
        self.to, self.breaks, self.blocks = (url.host, url.port), [], 0
        self.at_break = lambda: None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = url.set(port=self.listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        with contextlib.suppress(OSError):  # closed already
            self.listener.shutdown(socket.SHUT_RDWR)  # or whoever waits in accept takes one more
        self.listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near):
        with contextlib.suppress(OSError), near, socket.create_connection(self.to) as far:
            across = {near: far, far: near}
            while True:
                for side in select.select([near, far], [], [])[0]:
                    said = side.recv(65536)
                    if not said or (side is near and b"BEGIN NOT ATOMIC" in said and self._is_broken(far, said)):
                        return
                    across[side].sendall(said)

    def _is_broken(self, far, block):
        self.blocks += 1
        how = self.breaks.pop(0) if self.breaks else None
        if how == "after":
            far.sendall(block)
            far.recv(65536)
        if how is not None:
            self.at_break()
        return how is not None


@pytest.fixture
def line(mariadb_url, on_mariadb):
    line = Line(make_url(mariadb_url))
    with opened(line.url.render_as_string(hide_password=False)) as line.database:
        yield line
    line.close()


@pytest.mark.parametrize(
    "breaks", [["before"], ["after"], ["before", "after"], ["after", "before", "before"], ["after", "after"]]
)
def test_it_is_done_once_however_often_the_line_breaks(on_mariadb, line, breaks):
    line.breaks = list(breaks)
    assert line.database.insert_together(insertions(1))
    assert line.blocks > len(breaks)
    assert line.database.insert_together(insertions(2))
    assert found(on_mariadb) == both(1, 2)


UNLESS_CLOSED = FIRST.insert().from_select(
    ["id"],
    sa.select(sa.bindparam("id", type_=sa.Integer)).select_from(
        sa.select(sa.func.count().label("closed")).where(LATER.c.id == -1).subquery("gate")
    ).where(sa.column("closed") == 0),
)  # fmt: skip


@pytest.mark.parametrize(("how", "is_done"), [("after", True), ("before", False)])
def test_a_refusal_after_a_broken_line_is_believed_only_where_nothing_was_committed(on_mariadb, line, how, is_done):
    """Somebody sets a quota between a try whose answer was lost and the next: what was committed stays so."""
    line.breaks = [how]
    line.at_break = lambda: on_mariadb.write(
        lambda connection: connection.execute(LATER.insert().values(id=-1, text="quota", is_so=True))
    )
    assert line.database.insert_together(insertions(1, first=UNLESS_CLOSED)) is is_done
    assert line.blocks == 2
    assert found(on_mariadb)[0] == ([1] if is_done else [])


def test_what_is_there_already_is_told_where_no_line_broke(on_mariadb, line):
    assert on_mariadb.insert_together(insertions(1))
    with pytest.raises(sa.exc.IntegrityError):
        line.database.insert_together(insertions(1))


def test_whoever_is_told_of_a_failure_knows_that_it_may_be_done_all_the_same(on_mariadb, line):
    """The answer was lost, and the server takes no more connections: what a store keeps elsewhere must stay there."""
    line.breaks = ["after"]
    line.close()
    with pytest.raises(sa.exc.DBAPIError) as told:
        line.database.insert_together(insertions(1))
    assert told.value.connection_invalidated
    assert found(on_mariadb) == both(1)
