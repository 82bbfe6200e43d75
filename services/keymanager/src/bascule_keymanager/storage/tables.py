"""The columns of Barbican's tables that this release reads and writes; what else they have is none of its business."""

import sqlalchemy as sa

__all__ = [
    "container_acl_users",
    "container_acls",
    "container_consumer_metadata",
    "container_secret",
    "containers",
    "encrypted_data",
    "kek_data",
    "orders",
    "project_quotas",
    "project_secret_store",
    "projects",
    "secret_acl_users",
    "secret_acls",
    "secret_consumer_metadata",
    "secret_counts",
    "secret_store_metadata",
    "secret_stores",
    "secret_user_metadata",
    "secrets",
    "transport_keys",
]

_metadata = sa.MetaData()


def _entity(name: str, *columns: sa.Column[object]) -> sa.Table:
    return sa.Table(
        name,
        _metadata,
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("created_at", sa.DateTime),
        sa.Column("updated_at", sa.DateTime),
        sa.Column("deleted_at", sa.DateTime),
        sa.Column("deleted", sa.Boolean),
        sa.Column("status", sa.String(20)),
        *columns,
    )


projects = _entity("projects", sa.Column("external_id", sa.String(255)))

secrets = _entity(
    "secrets",
    sa.Column("display_name", sa.String(255)),
    sa.Column("secret_type", sa.String(255)),
    sa.Column("expiration", sa.DateTime),
    sa.Column("algorithm", sa.String(255)),
    sa.Column("bit_length", sa.Integer),
    sa.Column("mode", sa.String(255)),
    sa.Column("creator_id", sa.String(255)),
    sa.Column("project_id", sa.String(36)),
)

secret_store_metadata = _entity(
    "secret_store_metadata",
    sa.Column("key", sa.String(255)),
    sa.Column("value", sa.String(255)),
    sa.Column("secret_id", sa.String(36)),
)

encrypted_data = _entity(
    "encrypted_data",
    sa.Column("content_type", sa.String(255)),
    sa.Column("secret_id", sa.String(36)),
    sa.Column("kek_id", sa.String(36)),
    sa.Column("cypher_text", sa.Text),
    sa.Column("kek_meta_extended", sa.Text),
)

kek_data = _entity(
    "kek_data",
    sa.Column("plugin_name", sa.String(255)),
    sa.Column("kek_label", sa.String(255)),
    sa.Column("project_id", sa.String(36)),
    sa.Column("active", sa.Boolean),
    sa.Column("bind_completed", sa.Boolean),
    sa.Column("algorithm", sa.String(255)),
    sa.Column("bit_length", sa.Integer),
    sa.Column("mode", sa.String(255)),
    sa.Column("plugin_meta", sa.Text),
)

orders = _entity(
    "orders",
    sa.Column("type", sa.String(255)),
    sa.Column("project_id", sa.String(36)),
    sa.Column("creator_id", sa.String(255)),
    sa.Column("error_status_code", sa.String(16)),
    sa.Column("error_reason", sa.String(255)),
    sa.Column("meta", sa.Text),
    sa.Column("secret_id", sa.String(36)),
    sa.Column("container_id", sa.String(36)),
    sa.Column("sub_status", sa.String(36)),
    sa.Column("status_detail", sa.String(255)),
    # Ours, since 2028.1.
    sa.Column("sealed_meta", sa.Text),
    sa.Column("sealed_meta_kek_id", sa.String(36)),
)

containers = _entity(
    "containers",
    sa.Column("name", sa.String(255)),
    sa.Column("type", sa.String(11)),
    sa.Column("project_id", sa.String(36)),
    sa.Column("creator_id", sa.String(255)),
)

container_secret = _entity(
    "container_secret",
    sa.Column("name", sa.String(255)),
    sa.Column("container_id", sa.String(36)),
    sa.Column("secret_id", sa.String(36)),
)

container_consumer_metadata = _entity(
    "container_consumer_metadata",
    sa.Column("container_id", sa.String(36)),
    sa.Column("project_id", sa.String(36)),
    sa.Column("name", sa.String(36)),
    sa.Column("URL", sa.String(255)),
    sa.Column("data_hash", sa.String(64)),
)

secret_consumer_metadata = _entity(
    "secret_consumer_metadata",
    sa.Column("secret_id", sa.String(36)),
    sa.Column("project_id", sa.String(36)),
    sa.Column("service", sa.String(255)),
    sa.Column("resource_type", sa.String(255)),
    sa.Column("resource_id", sa.String(36)),
)

# Ours, since 2028.2.
secret_counts = sa.Table(
    "bascule_secret_counts",
    _metadata,
    sa.Column("project_id", sa.String(36), primary_key=True),
    sa.Column("part", sa.SmallInteger, primary_key=True),
    sa.Column("living", sa.Integer),
    sa.Column("expiring_changes", sa.Integer),
    sa.Column("changes", sa.BigInteger),
)

secret_user_metadata = _entity(
    "secret_user_metadata",
    sa.Column("key", sa.String(255)),
    sa.Column("value", sa.String(255)),
    sa.Column("secret_id", sa.String(36)),
)


def _acls(of: str) -> sa.Table:
    return _entity(
        f"{of}_acls",
        sa.Column(f"{of}_id", sa.String(36)),
        sa.Column("operation", sa.String(255)),
        sa.Column("project_access", sa.Boolean),
    )


def _acl_users(of: str) -> sa.Table:
    return _entity(f"{of}_acl_users", sa.Column("acl_id", sa.String(36)), sa.Column("user_id", sa.String(255)))


secret_acls, secret_acl_users = _acls("secret"), _acl_users("secret")
container_acls, container_acl_users = _acls("container"), _acl_users("container")

project_quotas = _entity(
    "project_quotas",
    sa.Column("project_id", sa.String(36)),
    sa.Column("secrets", sa.Integer),
    sa.Column("orders", sa.Integer),
    sa.Column("containers", sa.Integer),
    sa.Column("consumers", sa.Integer),
    sa.Column("cas", sa.Integer),
)

secret_stores = _entity(
    "secret_stores",
    sa.Column("store_plugin", sa.String(255)),
    sa.Column("crypto_plugin", sa.String(255)),
    sa.Column("global_default", sa.Boolean),
    sa.Column("name", sa.String(255)),
)

project_secret_store = _entity(
    "project_secret_store", sa.Column("project_id", sa.String(36)), sa.Column("secret_store_id", sa.String(36))
)

transport_keys = _entity(
    "transport_keys", sa.Column("plugin_name", sa.String(255)), sa.Column("transport_key", sa.Text)
)
