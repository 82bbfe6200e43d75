"""How an answer is written."""

import json
from typing import Any

import falcon

__all__ = ["send"]


def send(resp: falcon.Response, document: Any, status: int = 200) -> None:  # Any: JSON
    """Answer with a JSON document."""
    resp.status = status
    resp.content_type = "application/json"
    resp.text = json.dumps(document)
