"""What answers hold, by name: the schemas that operations refer to."""

from typing import Any

from bascule_keymanager.api.bodies import SECRET

__all__ = ["COMPONENTS", "MEDIA_TYPES"]

Rules = dict[str, Any]  # Any: JSON

_TIME: Rules = {"type": "string", "description": "ISO 8601, UTC, without a zone"}
_TEXT: Rules = {"type": "string"}
_MAYBE: Rules = {"type": ["string", "null"]}
_URL: Rules = {"type": "string", "format": "uri"}
_NUMBER: Rules = {"type": "integer"}
_ROW: Rules = {"created": _TIME, "updated": _TIME, "status": {"type": "string", "enum": ["PENDING", "ACTIVE", "ERROR"]}}


def _object(properties: Rules, *, optional: tuple[str, ...] = ()) -> Rules:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _list(items: Rules) -> Rules:
    return {"type": "array", "items": items}


def _reference_to(name: str) -> Rules:
    return {"$ref": f"#/components/schemas/{name}"}


def _page(items: str, of: Rules) -> Rules:
    properties = {items: _list(of), "total": _NUMBER, "next": _URL, "previous": _URL}
    return _object(properties, optional=("next", "previous"))


def _items(**properties: Rules) -> Rules:
    """One item of these properties, or several; one of several that was refused says why."""
    item = _object({**properties, "error": _reference_to("Problem")}, optional=(*properties, "error"))
    return _object({**properties, "items": _list(item)}, optional=(*properties, "items"))


_RESOURCES = ("secrets", "orders", "containers", "consumers", "cas")
_OWN = _object({name: {"type": ["integer", "null"]} for name in _RESOURCES})
_ACL_READ = _object(
    {"project-access": {"type": "boolean"}, "users": _list(_TEXT), "created": _TIME, "updated": _TIME},
    optional=("users", "created", "updated"),
)
_SECRET_CONSUMER: Rules = {"service": _TEXT, "resource_type": _TEXT, "resource_id": _TEXT}
_CONTAINER_CONSUMER: Rules = {"name": _TEXT, "URL": _TEXT}

