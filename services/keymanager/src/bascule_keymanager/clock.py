"""The time as Barbican stores it: naive and in UTC."""

import datetime as dt
import re

__all__ = ["parse_time", "utc_now"]

# A year or a month alone, which ISO 8601 allows and Python does not read.
_SHORT = re.compile(r"\d{4}(-\d{2})?")


def utc_now() -> dt.datetime:
    """Return the present moment, naive, in UTC."""
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)


def parse_time(text: str) -> dt.datetime:
    """Read an ISO 8601 time as naive UTC; a time without zone is UTC. Raises ValueError."""
    written = text.strip()
    if _SHORT.fullmatch(written):
        written += "-01-01"[: len("-01-01") if len(written) == len("2026") else len("-01")]
    moment = dt.datetime.fromisoformat(written)
    if moment.tzinfo is None:
        return moment
    try:
        return moment.astimezone(dt.UTC).replace(tzinfo=None)
    except OverflowError:
        raise ValueError("the time is outside the years 1 to 9999 in UTC") from None
