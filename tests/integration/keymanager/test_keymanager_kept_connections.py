"""Connections that are kept between two reads, on servers that break them."""

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


def at_once(database, many, barrier):
    """Read in several threads at once, so that each has a connection of its own; return the connections' ids."""
    found = []

    def read(connection):
        found.append(connection.exec_driver_sql(_OWN_ID[database.dialect]).scalar())
        barrier.wait(10)

    threads = [threading.Thread(target=database.read, args=(read,)) for _ in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_one_read_after_another_takes_the_same_connection(database):
    assert own_id(database) == own_id(database)
    assert database.connections_in_use()["reading"] == 0


def test_no_more_are_kept_than_the_pool_may_hold(database):
    assert len(set(at_once(database, 6, threading.Barrier(6)))) == 6
    assert database._kept.idle() == 4
    assert database.connections_in_use()["reading"] == 0


def test_reads_go_on_when_the_server_has_broken_every_kept_connection(database):
    broken = at_once(database, 4, threading.Barrier(4))
    killer = sa.create_engine(database.url, isolation_level="AUTOCOMMIT")
    with killer.connect() as connection:
        for each in broken:
            connection.exec_driver_sql(_KILL[database.dialect].format(each))
    killer.dispose()
    after = [own_id(database) for _ in range(4)]
    assert not set(after) & set(broken)


def test_a_connection_that_an_error_left_is_not_kept(database):
    own_id(database)
    with pytest.raises(sa.exc.DBAPIError):
        database.read(lambda connection: connection.exec_driver_sql("SELECT nothing FROM nowhere"))
    assert database._kept.idle() == 0
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
    assert database._kept.idle() == 0
    assert database.reader.pool.checkedout() == 0
    assert own_id(database)
