"""The columns of Barbican's tables that this release reads and writes; what else they have is none of its business."""

import sqlalchemy as sa

__all__ = [
    "container_secret",
    "encrypted_data",
    "kek_data",
    "orders",
    "projects",
    "secret_acl_users",
    "secret_acls",
    "secret_consumer_metadata",
    "secret_store_metadata",
    "secret_user_metadata",
    "secrets",
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
)

# Read by nothing yet: a deleted secret takes its rows here with it.
container_secret = _entity("container_secret", sa.Column("secret_id", sa.String(36)))
secret_consumer_metadata = _entity("secret_consumer_metadata", sa.Column("secret_id", sa.String(36)))
secret_user_metadata = _entity("secret_user_metadata", sa.Column("secret_id", sa.String(36)))
secret_acls = _entity("secret_acls", sa.Column("secret_id", sa.String(36)))
secret_acl_users = _entity("secret_acl_users", sa.Column("acl_id", sa.String(36)))
