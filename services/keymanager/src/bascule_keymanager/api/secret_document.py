"""How a secret is shown, in lists, by itself, and to its consumers; never its payload."""

from typing import Any

import falcon

from bascule_keymanager.api.links import resource_url
from bascule_keymanager.config import Settings
from bascule_keymanager.storage.shown_secrets import Secret

__all__ = ["secret_document"]


def secret_document(
    req: falcon.Request, settings: Settings, secret: Secret, consumers: list[dict[str, str]] | None = None
) -> dict[str, Any]:  # Any: JSON
    """Return the secret's JSON, with its consumers where they are given."""
    document: dict[str, Any] = {
        "created": secret.created_at.isoformat(),
        "updated": secret.updated_at.isoformat(),
        "status": secret.status,
        "name": secret.display_name,
        "secret_type": secret.secret_type,
        "expiration": secret.expiration.isoformat() if secret.expiration else None,
        "algorithm": secret.algorithm,
        "bit_length": secret.bit_length,
        "mode": secret.mode,
        "creator_id": secret.creator_id,
    }
    if consumers is not None:
        document["consumers"] = consumers
    if secret.content_type is not None:
        document["content_types"] = {"default": secret.content_type}
    document["secret_ref"] = resource_url(req, settings, "secrets", secret.id)
    return document
