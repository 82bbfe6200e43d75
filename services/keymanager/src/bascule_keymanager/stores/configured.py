"""The stores that are configured, which of them takes what is new, and which has what is there."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from bascule.release import Release
from bascule_keymanager.errors import UnknownPlugin
from bascule_keymanager.identity import RELEASE
from bascule_keymanager.storage.projects import Project
from bascule_keymanager.stores.store import Found, Store

__all__ = ["Speaking", "Stores", "Writer", "at_this_release"]

# Gives the pin for the length of a block: what is written within it, every live process can read.
Speaking = Callable[[], AbstractContextManager[Release]]


@dataclass(frozen=True, slots=True)
class Writer:
    """A store that may take what is new; no release before `since` reads what it writes."""

    store: Store
    since: Release | None = None


def at_this_release() -> AbstractContextManager[Release]:
    """Speak as a fleet that is of this release and no other."""
    return nullcontext(RELEASE)


class Stores:
    """All stores of this process. The first writer that the pin allows takes what is new."""

    def __init__(
        self,
        writers: Sequence[Writer],
        *,
        readers: Mapping[str, Store] | None = None,
        speaking: Speaking = at_this_release,
        preferred: Callable[[Project], Writer | None] = lambda _project: None,
    ) -> None:
        self._writers, self._speaking, self._preferred = tuple(writers), speaking, preferred
        self._readers = {writer.store.plugin_name: writer.store for writer in reversed(self._writers)}
        self._readers.update(readers or {})

    @contextmanager
    def writing(self, project: Project) -> Iterator[Store]:
        """Give the store that takes a project's new secrets; commit what it made before the block ends."""
        preferred = self._preferred(project)
        first = preferred or self._writers[0]
        if first.since is None:  # all releases read what it writes: nobody needs to ask for the pin
            yield first.store
            return
        with self._speaking() as pin:
            yield next(one.store for one in (first, *self._writers) if one.since is None or one.since <= pin)

    def read(self, plugin_name: str, found: Found) -> bytes:
        """Return a payload that this plugin keeps. Raises UnknownPlugin, and what the store raises."""
        return self._reader(plugin_name).read(found)

    def forget(self, plugin_name: str, metadata: Mapping[str, str]) -> None:
        """Have this plugin delete what it keeps outside our tables. Raises UnknownPlugin, and what the store raises."""
        self._reader(plugin_name).forget(metadata)

    def _reader(self, plugin_name: str) -> Store:
        store = self._readers.get(plugin_name)
        if store is None:
            raise UnknownPlugin(plugin_name)
        return store
