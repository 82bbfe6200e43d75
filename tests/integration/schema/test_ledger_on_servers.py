"""The ledger of examples/ on PostgreSQL and MariaDB: from release to release, and over three at once."""

import pytest
from alembic import command
from support.ledger import close, dump, parts, seen, start, step, take_over


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request):
    yield request.getfixturevalue(request.param)
    close()


@pytest.fixture
def url(server):
    url = server.new_database()
    yield url
    close()
    server.drop_database(url)


def test_both_releases_write_at_each_step_and_skipping_releases_leads_to_the_same(server, url):
    start(url)
    for old, new in (("1", "2"), ("2", "3"), ("3", "4")):
        _, after, schema, expected = take_over(url, old, new)
        command.check(after.alembic)
        schema.fence("refuse")
        schema.contract()
        schema.purge()
        command.check(after.alembic)
        assert seen(after.book) == expected
    stepwise = dump(url)
    at_once = server.new_database()
    try:
        start(at_once)
        step(at_once, "4")
        skipped = dump(at_once)
        first = len(skipped["accounts"]["rows"]), len(skipped["postings"]["rows"])
        assert skipped["accounts"]["rows"] == stepwise["accounts"]["rows"][: first[0]]
        assert skipped["postings"]["rows"] == stepwise["postings"]["rows"][: first[1]]
        assert {name: what | {"rows": 0} for name, what in skipped.items()} == {
            name: what | {"rows": 0} for name, what in stepwise.items()
        }
        command.check(parts("4", at_once).alembic)
    finally:
        close()
        server.drop_database(at_once)
