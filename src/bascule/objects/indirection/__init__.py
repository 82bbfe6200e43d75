"""Rows of objects for processes without credentials: their methods run where the database is.

The three calls are those of oslo.versionedobjects: `object_class_action_versions`, `object_action` and
`object_backport_versions`. Whatever carries a call by name with plain JSON both ways can carry them.
"""

from bascule.objects.indirection.remotable import remotable
from bascule.objects.indirection.remote import Carrier, Remote
from bascule.objects.indirection.server import Indirection

__all__ = ["Carrier", "Indirection", "Remote", "remotable"]
