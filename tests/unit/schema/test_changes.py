import pytest
import sqlalchemy as sa
from support.people import ALIAS, NAMES, make_engine

import bascule.schema
from bascule.schema import Rename, Split, trigger_names
from bascule.schema.refusals import BadChange


def test_trigger_names_say_the_change_and_the_event():
    assert trigger_names(ALIAS) == (
        "bsc_f0_people_alias_upd_old",
        "bsc_g9_people_alias_upd_new",
        "bsc_f0_people_alias_ins_old",
        "bsc_g9_people_alias_ins_new",
    )


def test_trigger_names_of_long_ids_fit_every_database_and_stay_apart():
    long = [Rename(id=f"{'a-very-long-name-' * 4}{end}", table="t", old="a", new="b", type=sa.Text()) for end in "xy"]
    names = [name for change in long for name in trigger_names(change)]
    assert max(map(len, names)) <= 55
    assert len(set(names)) == 8


@pytest.mark.parametrize("bad", ["", "Upper", "under_score", "-front", "back-", "two--hyphens", "a b", "x" * 101])
def test_an_id_that_could_not_name_a_trigger_is_refused(bad):
    with pytest.raises(BadChange, match="its id must be"):
        Rename(id=bad, table="t", old="a", new="b", type=sa.Text())


def test_a_rename_to_itself_is_refused():
    with pytest.raises(BadChange, match="different names"):
        Rename(id="x", table="t", old="a", new="a", type=sa.Text())


def test_a_split_without_a_way_back_is_refused():
    with pytest.raises(BadChange, match="`down` exactly the old ones"):
        Split(id="x", table="t", old={"a": sa.Text()}, new={"b": sa.Text()}, up={"b": "{o.a}"}, down={})


def test_an_expression_that_names_an_unknown_column_is_refused():
    split = Split(id="x", table="t", old={"a": sa.Text()}, new={"b": sa.Text()}, up={"b": "{o.c}"}, down={"a": "{n.b}"})
    with pytest.raises(BadChange, match="names what it does not have"):
        split.fill("b", "sqlite", old={"a": "a"}, new={})


def test_a_database_without_an_expression_is_refused():
    split = Split(
        id="x", table="t", old={"a": sa.Text()}, new={"b": sa.Text()}, up={"b": {"mysql": "{o.a}"}}, down={"a": "{n.b}"}
    )
    assert split.expression("b", "mariadb") == "{o.a}"
    with pytest.raises(BadChange, match="no expression for column b on sqlite"):
        split.expression("b", "sqlite")


def test_two_changes_of_one_id_are_refused():
    with pytest.raises(BadChange, match="its id is taken"):
        make_engine(sa.create_engine("sqlite://"), [NAMES, NAMES])


def test_public_names_are_sorted_and_there():
    assert bascule.schema.__all__ == sorted(bascule.schema.__all__)
    assert all(hasattr(bascule.schema, name) for name in bascule.schema.__all__)
