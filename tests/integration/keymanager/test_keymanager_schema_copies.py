"""What these tests work on is what the phases make: a copy is compared with it, all that the server tells of it."""

import sqlalchemy as sa
from support.keymanager_schema import make_schema, run_phases

from bascule.schema.databases import database_of
from bascule_keymanager.config import Settings

TRIGGERS = (
    "SELECT trigger_name, action_timing, event_manipulation, event_object_table, action_statement, sql_mode, "
    "character_set_client, collation_connection FROM information_schema.triggers "
    "WHERE trigger_schema = database() ORDER BY 1"
)


def picture(url):
    """Return everything about a database, and of its rows how many there are."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    metadata = sa.MetaData()
    with engine.connect() as connection:
        metadata.reflect(connection)
        inspector = sa.inspect(connection)
        found = {}
        for table in metadata.sorted_tables:
            name = table.name
            found[name] = {
                "columns": [{k: str(v) for k, v in column.items()} for column in inspector.get_columns(name)],
                "key": inspector.get_pk_constraint(name),
                "indexes": sorted(map(str, inspector.get_indexes(name))),
                "unique": sorted(map(str, inspector.get_unique_constraints(name))),
                "checks": sorted(map(str, inspector.get_check_constraints(name))),
                "refers": sorted(map(str, inspector.get_foreign_keys(name))),
                "options": inspector.get_table_options(name),
                "triggers": sorted(database_of(connection.dialect).triggers(connection, name)),
                "rows": connection.execute(sa.select(sa.func.count()).select_from(table)).scalar(),
            }
        if connection.dialect.name == "mysql":  # PostgreSQL copies a whole database, and with it their text
            found[""] = {"triggers": connection.exec_driver_sql(TRIGGERS).all()}
    return found


def test_a_copy_is_what_the_phases_make(request, server_url):
    settings = Settings(database_url=server_url, keks=())
    run_phases(settings)
    server = request.getfixturevalue("postgresql" if server_url.startswith("postgresql") else "mariadb")
    other = server.new_database()
    try:
        make_schema(Settings(database_url=other, keks=()))
        copied = picture(other)
    finally:
        server.drop_database(other)
    assert copied == picture(server_url)
    assert any(table["triggers"] for table in copied.values())
