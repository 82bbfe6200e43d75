"""Versioned objects that releases hand to each other."""

from bascule.objects.base import Object
from bascule.objects.change import change
from bascule.objects.fields import field
from bascule.objects.schema import frozen_of, schema_of, schemas_of
from bascule.objects.spec import IncompatibleObject, ObjectTooNew
from bascule.objects.stored import NoSuchObject, ObjectConflict, RowRefused, Stored, UnreadableRow

__all__ = [
    "IncompatibleObject",
    "NoSuchObject",
    "Object",
    "ObjectConflict",
    "ObjectTooNew",
    "RowRefused",
    "Stored",
    "UnreadableRow",
    "change",
    "field",
    "frozen_of",
    "schema_of",
    "schemas_of",
]
