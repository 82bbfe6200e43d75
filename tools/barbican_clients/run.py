"""Run one scenario in the environment of its client: `python -m barbican_clients.run KIND PLACE TRANSCRIPT`."""

import importlib
import importlib.metadata
import json
import logging
import sys
from pathlib import Path

from barbican_clients.place import Place
from barbican_clients.transcript import Transcript

PACKAGES = {
    "library": ("python-barbicanclient",),
    "commands": ("python-openstackclient", "python-barbicanclient"),
    "castellan": ("castellan", "python-barbicanclient"),
}


def main() -> None:
    """Tell the scenario of this kind, and write its transcript."""
    kind, place, written = sys.argv[1], Place.load(Path(sys.argv[2])), Path(sys.argv[3])
    logging.disable()  # the clients say again in their logs what they raise
    transcript = Transcript(place.known())
    importlib.import_module(f"barbican_clients.of_{kind}").tell(transcript, place)
    client = {name: importlib.metadata.version(name) for name in PACKAGES[kind]}
    document = {"client": client, "steps": transcript.steps}
    written.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
