"""The sync rule as SQL: when a write of one side must fill the other, for any database.

f gives the new columns from the old ones, g the old from the new.

    event   condition                                            action
    INSERT  no new column set, new != f(old)                     new := f(old)
    INSERT  some new column set, new != f(old), old != g(new)    old := g(new)
    UPDATE  new changed, new != f(old), (old != g(new) or the    fill NULL new columns from f(OLD.old) when never
            row was never filled)                                filled; then old := g(new)
    UPDATE  old changed and new not, new != f(old), old != g(new) new := f(old)

"Differs in both directions" is what stops the echo: no session marker is needed, so the rule also holds where a
trigger's own write fires the opposite trigger, and through connection poolers. A write of both sides: the new one wins.
A row whose new columns are all NULL was never filled ("virgin"); hence new columns are nullable and without default.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from bascule.schema.changes import ColumnType, Split

__all__ = ["Rule", "all_of", "any_of"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One change in one database's SQL. A row is named by its prefix: `NEW.`, `OLD.`, or nothing in a plain query.

    `quote` quotes a column name; `differs` compares two values of a type so that NULL equals NULL, and case and blanks
    count.
    `before` is SQL for old columns as they were before a write, where these are the new ones of another change that
    may not have filled the row yet.
    """

    split: Split
    database: str
    quote: Callable[[str], str]
    differs: Callable[[str, str, ColumnType], str]
    before: Mapping[str, str] = field(default_factory=dict)

    def columns(self, names: Iterable[str], row: str) -> dict[str, str]:
        """Return the SQL for each of these columns of a row."""
        return {name: f"{row}{self.quote(name)}" for name in names}

    def new_from_old(self, row: str = "") -> dict[str, str]:
        """Return f for each new column, read from a row."""
        old = self.columns(self.split.old, row)
        return {name: f"({self.split.fill(name, self.database, old=old, new={})})" for name in self.split.new}

    def old_from_new(self, row: str = "", *, values: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return g for each old column, read from a row, or from the given SQL for each new column."""
        new = self.columns(self.split.new, row) if values is None else values
        return {name: f"({self.split.fill(name, self.database, old={}, new=new)})" for name in self.split.old}

    def virgin(self, row: str = "") -> str:
        """Say that the row was never filled."""
        return all_of(f"{column} IS NULL" for column in self.columns(self.split.new, row).values())

    def new_set(self, row: str = "") -> str:
        """Say that some new column holds a value."""
        return any_of(f"{column} IS NOT NULL" for column in self.columns(self.split.new, row).values())

    def differs_forward(self, row: str = "") -> str:
        """Say that some new column is not f(old)."""
        return self._some_differ(self.columns(self.split.new, row), self.new_from_old(row))

    def differs_backward(self, row: str = "") -> str:
        """Say that some old column is not g(new)."""
        return self._some_differ(self.columns(self.split.old, row), self.old_from_new(row))

    def stale(self, row: str = "") -> str:
        """Say that neither side follows from the other."""
        return all_of((self.differs_forward(row), self.differs_backward(row)))

    def inexpressible(self, row: str = "") -> str:
        """Say that the new side does not come back from the old side that it makes: a way back would alter it."""
        there = self.old_from_new(row)
        back = {name: f"({self.split.fill(name, self.database, old=there, new={})})" for name in self.split.new}
        return self._some_differ(self.columns(self.split.new, row), back)

    def condition(self, event: str, row: str = "NEW.") -> str:
        """Say when the trigger of this event acts, given the row written (or, unprefixed, as it stands by now)."""
        forward, backward = self.differs_forward(row), self.differs_backward(row)
        new_changed, old_changed = self._changed(self.split.new, row), self._changed(self.split.old, row)
        return {
            "ins_old": all_of((self.virgin(row), forward)),
            "ins_new": all_of((self.new_set(row), forward, backward)),
            "upd_new": all_of((new_changed, forward, any_of((backward, self.virgin("OLD."))))),
            "upd_old": all_of((old_changed, f"NOT {new_changed}", forward, backward)),
        }[event]

    def action(self, event: str, row: str = "NEW.") -> dict[str, str]:
        """Return what the trigger of this event puts into which column of the written row.

        The order matters where a database assigns one by one: fills come before the values that read them.
        """
        if event in ("ins_old", "upd_old"):
            return self.new_from_old(row)
        if event == "ins_new":
            return self.old_from_new(row)
        filled = self.filled(row)
        return {**filled, **self.old_from_new(values=filled)}

    def filled(self, row: str = "NEW.") -> dict[str, str]:
        """Return each new column as written or, where NULL in a row that was never filled, from the row before."""
        virgin = self.virgin("OLD.")
        old = {**self.columns(self.split.old, "OLD."), **self.before}
        return {
            name: f"coalesce({column}, CASE WHEN {virgin} THEN {self._forward(name, old)} END)"
            for name, column in self.columns(self.split.new, row).items()
        }

    def seen_before(self) -> dict[str, str]:
        """Return what each new column would have been before the write, had the row been filled by then.

        A change that goes on from this one's columns has this for its `before`.
        """
        virgin = self.virgin("OLD.")
        old = {**self.columns(self.split.old, "OLD."), **self.before}
        return {
            name: f"(CASE WHEN {virgin} THEN {self._forward(name, old)} ELSE {column} END)"
            for name, column in self.columns(self.split.new, "OLD.").items()
        }

    def _forward(self, name: str, old: Mapping[str, str]) -> str:
        return f"({self.split.fill(name, self.database, old=old, new={})})"

    def _changed(self, names: Iterable[str], row: str) -> str:
        names = tuple(names)
        return self._some_differ(self.columns(names, row), self.columns(names, "OLD."))

    def _some_differ(self, left: Mapping[str, str], right: Mapping[str, str]) -> str:
        kinds = {**self.split.old, **self.split.new}
        return any_of(self.differs(left[name], right[name], kinds[name]) for name in left)


def all_of(conditions: Iterable[str]) -> str:
    """Say that all of these hold."""
    return "(" + " AND ".join(conditions) + ")"


def any_of(conditions: Iterable[str]) -> str:
    """Say that any of these holds."""
    return "(" + " OR ".join(conditions) + ")"
