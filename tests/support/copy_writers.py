"""Processes that write a table while it is being copied and swapped, each its own rows, and remember what was accepted.

with Writers(url, count=4) as writers: ...
accepted, errors = writers.result
"""

import multiprocessing
import os
import random
import time
from dataclasses import dataclass, field

import sqlalchemy as sa

__all__ = ["TABLE", "Writers", "rows_of"]

TABLE = (
    "CREATE TABLE members (id int NOT NULL AUTO_INCREMENT PRIMARY KEY, owner int NOT NULL, fullname varchar(100), "
    "nick varchar(50), email varchar(100), visits int NOT NULL DEFAULT 0, "
    "shout varchar(100) AS (upper(fullname)) VIRTUAL, "
    "seen timestamp(6) NOT NULL DEFAULT '2020-01-01 00:00:00' ON UPDATE current_timestamp(6), "
    "UNIQUE KEY uq_email (email), KEY ix_owner (owner, visits), KEY ix_visits (visits))"
)


@dataclass
class Writers:
    """So many processes. Afterwards `accepted` has what each row must hold, `errors` what a writer was told."""

    url: str
    count: int = 4
    new_column: str = ""
    accepted: dict = field(default_factory=dict)
    errors: list = field(default_factory=list)

    def __enter__(self):
        context = multiprocessing.get_context("spawn")
        self._stop, self._answers = context.Event(), context.Queue()
        ready = context.Barrier(self.count + 1)
        self._processes = [
            context.Process(target=_write, args=(self.url, number, self.new_column, ready, self._stop, self._answers))
            for number in range(1, self.count + 1)
        ]
        for process in self._processes:
            process.start()
        ready.wait(timeout=60)
        return self

    def __exit__(self, *_exc):
        self._stop.set()
        for _ in self._processes:
            accepted, errors = self._answers.get(timeout=60)
            self.accepted |= accepted
            self.errors += errors
        for process in self._processes:
            process.join()


def rows_of(db):
    """Return {id: (owner, fullname, email, visits)} as stored."""
    with db.begin() as connection:
        found = connection.exec_driver_sql("SELECT id, owner, fullname, email, visits FROM members")
        return {row[0]: tuple(row[1:]) for row in found}


def _write(url, number, new_column, ready, stop, answers):
    db, dice, mine, errors = sa.create_engine(url), random.Random(number), {}, []
    with db.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        ready.wait()
        while not stop.is_set() and os.getppid() != 1:
            staged = dict(mine)
            try:
                for _ in range(dice.choice((1, 1, 2))):
                    _one(connection, dice, number, staged, new_column)
                time.sleep(0.002)  # each is one of many in the service's life, and the machine is for all of us
                if dice.random() < 0.1:
                    connection.rollback()
                else:
                    connection.commit()
                    mine = staged
            except sa.exc.DBAPIError as error:
                errors.append(str(error.orig))
                connection.rollback()
    answers.put((mine, errors))


def _one(connection, dice, number, mine, new_column):
    """Insert, update (in the old or the new shape), move to another key, pass a unique value on, or delete."""
    what = dice.choice(("insert", "insert", "insert", "rename", "visit", "visit", "move", "pass", "delete"))
    name = f"Näme{dice.randrange(10**6)} of {number}"
    if what == "insert" or len(mine) < 2:
        column = dice.choice(("fullname", new_column)) if new_column else "fullname"
        email = f"{number}-{dice.randrange(10**9)}@example.org"
        sql = f"INSERT INTO members (owner, {column}, email) VALUES (:owner, :name, :email)"
        done = connection.execute(sa.text(sql), {"owner": number, "name": name, "email": email})
        assert done.lastrowid == connection.scalar(sa.text("SELECT last_insert_id()"))
        mine[done.lastrowid] = (number, name, email, 0)
        return
    key, other = dice.sample(sorted(mine), 2)
    owner, fullname, email, visits = mine[key]
    if what == "rename":
        column = dice.choice(("fullname", new_column)) if new_column else "fullname"
        _update(connection, f"{column} = :name", key, name=name)
        mine[key] = (owner, name, email, visits)
    elif what == "visit":
        _update(connection, "visits = visits + 1", key)
        mine[key] = (owner, fullname, email, visits + 1)
    elif what == "move":
        to = -(1_000_000 * number + dice.randrange(10**5))  # where no number is given out
        if to not in mine:
            _update(connection, "id = :to", key, to=to)
            mine[to] = mine.pop(key)
    elif what == "pass":  # a unique value goes from one row to another
        fresh = f"{number}-{dice.randrange(10**9)}@example.org"
        _update(connection, "email = :email", key, email=fresh)
        _update(connection, "email = :email", other, email=email)
        mine[key] = (owner, fullname, fresh, visits)
        mine[other] = (*mine[other][:2], email, mine[other][3])
    else:
        connection.execute(sa.text("DELETE FROM members WHERE id = :key"), {"key": key})
        del mine[key]


def _update(connection, sets, key, **values):
    done = connection.execute(sa.text(f"UPDATE members SET {sets} WHERE id = :key"), {"key": key, **values})
    assert done.rowcount == 1
