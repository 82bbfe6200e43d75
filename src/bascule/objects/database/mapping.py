"""One class and its table: which columns are read and written at a pin, and rows to objects and back."""

import functools
from collections.abc import Mapping as MappingType
from types import NoneType
from typing import Any

import sqlalchemy as sa

from bascule.errors import ObjectError
from bascule.objects.change import Change
from bascule.objects.database.columns import InColumn
from bascule.objects.fields import Field
from bascule.objects.spec import Spec
from bascule.objects.stored import Stored, UnreadableRow
from bascule.release import Release

__all__ = ["Mapping", "mapping_of"]

Values = dict[str, Any]  # Any: what columns take and give


class Mapping:
    """A class of objects and its table. Raises TypeError for a field without a column, or a class without a table."""

    def __init__(self, cls: type[Stored]) -> None:
        self.cls, self.spec = cls, _spec_of(cls)
        self.table: sa.Table = cls.table
        if self.table is None:
            raise TypeError(f"{cls.__name__} has no table; give its class one: class {cls.__name__}(..., table=...)")
        self.fields: dict[str, InColumn] = {}
        for name, each in self.spec.fields.items():
            column = cls.columns.get(name, name)
            if column is not None and column in self.table.c:
                self.fields[name] = InColumn(each.kind, self.table.c[column])
            elif column is not None and not each.wire_only:
                raise TypeError(
                    f"{cls.__name__}.{name} has no column {column!r} in {self.table.name}; add it, or say "
                    f"columns={{{name!r}: None}} of a field that is not kept there"
                )
            elif each.required and not each.wire_only:
                raise TypeError(f"{cls.__name__}.{name} is not kept in {self.table.name} and so needs a default")
        self.key = cls.key_fields()

    def readable(self, pin: Release | None) -> "list[sa.Column[Any]]":
        """Return the columns to read: those that ended only while the pin is below that, as they go away later."""
        return [
            in_column.column
            for name, in_column in self.fields.items()
            if name in self.key or not self._ended(self.spec.fields[name], pin)
        ]

    def read(self, row: MappingType[str, Any], pin: Release | None) -> Stored:
        """Return the unchanged object of a row of `readable` columns. Raises UnreadableRow."""
        values: Values = {}
        for name, in_column in self.fields.items():
            if in_column.column.name in row:
                try:
                    values[name] = in_column.from_column(row[in_column.column.name])
                except (ObjectError, ValueError) as wrong:
                    raise UnreadableRow(self.spec.name, f"{name} {wrong}") from None
        for step in self.spec.changes:
            if pin is not None and pin < step.since and all(values.get(name) is None for name in step.newer):
                self._read_older_side(step, values)
        try:
            return self.cls.hydrate({name: value for name, value in values.items() if not self._is_absent(name, value)})
        except TypeError as wrong:
            raise UnreadableRow(self.spec.name, str(wrong)) from None

    def write(self, each: Stored, names: frozenset[str], pin: Release | None) -> tuple[Values, frozenset[str]]:
        """Return what to write at the pin of the fields `names`, by column; and which of the names that covers."""
        written: Values = {}
        covered: set[str] = set()
        for name in names & self.fields.keys():
            if self.spec.fields[name].exists_at(pin):
                written[self.fields[name].column.name] = self.fields[name].to_column(getattr(each, name), pin)
                covered.add(name)
        for older, newer in self._older_sides(each, names, pin):
            written.update(older)
            covered |= newer
        return written, frozenset(covered)

    def rewritten(self, each: Stored, row: MappingType[str, Any], pin: Release | None) -> Values:
        """Return what the pin would have otherwise in the object's row: words, objects, and older sides of changes."""
        steps = self.spec.changes_after(pin)
        names = {name for step in steps for name in step.newer}
        names |= {field.name for field in self.spec.attributes if field.kind.releases() or field.kind.classes()}
        values, _ = self.write(each, frozenset(names), pin)
        kept = {column: value for column, value in values.items() if not isinstance(value, NoneType | sa.Null)}
        return {column: value for column, value in kept.items() if row.get(column) != value}

    def holds(self, values: MappingType[str, Any]) -> "list[sa.ColumnElement[bool]]":
        """Return the conditions that a row holds these values. Raises TypeError for lists, dicts, sets and objects."""
        return [self._holds(name, self.fields[name], value) for name, value in values.items()]

    def _holds(self, name: str, in_column: InColumn, value: Any) -> "sa.ColumnElement[bool]":
        column = in_column.column
        if value is None:
            return column.is_(None)
        if in_column.is_structured:
            raise TypeError(f"{self.spec.name}.{name} cannot be compared in the database; compare it after reading")
        if not isinstance(value, list):
            equal: sa.ColumnElement[bool] = column == in_column.to_column(value, None)
            return equal
        return sa.or_(
            column.in_([in_column.to_column(each, None) for each in value if each is not None]),
            *(column.is_(None) for each in value if each is None),
        )

    @staticmethod
    def _ended(field: Field, pin: Release | None) -> bool:
        return field.until is not None and (pin is None or pin >= field.until)

    def _is_absent(self, name: str, value: Any) -> bool:
        """Whether the field gets its default: its column is empty, as an older release left it, and must not be."""
        field = self.spec.fields[name]
        if field.wire_only:
            return True
        return value is None and not field.required and not _may_be_none(field)

    def _read_older_side(self, step: Change, values: Values) -> None:
        if any(values.get(name) is None for name in step.older):
            return
        wire = {
            name: self.spec.fields[name].kind.to_wire(value, None)
            for name, value in values.items()
            if value is not None or _may_be_none(self.spec.fields[name])
        }
        try:
            newer = step.up(wire)
            values.update((name, self.spec.fields[name].kind.from_wire(newer[name])) for name in step.newer)
        except (ArithmeticError, LookupError, TypeError, ValueError):
            # The values are the row's; what is said about them must not be quoted.
            raise UnreadableRow(self.spec.name, f"{list(step.older)} cannot be converted") from None

    def _older_sides(
        self, each: Stored, names: frozenset[str], pin: Release | None
    ) -> list[tuple[Values, frozenset[str]]]:
        """Return the columns of each hand-written change that the pin is below, and the fields that they stand for."""
        if not (steps := self.spec.changes_after(pin)):
            return []
        values = {
            field.name: field.kind.to_wire(getattr(each, field.name), pin if field.exists_at(pin) else None)
            for field in self.spec.attributes
        }
        changed, sides = set(names), []
        for step in steps:
            older = dict(step.down(values))
            values.update(older)
            if changed.isdisjoint(step.newer):
                continue
            changed.update(step.older)
            columns = {
                self.fields[name].column.name: self._from_wire(name, older[name], pin)
                for name in step.older
                if name in self.fields and self.spec.fields[name].exists_at(pin)
            }
            sides.append((columns, frozenset(step.newer) & names))
        return sides

    def _from_wire(self, name: str, wire: Any, pin: Release | None) -> Any:
        return self.fields[name].to_column(self.spec.fields[name].kind.from_wire(wire), pin)


@functools.cache
def mapping_of(cls: type[Stored]) -> Mapping:
    """Return the class's mapping, made once."""
    return Mapping(cls)


def _spec_of(cls: type[Stored]) -> Spec:
    return cls.generated.spec


def _may_be_none(field: Field) -> bool:
    try:
        field.kind.checked(None)
    except ValueError:
        return False
    return True
