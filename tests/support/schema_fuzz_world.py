"""Plays a history on a real database with real processes, and judges what is there after every commit and every run.

What is checked:

I1   unless somebody wrote past the triggers, every row agrees on both sides, or was never filled;
I2   a writer reads back what it wrote, in its transaction; afterwards the row is what some order of the commits gives,
     in which the last writer's values stand on its side and the other side follows;
I3   a row's columns that a partial write left out are what they were (the same comparison);
I4   a backfill alters no old column, and nothing at all where both sides agree, killed and resumed or not;
I6   no statement of a release that may run fails, but for locks and keys that are taken: during every phase too;
     behind a fence that refuses, the old release's writes fail, and only they;
I7   rollback gives back the catalog's table exactly as before expand, and every value that the old release had;
I8   a run is refused exactly when it must be: gates, phases, triggers dropped, stale rows; then nothing has changed;
I11  of two engines, no batch is walked twice, also when one is killed, and one that lost its lease is told so and
     writes no more;
I12  writes of other columns alter nothing else (the same comparison).
"""

import itertools
import time
from collections import Counter
from contextlib import ExitStack

from support import schema_fuzz_databases as databases
from support.schema_fuzz_engine import Order
from support.schema_fuzz_forecast import GONE, NEW_ONLY, OLD_ONLY, OPEN, forecast
from support.schema_fuzz_history import KEYS, WORKERS, Begin, Burst, Do, Drop, End, Put, Run, Stall
from support.schema_fuzz_model import TWINS, Block, Reach, Sides, State, Write, apply, explain, turn
from support.schema_fuzz_processes import Statement, started

from bascule.schema import trigger_names

__all__ = ["World", "Wrong"]

_DISAGREEMENT = {"ok", "NewColumnsWritten", "StaleRows", "TriggersMissing", "OldWritesSeen"}


class Wrong(AssertionError):
    """The engine, or this judge, is wrong."""


