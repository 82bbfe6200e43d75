"""A schema plan for people to read, and as SQL for whoever must see every statement before it runs."""

from collections.abc import Iterator

from bascule.schema.plan import PlannedPhase, PlannedStatement, SchemaPlan

__all__ = ["as_sql", "as_text"]

_WIDEST = 110
_WORK = {
    "instant": "for an instant",
    "scan": "while every row is read once",
    "index": "while one index is built",
    "rebuild": "while the table is written anew",
}


def as_text(plan: SchemaPlan) -> str:
    """Return the plan, phase by phase."""
    lines = [f"Plan for release {plan.release} on {plan.database}"]
    lines += [f"  {size.table}: about {size.rows} rows, {_bytes(size.bytes)}" for size in plan.tables]
    if not plan.phases:
        lines.append("nothing is left to do")
    for phase in plan.phases:
        lines += ["", f"{phase.phase}  {phase.change}  ({phase.release}, table {phase.table})"]
        lines += [f"  {line}" for line in _phase(phase)]
    return "\n".join(lines)


def as_sql(plan: SchemaPlan) -> str:
    """Return the plan as a script to read. Run by hand, it does without leases, retries, journal and proofs."""
    lines = [f"-- release {plan.release} on {plan.database}: what the phases would run, for review"]
    for phase in plan.phases:
        lines += ["", f"-- {phase.phase} {phase.change}"]
        lines += [f"-- {phase.note}"] if phase.note else []
        lines += [f"-- loses: {phase.loses}"] if phase.loses else []
        for statement in phase.statements:
            lines += [f"-- {_impact(statement)}", f"{statement.sql};"]
    return "\n".join(lines)


def _phase(phase: PlannedPhase) -> Iterator[str]:
    if phase.note:
        yield phase.note
    if phase.loses:
        yield f"not kept by a way back: {phase.loses}"
    for statement in phase.statements:
        # Shortened, since a trigger's text fills a screen; --sql prints all of it.
        yield statement.sql if len(statement.sql) <= _WIDEST else f"{statement.sql[:_WIDEST]} ..."
        yield f"    {_impact(statement)}"
        if statement.undo:
            yield f"    undo: {statement.undo}"


def _impact(statement: PlannedStatement) -> str:
    if statement.lock == "none":
        return "takes no lock that anybody waits for"
    whom = {"nobody": "keeps nobody waiting", "writers": "keeps writers waiting", "everybody": "keeps all waiting"}
    about = f", about {statement.about_s:.0f} s" if statement.about_s >= 1 else ""
    return f"{statement.lock}: {whom[statement.blocks]}, {_WORK[statement.work]}{about}"


def _bytes(number: int) -> str:
    return f"{number / 2**20:.0f} MB" if number >= 2**20 else f"{number / 2**10:.0f} kB"
