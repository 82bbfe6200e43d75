"""keymanager-status: what stands in the way of an upgrade to this release."""

from collections.abc import Iterable

from bascule.checks import Check, failure, status_command
from bascule.errors import BasculeError
from bascule_keymanager.config import load_settings
from bascule_keymanager.identity import SERVICE
from bascule_keymanager.service import Parts
from bascule_keymanager.upgrade_checks import upgrade_checks

__all__ = ["main"]


def main() -> None:
    """Run `upgrade check`; exit code 0, 1 for a warning, 2 for a failure, 255 when it could not tell."""
    status_command(SERVICE, _checks)(prog_name="keymanager-status")


def _checks() -> Iterable[Check]:
    try:
        return upgrade_checks(Parts(load_settings()))
    except BasculeError as unreadable:
        sentence = unreadable.sentence
        return [Check("configuration can be read", lambda: failure(sentence))]
