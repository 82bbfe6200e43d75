"""What a field may hold, how it is checked, and how it looks on the wire."""

from bascule.objects.kinds.annotation import kind_of
from bascule.objects.kinds.kind import Kind
from bascule.objects.kinds.nested import Nestable

__all__ = ["Kind", "Nestable", "kind_of"]
