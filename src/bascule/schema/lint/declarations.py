"""What an author declares in a comment: the phase of raw SQL, or that a finding is meant.

-- bascule: expand because the view only adds what no release reads yet
-- bascule: allow set-not-null because revision 4f1c validated ck_secrets_name
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args

from bascule.schema.lint.findings import Phase

__all__ = ["Declared", "declared_in"]

_PATTERN = re.compile(r"bascule:\s*(allow\s+)?(?P<word>[\w-]+)(?:\s+safe)?\s+because\s+(?P<reason>[^\n*]*\w)")


@dataclass(frozen=True, slots=True)
class Declared:
    """The phase that was declared, if any, and the reason for each code that was allowed."""

    phase: Phase | None = None
    allowed: Mapping[str, str] = field(default_factory=dict)


def declared_in(comments: str) -> Declared:
    """Return what is declared in comments, of SQL or Python; without a reason nothing is declared."""
    phase: Phase | None = None
    allowed = {}
    for match in _PATTERN.finditer(comments):
        if match.group(1):
            allowed[match["word"]] = match["reason"]
        else:
            phase = next((known for known in get_args(Phase) if known == match["word"]), phase)
    return Declared(phase, allowed)
