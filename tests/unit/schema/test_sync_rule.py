import pytest
from support.sync_cases import CASES, check, check_upsert_and_rename


@pytest.mark.parametrize("case", CASES)
def test_on_sqlite(db, case):
    check(db, case)


def test_a_rename_keeps_case_blanks_and_null_both_ways(db):
    check_upsert_and_rename(db)


def test_triggers_that_may_recurse_settle_all_the_same(db):
    import sqlalchemy as sa

    sa.event.listen(db, "connect", lambda driver, _: driver.execute("PRAGMA recursive_triggers = ON"))
    db.dispose()
    check(db, "a new update that the old side cannot spell is not echoed")
