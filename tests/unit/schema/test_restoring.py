"""A service that does one thing before a change is contracted and another one after takes part in the way back."""

import pytest
from support.people import NAMES, create_people, make_engine, phases

from bascule.schema import phase_of


class NotYet(Exception):
    pass


@pytest.fixture
def schema(db):
    create_people(db, [("a", "Ada King", "ada")])
    schema = make_engine(db, [NAMES])
    schema.expand()
    schema.migrate()
    return schema


def phase(schema, **options):
    with schema.engine.begin() as connection:
        return phase_of(connection, NAMES.id, **options)


def test_a_service_sees_how_far_a_change_is(schema):
    assert [phase(schema), phase(schema, hold=True)] == ["synced", "synced"]
    schema.contract()
    assert phase(schema, hold=True) == "contracted"
    with schema.engine.begin() as connection:
        assert phase_of(connection, "no-such-change") == "planned"


@pytest.mark.parametrize("options", [{}, {"keep_synced": True}, {"accept_loss": True}])
def test_a_rollback_asks_the_service_while_the_change_is_restoring(schema, options):
    asked = []
    schema.on_restore = lambda change, loss: asked.append((change, loss, phase(schema)))
    schema.contract()
    schema.rollback(**options)
    assert asked == [(NAMES.id, "accept_loss" in options, "restoring")]


def test_a_service_that_is_not_ready_keeps_the_change_restoring_and_is_asked_again(schema):
    asked = []

    def refuse(change, _loss):
        asked.append(change)
        if len(asked) == 1:
            raise NotYet

    schema.on_restore = refuse
    schema.contract()
    with pytest.raises(NotYet):
        schema.rollback(keep_synced=True)
    assert phase(schema) == "restoring"
    assert phases(schema.rollback(keep_synced=True)) == {NAMES.id: "synced"}
    assert asked == [NAMES.id] * 2


def test_nobody_is_asked_where_nothing_was_contracted(schema):
    asked = []
    schema.on_restore = lambda *about: asked.append(about)
    schema.fence()
    schema.rollback(keep_synced=True)
    schema.rollback()
    assert asked == []
