"""The time as Barbican stores it: naive and in UTC."""

import datetime as dt

__all__ = ["parse_time", "utc_now"]


def utc_now() -> dt.datetime:
    """Return the present moment, naive, in UTC."""
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)


def parse_time(text: str) -> dt.datetime:
    """Read an ISO 8601 time as naive UTC; a time without zone is UTC. Raises ValueError."""
    moment = dt.datetime.fromisoformat(text.strip())
    return moment.astimezone(dt.UTC).replace(tzinfo=None) if moment.tzinfo else moment
