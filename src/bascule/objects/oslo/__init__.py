"""Classes of oslo.versionedobjects as they are, but faster and pinned. Needs oslo.versionedobjects."""

from bascule.objects.oslo.adopt import Adopted, adopt
from bascule.objects.oslo.pinned import NotAtPin

__all__ = ["Adopted", "NotAtPin", "adopt"]
