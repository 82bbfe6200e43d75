"""Manifests of the releases that were cut, as they lie in a folder."""

import json
from pathlib import Path

from bascule.documents.codec import from_plain
from bascule.documents.manifest import Manifest
from bascule.errors import DocumentError

__all__ = ["frozen_manifests"]


def frozen_manifests(folder: Path) -> tuple[Manifest, ...]:
    """Return the manifests `folder/*/manifest.json`, oldest release first. Raises DocumentError; also for none."""
    found = [_read(path) for path in sorted(folder.glob("*/manifest.json"))]
    if not found:
        raise DocumentError(f"no */manifest.json below {folder.name}; without frozen releases nothing is compared")
    return tuple(sorted(found, key=lambda each: each.release))


def _read(path: Path) -> Manifest:
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as wrong:
        raise DocumentError(f"{path.parent.name}/{path.name} is no JSON: {wrong}") from wrong
    return from_plain(Manifest, plain, where=f"{path.parent.name}/{path.name}")
