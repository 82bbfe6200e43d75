"""The key manager on PostgreSQL and MariaDB: what SQLite cannot show."""

import base64
import dataclasses

import sqlalchemy as sa
from sqlalchemy.engine import make_url
from support.at_once import at_once

from bascule.checks import Code, run_checks
from bascule_keymanager.service import Parts
from bascule_keymanager.upgrade_checks import upgrade_checks

KEY = {"type": "key", "meta": {"name": "k", "algorithm": "aes", "bit_length": 256}}


def path_of(reference):
    return "/v1" + reference.partition("/v1")[2]


def test_a_secret_lives_and_dies(keymanager):
    client = keymanager.client()
    raw = bytes(range(256))
    body = {
        "name": "n",
        "payload": base64.b64encode(raw).decode(),
        "payload_content_type": "application/octet-stream",
        "payload_content_encoding": "base64",
    }
    path = path_of(client.simulate_post("/v1/secrets", json=body).json["secret_ref"])
    assert client.simulate_get(path).json["name"] == "n"
    assert client.simulate_get(path + "/payload").content == raw
    assert client.simulate_get("/v1/secrets?name=n").json["total"] == 1
    assert client.simulate_delete(path).status_code == 204
    assert client.simulate_get(path).status_code == 404


def test_what_is_stored_is_text_on_every_database(keymanager):
    client = keymanager.client()
    body = {"payload": "p", "payload_content_type": "text/plain"}
    client.simulate_post("/v1/secrets", json=body)
    with keymanager.database.reader.connect() as connection:
        [(cypher, meta)] = connection.execute(
            sa.text("SELECT cypher_text, plugin_meta FROM encrypted_data, kek_data")
        ).all()
    base64.b64decode(cypher, validate=True)
    assert meta.startswith("gAAAA")


def test_reads_send_nothing_but_their_statement(keymanager):
    client = keymanager.client()
    body = {"payload": "p", "payload_content_type": "text/plain"}
    path = path_of(client.simulate_post("/v1/secrets", json=body).json["secret_ref"])
    seen = keymanager.count_statements()
    client.simulate_get(path)
    client.simulate_get(path + "/payload")
    assert len(seen) == 3, "the project's key was not known"
    seen.clear()
    client.simulate_get(path + "/payload")
    assert len(seen) == 1


def test_first_requests_of_a_new_project_at_once_make_one_project_and_one_key(keymanager):
    others = [keymanager.again() for _ in range(6)]
    found = at_once(len(others), lambda number: others[number].key_of("new").id)
    for process in others:
        process.database.dispose()
    assert [item for item in found if isinstance(item, Exception)] == []
    assert len(set(found)) == 1
    with keymanager.database.reader.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM kek_data")).scalar() == 1


def test_two_workers_with_the_same_orders_make_each_key_once(keymanager):
    client = keymanager.client()
    for _ in range(15):
        assert client.simulate_post("/v1/orders", json=KEY).status_code == 202
    workers = [keymanager.again() for _ in range(2)]
    seen = [worker.orders.pending(older_than_s=-60, most=50) for worker in workers]
    assert [len(orders) for orders in seen] == [15, 15]
    outcomes = at_once(2, lambda number: [workers[number].processor.process(order) for order in seen[number]])
    for worker in workers:
        worker.database.dispose()
    assert sorted(outcomes[0] + outcomes[1]) == ["done"] * 15 + ["not pending"] * 15
    assert client.simulate_get("/v1/secrets").json["total"] == 15


def test_one_of_two_second_steps_wins(keymanager):
    client = keymanager.client()
    path = path_of(client.simulate_post("/v1/secrets", json={"name": "later"}).json["secret_ref"])

    def put(number):
        body = f"payload {number}".encode()
        return client.simulate_put(path, body=body, headers={"Content-Type": "text/plain"}).status_code

    answers = at_once(4, put)
    assert sorted(answers) == [204, 409, 409, 409]
    winner = answers.index(204)
    assert client.simulate_get(path + "/payload").content == f"payload {winner}".encode()


def of_database(parts):
    """The checks that ask the database; those before them ask the configuration."""
    checks = upgrade_checks(parts)
    return checks[[check.name for check in checks].index("database can be reached") :]


def test_the_upgrade_check_passes_for_the_owner_of_the_database(keymanager):
    keymanager.key_of()
    parts = Parts(keymanager.settings)
    outcomes = run_checks(of_database(parts))
    parts.database.dispose()
    assert {outcome.name for outcome in outcomes if outcome.code is not Code.SUCCESS} == {"references do not change"}
    assert "1 project keys" in {outcome.details for outcome in outcomes}


def test_the_upgrade_check_tells_who_may_not_do_what_is_needed(keymanager):
    """A user who may only read and write data, and delete none."""
    url = make_url(keymanager.settings.database_url)
    with keymanager.database.writer.begin() as connection:
        if keymanager.database.dialect == "mysql":
            connection.execute(sa.text("CREATE OR REPLACE USER clerk@'%' IDENTIFIED BY 'clerk'"))
            connection.execute(sa.text(f"GRANT SELECT, INSERT, UPDATE ON {url.database}.* TO clerk@'%'"))
        else:
            connection.execute(sa.text("DROP ROLE IF EXISTS clerk"))
            connection.execute(sa.text("CREATE ROLE clerk LOGIN PASSWORD 'clerk'"))
            connection.execute(sa.text("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO clerk"))
    settings = dataclasses.replace(
        keymanager.settings,
        database_url=url.set(username="clerk", password="clerk").render_as_string(hide_password=False),
    )
    parts = Parts(settings)
    outcomes = {outcome.name: outcome for outcome in run_checks(of_database(parts))}
    parts.database.dispose()
    with keymanager.database.writer.begin() as connection:
        if keymanager.database.dialect == "mysql":
            connection.execute(sa.text("DROP USER clerk@'%'"))
        else:
            connection.execute(sa.text("DROP OWNED BY clerk"))
            connection.execute(sa.text("DROP ROLE clerk"))
    for name in ("triggers may be created", "the database user may do what is needed"):
        refused = outcomes.pop(name)
        assert refused.code is not Code.SUCCESS
        assert "database user" in refused.details
    assert "DELETE" in refused.details
    outcomes.pop("references do not change")
    assert {outcome.code for outcome in outcomes.values()} == {Code.SUCCESS}


def test_a_transaction_that_waited_too_long_for_a_lock_is_run_again(keymanager):
    database, tries = keymanager.database, []
    keymanager.projects.get_or_create("p1")
    impatient = {"mysql": "SET SESSION innodb_lock_wait_timeout = 1", "postgresql": "SET LOCAL lock_timeout = '500ms'"}
    holder = database.writer.connect()
    holder.execute(sa.text("UPDATE projects SET status = 'ACTIVE'"))

    def work(connection):
        tries.append(len(tries))
        if len(tries) == 2:
            holder.rollback()
        connection.execute(sa.text(impatient[database.dialect]))
        return connection.execute(sa.text("UPDATE projects SET status = 'PENDING'")).rowcount

    assert database.write(work) == 1
    holder.close()
    assert tries == [0, 1]