COMPONENTS: dict[str, Rules] = {
    "Problem": _object({"code": _NUMBER, "title": _TEXT, "description": _TEXT}),
    "Unauthorized": _object({"error": _object({"code": _NUMBER, "title": _TEXT, "message": _TEXT})}),
    "Text": _TEXT,
    "Nothing": {"type": "null"},
    "Payload": {"type": "string", "format": "binary"},
    "Build": _object({"build": _TEXT}),
    "Versions": {"type": "object", "required": ["versions"]},
    "Version": {"type": "object", "required": ["version"]},
    "Readiness": {"type": "object", "properties": {"ready": {"type": "boolean"}}, "required": ["ready"]},
    "Secret": _object(
        {
            **_ROW,
            "name": _MAYBE,
            "secret_type": {"type": ["string", "null"]},
            "expiration": _MAYBE,
            "algorithm": _MAYBE,
            "bit_length": {"type": ["integer", "null"]},
            "mode": _MAYBE,
            "creator_id": _MAYBE,
            "consumers": _list(_object(_SECRET_CONSUMER)),
            "content_types": _object({"default": _TEXT}),
            "secret_ref": _URL,
        },
        optional=("consumers", "content_types"),
    ),
    "SecretPage": _page("secrets", _reference_to("Secret")),
    "SecretReference": _object({"secret_ref": _URL}),
    "UserMetadata": _object({"metadata": {"type": "object", "additionalProperties": _TEXT}}),
    "MetadataReference": _object({"metadata_ref": _URL}),
    "Metadatum": _object({"key": _TEXT, "value": _TEXT}),
    "Acl": _object({"read": _ACL_READ}),
    "AclReference": _object({"acl_ref": _URL}),
    "Consumer": _object(
        {**_ROW, **_SECRET_CONSUMER, **_CONTAINER_CONSUMER}, optional=(*_SECRET_CONSUMER, *_CONTAINER_CONSUMER)
    ),
    "ConsumerPage": _page("consumers", _reference_to("Consumer")),
    "Container": _object(
        {
            **_ROW,
            "name": _MAYBE,
            "type": _TEXT,
            "creator_id": _MAYBE,
            "secret_refs": _list(_object({"name": _MAYBE, "secret_ref": _URL})),
            "consumers": _list(_object(_CONTAINER_CONSUMER)),
            "container_ref": _URL,
        }
    ),
    "ContainerPage": _page("containers", _reference_to("Container")),
    "ContainerReference": _object({"container_ref": _URL}),
    "Order": _object(
        {
            **_ROW,
            "type": _TEXT,
            "meta": {"type": "object"},
            "order_ref": _URL,
            **dict.fromkeys(("secret_ref", "container_ref"), _URL),
            **dict.fromkeys(
                ("creator_id", "sub_status", "sub_status_message", "error_status_code", "error_reason"), _TEXT
            ),
        },
        optional=(
            *("secret_ref", "container_ref", "creator_id"),
            *("sub_status", "sub_status_message", "error_status_code", "error_reason"),
        ),
    ),
    "OrderPage": _page("orders", _reference_to("Order")),
    "OrderReference": _object({"order_ref": _URL}),
    "Quotas": _object({"quotas": _object(dict.fromkeys(_RESOURCES, _NUMBER))}),
    "ProjectQuotas": _object({"project_quotas": _OWN}),
    "ProjectQuotasPage": _page("project_quotas", _object({"project_id": _TEXT, "project_quotas": _OWN})),
    "SecretStore": _object(
        {
            **_ROW,
            "name": _TEXT,
            "secret_store_plugin": _TEXT,
            "crypto_plugin": _MAYBE,
            "global_default": {"type": "boolean"},
            "secret_store_ref": _URL,
        }
    ),
    "SecretStores": _object({"secret_stores": _list(_reference_to("SecretStore"))}),
    "TransportKey": _object(
        {
            **dict.fromkeys(("id", "created_at", "updated_at", "status", "plugin_name", "transport_key"), _TEXT),
            "deleted_at": {"type": "null"},
            "deleted": {"type": "boolean"},
        }
    ),
    "TransportKeyPage": _page("transport_keys", _URL),
    "TransportKeyReference": _object({"transport_key_ref": _URL}),
    "Encrypted": _items(ciphertext=_TEXT),
    "Decrypted": _items(plaintext=_TEXT),
    "Wrapped": _items(wrapped=_TEXT),
    "Unwrapped": _items(key=_TEXT),
    "DataKey": _items(key=_TEXT, wrapped=_TEXT),
    "SecretVersion": _object(
        {
            "version": _NUMBER,
            "created": _TIME,
            "destroyed": _MAYBE,
            "labels": _list(_TEXT),
            "origin": {"type": "string", "enum": ["client", "rotation"]},
            "creator_id": _MAYBE,
            "content_types": _object({"default": _TEXT}, optional=("default",)),
            "version_ref": _URL,
            "secret_ref": _URL,
        }
    ),
    "SecretVersionPage": _page("versions", _reference_to("SecretVersion")),
    "SecretVersionReference": _object({"version": _NUMBER, "version_ref": _URL}),
    "SecretLabel": _object({"label": _TEXT, "version": _NUMBER}),
    "SecretLabels": _object({"labels": {"type": "object", "additionalProperties": _NUMBER}}),
    "SecretRotation": _object(
        {
            "rotation": _object(
                {
                    "interval_s": _NUMBER,
                    "next": _TIME,
                    "last": _MAYBE,
                    "failures": _NUMBER,
                    "failure": _MAYBE,
                }
            )
        }
    ),
    # The meta of an order is checked as a secret, and then for what its type of order needs.
    "OrderMeta": dict(SECRET.rules),
}
# What is not JSON, by the name of what is answered.
MEDIA_TYPES: dict[str, tuple[str, ...]] = {
    "Text": ("text/plain",),
    "Payload": ("application/octet-stream", "text/plain", "application/pkcs8", "*/*"),
}
