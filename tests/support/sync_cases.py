"""The sync rule cell by cell: what stands in the row, what is written, and what must stand there then.

A row is (fullname, first, last). `filled` says whether the row was backfilled before the write.
"""

from support.people import ALIAS, NAMES, create_people, make_engine, people, write

CASES = {
    "an old insert fills the new columns": (
        None,
        "INSERT INTO people (id, fullname) VALUES ('1', 'Ada King')",
        ("Ada King", "Ada", "King"),
    ),
    "a new insert fills the old column": (
        None,
        "INSERT INTO people (id, first, last) VALUES ('1', 'Ada', 'King')",
        ("Ada King", "Ada", "King"),
    ),
    "an insert of nothing stays empty": (None, "INSERT INTO people (id) VALUES ('1')", (None, None, None)),
    "an insert that agrees on both sides is left alone": (
        None,
        "INSERT INTO people (id, fullname, first, last) VALUES ('1', 'Ada', 'Ada', '')",
        ("Ada", "Ada", ""),
    ),
    "of an insert that disagrees, the new side wins": (
        None,
        "INSERT INTO people (id, fullname, first, last) VALUES ('1', 'Eve', 'Ada', 'King')",
        ("Ada King", "Ada", "King"),
    ),
    "an old update of a row never filled fills it": (
        "virgin",
        "UPDATE people SET fullname = 'Eve Moss'",
        ("Eve Moss", "Eve", "Moss"),
    ),
    "an old update of a filled row follows": (
        "filled",
        "UPDATE people SET fullname = 'Eve Moss'",
        ("Eve Moss", "Eve", "Moss"),
    ),
    "an old update to NULL follows": ("filled", "UPDATE people SET fullname = NULL", (None, None, None)),
    "an old update of case only follows": (
        "filled",
        "UPDATE people SET fullname = 'ADA Byron'",
        ("ADA Byron", "ADA", "Byron"),
    ),
    "an old update of a trailing blank follows": (
        "filled",
        "UPDATE people SET fullname = 'Ada Byron '",
        ("Ada Byron ", "Ada", "Byron "),
    ),
    "a new update goes back to the old column": (
        "filled",
        "UPDATE people SET last = 'King'",
        ("Ada King", "Ada", "King"),
    ),
    "a new update of case only goes back": (
        "filled",
        "UPDATE people SET last = 'BYRON'",
        ("Ada BYRON", "Ada", "BYRON"),
    ),
    "a partial new update of a row never filled keeps the rest": (
        "virgin",
        "UPDATE people SET first = 'Eve'",
        ("Eve Byron", "Eve", "Byron"),
    ),
    "a full new update of a row never filled goes back": (
        "virgin",
        "UPDATE people SET first = 'Eve', last = 'Moss'",
        ("Eve Moss", "Eve", "Moss"),
    ),
    "a new update that the old side cannot spell is not echoed": (
        "filled",
        "UPDATE people SET first = 'Ada Maria'",
        ("Ada Maria Byron", "Ada Maria", "Byron"),
    ),
    "of an update of both sides, the new one wins": (
        "filled",
        "UPDATE people SET fullname = 'Eve Moss', last = 'King'",
        ("Ada King", "Ada", "King"),
    ),
    "a write of another column changes nothing": ("virgin", "UPDATE people SET age = 36", ("Ada Byron", None, None)),
    "an old update of the same value changes nothing": (
        "virgin",
        "UPDATE people SET fullname = 'Ada Byron'",
        ("Ada Byron", None, None),
    ),
    "a swap of case between two columns is seen": (
        "filled",
        "UPDATE people SET first = 'ada', last = 'byron'",
        ("ada byron", "ada", "byron"),
    ),
}


def check(db, case):
    """Expand an empty database, bring the row where the case wants it, write, and compare."""
    before, sql, expected = CASES[case]
    create_people(db, [] if before is None else [("1", "Ada Byron", "ada")])
    schema = make_engine(db, [NAMES])
    schema.expand()
    if before == "filled":
        schema.migrate()
    write(db, sql)
    assert _row(db) == expected
    schema.migrate()  # a row that a write left as it was is filled now, and none is stale
    fullname, first, last = _row(db)
    assert fullname == expected[0]
    assert expected[1] is None or (first, last) == expected[1:]


def check_upsert_and_rename(db):
    """A rename keeps case, blanks and NULL both ways, also when both releases write in turn."""
    create_people(db, [("1", None, "ada")])
    make_engine(db, [ALIAS]).expand()
    for sql, value in (
        ("UPDATE people SET alias = 'Ada'", "Ada"),
        ("UPDATE people SET nick = 'ada '", "ada "),
        ("UPDATE people SET alias = NULL", None),
        ("UPDATE people SET nick = 'é'", "é"),
    ):
        write(db, sql)
        row = people(db)["1"]
        assert (row["nick"], row["alias"]) == (value, value)


def _row(db):
    row = people(db)["1"]
    return (row["fullname"], row["first"], row["last"])
