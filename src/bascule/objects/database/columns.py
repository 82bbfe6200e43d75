"""What a field's value looks like in its column."""

import enum
import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from bascule.objects.kinds import Kind
from bascule.objects.kinds.containers import Around, Nullable
from bascule.objects.kinds.nested import Nested, OneOf
from bascule.objects.kinds.raw import AnyJson, Binary
from bascule.objects.kinds.scalars import Plain
from bascule.objects.kinds.texts import Moment
from bascule.release import Release

__all__ = ["InColumn"]


@dataclass(frozen=True)
class InColumn:
    """One field's kind and its column. Any: values of the kind, and what the column's type takes and gives.

    Moments are kept with their fractions of a second, in UTC, with a zone where the column has one. Lists, dicts,
    sets, objects and any JSON are JSON, in a column of JSON or of text. All else is kept as it travels.
    """

    kind: Kind
    column: "sa.Column[Any]"

    @property
    def is_structured(self) -> bool:
        """Whether the value is JSON in its column."""
        return isinstance(self._bare(), (Around, Nested, OneOf, AnyJson))

    def to_column(self, value: Any, pin: Release | None) -> Any:
        """Return what is written at the pin."""
        kind, column = self._bare(), self.column.type
        if value is None:
            return sa.null() if isinstance(column, sa.JSON) else None
        if isinstance(kind, Moment):
            return value if getattr(column, "timezone", False) else value.replace(tzinfo=None)
        if isinstance(kind, Binary) and isinstance(column, sa.LargeBinary):
            return value
        wire = kind.to_wire(value, pin)
        if self.is_structured:
            return wire if isinstance(column, sa.JSON) else json.dumps(wire, separators=(",", ":"))
        if isinstance(column, sa.Uuid) and column.as_uuid:
            return uuid.UUID(wire)
        if isinstance(column, sa.Enum) and column.enum_class is not None:
            return column.enum_class(wire)
        return wire

    def from_column(self, data: Any) -> Any:
        """Return the value. Raises ValueError when it is of another kind, without quoting it."""
        kind = self._bare()
        if data is None:
            return None
        if isinstance(kind, Moment) and isinstance(data, datetime):
            return kind.checked(data)
        if isinstance(kind, Binary) and isinstance(data, bytes):
            return kind.checked(data)
        if self.is_structured and isinstance(data, str) and not isinstance(self.column.type, sa.JSON):
            return kind.from_wire(_parsed(data))
        if isinstance(kind, Plain) and isinstance(data, Decimal):
            return kind.checked(kind.kind(data))
        if isinstance(data, enum.Enum):
            return kind.from_wire(data.value)
        return kind.from_wire(str(data) if isinstance(data, uuid.UUID) else data)

    def _bare(self) -> Kind:
        return self.kind.inner if isinstance(self.kind, Nullable) else self.kind


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        # The parser's error quotes the text, which may hold secrets.
        raise ValueError("must be JSON") from None
