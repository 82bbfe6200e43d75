"""How a container is shown, in lists, by itself, and to its consumers."""

from typing import Any

import falcon

from bascule_keymanager.api.links import resource_url
from bascule_keymanager.config import Settings
from bascule_keymanager.storage.containers import Container

__all__ = ["container_document"]


def container_document(req: falcon.Request, settings: Settings, container: Container) -> dict[str, Any]:  # Any: JSON
    """Return the container's JSON."""
    return {
        "created": container.created_at.isoformat(),
        "updated": container.updated_at.isoformat(),
        "status": container.status,
        "name": container.name,
        "type": container.type,
        "creator_id": container.owner.creator_id,
        "secret_refs": [
            {"name": link.name, "secret_ref": resource_url(req, settings, "secrets", link.secret_id)}
            for link in container.links
        ],
        "consumers": container.consumers,
        "container_ref": resource_url(req, settings, "containers", container.id),
    }
