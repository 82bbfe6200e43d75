"""What a field may hold, how it is checked, and how it looks on the wire."""

from bascule.objects.kinds.annotation import kind_of
from bascule.objects.kinds.kind import Kind

__all__ = ["Kind", "kind_of"]
