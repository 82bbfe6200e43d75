"""What must be true before the key manager is upgraded to this release, asked of its database as it stands."""

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from bascule.checks import Check, Code, failure, success, warning
from bascule.schema.state import Phase
from bascule_keymanager.crypto.plugin import ProjectKey
from bascule_keymanager.host_checks import host_checks
from bascule_keymanager.identity import RELEASE
from bascule_keymanager.identity_checks import identity_checks
from bascule_keymanager.migrations.changes import CHANGES
from bascule_keymanager.service import Parts
from bascule_keymanager.sharing import SHARED
from bascule_keymanager.storage.tables import kek_data

__all__ = ["upgrade_checks"]

Answer = tuple[Code, str]

_AT_REST = (*Phase.UNTOUCHED, Phase.CONTRACTED, Phase.PURGED)


def upgrade_checks(parts: Parts) -> list[Check]:
    """Return the checks, in the order in which a person would ask them."""
    return [
        *identity_checks(parts.settings),
        Check("database can be reached", _guarded(lambda: _reachable(parts))),
        Check("master keys open every project key", _guarded(lambda: _project_keys(parts))),
        Check("schema changes of earlier releases are finished", _guarded(lambda: _earlier_changes(parts))),
        Check("no Barbican works on these tables", lambda: _unshared(parts)),
        Check("triggers may be created", _guarded(lambda: parts.database.read(_triggers_allowed))),
        *(Check(check.name, _guarded(check.ask)) for check in host_checks(parts)),
    ]


def _guarded(ask: Callable[[], Answer]) -> Callable[[], Answer]:
    """Answer with a failure when the database does not: a check that cannot tell must not pass."""

    def asked() -> Answer:
        try:
            return ask()
        except SQLAlchemyError as trouble:
            cause = type(getattr(trouble, "orig", None) or trouble).__name__
            return failure(f"the database could not be asked ({cause}); check [database] connection and the server")

    return asked


def _reachable(parts: Parts) -> Answer:
    parts.database.read(lambda connection: connection.execute(sa.select(sa.literal(1))).scalar())
    return success()


def _project_keys(parts: Parts) -> Answer:
    wrapped = sa.select(kek_data.c.id, kek_data.c.plugin_name, kek_data.c.kek_label, kek_data.c.plugin_meta).where(
        kek_data.c.bind_completed == sa.true(), kek_data.c.deleted == sa.false()
    )
    if not parts.database.read(lambda connection: sa.inspect(connection).has_table(kek_data.name)):
        return success("the database is empty")
    rows = parts.database.read(lambda connection: connection.execute(wrapped).all())
    plugins = parts.crypto_plugins
    strange = sorted({row.plugin_name for row in rows} - set(plugins))
    if strange:
        return failure(
            f"project keys were made by {', '.join(strange)}, which is not configured here; "
            "name it in [crypto] enabled_crypto_plugins, with its own options"
        )
    closed = [row.id for row in rows if not plugins[row.plugin_name].can_unwrap(ProjectKey(*row))]
    if closed:
        return failure(
            f"{len(closed)} of {len(rows)} project keys open with no configured master key, for example {closed[0]}; "
            "add the key that wrapped them to [simple_crypto_plugin] kek"
        )
    return success(f"{len(rows)} project keys")


def _earlier_changes(parts: Parts) -> Answer:
    own = {change.id for change in CHANGES}  # what this release carries along it can finish by itself
    unfinished = [
        f"{change.id} of {change.release} is {change.phase}"
        for change in parts.schema.status()
        if change.id not in own and change.release < RELEASE and change.phase not in _AT_REST
    ]
    if unfinished:
        return failure(f"{'; '.join(unfinished)}; finish that release first, with its own keymanager-db-manage")
    return success()


def _unshared(parts: Parts) -> Answer:
    if parts.settings.messaging.barbican is not None:
        return failure(
            f"{SHARED}, and {RELEASE} is to change them; go on when the last of it is gone, and the option is out "
            "of the configuration file"
        )
    return success()


def _triggers_allowed(connection: Connection) -> Answer:
    if connection.dialect.name in ("mysql", "mariadb"):
        return _triggers_on_mariadb(connection)
    if connection.dialect.name == "postgresql":
        allowed = connection.execute(sa.text("SELECT has_schema_privilege(current_schema(), 'CREATE')")).scalar()
        strangers = connection.execute(
            sa.text(
                "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
                " AND relname IN ('secrets', 'orders') AND NOT pg_has_role(relowner, 'MEMBER')"
            )
        ).scalar()
        if not allowed or strangers:
            return failure("the database user must own the tables, and may create functions in their schema")
    return success()


def _triggers_on_mariadb(connection: Connection) -> Answer:
    logs, trusts = connection.execute(
        sa.text("SELECT @@GLOBAL.log_bin, @@GLOBAL.log_bin_trust_function_creators")
    ).one()
    grants = " ".join(connection.execute(sa.text("SHOW GRANTS")).scalars()).upper()
    # GRANT ALL on something, or a role whose grants are not shown here, is told apart from nothing at all.
    everything = "ALL PRIVILEGES" in grants
    if not everything and "TRIGGER" not in grants:
        return warning("the database user seems to lack the TRIGGER privilege; grant it on the key manager's database")
    if logs and not trusts and "SUPER" not in grants and "ALL PRIVILEGES ON *.*" not in grants:
        return failure(
            "the server writes a binary log and does not trust creators of triggers; "
            "set log_bin_trust_function_creators = 1 on it"
        )
    return success()
