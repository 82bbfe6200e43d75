"""Connections that are kept between two uses, on servers that break them."""

import threading

import pytest
import sqlalchemy as sa

from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.kept import KeptConnections

_OWN_ID = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT CONNECTION_ID()"}
_KILL = {"postgresql": "SELECT pg_terminate_backend({})", "mysql": "KILL {}"}


@pytest.fixture
def database(server_url):
    made = Database(server_url, pool_size=4)
    yield made
    made.dispose()


def own_id(database):
    return database.read(lambda connection: connection.exec_driver_sql(_OWN_ID[database.dialect]).scalar())


def at_once(use, many):
    """Use several connections at once, each in a thread of its own; return the connections' ids."""
    found, barrier = [], threading.Barrier(many)

    def read(connection):
        found.append(connection.exec_driver_sql(_OWN_ID[connection.dialect.name]).scalar())
        barrier.wait(10)

    threads = [threading.Thread(target=use, args=(read,)) for _ in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def kill(database, ids):
    killer = sa.create_engine(database.url, isolation_level="AUTOCOMMIT")
    with killer.connect() as connection:
        for each in ids:
            connection.exec_driver_sql(_KILL[database.dialect].format(each))
    killer.dispose()


def test_one_read_after_another_takes_the_same_connection(database):
    assert own_id(database) == own_id(database)
    assert database.connections_in_use()["reading"] == 0


def test_no_more_are_kept_than_the_pool_may_hold(database):
    assert len(set(at_once(database.read, 6))) == 6
    assert database._reading.idle() == 4
    assert database.connections_in_use()["reading"] == 0


def test_reads_go_on_when_the_server_has_broken_every_kept_connection(database):
    broken = at_once(database.read, 4)
    kill(database, broken)
    after = [own_id(database) for _ in range(4)]
    assert not set(after) & set(broken)


def test_a_connection_that_an_error_left_is_not_kept(database):
    own_id(database)
    with pytest.raises(sa.exc.DBAPIError):
        database.read(lambda connection: connection.exec_driver_sql("SELECT nothing FROM nowhere"))
    assert database._reading.idle() == 0
    assert own_id(database)


def test_one_that_was_kept_for_long_goes_back_to_the_pool(database, monkeypatch):
    kept = KeptConnections(database.reader, 2)
    with kept.connection() as first:
        pass
    monkeypatch.setattr("bascule_keymanager.storage.kept._KEEP_S", -1.0)
    with kept.connection() as second:
        assert second is not first
        assert first.closed
    kept.release()
    assert kept.idle() == 0


def test_disposing_closes_the_kept_ones(database):
    own_id(database)
    database.dispose()
    assert database._reading.idle() == 0
    assert database.reader.pool.checkedout() == 0
    assert own_id(database)


@pytest.fixture
def table(database):
    made = sa.Table("numbers", sa.MetaData(), sa.Column("number", sa.Integer))
    made.create(database.writer)
    return made


def numbers(database, table):
    return database.read(lambda connection: sorted(connection.execute(sa.select(table.c.number)).scalars()))


def test_writes_go_on_when_the_server_has_broken_every_kept_connection(database, table):
    broken = at_once(database.write, 4)
    assert database.connections_in_use()["writing"] == 0
    kill(database, broken)
    for number in range(4):
        database.write(lambda connection, number=number: connection.execute(table.insert().values(number=number)))
    assert numbers(database, table) == [0, 1, 2, 3]


def test_a_transaction_whose_connection_breaks_in_the_middle_is_run_again_as_a_whole(database, table):
    tries = []

    def work(connection):
        connection.execute(table.insert().values(number=len(tries)))
        tries.append(connection.exec_driver_sql(_OWN_ID[database.dialect]).scalar())
        if len(tries) == 1:
            kill(database, tries)
        connection.execute(table.insert().values(number=10))

    database.write(work)
    assert len(set(tries)) == 2
    assert numbers(database, table) == [1, 10]


def test_one_whose_commit_breaks_is_not_since_nobody_knows_whether_it_was_done(database, table):
    tries = []

    def work(connection):
        connection.execute(table.insert().values(number=len(tries)))
        tries.append(connection.exec_driver_sql(_OWN_ID[database.dialect]).scalar())
        kill(database, tries)

    with pytest.raises(sa.exc.DBAPIError):
        database.write(work)
    assert len(tries) == 1
    assert numbers(database, table) == []


def test_a_transaction_that_failed_leaves_nothing_behind_for_the_next(database, table):
    def fail(connection):
        connection.execute(table.insert().values(number=1))
        raise ValueError

    with pytest.raises(ValueError):
        database.write(fail)
    database.write(lambda connection: connection.execute(table.insert().values(number=2)))
    assert numbers(database, table) == [2]
