"""A fence whose triggers somebody dropped, on every database: expand leaves no half of it standing."""

import itertools
import os

import pytest
import sqlalchemy as sa
from support import extracted, secrets
from support.people import NAMES, QUICK, create_people, make_engine, phases, write

from bascule.schema.databases import database_of
from bascule.schema.refusals import OldWritesSeen, StaleRows, TriggersMissing

# Two triggers of each fence; `make fuzz-schema-kill` drops every one.
ALL = os.environ.get("BASCULE_TEST_KILLS") == "0"


def people(db):
    create_people(db, [("1", "Ada King", "ada")])
    schema = make_engine(db, [NAMES], options=QUICK)
    return schema, "people", lambda value: write(db, f"UPDATE people SET fullname = 'Eve {value}'")


def wrapped(db):
    secrets.create(db, 3)
    return secrets.make(db), "secrets", lambda value: secrets.update_old(db, "001", b"old %d" % value)


def payloads(db):
    extracted.start(db)
    return extracted.engine(db), "secrets", lambda value: extracted.update_old(db, "01", f"old {value}")


def triggers(db, table):
    with db.connect() as connection:
        return sorted(database_of(db.dialect).triggers(connection, table))


@pytest.mark.parametrize("mode", ["refuse", "count"])
@pytest.mark.parametrize("make", [people, wrapped, payloads])
def test_whatever_trigger_of_a_fence_is_dropped_expand_opens_all_of_it_again(any_db, make, mode):
    schema, table, write_old = make(any_db)
    values = itertools.count()  # a write that changes nothing is nobody's
    schema.expand()
    schema.migrate()
    schema.fence(mode)
    names = triggers(any_db, table)
    for name in names if ALL else {names[0], names[-1]}:
        write(any_db, f"DROP TRIGGER {name}" + (f" ON {table}" if any_db.dialect.name == "postgresql" else ""))
        with pytest.raises(TriggersMissing):
            schema.migrate()
        schema.expand()
        assert set(phases(schema.status()).values()) == {"expanded"}
        schema.migrate()
        write_old(next(values))
        schema.migrate()
        schema.fence(mode)
        if mode == "refuse":
            with pytest.raises(sa.exc.DBAPIError, match="old shape"):
                write_old(next(values))
        else:
            write_old(next(values))
            with pytest.raises((OldWritesSeen, StaleRows)):  # what is not kept in step is stale, besides
                schema.contract()
            schema.migrate()
            schema.fence(mode)
