"""PostgreSQL: putting one column in the place of another in one short transaction, with all that hangs on it.

What takes long is done before, beside the writers: unique index, indexes, the proof that there is no NULL. Afterwards
references are validated, beside the writers again.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import sqlalchemy as sa

from bascule.schema.catalog import Table
from bascule.schema.databases import Constraint, Database, Step, Trigger

__all__ = ["Dependents", "Swap", "look_at_dependents"]


@dataclass(frozen=True, slots=True)
class Dependents:
    """What hangs on a column: its default and sequence, the primary key's name, references from and to it."""

    default: str | None
    sequence: str | None
    primary_key: str | None
    references: tuple[tuple[str, str, str, str], ...]  # table, name, definition and table referred to of each
    is_identity: bool
    views: int


def look_at_dependents(connection: sa.Connection, database: Database, table: str, column: str) -> Dependents:
    """Return what hangs on a column, as the catalog has it now."""
    given = {"t": database.quote(table), "c": column}
    row = connection.execute(
        sa.text(
            "SELECT a.attnum, a.attidentity <> '' AS is_identity, pg_get_expr(d.adbin, d.adrelid) AS dflt, "
            "pg_get_serial_sequence(:t, :c) AS sequence, "
            "(SELECT count(*) FROM pg_depend p WHERE p.refobjid = a.attrelid "
            "AND p.refobjsubid = a.attnum AND p.classid = 'pg_rewrite'::regclass) AS views "
            "FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum "
            "WHERE a.attrelid = to_regclass(:t) AND a.attname = :c AND NOT a.attisdropped"
        ),
        given,
    ).one()
    constraints = connection.execute(
        sa.text(
            "SELECT contype::text AS kind, conname, pg_get_constraintdef(k.oid) AS definition, "
            "c.relname, r.relname AS refers_to FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid "
            "LEFT JOIN pg_class r ON r.oid = k.confrelid WHERE k.contype IN ('f', 'p') AND "
            "((k.conrelid = to_regclass(:t) AND :n = ANY(k.conkey)) OR "
            "(k.confrelid = to_regclass(:t) AND :n = ANY(k.confkey))) ORDER BY c.relname, conname"
        ),
        {"t": given["t"], "n": row.attnum},
    ).all()
    return Dependents(
        row.dflt,
        row.sequence,
        next((one.conname for one in constraints if one.kind == "p"), None),
        tuple(
            (one.relname, one.conname, one.definition.removesuffix(" NOT VALID"), one.refers_to)
            for one in constraints
            if one.kind == "f"
        ),
        row.is_identity,
        row.views,
    )


@dataclass(frozen=True, slots=True)
class Swap:
    """`coming` gets the name of `column`, which is called `going` from then on.

    `unique` names the index that `coming` has its primary key from, `twin` the twins of other indexes. `ends` and
    `begins` are triggers that go before and come after; `sequence_type` is for the sequence that gives out keys.
    """

    database: Database
    table: Table
    column: str
    coming: str
    going: str
    dependents: Dependents
    unique: str
    twin: Callable[[str], str]
    ends: tuple[str, ...]
    begins: tuple[Trigger, ...]
    sequence_type: str

    def steps(self, connection: sa.Connection) -> list[Step]:
        """Return what prepares the swap, the swap, and what proves the references afterwards."""
        database, table = self.database, self.table.name
        steps: list[Step] = []
        if self.dependents.primary_key is not None:
            steps.append(database.create_index(table, self.unique, self._renamed(self.table.key), unique=True))
        steps += [
            database.create_index(table, self.twin(index.name), self._renamed(index.columns))
            for index in self.table.indexes_on([self.column])
        ]
        is_strict = self.column in self.table.columns and not self.table.columns[self.column].nullable
        if is_strict:
            steps += database.set_not_null(connection, table, self.coming)
        steps = [replace(step, is_needed=self._before(step.is_needed)) for step in steps]
        swap = Step(
            f"put {table}.{self.coming} in the place of {self.column}",
            tuple(self._statements(strict=is_strict)),
            self._before(lambda _: True),
            separate=True,  # it takes its locks in an order of its own
            impact=database.instant,
        )
        references = [Constraint(owner, name, "", refers_to=to) for owner, name, _, to in self.dependents.references]
        return [*steps, swap, *(step for one in references for step in database.validate_constraint(one))]

    def _statements(self, *, strict: bool) -> list[str]:
        quote, dependents = self.database.quote, self.dependents
        alter = f"ALTER TABLE {quote(self.table.name)}"
        column, coming, going = quote(self.column), quote(self.coming), quote(self.going)
        # What is referred to comes first: writers, too, insert it before what refers to it.
        locked = sorted({to for *_, to in dependents.references})
        locked += sorted({self.table.name, *(owner for owner, *_ in dependents.references)} - set(locked))
        sql = [f"LOCK TABLE {self.database.quote_all(locked)} IN ACCESS EXCLUSIVE MODE"]
        sql += [line for name in self.ends for line in self.database.drop_trigger(self.table.name, name)]
        sql += [
            f"ALTER TABLE {quote(owner)} DROP CONSTRAINT {quote(name)}" for owner, name, *_ in dependents.references
        ]
        if dependents.primary_key is not None:
            sql.append(f"{alter} DROP CONSTRAINT {quote(dependents.primary_key)}")
        for index in self.table.indexes_on([self.column]):
            twin, name = quote(self.twin(index.name)), quote(index.name)
            sql += [f"DROP INDEX {name}", f"ALTER INDEX {twin} RENAME TO {name}"]
        sql += [f"{alter} RENAME COLUMN {column} TO {going}", f"{alter} RENAME COLUMN {coming} TO {column}"]
        if dependents.primary_key is not None:
            sql.append(
                f"{alter} ADD CONSTRAINT {quote(dependents.primary_key)} PRIMARY KEY USING INDEX {quote(self.unique)}"
            )
        if dependents.default is not None:
            sql.append(f"{alter} ALTER COLUMN {column} SET DEFAULT {dependents.default}")
            sql.append(f"{alter} ALTER COLUMN {going} DROP DEFAULT")
        if strict:
            sql.append(f"{alter} ALTER COLUMN {going} DROP NOT NULL")
        if dependents.sequence is not None:
            owned = f"{quote(self.table.name)}.{column}"
            sql.append(f"ALTER SEQUENCE {dependents.sequence} AS {self.sequence_type} OWNED BY {owned}")
        sql += [line for one in self.begins for line in self.database.create_trigger(one, self.table.key, {})]
        return sql + [
            f"ALTER TABLE {quote(owner)} ADD CONSTRAINT {quote(name)} {definition} NOT VALID"
            for owner, name, definition, _ in dependents.references
        ]

    def _renamed(self, names: tuple[str, ...]) -> list[str]:
        return [self.coming if name == self.column else name for name in names]

    def _before(self, is_needed: Callable[[sa.Connection], bool]) -> Callable[[sa.Connection], bool]:
        return lambda c: self.coming in self.database.columns(c, self.table.name) and is_needed(c)
