"""What a release's programs and commands inherit of the environment that bascule itself was started in."""

import os
from collections.abc import Mapping

__all__ = ["environment_with"]

# These change what an interpreter imports: with them, code that no manifest vouches for would run in a release's own
# environment (docs/decisions/0002).
_CHANGES_IMPORTS = frozenset({"PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONUSERBASE"})


def environment_with(additions: Mapping[str, str]) -> dict[str, str]:
    """Return our environment with `additions`, without what leads an interpreter to other code.

    An operator who wants one of those says so in the fleet file's [environment].
    """
    return {name: value for name, value in os.environ.items() if name not in _CHANGES_IMPORTS} | dict(additions)
