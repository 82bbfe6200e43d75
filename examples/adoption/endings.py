"""Projects that end while Barbican is adopted: Keystone tells, and the listener of one side ends what they kept."""

import contextlib
import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from barbican_recording import people as identity

from bascule.documents.evidence import Verdict

__all__ = ["Ended", "Endings"]

_PAUSE_S = 6.0
_HEARD_S = 60.0
_PREPARED = 30


@dataclass(frozen=True)
class Ended:
    """How many projects were deleted in Keystone, and how many of them still have a secret that lives."""

    projects: int
    left: int

    @property
    def verdict(self) -> Verdict:
        """REFUSE where nobody heard of one; where none was deleted, nothing can be said."""
        return "REFUSE" if self.left else "PASS" if self.projects else "INCONCLUSIVE"


class Endings:
    """Makes projects with a secret each, and deletes them in Keystone, one after the other.

    `keystone` is Keystone's address and its administrator's password, `service_url` where secrets are kept, and
    `living` tells which of these projects have a secret that lives.
    """

    def __init__(self, keystone: tuple[str, str], service_url: str, living: Callable[[set[str]], set[str]]) -> None:
        self._keystone, self._service_url, self._living = keystone, service_url, living
        self._waiting: list[str] = []
        self._ended: set[str] = set()
        self._made = 0

    def prepare(self) -> None:
        """Make projects until some wait for their end, each with a secret. Raises AssertionError where one has none."""
        while len(self._waiting) < _PREPARED:
            self._made += 1
            project, token = identity.make_tenant(*self._keystone, f"tenant {self._made}")
            self._keep_secret(token)
            self._waiting.append(project)
        if self._living(set(self._waiting)) != set(self._waiting):
            raise AssertionError("every project has a secret, or its end would show nothing")

    @contextlib.contextmanager
    def ending(self) -> Iterator[None]:
        """End a project every few seconds while the block runs. Raises what Keystone refused."""
        is_over = threading.Event()

        def run() -> None:
            token = identity.admin_token(*self._keystone)
            while self._waiting and not is_over.wait(_PAUSE_S):
                project = self._waiting.pop()
                identity.delete_project(self._keystone[0], token, project)
                self._ended.add(project)

        with ThreadPoolExecutor(1) as thread:
            running = thread.submit(run)
            try:
                yield
            finally:
                is_over.set()
            running.result()

    def ended(self) -> Ended:
        """Wait until nothing of the ended projects lives, or for a minute; return how it is then, and begin anew."""
        until = time.monotonic() + _HEARD_S
        while (left := self._living(self._ended)) and time.monotonic() < until:
            time.sleep(0.5)
        outcome = Ended(len(self._ended), len(left))
        self._ended = set()
        return outcome

    def _keep_secret(self, token: str) -> None:
        body = json.dumps({"name": "kept", "payload": "kept", "payload_content_type": "text/plain"}).encode()
        headers = {"Content-Type": "application/json", "X-Auth-Token": token}
        wanted = urllib.request.Request(f"{self._service_url}/v1/secrets", body, headers)
        with urllib.request.urlopen(wanted, timeout=60):
            pass  # urlopen raises unless it was kept
