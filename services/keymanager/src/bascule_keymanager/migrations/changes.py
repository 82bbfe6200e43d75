"""What each release changes in the schema, oldest first; a change that shipped is never edited."""

from bascule.schema import Change

__all__ = ["CHANGES"]

# This release works on Barbican's schema as it is: whoever adopts a running Barbican has its processes beside ours.
CHANGES: tuple[Change, ...] = ()
