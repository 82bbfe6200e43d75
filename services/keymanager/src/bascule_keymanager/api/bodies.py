"""What each JSON body may hold, one schema per kind; `check` on them says what is wrong in Barbican's words."""

from typing import Any

from bascule_keymanager.api.schema import Schema

__all__ = [
    "ACL",
    "CONTAINER",
    "CONTAINER_CONSUMER",
    "CONTAINER_SECRET",
    "ORDER",
    "PROJECT_QUOTAS",
    "SECRET",
    "SECRET_CONSUMER",
    "SECRET_LABEL",
    "SECRET_METADATA",
    "SECRET_METADATUM",
    "SECRET_ROTATION",
    "SECRET_VERSION",
    "TRANSPORT_KEY",
]

_SECRET: dict[str, Any] = {
    "name": {"type": ["string", "null"], "maxLength": 255},
    "algorithm": {"type": "string", "maxLength": 255},
    "mode": {"type": "string", "maxLength": 255},
    "bit_length": {"type": "integer", "minimum": 1, "maximum": 32_767},
    "expiration": {"type": "string", "maxLength": 255},
    "payload": {"type": "string", "writeOnly": True},
    "secret_type": {
        "type": "string",
        "enum": ["symmetric", "passphrase", "private", "public", "certificate", "opaque"],
    },
    "payload_content_type": {"type": ["string", "null"], "maxLength": 255},
    "payload_content_encoding": {"type": "string", "enum": ["base64"]},
    "transport_key_needed": {"type": "string", "enum": ["true", "false"]},
    "transport_key_id": {"type": "string"},
}  # Any: JSON, in all of this file
_LARGEST = 2**31 - 1  # of the INTEGER columns

_NAME = _SECRET["name"]
_SECRET_REF: dict[str, Any] = {"type": "string", "minLength": 1}


def _text(longest: int | None = None, *, least: int | None = None) -> dict[str, Any]:
    bounds = {"maxLength": longest, "minLength": least}
    return {"type": "string", **{name: bound for name, bound in bounds.items() if bound is not None}}


SECRET = Schema("Secret", {"type": "object", "properties": _SECRET})
ORDER = Schema(
    "Order",
    {
        "type": "object",
        "properties": {"meta": {"type": "object"}, "type": {"type": "string", "enum": ["key", "asymmetric"]}},
        "required": ["meta", "type"],
        "oldRequired": True,
    },
)
SECRET_METADATA = Schema(
    "SecretMetadata",
    {"type": "object", "properties": {"metadata": {"type": "object"}}, "required": ["metadata"], "oldRequired": True},
)
SECRET_METADATUM = Schema(
    "SecretMetadatum",
    {
        "type": "object",
        "properties": {"key": _text(255), "value": _text(255)},
        "required": ["key", "value"],
        "oldRequired": True,
        "additionalProperties": False,
    },
)
ACL = Schema(
    "ACL",
    {
        "type": "object",
        "properties": {
            "read": {
                "type": "object",
                "properties": {
                    "users": {"type": "array", "items": _text(255)},
                    "project-access": {"type": "boolean"},
                },
                "additionalProperties": False,
            }
        },
        "additionalProperties": False,
    },
)
CONTAINER_CONSUMER = Schema(
    "Consumer",
    {
        "type": "object",
        "properties": {"URL": _text(255, least=1), "name": _text(36, least=1)},
        "required": ["name", "URL"],
    },
)
SECRET_CONSUMER = Schema(
    "Secret Consumer",
    {
        "type": "object",
        "properties": {
            "service": _text(255, least=1),
            "resource_type": _text(255, least=1),
            # Barbican sets no limit, and then fails to store what its column does not hold.
            "resource_id": _text(36, least=1),
        },
        "required": ["service", "resource_type", "resource_id"],
    },
)
CONTAINER_SECRET = Schema(
    "ContainerSecret",
    {
        "type": "object",
        "properties": {"name": _text(255), "secret_ref": _SECRET_REF},
        "required": ["secret_ref"],
    },
)
CONTAINER = Schema(
    "Container",
    {
        "type": "object",
        "properties": {
            "name": _NAME,
            "type": {"type": "string", "enum": ["generic", "rsa", "certificate"]},
            "secret_refs": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["secret_ref"],
                    "properties": {"name": _NAME, "secret_ref": _SECRET_REF},
                },
            },
        },
        "required": ["type"],
    },
)
TRANSPORT_KEY = Schema(
    "Transport Key",
    {"type": "object", "properties": {"plugin_name": _text(255), "transport_key": _text()}},
)
PROJECT_QUOTAS = Schema(
    "Project Quota",
    {
        "type": "object",
        "properties": {
            "project_quotas": {
                "type": "object",
                "properties": {
                    name: {"type": "integer", "minimum": -_LARGEST, "maximum": _LARGEST}
                    for name in ("secrets", "orders", "containers", "consumers", "cas")
                },
                "additionalProperties": False,
            }
        },
        "required": ["project_quotas"],
        "additionalProperties": False,
    },
)
# Secret versions are ours: Barbican has none, and no schema of these names.
_EXPECTED: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": _LARGEST}
SECRET_VERSION = Schema(
    "Secret Version",
    {
        "type": "object",
        "properties": {
            **{name: _SECRET[name] for name in ("payload", "payload_content_encoding")},
            "payload_content_type": _text(255),
            "labels": {"type": "array", "items": {**_text(63), "pattern": r"^[a-z][a-z0-9._-]*\Z"}},
            "expected_version": _EXPECTED,
        },
        "required": ["payload", "payload_content_type"],
        "additionalProperties": False,
    },
)
SECRET_LABEL = Schema(
    "Secret Label",
    {
        "type": "object",
        "properties": {"version": {**_EXPECTED, "minimum": 1}, "expected_version": _EXPECTED},
        "required": ["version"],
        "additionalProperties": False,
    },
)
SECRET_ROTATION = Schema(
    "Secret Rotation",
    {
        "type": "object",
        "properties": {"interval_s": {"type": "integer", "minimum": 60, "maximum": _LARGEST}},
        "required": ["interval_s"],
        "additionalProperties": False,
    },
)
