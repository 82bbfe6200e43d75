"""How a run of the engine must end, given what is there: refused for the right reason, or well."""

__all__ = ["GONE", "NEW_ONLY", "OLD_ONLY", "OPEN", "forecast"]

OLD_ONLY = ("planned", "rolled_back", "expanding", "rolling_back")  # only the old release may write
OPEN = ("expanded", "backfilling", "synced", "fenced")
NEW_ONLY = ("contracting", "contracted", "restoring", "purging", "purged")
GONE = ("purging", "purged")


def forecast(run, **there):
    """Return the ways in which a run may end; every list in `there` has one item per change, in order."""
    return _VERBS[run.verb](run, **there)


def _expand(_run, *, phases, **_there):
    return {"RollbackUnfinished"} if "rolling_back" in phases else {"ok"}


def _migrate(run, *, phases, missing, known_stale, unfillable, **_there):
    if refused := _not_started(phases):
        return refused
    may_stop, ends = set() if run.batches is None else {"Stopped"}, {"ok"}
    for number, phase in enumerate(phases):
        if phase in NEW_ONLY:
            continue
        if missing[number]:
            return {"TriggersMissing"} | may_stop
        if phase in ("synced", "fenced") and not known_stale[number] and run.prefer is None:
            continue
        if unfillable[number] and run.prefer is None:
            ends = {"NewColumnsWritten"}  # but the other changes are migrated all the same
    return ends | may_stop


def _fence(run, *, phases, missing, **_there):
    if refused := _not_started(phases):
        return refused
    looks = _looks(run)
    for number, phase in enumerate(phases):
        if phase in NEW_ONLY:
            continue
        if phase not in ("synced", "fenced"):
            return {"NotSynced"}
        if next(looks):
            return {"OlderProcessesAlive"}
        if missing[number]:
            return {"TriggersMissing"}
    return {"ok"}


def _contract(run, *, phases, missing, stale, tripped, **_there):  # noqa: C901 # the order of refusals is the point
    if refused := _not_started(phases):
        return refused
    if not set(phases) <= {"synced", "fenced", *NEW_ONLY}:
        return {"NotSynced"}
    looks, perhaps = _looks(run), set()
    for number, phase in enumerate(phases):
        if phase in ("contracted", *GONE):
            continue
        if next(looks):
            return {"OlderProcessesAlive"} | perhaps
        if phase == "restoring":
            return {"NotSynced"} | perhaps
        if phase == "contracting":
            continue
        if phase == "synced" and next(looks):
            return {"OlderProcessesAlive"} | perhaps
        if missing[number]:
            return {"TriggersMissing"} | perhaps
        if stale[number]:
            return {"StaleRows", "NewColumnsWritten"} | perhaps
        if phase == "fenced" and tripped[number] == "yes":
            return {"OldWritesSeen"}
        perhaps |= {"OldWritesSeen"} if tripped[number] else set()
        if next(looks):
            return {"OlderProcessesAlive"} | perhaps
    return {"ok"} | ({"OldWritesSeen"} if any(tripped) else set())


def _purge(run, *, phases, **_there):
    if refused := _not_started(phases):
        return refused
    if not set(phases) <= {"contracted", *GONE}:
        return {"NotContracted"}
    looks = _looks(run)
    for phase in phases:
        if phase != "purged" and next(looks):
            return {"OlderProcessesAlive"}
    return {"ok"}


def _rollback(run, *, phases, unfillable, **_there):
    if set(phases) & set(GONE):
        return {"PastPointOfNoReturn"}
    looks = _looks(run)
    for phase, lost in zip(reversed(phases), reversed(unfillable), strict=True):
        if phase in ("planned", "rolled_back"):
            continue
        if next(looks):
            return {"SameReleaseAlive"}
        if phase in OPEN and lost and not run.accept_loss:
            return {"StaleRows"}
    return {"ok"}


def _restore(_run, *, phases, **_there):
    return {"PastPointOfNoReturn"} if set(phases) & set(GONE) else {"ok"}


def _verify(_run, *, phases, missing, stale, **_there):
    for number, phase in enumerate(phases):
        if phase not in OPEN:
            continue
        if missing[number]:
            return {"TriggersMissing"}
        if phase in ("synced", "fenced") and stale[number]:
            return {"StaleRows"}
    return {"ok"}


def _not_started(phases):
    for phase in phases:
        if phase in ("planned", "rolled_back", "expanding"):
            return {"NotExpanded"}
        if phase == "rolling_back":
            return {"RollbackUnfinished"}
    return set()


def _looks(run):
    """What the gate hears each time it asks whether anybody lives."""
    yield run.alive == "yes"
    while True:
        yield run.alive != "no"


_VERBS = {
    "expand": _expand,
    "migrate": _migrate,
    "fence": _fence,
    "contract": _contract,
    "restore": _restore,
    "purge": _purge,
    "rollback": _rollback,
    "verify": _verify,
}
