"""MariaDB: filling new columns by a copy of the table, made beside its writers and swapped in."""

from bascule.schema.table_copy.copy import copy_table
from bascule.schema.table_copy.settle import abandon, settle, undisturbed

__all__ = ["abandon", "copy_table", "settle", "undisturbed"]
