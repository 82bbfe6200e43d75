"""What service developers use in their own tests: cases of compatibility, and private real servers.

`bascule.testing.servers` is imported by its own name. Nothing here needs pytest, but for what skips tests there.
"""

from bascule.testing.compat import Case, Incompatible, check, compat_cases, frozen_manifests

__all__ = ["Case", "Incompatible", "check", "compat_cases", "frozen_manifests"]