class World:
    """One database with its processes, for any number of histories, one after the other."""

    def __init__(self, url, *, fault=None):
        self.address, self.fault = databases.address_of(url), fault
        self.counts, self.trace = Counter(), []
        self._stack, self._catalogs = ExitStack(), {}
        self._patience, self._stalled, self._nick = None, False, None

    def __enter__(self):
        self._start()
        return self

    def __exit__(self, *_error):
        self._stack.close()

    def play(self, history):
        """Play a history from an empty database. Raises Wrong; the world is good for another one all the same."""
        try:
            self._reset(history)
            for action in history.actions:
                _PLAYS[type(action)](self, action)
            self._finish(history.ending, history.gate)
        except Wrong:
            self._calm_down()
            raise
        except BaseException:
            self._stack.close()
            self._start()
            raise
        self.counts["histories"] += 1

    def _calm_down(self):
        """Have every process listen again after a history was left in its middle."""
        if self._stalled:
            self.engines[0].send("go on")
            self.engines[0].receive()
            self._stalled = False
        for writer in self.writers:
            writer.ask("one", "ROLLBACK")

    def _start(self):
        self.judge = databases.connect(self.address, prepares=False)
        self._stack.callback(self.judge.driver.close)
        self.judge.be_patient(30)
        processes = started(self.address, writers=WORKERS, engines=2, fault=self.fault)
        self.writers, self.engines = self._stack.enter_context(processes)
        self._patience, self._stalled, self._nick = None, False, None
        databases.create_people(self.judge, strict=False, indexed=False, nick="plain")
        told = self.engines[0].ask(Order(Run("expand"), (), 20.0))  # the state tables, once
        assert told.name == "ok", told

    def _reset(self, history):
        self.history, self.trace = history, []
        self.strict = history.strict and "alias" in history.changes  # else nobody would write that column
        if history.nick != self._nick:  # what PostgreSQL prepared for a column of one type does not work for another
            self._nick, self._patience = history.nick, None
            for writer in self.writers:
                writer.ask("reconnect")
        databases.create_people(self.judge, strict=self.strict, indexed=history.indexed, nick=history.nick)
        self.twins = [TWINS[name] for name in history.changes]
        self.open, self.dropped, self.sabotaged, self.age = {}, set(), False, itertools.count(1)
        self.tripped, self.frozen = ["" for _ in self.twins], {}
        self.fences, self.half_fenced = {}, False
        kind = (self.strict, history.indexed, history.nick)
        self.original = self._catalogs.setdefault(kind, databases.catalog(self.judge))
        self.phases = dict.fromkeys((twin.change.id for twin in self.twins), "planned")
        self.reaches = self._reaches()
        self.states = {key: {None} for key in KEYS}
        for key, value in zip(KEYS, history.rows, strict=False):
            put = Put("insert", key, 0, (value, value))
            statement, write = self._statement("old", put)
            self.judge.run(statement.sql, statement.parameters)
            self.states[key] = apply(None, write, self.reaches)
        self._compare()

    # What happens, one method for each kind of action.

    def _do(self, action):
        release = self._release_of(action.worker)
        if release is None:
            return
        statement, write = self._statement(release, action.put, self._releases())
        before = self.states[action.put.key]
        self._be_patient(0)
        told = self.writers[action.worker].ask("one", statement)
        self._tell(f"worker {action.worker}: {statement.sql} {statement.parameters}", told)
        self.counts["operations"] += 1
        if told.trouble:
            mine = self.open.pop(action.worker, [])
            self._excuse(told.trouble, action.put, mine=mine, refusing=self._refuses(write))
            self._trip()
        elif told.reached:
            self._trip()
            self.open.get(action.worker, []).append((action.put.key, write))
            if action.worker not in self.open:
                self._commit([(action.put.key, write)])
        self._compare()
        if not self.sabotaged and release == "old" and not self.open:
            self._watch(before, self.states[action.put.key])

    def _watch(self, before, after):
        """See whether an old writer's update made the new side of a fenced change follow: that is counted for sure."""
        (before, *_), (after, *_) = before, after
        if before is None or after is None:
            return
        for number, twin in enumerate(self.twins):
            followed = before.sides[number].new != after.sides[number].new
            if self.phases[twin.change.id] == "fenced" and followed:
                through = self.half_fenced or self.fences[twin.change.id] != "refuse"
                self._demand(through, "a write of the old release got through a fence that refuses it")
                self.tripped[number] = "yes"

    def _begin(self, action):
        if action.worker not in self.open:
            self.writers[action.worker].ask("one", "BEGIN")
            self._tell(f"worker {action.worker}: BEGIN")
            self.open[action.worker] = []

    def _end(self, action):
        if action.worker not in self.open:
            return
        told = self.writers[action.worker].ask("one", "COMMIT" if action.commit else "ROLLBACK")
        self._tell(f"worker {action.worker}: {'COMMIT' if action.commit else 'ROLLBACK'}", told)
        written = self.open.pop(action.worker)
        if told.trouble:
            self._excuse(told.trouble, None)
        elif action.commit:
            self._commit(written)
        self._compare()

    def _end_all(self, *, of=range(WORKERS)):
        for worker in of:
            self._end(End(worker, commit=True))

    def _run(self, action):
        self._make_way(action)
        passed_by = self.dropped - databases.triggers(self.judge)
        expected, locked = self._forecast(action), bool(self.open)
        before = dict(self.phases), self._picture() if len(self.twins) == 1 and not self._is_on_the_way_back() else None
        outcome = self._ask_engine(0, action, within_s=0.05 if locked else 20.0)
        if (
            outcome.name != "killed"
            and outcome.name not in expected
            and not (locked and outcome.name == "LockNotGranted")
        ):
            self._wrong(f"{action.verb} ended with {outcome.name} {outcome.said}, not {' or '.join(sorted(expected))}")
        self._after([action], before[0])
        if outcome.name not in ("ok", "killed", "LockNotGranted", "Stopped", "NewColumnsWritten") and before[1]:
            self._demand(self._picture() == before[1], f"{outcome.name}, and yet something changed")
        if outcome.name == "ok":
            self._after_success(action.verb, before[0])
            for twin in self.twins if action.verb == "expand" else ():
                started_over = self.phases[twin.change.id] == "expanded" or not passed_by & set(
                    trigger_names(twin.change)
                )
                self._demand(started_over, "writes may have passed by the triggers that expand put back")

    def _burst(self, action):
        self._end_all()
        run = action.run
        if run is not None and run.verb == "contract" and "new" not in self._releases():
            run = None
        writers = {"rollback": {"old"}, "contract": {"new"}, "purge": {"new"}}
        releases = writers.get(run and run.verb, {"old", "new"}) & self._releases()
        expected, before = self._forecast(run) if run else set(), dict(self.phases)
        if self.dropped or any(self._count_stale(filled=True)):
            expected |= _DISAGREEMENT
        lanes = [self._lane(worker, lane, releases) for worker, lane in enumerate(action.lanes)]
        self._be_patient(1)
        engines = []
        if run is not None:
            engines = self.engines[: 1 + action.twice]
            for engine, order in zip(engines, (run, Run(run.verb, refuse=run.refuse, copies=run.copies)), strict=False):
                engine.send(Order(order, self.history.changes, 20.0))
        for worker, lane in enumerate(lanes):
            if lane:
                self.writers[worker].send("burst", [([each for each, _, _ in puts], commits) for puts, commits in lane])
        told = [self.writers[worker].receive() if lane else [] for worker, lane in enumerate(lanes)]
        outcomes = [engine.receive() for engine in engines]
        self._tell(f"all at once: {run}{' twice' * action.twice if run else ''}", *outcomes)
        gap = bool(self.dropped) or any(phase in OLD_ONLY for phase in before.values())
        refusing = bool(run and run.refuse and run.verb == "fence")
        blocks = [
            self._blocks(worker, *each, gap=gap, refusing=refusing)
            for worker, each in enumerate(zip(lanes, told, strict=True))
        ]
        self._judge_outcomes(run, outcomes, expected)
        self._after([run] if run else [], before, blocks)
        if "ok" in [outcome.name for outcome in outcomes]:
            self._after_success(run.verb, before)

    def _judge_outcomes(self, run, outcomes, expected):
        for outcome in outcomes:
            self._note_fence(run, outcome)
            self.counts["engine steps"] += 1
            self.counts["kills"] += outcome.name == "killed"
            self._demand(
                outcome.name in expected | {"killed"},
                f"{run} ended with {outcome.name} {outcome.said}, not {' or '.join(sorted(expected))}",
            )
        if any(outcome.name == "killed" for outcome in outcomes):
            self._wait_until_noticed()
        # Rows that disagree have the next run start over, but else an engine goes on where a killed one was.
        if [outcome.name for outcome in outcomes] in (["ok", "ok"], ["killed", "ok"]) and not self.sabotaged:
            walked = outcomes[0].walked + outcomes[1].walked
            self._demand(len(set(walked)) == len(walked), f"two engines walked the same rows: {walked}")

    def _stall(self, action):
        self._end_all()
        before, expected = dict(self.phases), self._forecast(Run("migrate"))
        self.engines[0].send(Order(Run("migrate"), self.history.changes, 20.0, stall_at=action.batches))
        first = self.engines[0].receive()
        if first != "stalled":
            self._demand(first.name in expected, f"migrate ended with {first.name} {first.said}")
            self._after([Run("migrate")], before)
            return
        self._stalled = True
        self.judge.run("UPDATE bascule_change SET lease_until = 0")
        self._after([Run("migrate")], before)
        expected = self._forecast(Run(action.other))
        second = self._ask_engine(1, Run(action.other), within_s=20.0)
        self.engines[0].send("go on")
        first, self._stalled = self.engines[0].receive(), False
        self._tell(f"an engine that was stalled after {action.batches} batches wakes up", first)
        self._demand(second.name in expected, f"{action.other} ended with {second.name} {second.said}")
        self._after([Run("migrate"), Run(action.other)], before)
        if second.name == "ok":
            # One that only reads when it wakes up may meet the columns' absence before it meets the lost lease.
            refused = {"LeaseLost"} | ({"StatementFailed", "TriggersMissing"} if action.other == "rollback" else set())
            self._demand(first.name in refused, f"its lease was taken over, but migrate ended with {first.name}")
            self._after_success(action.other, before)

    def _drop(self, action):
        is_open = [twin for twin in self.twins if self.phases[twin.change.id] in OPEN]
        if not is_open or (action.put and self._releases() != {"old", "new"}):
            return
        self._end_all()
        self.sabotaged = True
        if action.put:
            release = ("old", "new")[action.number % 2]
            statement, write = self._statement(
                release, Put("update", action.put.key, action.put.mask, action.put.values)
            )
            reached = databases.run_past_triggers(self.judge, statement.sql, statement.parameters)
            self._tell(f"past all triggers: {statement.sql} {statement.parameters}")
            if reached:
                raw = [Reach(twin, gap=True) for twin in self.twins]
                key = action.put.key
                self.states[key] = {after for state in self.states[key] for after in apply(state, write, raw)}
        else:
            names = [name for twin in is_open for name in trigger_names(twin.change)]
            there = sorted(databases.triggers(self.judge) & set(names))
            if there:
                name = there[action.number % len(there)]
                databases.drop_trigger(self.judge, name)
                self._tell(f"somebody drops trigger {name}")
                self.dropped.add(name)
                self.reaches = self._reaches()
        self._compare()

    def _finish(self, ending, gate):  # noqa: C901 # one straight way through all endings
        """Bring every change to an end that a real upgrade would bring it to."""
        self._end_all()
        if "rolling_back" in self.phases.values():
            self._run(Run("rollback", accept_loss=True))
        if "restoring" in self.phases.values():
            self._run(Run("restore"))
        verbs = _ENDINGS[ending]
        if not set(self.phases.values()) & set(NEW_ONLY):
            if verbs and (gate != "no" or self.sabotaged):
                self._run(Run(verbs[0], alive=gate))
            if verbs != ["rollback"]:
                self._heal()
        elif not verbs:
            verbs = ["contract"]
        for verb in verbs:
            self._run(Run(verb, alive=gate, refuse=verb == "fence"))
            if gate != "no":
                self._run(Run(verb, refuse=verb == "fence"))
        if verbs == ["rollback"] and set(self.phases.values()) & set(OPEN):
            self._run(Run("rollback", accept_loss=True))
        for worker, verb in ((0, "upsert"), (1, "upsert"), (0, "update"), (1, "delete")):
            self._do(Do(worker, Put(verb, KEYS[worker], 0, ("Eve Moss", "b"))))

    def _heal(self):
        """Migrate to the end, as a person would: put back triggers, and decide where both sides disagree."""
        if self.dropped or not set(self.phases.values()) <= set(OPEN):
            self._run(Run("expand"))
        self._run(Run("migrate"))
        if self.sabotaged:
            self._run(Run("verify"))
            self._run(Run("migrate", prefer="new"))
        if any(self.tripped):
            self._run(Run("fence"))  # from now on, no old writer
            self.tripped = ["" for _ in self.twins]

    # What writers say, and to whom.

    def _releases(self):
        """Return the releases that may run now."""
        there = set(self.phases.values())
        return {"old"} - ({"old"} if there & set(NEW_ONLY) else set()) | (
            {"new"} if not there & set(OLD_ONLY) else set()
        )

    def _release_of(self, worker, among=None):
        releases = self._releases() if among is None else among
        wanted = ("old", "new")[worker % 2]
        return wanted if wanted in releases else next(iter(releases), None)

    def _statement(self, release, put, releases=frozenset()):
        """Return the SQL of a statement in that release's columns, and what it writes."""
        # Not in an upsert: what the insert's trigger did to the values shows in the update, on some databases.
        both = put.both and put.verb in ("insert", "update") and releases == {"old", "new"} and release == "new"
        sides = {"old": [twin.old for twin in self.twins], "new": [twin.new for twin in self.twins]}
        names = [name for side in (["old", "new"] if both else [release]) for each in sides[side] for name in each]
        if put.verb == "update":
            chosen = {0: names, 1: names[:1], 2: names[-1:], 3: names[1:] or names}[put.mask]
        else:
            chosen = names if put.verb in ("insert", "upsert") else []
        values = {name: put.values[names.index(name) % len(put.values)] for name in chosen}
        if self.strict:
            values |= {name: "" for name, value in values.items() if name in ("nick", "alias") and value is None}
        age = next(self.age) if put.verb == "touch" else None
        written = values if age is None else {"age": age}
        sets = ", ".join(f"{name} = :{name}" for name in written)
        if put.verb == "delete":
            sql = "DELETE FROM people WHERE id = :id"
        elif put.verb in ("insert", "upsert"):
            sql = f"INSERT INTO people (id, {', '.join(names)}) VALUES (:id, :{', :'.join(names)})"
            if put.verb == "upsert" and self.address.kind == "mariadb":
                sql += " ON DUPLICATE KEY UPDATE " + ", ".join(f"{name} = VALUES({name})" for name in names)
            elif put.verb == "upsert":
                sql += " ON CONFLICT (id) DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in names)
        else:
            sql = f"UPDATE people SET {sets} WHERE id = :id"
        # Who writes both sides may find the old one to be its last word: when it repeats what the new one holds.
        own = [name for each in sides[release] for name in each if values.get(name) is not None and not both]
        look = f"SELECT {', '.join(own)} FROM people WHERE id = :id" if own else ""
        if look and self.address.kind == "mariadb":
            look += " FOR UPDATE"  # an update that changes nothing leaves its transaction's snapshot as old as it was
        seen = tuple(values[name] for name in own)
        return Statement(sql, {"id": put.key, **written}, look, seen), Write(put.verb, values, age)

    def _lane(self, worker, lane, releases):
        release = self._release_of(worker, releases)
        if release is None:
            return []
        return [([(*self._statement(release, put, releases), put) for put in puts], commits) for puts, commits in lane]

    def _blocks(self, worker, lane, told, *, gap, refusing):
        """Return what one worker committed to each row; complain about statements that should not have failed."""
        blocks = {}
        for (puts, commits), answers in zip(lane, told, strict=True):
            self.counts["operations"] += len(answers)
            for (statement, _, _), answer in zip(puts, answers[1:], strict=False):
                self._tell(f"  worker {worker}: {statement.sql} {statement.parameters}", answer)
            self._tell(f"  worker {worker}: {'COMMIT' if commits else 'ROLLBACK'}", answers[-1])
            if answers[-1].trouble:
                _, write, put = puts[len(answers) - 2] if 1 < len(answers) <= len(puts) + 1 else (None, None, None)
                refused = bool(write) and self._refuses(write, being_fenced=refusing)
                self._excuse(answers[-1].trouble, put, concurrent=True, gap=gap, refusing=refused)
            elif commits:
                rows = {}
                for (_, write, put), answer in zip(puts, answers[1:], strict=False):
                    if answer.reached:
                        rows.setdefault(put.key, []).append((write, answer.started))
                for key, writes in rows.items():
                    block = Block(tuple(write for write, _ in writes), writes[0][1], answers[-1].ended)
                    blocks.setdefault(key, []).append(block)
        return blocks

    def _be_patient(self, seconds):
        if self._patience != seconds:
            for writer in self.writers:
                writer.ask("be_patient", seconds)
            self._patience = seconds

    # What engines do.

    def _make_way(self, run):
        """End the transactions of processes that must be gone for this phase, or that it would wait for in vain."""
        if run.verb in ("contract", "purge"):
            self._end_all(of=range(0, WORKERS, 2))
        if run.verb == "rollback":
            self._end_all(of=range(1, WORKERS, 2))
        if run.verb == "expand" and self.address.kind == "postgresql" and self.history.indexed:
            self._end_all()  # an index that is built concurrently waits for every older transaction

    def _ask_engine(self, number, run, *, within_s):
        outcome = self.engines[number].ask(Order(run, self.history.changes, within_s))
        self._tell(f"engine {number}: {run}", outcome)
        self.counts["engine steps"] += 1
        self.counts["kills"] += outcome.name == "killed"
        self.counts["locked out engines"] += outcome.name == "LockNotGranted"
        self.counts["refusals"] += outcome.name not in ("ok", "killed", "LockNotGranted")
        self._note_fence(run, outcome)
        if outcome.name == "killed":
            self._wait_until_noticed()
        return outcome

    def _note_fence(self, run, outcome):
        """Remember that a fence that refuses was left half up or half down, until a run leaves none."""
        refuses = "refuse" in self.fences.values() or (run.verb == "fence" and run.refuse)
        if outcome.name in ("killed", "LockNotGranted") and refuses:
            self.half_fenced = True
        elif outcome.name == "ok" and run.verb in ("fence", "contract", "rollback", "restore"):
            self.half_fenced = False

    def _refuses(self, write, *, being_fenced=False):
        """Whether some fence may refuse this write: it writes what only the old release knows."""
        for twin in self.twins:
            fenced = self.phases[twin.change.id] == "fenced" and self.fences.get(twin.change.id) == "refuse"
            if (fenced or self.half_fenced or being_fenced) and set(twin.old) & set(write.values):
                return True
        return False

    def _wait_until_noticed(self):
        """Return when the server has dropped the sessions of killed processes, with their locks."""
        deadline = time.monotonic() + 10
        while databases.sessions(self.judge) > WORKERS + 1:
            self._demand(time.monotonic() < deadline, "the server keeps a killed engine's session")
            time.sleep(0.002)

    def _forecast(self, run):
        rows_stale = dict(self.judge.read("SELECT id, rows_stale FROM bascule_change"))
        missing = self.dropped - databases.triggers(self.judge)
        return forecast(
            run,
            phases=[self.phases[twin.change.id] for twin in self.twins],
            missing=[bool(missing & set(trigger_names(twin.change))) for twin in self.twins],
            known_stale=[bool(rows_stale.get(twin.change.id)) for twin in self.twins],
            stale=self._count_stale(),
            unfillable=self._count_stale(filled=True),
            tripped=self.tripped,
        )

    def _trip(self, surely=""):
        """Remember that an old writer wrote after the fence: contract must see it, `surely` or perhaps."""
        for number, twin in enumerate(self.twins):
            if self.phases[twin.change.id] == "fenced":
                self.tripped[number] = self.tripped[number] or surely or "perhaps"

    def _count_stale(self, *, filled=False):
        """Return how many rows disagree, per change; with `filled`, without those that a backfill would fill."""
        counts = [0] * len(self.twins)
        for states in self.states.values():
            for state in states - {None}:
                for number, (twin, sides) in enumerate(zip(self.twins, state.sides, strict=True)):
                    if sides.old is None or sides.new is None or (filled and sides.is_virgin):
                        continue
                    counts[number] += not twin.agree(sides.old, sides.new)
        return counts

    # What must be there.

    def _reaches(self, *, before=None, fills=False):
        reaches = []
        for twin in self.twins:
            phase = self.phases[twin.change.id]
            opened = before is not None and before[twin.change.id] in (*OLD_ONLY, *NEW_ONLY)
            gap = opened or bool(self.dropped & set(trigger_names(twin.change)))
            reaches.append(Reach(twin, phase not in NEW_ONLY, phase not in OLD_ONLY, gap=gap, fills=fills))
        return reaches

    def _after(self, runs, before, blocks=()):
        """Follow what engines did, and writers meanwhile; then compare."""
        self.phases |= {name: phase for name, phase in databases.phases(self.judge).items() if name in self.phases}
        fills = any(run.verb == "migrate" for run in runs)
        self.fences = databases.fences(self.judge)
        during = self._reaches(before=before, fills=fills)
        for key, before_it in self.states.items():
            states = {after for state in before_it for after in turn(state, during, self.frozen.get(key))}
            if any(run.prefer for run in runs):
                states = set().union(*(self._resolved(state, runs[0].prefer) for state in states))
            lanes = [lane[key] for lane in blocks if key in lane]
            self.states[key] = explain(states, lanes, during) if lanes or fills else states
        is_open = {
            name for twin in self.twins if self.phases[twin.change.id] in OPEN for name in trigger_names(twin.change)
        }
        self.dropped = (self.dropped & is_open) - databases.triggers(self.judge)
        self.reaches = self._reaches()
        for number, twin in enumerate(self.twins):
            if self.phases[twin.change.id] != "fenced" or before[twin.change.id] != "fenced":
                self.tripped[number] = ""
            elif any(blocks) or any(run.verb in ("fence", "contract", "migrate", "expand") for run in runs):
                self.tripped[number] = "perhaps"  # fenced anew, it counts anew; or somebody wrote meanwhile
        if runs and any(blocks):
            self._trip()
        self._compare()

    def _resolved(self, state, prefer):
        """Return what a row may be after a person said which side is right, and the engine came so far or did not."""
        if state is None:
            return {None}
        choices = [{sides, _prefer(twin, sides, prefer)} for twin, sides in zip(self.twins, state.sides, strict=True)]
        return {State(state.age, sides) for sides in itertools.product(*choices)}

    def _after_success(self, verb, before):  # noqa: C901 # one list, a branch per verb
        there = set(self.phases.values())
        catalog = databases.catalog(self.judge)
        if verb == "migrate":
            worked = [twin for twin in self.twins if before[twin.change.id] not in ("synced", "fenced")]
            for key, states in self.states.items():
                for state in states - {None}:
                    for twin, sides in zip(self.twins, state.sides, strict=True):
                        agreed = twin not in worked or sides.old is None or twin.agree(sides.old, sides.new)
                        self._demand(agreed, f"row {key} is {sides} after a migrate that ended well")
            self._demand(there <= {"synced", "fenced", *NEW_ONLY}, f"migrate ended well, but phases are {self.phases}")
        elif verb == "expand":
            self._demand(not there & set(OLD_ONLY), f"expand ended well, but phases are {self.phases}")
        elif verb == "rollback":
            self._demand(there <= {"planned", "rolled_back"}, f"rollback ended well, but phases are {self.phases}")
            self._demand(catalog == self.original, f"after rollback the table is {catalog}, not {self.original}")
        elif verb == "restore":
            self._demand(not there & {*NEW_ONLY, "fenced"}, f"both sides were restored, but phases are {self.phases}")
        elif verb == "fence":
            self._demand(there <= {"fenced", *NEW_ONLY}, f"fence ended well, but phases are {self.phases}")
        elif verb == "contract":
            self._demand(there <= {"contracted", *GONE}, f"contract ended well, but phases are {self.phases}")
            self._demand(
                not databases.triggers(self.judge),
                f"triggers are left after contract: {databases.triggers(self.judge)}",
            )
        elif verb == "purge":
            self._demand(there == {"purged"}, f"purge ended well, but phases are {self.phases}")
            old = {name for twin in self.twins for name in twin.old}
            self._demand(not old & set(databases.columns(self.judge)), "old columns are left after purge")

    def _picture(self):
        """Return what a refused run leaves as it was; but contract may have fenced before it refused."""
        phases = {name: "synced" if phase == "fenced" else phase for name, phase in self.phases.items()}
        return databases.columns(self.judge), phases, databases.rows(self.judge)

    def _is_on_the_way_back(self):
        """Whether a rollback first restores both sides, even if it is refused later."""
        return bool(set(self.phases.values()) & set(NEW_ONLY))

    def _commit(self, written):
        for key, write in written:
            self.states[key] = {after for state in self.states[key] for after in apply(state, write, self.reaches)}

    def _compare(self):
        """Demand that every row is one of those that it may be, and go on from the one it is."""
        found = databases.rows(self.judge)
        self.frozen = {
            key: [tuple(row.get(name) for name in twin.old) for twin in self.twins] for key, row in found.items()
        }
        for key, states in self.states.items():
            state = self._state(found.pop(key, None))
            if state not in states:
                may = " or ".join(sorted(map(str, states))) or "anything that these commits can give"
                self._wrong(f"row {key} is {state}, not {may}")
            if state is not None and not self.sabotaged:
                for reach, sides in zip(self.reaches, state.sides, strict=True):
                    fits = sides.old is None or sides.new is None or sides.is_virgin
                    self._demand(fits or reach.twin.agree(sides.old, sides.new), f"row {key} disagrees: {sides}")
            self.states[key] = {state}
        self._demand(not found, f"there are rows that nobody wrote: {found}")

    def _state(self, row):
        if row is None:
            return None
        sides = (
            Sides(
                tuple(row[name] for name in reach.twin.old) if reach.old else None,
                tuple(row[name] for name in reach.twin.new) if reach.new else None,
            )
            for reach in self.reaches
        )
        return State(row["age"], tuple(sides))

    def _excuse(self, trouble, put, *, mine=(), concurrent=False, gap=False, refusing=False):
        """Accept a statement that failed for a good reason, and only then."""
        good = ("lock", "duplicate", "null", "refused")
        self.counts[f"{trouble} troubles" if trouble in good else "failures"] += 1
        if trouble == "refused" and refusing:
            return
        if trouble == "lock" and (concurrent or self.open):
            return
        if trouble == "duplicate" and put and put.verb == "insert":
            held = any(key == put.key for written in (mine, *self.open.values()) for key, _ in written)
            if concurrent or held or self.states[put.key] != {None}:
                return
        if trouble == "null" and self.strict and (gap or self.dropped):
            return
        self._wrong(f"a statement failed: {trouble}")

    def _tell(self, what, *told):
        self.trace.append(f"{what} {' '.join(map(_brief, told))}".rstrip())

    def _demand(self, fits, otherwise):
        if not fits:
            self._wrong(otherwise)

    def _wrong(self, why):
        header = f"changes {self.history.changes}, strict={self.strict}, indexed={self.history.indexed}"
        raise Wrong("\n".join([why, f"on {self.address.kind}, {header}, rows {self.history.rows}", *self.trace]))


def _prefer(twin, sides, prefer):
    if sides.old is None or sides.new is None or twin.agree(sides.old, sides.new):
        return sides
    if prefer == "old" or sides.is_virgin:
        return Sides(sides.old, twin.up(sides.old))
    return Sides(twin.down(sides.new), sides.new)


def _brief(told):
    if hasattr(told, "walked"):
        return f"-> {told.name} {told.said}".rstrip()
    return f"-> {told.trouble}" if told.trouble else f"-> {told.reached} row(s)"


_ENDINGS = {
    "synced": [],
    "fence": ["fence"],
    "contract": ["contract"],
    "purge": ["contract", "purge"],
    "rollback": ["rollback"],
    "contract and rollback": ["contract", "rollback"],
}
_PLAYS = {
    Do: World._do,
    Begin: World._begin,
    End: World._end,
    Run: World._run,
    Burst: World._burst,
    Stall: World._stall,
    Drop: World._drop,
}
