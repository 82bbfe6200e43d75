"""MariaDB: filling new columns by a copy of the table, made beside its writers and swapped in."""
