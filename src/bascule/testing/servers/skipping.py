"""What a test does when its server cannot be had. Needs pytest, so nothing else imports it."""

import os
from collections.abc import Callable
from typing import TypeVar

import pytest

from bascule.testing.servers.packages import PackageMissing

__all__ = ["or_skip"]

_Server = TypeVar("_Server")


def or_skip(make: Callable[[], _Server]) -> _Server:
    """Return `make()`, or skip the test with one loud line; with CI set, fail it: nothing would be proven."""
    try:
        return make()
    except PackageMissing as missing:
        reason = f"NOT TESTED: {missing}; try: {missing.next_command}"
    if os.environ.get("CI"):
        pytest.fail(f"{reason} (a skip of this is a failure in CI)", pytrace=False)
    pytest.skip(reason)
