"""The names of what a change puts into the database: short enough for each, and in the order that it must fire in.

PostgreSQL fires the triggers of an event in the order of their names. Where the new columns of one change are the old
ones of a later release's (a chain), a write must run up the chain in its order and down again in the reverse: f0, f1,
g8, g9. The place in the chain is `depth`; it is recorded with the change, so that its names never depend on which
other changes are declared. None stands for changes that were expanded before chains were known.
"""

import hashlib

from bascule.schema.changes.base import Change

__all__ = ["EVENTS", "LONGEST_CHAIN", "short_name", "trigger_name", "trigger_names"]

# In the order of creation. Updates come first: where each trigger begins to work by itself, a row that is filled on
# insert but not kept in sync on update would be stale in a way that no backfill may repair.
EVENTS = ("upd_old", "upd_new", "ins_old", "ins_new")
LONGEST_CHAIN = 10
_LONGEST_SLUG = 40  # bsc_ + f0_ + 40 + _ins_old is 55 characters: PostgreSQL keeps 63, MariaDB 64


def short_name(change_id: str, suffix: str, *, order: str = "") -> str:
    """Return `bsc_<change>_<suffix>`: hyphens become underscores; over 40 characters, 31 and 8 of its sha256 stay."""
    slug = change_id.replace("-", "_")
    if len(slug) > _LONGEST_SLUG:
        slug = f"{slug[:31]}_{hashlib.sha256(change_id.encode()).hexdigest()[:8]}"
    return f"bsc_{order}{slug}_{suffix}"


def trigger_name(change_id: str, event: str, depth: int | None) -> str:
    """Return the name of one sync trigger."""
    if depth is None:
        return short_name(change_id, event)
    order = f"f{depth}_" if event.endswith("old") else f"g{LONGEST_CHAIN - 1 - depth}_"
    return short_name(change_id, event, order=order)


def trigger_names(change: Change, depth: int | None = 0) -> tuple[str, ...]:
    """Return the names of a synced change's four triggers, the same on every database.

    `bsc_f0_<change>_ins_old` and `_upd_old` serve writes in the old shape (they fill the new columns), `bsc_g9_..._new`
    writes in the new shape. On PostgreSQL each has a function of the same name.
    """
    return tuple(trigger_name(change.id, event, depth) for event in EVENTS)
