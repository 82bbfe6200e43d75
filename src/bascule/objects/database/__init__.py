"""Rows of versioned objects in the service's own database, written at the live pin. Needs SQLAlchemy."""

from bascule.objects.database.database import Database

__all__ = ["Database"]
