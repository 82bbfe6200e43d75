import pathlib
import tempfile

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from support.people import History, Person, create_people, operations, starting_rows


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(rows=starting_rows(), history=operations())
def test_no_history_of_old_and_new_writes_loses_or_alters_what_anyone_wrote(rows, history):
    with tempfile.TemporaryDirectory() as directory:
        db = sa.create_engine(f"sqlite:///{pathlib.Path(directory) / 'service.db'}")
        sa.event.listen(db, "connect", lambda driver, _: driver.execute("PRAGMA synchronous = OFF"))
        create_people(db, [(key, fullname, None) for key, fullname in rows.items()])
        world = History(db, {key: Person(fullname) for key, fullname in rows.items()})
        world.schema.expand()
        world.run(history)
        world.finish()
        db.dispose()
