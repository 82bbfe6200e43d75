"""SQL text as statements in one plain spelling, so that a rule is a short pattern.

In `Statement.text`, words are upper case, what was quoted is small letters (so no pattern can take a value for a
keyword), tokens are one blank apart, and brackets hug what is in them: `CREATE INDEX "ix" ON SECRETS (NAME, "order")`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from bascule.schema.lint.findings import Database

__all__ = ["NAME", "Statement", "bare", "split_clauses", "statements"]

NAME = r'(?:"\w*"|[\w$]+)(?:\.(?:"\w*"|[\w$]+))*'
_BODY = re.compile(r"CREATE .*?\b(TRIGGER|PROCEDURE|FUNCTION|EVENT)\b")
_DATA = ("INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE", "SELECT", "WITH")
_LONGEST = 120


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: how rules read it, how people see it (without values), and the comments written with it."""

    text: str
    shown: str
    comments: str = ""


def statements(script: str, database: Database) -> tuple[Statement, ...]:
    """Return the statements of a script, in order; those with nothing but comments are left out."""
    found, current = [], _Current()
    for kind, token in _tokens(script, database):
        if kind == "end" and current.is_over():
            found.append(current)
            current = _Current()
        elif kind == "comment":
            current.comments.append(token)
        else:
            current.add(kind, token)
    found.append(current)
    return tuple(statement.close() for statement in found if statement.words)


def split_clauses(text: str) -> tuple[str, ...]:
    """Split at the commas that stand in no bracket."""
    depth, start, clauses = 0, 0, []
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            clauses.append(text[start:at].strip())
            start = at + 1
    return (*clauses, text[start:].strip())


def bare(name: str) -> str:
    """Return a name in small letters, without quotes and without its schema."""
    return name.lower().replace('"', "").rpartition(".")[2]


class _Current:
    """A statement while its tokens come in."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.shown: list[str] = []
        self.comments: list[str] = []
        self.depth = 0

    def add(self, kind: str, token: str) -> None:
        before = self.words[-1] if self.words else ""
        word = _plain(kind, token)
        if word in {"BEGIN", "CASE"}:
            self.depth += 1
        elif word == "END" or (before == "END" and word in {"IF", "LOOP", "WHILE", "REPEAT"}):
            self.depth += 1 if before == "END" else -1
        self.words.append(word)
        self.shown.append("'?'" if kind in {"string", "dollar"} else token)

    def is_over(self) -> bool:
        """Say that a semicolon ends the statement, and not a line in the body of a trigger."""
        return self.depth <= 0 or not _BODY.match(" ".join(self.words[:8]))

    def close(self) -> Statement:
        shown = _tidy(self.shown)
        if self.words[0] in _DATA:
            shown = re.sub(r"\b\d+(\.\d+)?\b", "?", shown)
        if len(shown) > _LONGEST:
            shown = shown[: _LONGEST - 3] + "..."
        return Statement(_tidy(self.words), shown, "\n".join(self.comments))


def _plain(kind: str, token: str) -> str:
    if kind in {"string", "dollar"}:
        return "'" + re.sub(r"\W", "_", token.strip("'\"").lower()) + "'"
    if kind == "quoted":
        return '"' + re.sub(r"\W", "_", token[1:-1].lower()) + '"'
    return token.upper()


def _tidy(tokens: list[str]) -> str:
    text = " ".join(tokens)
    for loose, tight in ((" . ", "."), ("( ", "("), (" )", ")"), (" ,", ",")):
        text = text.replace(loose, tight)
    return text


def _tokens(script: str, database: Database) -> Iterator[tuple[str, str]]:
    for match in _pattern(database in {"mysql", "mariadb"}).finditer(script):
        kind = match.lastgroup or ""
        if kind != "skip":
            yield kind, match.group()


@cache
def _pattern(is_mysql: bool) -> re.Pattern[str]:
    """Return the pattern of a token. What stands in /*! */ is run by MySQL and MariaDB, so it is read there."""
    escaped = r"(?:[^'\\]|''|\\.)*"
    kinds = {
        "skip": r"\s+|/\*!\d*|\*/" if is_mysql else r"\s+",
        "comment": r"--[^\n]*|/\*.*?\*/" + (r"|\#[^\n]*" if is_mysql else ""),
        "dollar": r"\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$",
        "string": rf"'{escaped}'|\"(?:[^\"\\]|\"\"|\\.)*\"" if is_mysql else rf"[Ee]'{escaped}'|'(?:[^']|'')*'",
        "quoted": r"`[^`]*`" if is_mysql else r"\"(?:[^\"]|\"\")*\"|`[^`]*`",
        "word": r"[^\W\d][\w$]*",
        "number": r"\d+(?:\.\d+)?",
        "end": ";",
        "sign": r"::|<=|>=|<>|!=|\|\||.",
    }
    return re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in kinds.items()), re.DOTALL)
