"""Columns that come, go, get another name or type, or allow NULL no longer."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import sqlalchemy as sa
from alembic.operations.ops import AddColumnOp, AlterColumnOp, DropColumnOp

from bascule.schema.alembic.propose.proposal import AnyColumn, AnyType, Choice, Maker, Proposal
from bascule.schema.alembic.undecided import Undecided

__all__ = ["is_plain", "propose_alter", "propose_columns"]

ColumnOp = AddColumnOp | DropColumnOp


def is_plain(operation: ColumnOp) -> bool:
    """Whether the column holds what is written to it: nothing that the database computes or counts."""
    column = _column(operation)
    return column.computed is None and column.identity is None


def propose_columns(operations: Sequence[ColumnOp], maker: Maker) -> list[Proposal | Choice]:
    """Return renames where a column goes and one of its kind comes; what may be one or may not, as a choice."""
    found: list[Proposal | Choice] = []
    ordered = sorted(operations, key=lambda operation: operation.table_name)
    for table, of in groupby(ordered, key=lambda operation: operation.table_name):
        group = list(of)
        old = [_column(operation) for operation in group if isinstance(operation, DropColumnOp)]
        new = [_column(operation) for operation in group if isinstance(operation, AddColumnOp)]
        found += _of_table(table, old, new, maker)
    return found


def propose_alter(operation: AlterColumnOp, maker: Maker) -> list[Proposal | Choice] | None:
    """Return a Retype, or a change of NULL; None where only a default or a comment changes."""
    table, column, kind = operation.table_name, operation.column_name, sa.types.to_instance(operation.existing_type)
    if operation.modify_type is not None:
        new = sa.types.to_instance(operation.modify_type)
        word = re.split(r"\W", maker.compile(new), maxsplit=1)[0].lower()
        model = f'{column} = mapped_column("{column}_{word}", ...) or another name of yours'
        why = f"A type cannot change in place: let the models name the new column, {model}."
        may_be_null = operation.existing_nullable if operation.modify_nullable is None else operation.modify_nullable
        retype = _retype(table, (column, kind), (f"{column}_{word}", new), maker, why)
        return [retype, *_strict(table, f"{column}_{word}", new, maker, may_be_null=may_be_null)]
    if operation.modify_nullable is False:
        why = 'Give it fill="..." to replace each NULL; without, contract refuses while there is one.'
        return [maker.make("SetNotNull", table, (column, "not-null"), {"column": column, "type": kind}, [why])]
    if operation.modify_nullable:
        return [maker.make("DropNotNull", table, (column, "null"), {"column": column, "type": kind})]
    return None


def _of_table(
    table: str, old: Sequence[AnyColumn], new: Sequence[AnyColumn], maker: Maker
) -> Iterator[Proposal | Choice]:
    matches = {(one.name, two.name): (one, two) for one in old for two in new if _is_alike(one.type, two.type, maker)}
    for one in old:
        if not any(names[0] == one.name for names in matches):
            yield _drop(table, one, maker)
    for two in new:
        if not any(names[1] == two.name for names in matches):
            yield from _add(table, two, maker)
    for group in _connected(list(matches)):
        pairs = [matches[names] for names in group]
        if len(pairs) == 1:
            yield from _moved(table, *pairs[0], maker, sure=True)
        else:
            yield _choice(table, pairs, maker)


def _choice(table: str, pairs: Sequence[tuple[AnyColumn, AnyColumn]], maker: Maker) -> Choice:
    old = {one.name: one for one, _ in pairs}
    new = {two.name: two for _, two in pairs}
    question = f"{table}: {', '.join(old)} may have become {', '.join(new)}; say below which did, and which go and come"
    options = [option for one, two in pairs for option in _moved(table, one, two, maker, sure=False)]
    options += [_drop(table, column, maker) for column in old.values()]
    options += [option for column in new.values() for option in _add(table, column, maker)]
    return Choice(question, tuple(options))


def _moved(table: str, old: AnyColumn, new: AnyColumn, maker: Maker, *, sure: bool) -> Iterator[Proposal]:
    """Yield a rename, or where the type changes a bit, a change of type with another name."""
    if maker.compile(old.type) == maker.compile(new.type):
        names = {"old": old.name, "new": new.name, "type": new.type}
        moved = maker.make("Rename", table, (new.name,), names)
    else:
        moved = _retype(table, (old.name, old.type), (new.name, new.type), maker)
    if sure:
        why = f"Taken for one column, since {old.name} goes and {new.name} comes. If it is not, use the lines below."
        moved = replace(moved, notes=(why, *moved.notes), instead=(_drop(table, old, maker), *_add(table, new, maker)))
    yield moved
    yield from _strict(table, new.name, new.type, maker, may_be_null=new.nullable)


def _retype(table: str, old: tuple[str, AnyType], new: tuple[str, AnyType], maker: Maker, why: str = "") -> Proposal:
    (old_name, old_type), (new_name, new_type) = old, new
    up: object = None
    down: object = None
    notes = [why] if why else []
    if _is_alike(old_type, new_type, maker):
        notes.append("Values are copied as they are; give `up` and `down` where they do not fit.")
    else:
        up = Undecided(f"SQL that makes {new_name} of {{o.{old_name}}}, of type {maker.compile(new_type)}")
        down = Undecided(f"SQL that makes {old_name} of {{n.{new_name}}}, of type {maker.compile(old_type)}")
    sides = {"old": old_name, "old_type": old_type, "new": new_name, "type": new_type, "up": up, "down": down}
    return maker.make("Retype", table, (new_name,), sides, notes)


def _strict(table: str, column: str, kind: AnyType, maker: Maker, *, may_be_null: bool | None) -> Iterator[Proposal]:
    """Yield what makes a new column as strict as the models want it: until contract it must allow NULL."""
    if may_be_null is False:
        yield maker.make("SetNotNull", table, (column, "not-null"), {"column": column, "type": kind})


def _add(table: str, column: AnyColumn, maker: Maker) -> Iterator[Proposal]:
    default, notes = _default(column), list[str]()
    if default is None and column.server_default is not None:
        notes.append("Its default is no constant, which would rewrite the table: give `default` or `fill`.")
    if default is None and not column.nullable:
        default = Undecided(f"`default`, a constant, or `fill`, SQL over {{row.x}}, for {table}.{column.name}")
        notes.append("The old release leaves the column out: what shall stand there then?")
    nullable = None if column.nullable else False
    arguments = {"column": column.name, "type": column.type, "nullable": nullable, "default": default}
    yield maker.make("AddColumn", table, (column.name,), arguments, notes)


def _drop(table: str, column: AnyColumn, maker: Maker) -> Proposal:
    stand_in = None
    if not column.nullable and column.server_default is None:
        stand_in = Undecided(f"what the old release reads in {table}.{column.name} of rows that the new one inserted")
    name = column.name
    arguments = {"column": name, "type": column.type, "stand_in": stand_in}
    return maker.make("DropColumn", table, ("drop", name), arguments)


def _default(column: AnyColumn) -> object:
    """Return the constant that the models give a column by default; None when there is none, or it is no constant."""
    if isinstance(column.server_default, sa.DefaultClause):
        given = column.server_default.arg
        if isinstance(given, str):
            return given
        quoted = re.fullmatch(r"'((?:[^']|'')*)'|(-?\d+)", str(getattr(given, "text", "")))
        if quoted:
            return int(quoted[2]) if quoted[2] else quoted[1].replace("''", "'")
        return None
    if column.server_default is None and isinstance(column.default, sa.ColumnDefault) and column.default.is_scalar:
        value = column.default.arg
        return value if type(value) in {str, int, float, bool} else None
    return None


def _column(operation: ColumnOp) -> AnyColumn:
    return operation.column if isinstance(operation, AddColumnOp) else operation.to_column()


def _is_alike(old: AnyType, new: AnyType, maker: Maker) -> bool:
    """Whether a value of the one type may as well be one of the other."""
    if isinstance(old, sa.types.NullType) or isinstance(new, sa.types.NullType):
        return False  # a type that SQLAlchemy does not know
    if maker.compile(old) == maker.compile(new):
        return True
    try:
        return old.python_type is new.python_type
    except NotImplementedError:
        return False


def _connected(pairs: Sequence[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Yield the pairs in groups that share no column with each other."""
    left = list(pairs)
    while left:
        group, rest = [left[0]], left[1:]
        while linked := [pair for pair in rest if any(pair[0] == one[0] or pair[1] == one[1] for one in group)]:
            group += linked
            rest = [pair for pair in rest if pair not in linked]
        yield group
        left = rest
