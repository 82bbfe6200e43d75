"""Barbican's schema at its revision 8c74e2d7f1ff, for a fresh database; a Barbican database is left as it is.

Releases 16 to 23 of Barbican share this schema (docs of the key manager: "Opening a Barbican database"). Nothing here
follows later releases of the key manager: what they change, they declare as changes.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

__all__ = ["BARBICAN_REVISION", "create_base", "has_base", "metadata"]

BARBICAN_REVISION = "8c74e2d7f1ff"

metadata = sa.MetaData()


def create_base(connection: Connection) -> None:
    """Create Barbican's tables and stamp its revision, within the caller's transaction, where there is no stamp.

    Safe to call twice, and after it was killed half-way: tables that are there stay, and the stamp is written last.
    """
    if has_base(connection):
        return
    metadata.create_all(connection, checkfirst=True)
    connection.execute(_version.insert().values(version_num=BARBICAN_REVISION))


def has_base(connection: Connection) -> bool:
    """Whether this database holds Barbican's schema."""
    if not sa.inspect(connection).has_table(_version.name):
        return False
    return connection.execute(sa.select(_version.c.version_num)).first() is not None


_version = sa.Table("alembic_version", metadata, sa.Column("version_num", sa.String(32), primary_key=True))


def _entity(name: str, *items: Any) -> sa.Table:  # Any: columns and constraints
    return sa.Table(
        name,
        metadata,
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("updated_at", sa.DateTime, nullable=False),
        sa.Column("deleted_at", sa.DateTime),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        *items,
        mysql_engine="InnoDB",
    )


def _text(name: str, length: int = 255, **options: Any) -> sa.Column[str]:  # Any: Column's own keywords
    return sa.Column(name, sa.String(length), **options)


def _reference(name: str, target: str, *, required: bool = True, **options: Any) -> sa.Column[str]:  # Any: as _text
    return sa.Column(
        name, sa.String(36), sa.ForeignKey(f"{target}.id"), nullable=not required, **{"index": True, **options}
    )


_entity("projects", _text("external_id", unique=True))
_entity(
    "secrets",
    _text("name"),
    _text("secret_type", server_default="opaque"),
    sa.Column("expiration", sa.DateTime),
    _text("algorithm"),
    sa.Column("bit_length", sa.Integer),
    _text("mode"),
    _text("creator_id"),
    _reference("project_id", "projects"),
    # Ours: pages of a project's secrets come in the order of their making.
    sa.Index("ix_secrets_project_id_created_at", "project_id", "created_at"),
)
_entity(
    "secret_store_metadata",
    _text("key", nullable=False),
    _text("value", nullable=False),
    _reference("secret_id", "secrets"),
)
_entity(
    "secret_user_metadata",
    _text("key", nullable=False),
    _text("value", nullable=False),
    _reference("secret_id", "secrets"),
    sa.UniqueConstraint("secret_id", "key", name="_secret_key_uc"),
)
_entity(
    "kek_data",
    _text("plugin_name", nullable=False),
    _text("kek_label"),
    _reference("project_id", "projects"),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("bind_completed", sa.Boolean, nullable=False),
    _text("algorithm"),
    sa.Column("bit_length", sa.Integer),
    _text("mode"),
    sa.Column("plugin_meta", sa.Text),
)
_entity(
    "encrypted_data",
    _text("content_type"),
    _reference("secret_id", "secrets"),
    _reference("kek_id", "kek_data"),
    sa.Column("cypher_text", sa.Text),
    sa.Column("kek_meta_extended", sa.Text),
)
_entity(
    "secret_consumer_metadata",
    _reference("secret_id", "secrets"),
    _reference("project_id", "projects", required=False),
    _text("service", nullable=False),
    _text("resource_type", nullable=False),
    _text("resource_id", 36, nullable=False, index=True),
    sa.UniqueConstraint("secret_id", "service", "resource_type", "resource_id", name="_secret_consumer_resource_uc"),
)
_entity("containers", _text("name"), _text("type", 11), _reference("project_id", "projects"), _text("creator_id"))
_entity(
    "container_secret",
    _text("name"),
    _reference("container_id", "containers"),
    _reference("secret_id", "secrets"),
    sa.UniqueConstraint("container_id", "secret_id", "name", name="_container_secret_name_uc"),
)
_entity(
    "container_consumer_metadata",
    _reference("container_id", "containers"),
    _reference("project_id", "projects", required=False),
    _text("name", 36),
    _text("URL"),
    sa.Column("data_hash", sa.CHAR(64)),
    sa.UniqueConstraint("data_hash", name="_consumer_hashed_container_name_url_uc"),
    sa.Index("values_index", "container_id", "name", "URL"),
)
for _of, _target in (("secret", "secrets"), ("container", "containers")):
    _entity(
        f"{_of}_acls",
        _reference(f"{_of}_id", _target),
        _text("operation", nullable=False),
        sa.Column("project_access", sa.Boolean, nullable=False),
        sa.UniqueConstraint(f"{_of}_id", "operation", name=f"_{_of}_acl_operation_uc"),
    )
    _entity(
        f"{_of}_acl_users",
        _reference("acl_id", f"{_of}_acls"),
        _text("user_id", nullable=False),
        sa.UniqueConstraint("acl_id", "user_id", name=f"_{_of}_acl_user_uc"),
    )
