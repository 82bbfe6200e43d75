"""The text of proposed changes in a revision file."""

import json
import textwrap
from collections.abc import Iterator, Sequence

from alembic.autogenerate import render, render_op_text
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import CreateIndexOp
from sqlalchemy.types import TypeEngine

from bascule.schema.alembic.propose import Choice, Definition, Proposal
from bascule.schema.alembic.undecided import Undecided

__all__ = ["changes_text", "imports_text"]

_WIDTH = 116
_INDENT = "    "


def imports_text(found: Sequence[Proposal | Choice]) -> list[str]:
    """Return the import lines that the changes need, those in comments too: somebody may take them."""
    proposals = [one for proposal in found for one in _with_options(proposal)]
    lines = [_import("bascule.schema", {proposal.kind for proposal in proposals})]
    ours = {type(value).__name__ for proposal in proposals for value in proposal.arguments.values()} & {"Undecided"}
    if any(isinstance(proposal, Choice) for proposal in found):
        ours.add("Undecided")
    if any(proposal.kind == "AddTable" for proposal in proposals):
        ours.add("new_table")
    return [*lines, _import("bascule.schema.alembic", ours)] if ours else lines


def changes_text(found: Sequence[Proposal | Choice], release: str, context: AutogenContext) -> str:
    """Return the lines `release = ...` and `changes = (...)`."""
    lines = [
        "",
        "# What both releases can live with while it happens; `db-manage expand`, `migrate` and `contract` run it.",
        f"release = {_quote(release)}",
        "changes = (",
    ]
    for proposal in found:
        lines += [f"{_INDENT}{line}" for line in _entry(proposal, context)]
    return "\n".join([*lines, ")"])


def _entry(proposal: Proposal | Choice, context: AutogenContext) -> Iterator[str]:
    if isinstance(proposal, Choice):
        yield from f"Undecided({_quote(proposal.question)}),".splitlines()
        for option in proposal.options:
            yield from (f"# {line}" for line in _call(option, context))
        return
    for note in proposal.notes:
        yield from (f"# {line}" for line in textwrap.wrap(note, _WIDTH - 2))
    yield from _call(proposal, context)
    for other in proposal.instead:
        yield from (f"# {line}" for line in _call(other, context))


def _call(proposal: Proposal, context: AutogenContext) -> list[str]:
    arguments = [f"{name}={_value(value, context)}" for name, value in proposal.arguments.items()]
    short = f"{proposal.kind}({', '.join(arguments)}),"
    if len(short) <= _WIDTH - 4 and "\n" not in short:
        return [short]
    inner = [f"{_INDENT}{line}" for argument in arguments for line in f"{argument},".splitlines()]
    return [f"{proposal.kind}(", *inner, "),"]


def _value(value: object, context: AutogenContext) -> str:
    if isinstance(value, Undecided):
        return f"Undecided({_quote(value.what)})"
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, list):
        return f"[{', '.join(_value(one, context) for one in value)}]"
    if isinstance(value, TypeEngine):
        return render._repr_type(value, context)  # noqa: SLF001 # user's render_item and imports are known only here
    if isinstance(value, Definition):
        return _definition(value, context)
    return repr(value)


def _definition(definition: Definition, context: AutogenContext) -> str:
    """Return a table as Alembic would create it, but as a description."""
    prefix = context.opts["alembic_module_prefix"] or ""
    text = render_op_text(context, definition.operation)
    start = f"{prefix}create_table("
    assert text.startswith(start)  # noqa: S101 # what Alembic has rendered since its first release
    body = text.removeprefix(start).rstrip().removesuffix(")").rstrip()
    lines = [f"new_table({body.splitlines()[0]}", *(f"{_INDENT}{line.strip()}" for line in body.splitlines()[1:])]
    lines[-1] += "" if lines[-1].endswith(",") else ","
    lines += [f"{_INDENT}{_index(index, context)}," for index in definition.indexes]
    return "\n".join([*lines, ")"])


def _index(index: CreateIndexOp, context: AutogenContext) -> str:
    prefix = context.opts["sqlalchemy_module_prefix"] or ""
    columns = ", ".join(_quote(column.name) for column in index.to_index().columns)
    return f"{prefix}Index({_quote(str(index.index_name))}, {columns}{', unique=True' if index.unique else ''})"


def _with_options(proposal: Proposal | Choice) -> Iterator[Proposal]:
    if isinstance(proposal, Choice):
        yield from proposal.options
    else:
        yield proposal
        yield from proposal.instead


def _import(module: str, names: set[str]) -> str:
    line = f"from {module} import {', '.join(sorted(names))}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"from {module} import (", *(f"{_INDENT}{name}," for name in sorted(names)), ")"])


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
