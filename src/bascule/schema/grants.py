"""PostgreSQL: who may use a table must be told to a new one that stands beside it, or its writes fail."""

import sqlalchemy as sa

from bascule.schema.databases import Database

__all__ = ["copied_grants"]


def copied_grants(connection: sa.Connection, database: Database, table: str, to: str) -> list[str]:
    """Return the statements that let everybody read and write `to` who may read and write the table."""
    if database.name != "postgresql":
        return []  # there, rights are given for whole databases, and checked by the file system
    query = sa.text(
        "SELECT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS who, "
        "string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type) AS what "
        "FROM pg_class c CROSS JOIN aclexplode(c.relacl) a WHERE c.oid = to_regclass(:t) AND a.grantee <> c.relowner "
        "AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE') GROUP BY a.grantee ORDER BY 1"
    )
    rows = connection.execute(query, {"t": database.quote(table)})
    return [f"GRANT {row.what} ON {database.quote(to)} TO {row.who}" for row in rows]
