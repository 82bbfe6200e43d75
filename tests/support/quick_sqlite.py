"""SQLite that does not wait for the disk: for tests that lose nothing if the machine does."""

from contextlib import contextmanager

import sqlalchemy as sa


@contextmanager
def without_disk():
    """Have every SQLite connection that is opened meanwhile leave writing out to the operating system."""

    def relax(connection, _record):
        if type(connection).__module__.startswith("sqlite3"):
            connection.execute("PRAGMA synchronous = OFF")

    sa.event.listen(sa.Engine, "connect", relax)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "connect", relax)
