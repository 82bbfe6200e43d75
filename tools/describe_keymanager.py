"""Write the OpenAPI description of the key manager: `make describe-api`."""

import sys
from pathlib import Path

import yaml

from bascule_keymanager.api.description.document import describe

PLACE = Path(__file__).parent.parent / "docs" / "reference" / "keymanager-openapi.yaml"


class _NoAliases(yaml.SafeDumper):
    """Writes what occurs twice twice: readers of OpenAPI do not all know YAML's anchors."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - yaml's signature
        return True


def text() -> str:
    """Return the description as it stands in the documentation."""
    return yaml.dump(describe(), Dumper=_NoAliases, sort_keys=False, allow_unicode=True, width=120)


if __name__ == "__main__":
    PLACE.write_text(text())
    sys.stdout.write(f"{PLACE.name} is written\n")
