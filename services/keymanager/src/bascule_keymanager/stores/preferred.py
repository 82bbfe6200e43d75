"""Which store a project chose, remembered for a moment: the way of a new secret asks for it every time."""

import threading
import time
from collections.abc import Callable, Mapping

from bascule_keymanager.errors import UnknownPlugin
from bascule_keymanager.storage.projects import Project
from bascule_keymanager.stores.configured import Writer

__all__ = ["Plugins", "PreferredStores"]

# The short names of a store's plugin and of the crypto plugin behind it.
Plugins = tuple[str, str | None]

# A choice that another process was told of is followed this late.
_REMEMBERED_S = 5.0


class PreferredStores:
    """Finds the writer that a project chose; `choice_of` looks a project's row up in the database."""

    def __init__(
        self,
        writers: Mapping[Plugins, Writer],
        choice_of: Callable[[str], Plugins | None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._writers, self._choice_of, self._monotonic = writers, choice_of, monotonic
        self._known: dict[str, tuple[float, Plugins | None]] = {}
        self._lock = threading.Lock()

    def __call__(self, project: Project) -> Writer | None:
        """Return the writer that this project chose; None when it chose none.

        Raises UnknownPlugin when this process does not have what it chose: nothing else will do in its place.
        """
        with self._lock:
            known = self._known.get(project.id)
        if known is None or self._monotonic() - known[0] >= _REMEMBERED_S:
            known = (self._monotonic(), self._choice_of(project.id))
            with self._lock:
                self._known[project.id] = known
        if known[1] is None:
            return None
        if known[1] not in self._writers:
            raise UnknownPlugin(known[1][1] or known[1][0])
        return self._writers[known[1]]
