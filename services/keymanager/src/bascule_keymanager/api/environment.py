"""What the layers of one request tell each other in its WSGI environment, under names that no client can set."""

import random
import uuid

__all__ = ["CALLER", "GLOBAL_REQUEST_ID", "REQUEST_ID", "ROUTE", "is_guarded", "new_request_id"]

# A header always arrives as HTTP_SOMETHING, so these come from us alone.
CALLER = "keymanager.caller"
GLOBAL_REQUEST_ID = "openstack.global_request_id"  # oslo.middleware's name
REQUEST_ID = "openstack.request_id"  # oslo.middleware's name
ROUTE = "keymanager.route"


def is_guarded(path: str) -> bool:
    """Whether this path is of the API, which nobody enters unknown."""
    return path.startswith("/v1/") or path == "/v1"


def new_request_id() -> str:
    """Return a name for a request, in the form that OpenStack's clients look for."""
    # Not uuid4, which asks the system and lets go of the interpreter's lock for it: this is a name, and not a secret.
    return f"req-{uuid.UUID(int=random.getrandbits(128), version=4)}"
