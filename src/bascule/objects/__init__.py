"""Versioned objects that releases hand to each other."""

from bascule.objects.base import IncompatibleObject, Object, ObjectTooNew
from bascule.objects.fields import field
from bascule.objects.schema import schema_of, schemas_of

__all__ = ["IncompatibleObject", "Object", "ObjectTooNew", "field", "schema_of", "schemas_of"]
