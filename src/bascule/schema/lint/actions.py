"""What statements do: each clause as one action with a verb, read by tables of patterns.

Not a parser: names and bodies are kept as text, and what no pattern knows becomes the verb `unknown`, which must
declare its effect.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bascule.schema.lint.grammar import CLAUSES, STATEMENTS
from bascule.schema.lint.sql import NAME, Statement, bare, split_clauses

__all__ = ["Action", "Was", "actions"]

_ALTER = re.compile(
    rf"ALTER (?:ONLINE |IGNORE )?(?:FOREIGN )?TABLE (?:IF EXISTS )?(?:ONLY )?(?P<table>{NAME})(?: \*)? "
    r"(?:WAIT \d+ |NOWAIT )?(?P<rest>.*)"
)
_CONSTRAINT = re.compile(r"(CONSTRAINT|PRIMARY KEY|UNIQUE|FOREIGN KEY|CHECK|KEY|INDEX|EXCLUDE|LIKE|FULLTEXT|SPATIAL)\b")
_COLUMN = re.compile(rf"(?P<name>{NAME}) (?P<rest>.*)")


@dataclass(frozen=True, slots=True)
class Was:
    """What is known of a column before it changes; None is unknown."""

    type: str | None = None
    nullable: bool | None = None
    keeps_type: bool = False
    keeps_nullable: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    """One clause: `text` is all of it, `rest` what follows the name, `to` a new name or the referenced table."""

    verb: str
    statement: Statement
    text: str
    table: str = ""
    name: str = ""
    rest: str = ""
    to: str = ""
    was: Was | None = None
    in_rebuild: bool = False
    clauses: int = 1

    def has(self, pattern: str) -> bool:
        """Say that the clause matches the pattern somewhere, at word boundaries."""
        return re.search(rf"\b(?:{pattern})(?!\w)", self.text) is not None


def actions(statement: Statement) -> tuple[Action, ...]:
    """Return what a statement does, one action per clause of ALTER TABLE, and one per column of CREATE TABLE."""
    alter = _ALTER.fullmatch(statement.text)
    if alter:
        clauses = split_clauses(alter["rest"])
        found = [action for clause in clauses for action in _clause(statement, bare(alter["table"]), clause)]
        real = sum(action.verb not in {"state algorithm", "state lock"} for action in found)
        return tuple(replace(action, clauses=real) for action in found)
    action = _match(STATEMENTS, statement, statement.text)
    return (action, *_columns(action)) if action.verb == "create table" else (*_tables(action),)


def _clause(statement: Statement, table: str, clause: str) -> Iterator[Action]:
    several = re.fullmatch(r"ADD (?:COLUMN )?\((.*)\)", clause)
    for text in [f"ADD {one}" for one in split_clauses(several[1])] if several else [clause]:
        yield replace(_match(CLAUSES, statement, text), table=table)


def _match(table: Sequence[tuple[str, re.Pattern[str]]], statement: Statement, text: str) -> Action:
    for verb, pattern in table:
        match = pattern.fullmatch(text)
        if match:
            groups = {key: value or "" for key, value in match.groupdict().items()}
            return Action(
                verb,
                statement,
                text,
                table=bare(groups.get("table", "")),
                name=bare(groups.get("name", "")),
                rest=groups.get("rest", "").strip(),
                to=bare(groups.get("to", "")),
            )
    return Action("unknown", statement, text)


def _columns(action: Action) -> Iterator[Action]:
    """Yield the columns of a CREATE TABLE; a key that stands apart is written back to the columns it names."""
    body = re.match(r"\((.*)\)", action.rest)
    parts = split_clauses(body[1]) if body else ()
    keys = " ".join(part for part in parts if re.search(r"\bPRIMARY KEY\b", part) and _is_constraint(part))
    for part in parts:
        column = _COLUMN.fullmatch(part)
        if column and not _is_constraint(part):
            name = bare(column["name"])
            is_key = re.search(rf'\(\s*"?{re.escape(name)}"?\s*\)', keys.lower()) is not None
            rest = column["rest"] + (" PRIMARY KEY" if is_key else "")
            yield Action("define column", action.statement, f"{part}{rest}", action.table, name, rest)


def _is_constraint(part: str) -> bool:
    return _CONSTRAINT.match(part) is not None


def _tables(action: Action) -> Iterator[Action]:
    """Yield the action once per table where a statement names several (DROP TABLE a, b)."""
    if action.verb in {"drop table", "truncate"} and "," in action.rest:
        for table in split_clauses(action.rest.lstrip(", ")):
            yield replace(action, table=bare(table.split(" ")[0]))
    yield action
