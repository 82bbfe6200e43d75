"""What the resources of secret versions share: who may come in, what is expected, and how it is answered."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import falcon

from bascule.release import Release
from bascule_keymanager.api.access import authorize
from bascule_keymanager.api.context import caller_of, request_id_of
from bascule_keymanager.api.errors import ApiRefusal, IssueSeen
from bascule_keymanager.api.links import resource_url
from bascule_keymanager.api.own import OWN, served_since
from bascule_keymanager.api.owners import check_id, target_of
from bascule_keymanager.config import Settings
from bascule_keymanager.log import get_log
from bascule_keymanager.storage.projects import Projects
from bascule_keymanager.storage.rows import Gone
from bascule_keymanager.storage.version_history import History, NoVersion, Version
from bascule_keymanager.storage.versions import (
    Changed,
    Expected,
    Moved,
    Outdated,
    VersionDestroyed,
    VersionInUse,
    VersionStore,
)
from bascule_keymanager.stores.configured import Speaking

__all__ = ["LABEL", "SINCE", "Versioned", "expectation", "refusals", "tag", "version_document", "version_path"]

SINCE = Release.parse("2028.1")
LABEL = re.compile(r"[a-z][a-z0-9._-]{0,62}")

log = get_log()


@dataclass(frozen=True, slots=True)
class Versioned:
    """What the resources work with."""

    settings: Settings
    store: VersionStore
    projects: Projects
    speaking: Speaking

    @contextmanager
    def served(self) -> Iterator[None]:
        """Let the block run where every process of the fleet serves versions. Raises NotServedYet."""
        with served_since(SINCE, self.speaking):
            yield

    def look(self, req: falcon.Request, secret_id: str, rule: str) -> History:
        """Return the versions of a secret that is there and that `rule` opens. Raises ApiRefusal, Gone."""
        check_id("secret", secret_id)
        history = self.store.reader.history(secret_id, caller_of(req).user)
        if history is None:
            raise Gone("secrets")
        authorize(req, rule, target_of(req, history.owner, "secret"))
        return history

    def tell(self, req: falcon.Request, event: str, secret_id: str, changed: Changed, **more: object) -> None:
        """Write down who has changed what."""
        caller = caller_of(req)
        log.info(event, secret=secret_id, version=changed.number, revision=changed.revision, project=caller.project,
                 user=caller.user, request=request_id_of(req), **more)  # fmt: skip


def version_path(secret_id: str, number: int | None = None) -> str:
    """Return where the versions of a secret are, or one of them, below /v1."""
    path = f"{OWN.removeprefix('/v1/')}/secrets/{secret_id}/versions"
    return path if number is None else f"{path}/{number}"


def version_document(
    req: falcon.Request, settings: Settings, secret_id: str, version: Version
) -> dict[str, Any]:  # Any: JSON
    """Return a version's JSON; never its payload."""
    return {
        "version": version.number,
        "created": version.created_at.isoformat(),
        "destroyed": version.destroyed_at.isoformat() if version.destroyed_at else None,
        "labels": list(version.labels),
        "origin": version.origin,
        "creator_id": version.creator_id,
        "content_types": {"default": version.content_type} if version.content_type else {},
        "version_ref": resource_url(req, settings, version_path(secret_id, version.number)),
        "secret_ref": resource_url(req, settings, "secrets", secret_id),
    }


def tag(revision: int) -> str:
    """Return the entity tag of a secret's versions."""
    return f'"{revision}"'


def expectation(req: falcon.Request, body: Mapping[str, Any]) -> Expected:  # Any: JSON
    """Return what the request expects, in If-Match and in its body."""
    number = body.get("expected_version")
    return Expected(None if number is None else int(number), _revisions(req.get_header("If-Match")))


def _revisions(header: str | None) -> frozenset[int] | None:
    if header is None or header.strip() == "*":
        return None
    # A weak tag, or one that is none of ours, is never the right one.
    return frozenset(int(each) for each in re.findall(r'(?:^|,)\s*"([0-9]{1,9})"\s*(?=,|$)', header))


@contextmanager
def refusals() -> Iterator[None]:
    """Say in Barbican's shape why versions are not changed, or not found."""
    try:
        yield
    except NoVersion as missing:
        raise ApiRefusal(404, f"Secret has no version {missing.name!r}.") from missing
    except Moved as moved:
        found = f"version {moved.found}" if moved.found else "nowhere"
        text = f"Label '{moved.label}' is at {found}, and was expected at {moved.expected}; read it and decide anew"
        raise IssueSeen(409, text) from moved
    except Outdated as outdated:
        text = f"The versions have changed, and their entity tag is {tag(outdated.revision)} now; read them and decide"
        raise IssueSeen(412, f"{text} anew") from outdated
    except VersionInUse as used:
        raise IssueSeen(409, "The current version is not destroyed; move label 'current' to another first") from used
    except VersionDestroyed as destroyed:
        raise IssueSeen(409, f"The payload of version {destroyed.number} was destroyed") from destroyed
