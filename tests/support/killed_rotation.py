"""A worker that stops for ever in the middle of a rotation: the turn is taken, the key inserted, nothing committed.

Started as a program with a database's URL, a master key and a folder in which it says that it is there.
"""

import sys
import threading
from pathlib import Path

from bascule_keymanager.config import Settings
from bascule_keymanager.service import Parts
from bascule_keymanager.stores.configured import Stores, Writer, at_this_release
from bascule_keymanager.stores.crypto import CryptoStore
from bascule_keymanager.worker.rotator import Rotator


def main():
    url, kek, folder = sys.argv[1:]
    parts = Parts(Settings(database_url=url, keks=(kek,)))
    plugins = parts.crypto_plugins
    writers = [Writer(CryptoStore(parts.projects, plugin, plugins)) for plugin in list(plugins.values())[:1]]
    parts.stores = Stores(writers)
    versions = parts.versions
    insert = versions._insert

    def insert_and_stop(*arguments):
        insert(*arguments)
        (Path(folder) / "stopped").touch()
        threading.Event().wait()

    versions._insert = insert_and_stop
    Rotator(parts.rotations, versions, parts.projects, at_this_release).sweep()


if __name__ == "__main__":
    main()
