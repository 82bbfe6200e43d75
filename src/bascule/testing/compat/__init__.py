"""Proof that a release and its predecessors understand each other: cases for pytest, from frozen manifests."""

from bascule.testing.compat.cases import Case, Incompatible, check, compat_cases
from bascule.testing.compat.frozen import frozen_manifests

__all__ = ["Case", "Incompatible", "check", "compat_cases", "frozen_manifests"]