_entity(
    "orders",
    _text("type", nullable=False),
    _reference("project_id", "projects"),
    _text("error_status_code", 16),
    _text("error_reason"),
    sa.Column("meta", sa.Text),
    _reference("secret_id", "secrets", required=False),
    _reference("container_id", "containers", required=False),
    _text("sub_status", 36),
    _text("sub_status_message"),
    _text("creator_id"),
    # Ours: the worker's look for forgotten orders must not read the finished ones.
    sa.Index("ix_orders_status_created_at", "status", "created_at"),
)
_entity(
    "order_plugin_metadata",
    _reference("order_id", "orders"),
    _text("key", nullable=False),
    _text("value", nullable=False),
)
_entity(
    "order_barbican_metadata",
    _reference("order_id", "orders"),
    _text("key", nullable=False),
    sa.Column("value", sa.Text, nullable=False),
)
_entity(
    "order_retry_tasks",
    _reference("order_id", "orders"),
    sa.Column("retry_task", sa.Text, nullable=False),
    sa.Column("retry_at", sa.DateTime, nullable=False),
    sa.Column("retry_args", sa.Text, nullable=False),
    sa.Column("retry_kwargs", sa.Text, nullable=False),
    sa.Column("retry_count", sa.Integer, nullable=False),
)
_entity(
    "project_quotas",
    _reference("project_id", "projects"),
    *(sa.Column(name, sa.Integer) for name in ("secrets", "orders", "containers", "consumers", "cas")),
)
_entity(
    "secret_stores",
    _text("store_plugin", nullable=False),
    _text("crypto_plugin"),
    sa.Column("global_default", sa.Boolean, nullable=False),
    _text("name", nullable=False),
    sa.UniqueConstraint("name", name="_secret_stores_name_uc"),
    sa.UniqueConstraint("store_plugin", "crypto_plugin", name="_secret_stores_plugin_names_uc"),
)
_entity(
    "project_secret_store",
    _reference("secret_store_id", "secret_stores"),
    _reference("project_id", "projects"),
    sa.UniqueConstraint("project_id", name="_project_secret_store_project_uc"),
)
_entity("transport_keys", _text("plugin_name", nullable=False), sa.Column("transport_key", sa.Text, nullable=False))
_entity(
    "certificate_authorities",
    _text("plugin_name", nullable=False),
    sa.Column("plugin_ca_id", sa.Text, nullable=False),
    sa.Column("expiration", sa.DateTime),
    _text("creator_id"),
    _reference("project_id", "projects", required=False, index=False),
)
_entity(
    "certificate_authority_metadata",
    _text("key", nullable=False, index=True),
    sa.Column("value", sa.Text, nullable=False),
    _reference("ca_id", "certificate_authorities"),
    sa.UniqueConstraint("ca_id", "key", name="_certificate_authority_metadatum_uc"),
)
_entity(
    "project_certificate_authorities",
    _reference("project_id", "projects"),
    _reference("ca_id", "certificate_authorities"),
    sa.UniqueConstraint("project_id", "ca_id", name="_project_certificate_authority_uc"),
)
_entity(
    "preferred_certificate_authorities",
    _reference("project_id", "projects", unique=True),
    _reference("ca_id", "certificate_authorities"),
)
