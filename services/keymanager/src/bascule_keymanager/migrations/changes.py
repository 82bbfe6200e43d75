"""What each release changes in the schema, oldest first; a change that shipped is never edited."""

from bascule.schema import Change

__all__ = ["CHANGES"]

# 2026.2 is the first release: it works on Barbican's schema as it is.
CHANGES: tuple[Change, ...] = ()
