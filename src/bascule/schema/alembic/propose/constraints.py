"""Indexes, unique columns, checks and foreign keys."""

import re

import sqlalchemy as sa
from alembic.operations.ops import (
    CreateCheckConstraintOp,
    CreateForeignKeyOp,
    CreateIndexOp,
    CreateUniqueConstraintOp,
    DropConstraintOp,
    DropIndexOp,
    MigrateOperation,
)

from bascule.schema.alembic.propose.proposal import Choice, Maker, Proposal
from bascule.schema.alembic.undecided import Undecided

__all__ = ["is_index_of_columns", "propose_constraint", "propose_index"]

AddOp = CreateUniqueConstraintOp | CreateCheckConstraintOp | CreateForeignKeyOp

_ON_DELETE = ("NO ACTION", "RESTRICT", "CASCADE", "SET NULL")
_KNOWN_OF_KEYS = {"ondelete", "source_schema", "referent_schema", "use_alter"}


def propose_index(operation: CreateIndexOp | DropIndexOp, maker: Maker) -> list[Proposal | Choice] | None:
    """Return the change that brings or removes an index; None for one that is more than columns."""
    index, verb = operation.to_index(), "Add" if isinstance(operation, CreateIndexOp) else "Drop"
    if not is_index_of_columns(operation) or operation.table_name is None:
        return None
    kind = f"{verb}Unique" if index.unique else f"{verb}Index"
    columns = [column.name for column in index.columns]
    return [_make(maker, kind, operation.table_name, str(index.name), columns=columns)]


def is_index_of_columns(operation: CreateIndexOp | DropIndexOp) -> bool:
    """Whether its name and its columns are all that there is to say of an index, but that it is unique."""
    index = operation.to_index()
    plain = all(isinstance(one, sa.Column) for one in index.expressions)
    # A partial index's condition is a clause, which has no truth of its own; empty lists are the plain case.
    options = [value for value in index.dialect_kwargs.values() if not isinstance(value, list | dict | bool | None)]
    options += [value for value in index.dialect_kwargs.values() if isinstance(value, list | dict | bool) and value]
    return plain and index.name is not None and not options


def propose_constraint(operation: AddOp | DropConstraintOp, maker: Maker) -> list[Proposal | Choice] | None:
    """Return the change that brings or removes a constraint; None for one that says more than changes can."""
    if not isinstance(operation, DropConstraintOp):
        return _propose(operation, "Add", _plain(operation.constraint_name), maker)
    if operation.constraint_type not in {"unique", "check", "foreignkey"}:
        return None
    try:
        reverse: MigrateOperation = operation.reverse()
    except ValueError:  # nobody knows what it was
        return None
    if not isinstance(reverse, AddOp):
        return None
    return _propose(reverse, "Drop", _plain(operation.constraint_name), maker)


def _propose(operation: AddOp, verb: str, name: str | None, maker: Maker) -> list[Proposal | Choice] | None:
    if isinstance(operation, CreateForeignKeyOp):
        return _propose_key(operation, verb, name, maker)
    table = operation.table_name
    if any(operation.kw.values()):
        return None
    if isinstance(operation, CreateUniqueConstraintOp):
        columns = list(operation.columns)
        return [_make(maker, f"{verb}Unique", table, _name(verb, name, "uq", table, columns), columns=columns)]
    named: object = name or Undecided(f"the name of the check of {table}")
    return [_make(maker, f"{verb}Check", table, named, check=_row_sql(operation, maker))]


def _propose_key(
    operation: CreateForeignKeyOp, verb: str, name: str | None, maker: Maker
) -> list[Proposal | Choice] | None:
    on_delete = str(operation.kw.get("ondelete") or "NO ACTION").upper()
    more = [name for name, value in operation.kw.items() if value and name not in _KNOWN_OF_KEYS]
    if more or on_delete not in _ON_DELETE:
        return None
    table, columns = operation.source_table, list(operation.local_cols)
    return [
        _make(
            maker,
            f"{verb}ForeignKey",
            table,
            _name(verb, name, "fk", table, columns),
            columns=columns,
            refers_to=operation.referent_table,
            refers_columns=list(operation.remote_cols),
            on_delete=None if on_delete == "NO ACTION" else on_delete,
        )
    ]


def _make(maker: Maker, kind: str, table: str, name: object, **arguments: object) -> Proposal:
    word = name if isinstance(name, str) else "check"
    # Names of constraints tell the table by habit; the id need not say it twice.
    short = re.sub(rf"(?<![a-z0-9]){re.escape(table.lower())}(?![a-z0-9])", "", word.lower().replace("_", "-"))
    named = ("drop", short) if kind.startswith("Drop") else (short,)
    return maker.make(kind, table, named, {"name": name, **arguments})


def _plain(name: object) -> str | None:
    return str(name) if isinstance(name, str) else None  # Alembic has a symbol for names that are left to conventions


def _name(verb: str, name: str | None, prefix: str, table: str, columns: list[str]) -> object:
    """Return a constraint's name; a new one may get the usual, an old one must be known."""
    if name:
        return str(name)
    if verb == "Add":
        return "_".join((prefix, table, *columns))
    return Undecided(f"the name that the constraint of {table} on {', '.join(columns)} has in the database")


def _row_sql(operation: CreateCheckConstraintOp, maker: Maker) -> object:
    """Return a check with its columns as `{row.column}`; undecided where the table's columns are not known."""
    columns = maker.columns_of.get(operation.table_name)
    condition = operation.condition
    if not columns:
        return Undecided("the check, with its columns as {row.column}")
    text = condition if isinstance(condition, str) else _compile(condition, maker.dialect)
    text = text.replace("{", "{{").replace("}", "}}")
    names = "|".join(map(re.escape, sorted(columns, key=len, reverse=True)))
    table = re.escape(operation.table_name)
    pattern = rf"('(?:[^']|'')*')|(?<![\w.\"`])(?:[\"`]?{table}[\"`]?\.)?[\"`]?({names})(?![\w(])[\"`]?"
    return re.sub(pattern, lambda found: found[1] or f"{{row.{found[2]}}}", text)


def _compile(condition: sa.ColumnElement[bool] | sa.TextClause, dialect: sa.Dialect) -> str:
    return str(condition.compile(dialect=dialect, compile_kwargs={"literal_binds": True, "include_table": False}))
