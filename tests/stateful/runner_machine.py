"""Random commands to Runners over one store. Each run is compared with the story that `story` derives from its log.

One or two owners share a medium. The machine decides which node in flight ends with which word, which owner crashes,
what is sent, answered, branched and resumed, and how fast the stores' threads are; time passes only by its clock. After
every command the loop runs until nothing moves. Then these hold for each run: its log only grew; every word sent to a
live driver is in it once, and no other word; the nodes in flight are those of the story, and none of them is cancelled
while its process drives the run; the status and the state are the story's. At the end a new owner drives every run to
its end.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, ClassVar, TypeVar
from unittest.mock import patch

import pytest
from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from graphengine import Limits, Runner
from graphengine.errors import GraphEngineError, InputError, LeaseLost, RunIsDriven, StoreError
from graphengine.kernel.fake_clock import FakeClock
from graphengine.kernel.testing.kit import same
from graphengine.runner.run import Run, life_of
from graphengine.runner.runner import lives_of
from graphengine.stores.base import Append, RunInfo
from tests.stateful.media import LEASE_SECONDS, File, Medium, Memory
from tests.stateful.processes import Known, Mortal, Process, Witness
from tests.stateful.round import Book, Boom, Gate, Gates, round_graph
from tests.stateful.threads import NEVER_SECONDS, Threads

T = TypeVar("T")

MOST_RUNS = 4
QUIET_TURNS = 3
MOST_TURNS = 20_000
FULL_LOOK = 7
MOST_PACE = 5
MOST_TURNS_APART = 20
picks = st.integers(0, 11)
limits = st.none() | st.integers(1, 9)


class RunnerMachine(RuleBasedStateMachine):
    """Runs under random commands."""

    medium_class: ClassVar[type[Memory | File]]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.threads = Threads(self.loop)
        self.patches: list[Any] = [
            *self.threads.patches(),
            patch("graphengine.runner.shared.INBOX_SECONDS", NEVER_SECONDS),
            patch("graphengine.runner.shared.LOOK_SECONDS", NEVER_SECONDS),
            *(patch(f"graphengine.{name}.MIN_ROWS", 4) for name in ("databases.snapshots", "stores.memory")),
            patch("graphengine.databases.long_texts.LEAST_BYTES", 6),
        ]
        for each in self.patches:
            each.start()
        self.clock = FakeClock(start=1000.0, jumps=False)
        self.medium: Medium = self.medium_class(self.clock)
        self.processes: dict[int, Process] = {}
        self.runs: dict[str, Known] = {}
        self.word = 0
        self.looks = 0
        self.only = ""
        self.aside: list[asyncio.Task[Any]] = []
        self.taken: Counter[str] = Counter()  # how often each run was started or claimed
        self.begun: dict[tuple[Mortal, Gate], int] = {}  # how often it was when a node reached a gate
        self.faults: list[str] = []  # failures found where they cannot be raised

    def teardown(self) -> None:
        """Drive every run to its end with an owner that knew nothing of it."""
        try:
            for place in list(self.processes):
                self.crash(place)
            self.clock.move(1000.0)
            for run_id in list(self.runs):
                self.finish(run_id)
        finally:
            for place in list(self.processes):
                self.end(place)
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.do(asyncio.sleep(0))
            self.threads.end()
            self.loop.close()
            self.medium.remove()
            for each in self.patches:
                each.stop()

    # -- helpers of the rules

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the loop of this example."""
        return self.loop.run_until_complete(work)

    @property
    def places(self) -> int:
        """The number of possible owners."""
        return min(self.medium.places, 2)

    def at(self, pick: int) -> Process:
        """Return the owner at a place, started if there is none."""
        place = pick % self.places
        if place not in self.processes:
            self.processes[place] = self.do(self.begin())
        return self.processes[place]

    async def begin(self) -> Process:
        """Start a new owner."""
        store = await self.medium.open()
        mortal = Mortal(store, Witness(lambda run_id: self.taken.update([run_id]), self.acknowledged))
        runner = Runner(mortal, clock=self.clock, run_again=True)
        gates = Gates(lambda gate: self.called(gate, mortal), lambda gate: self.called_off(gate, mortal))
        return Process(runner, mortal, gates, round_graph(gates), self.medium.owner_id(store))

    def called(self, gate: Gate, store: Mortal) -> None:
        """Check a call of a node, or of its recorded work: its end is not recorded, and what led to it is durable."""
        assert gate.run_id in self.runs, f"{gate} is called, but the run was removed"
        self.begun[store, gate] = self.taken[gate.run_id]
        story = self.runs[gate.run_id].story
        assert (gate.name, gate.visit) not in story.done, f"{gate} is recorded, but is called again"
        before = [step for batch in store.writing if batch.run_id == gate.run_id for step in batch.steps]
        early = [step for step in before if step.frame in ("", gate.frame) and step.kind != "message"]
        assert not early, f"{gate} is called before {early} is durable"

    def called_off(self, gate: Gate, store: Mortal) -> None:
        """Check that a node cancelled before its word was cancelled since its process died or lost the run."""
        lives = any(process.store is store for process in self.processes.values())
        if lives and self.taken[gate.run_id] == self.begun[store, gate]:
            self.faults.append(f"{gate} was called off, and its process drives the run")

    def acknowledged(self, batch: Append) -> None:
        """Check that a batch reported as durable can be read past the store."""
        if batch.steps and self.medium.recorded(batch.run_id) < batch.steps[-1].seq:
            self.faults.append(f"{batch} was acknowledged, and is not there")

    async def settle(self) -> None:
        """Wait until nothing moves without a word from the machine."""
        quiet = turns = 0
        while quiet < QUIET_TURNS:
            turns += 1
            assert turns < MOST_TURNS, "it never comes to rest"
            is_waited_for = any(process.store.pending for process in self.processes.values())
            ready: Sequence[object] = getattr(self.loop, "_ready")  # noqa: B009 - asyncio exposes this nowhere else
            quiet = 0 if ready or is_waited_for else quiet + 1  # lets a working thread take a turn on the loop
            await asyncio.sleep(0)

    def new_word(self) -> str:
        """Return a word that was not used before."""
        self.word += 1
        return f"{self.word}"

    def free_id(self) -> str:
        """Return the id of a run to start, if possible one that was used before."""
        held = {run_id for process in self.processes.values() for run_id in process.runner._shared.driven}  # noqa: SLF001
        return next(name for number in itertools.count() if (name := f"run{number}") not in held | self.runs.keys())

    def picked(self, pick: int) -> tuple[str, Known]:
        """Return one of the runs."""
        return list(self.runs.items())[pick % len(self.runs)]

    def driver(self, run_id: str) -> Process | None:
        """Return the driver of a run in the owners' own view, also with an expired lease until another claims it."""
        drivers = [p for p in self.processes.values() if self.info(p, run_id).driver == p.owner_id]
        assert len(drivers) <= 1
        return drivers[0] if drivers else None

    def info(self, process: Process, run_id: str) -> RunInfo:
        """Return an owner's info of a run."""
        return self.do(process.store.store.info(run_id))

    def aside_of(self, work: Coroutine[Any, Any, object]) -> None:
        """Start something that returns only when nodes have ended."""

        async def begin() -> None:
            self.aside.append(asyncio.create_task(work))

        self.do(begin())

    # -- commands

    @initialize(limit=limits, paces=st.lists(st.integers(0, MOST_PACE), min_size=1, max_size=7))
    def start_one(self, limit: int | None, paces: Sequence[int]) -> None:
        """Start a run, with threads of this speed."""
        self.threads.take(paces)
        self.start(0, limit)

    @precondition(lambda self: len(self.runs) < MOST_RUNS)
    @rule(pick=picks, limit=limits)
    def start(self, pick: int, limit: int | None) -> None:
        """Start a run."""
        process = self.at(pick)
        run_id = self.free_id()
        self.runs[run_id] = Known()

        async def begin() -> None:
            process.handles.append(process.runner.start(process.graph, run_id=run_id, limits=Limits(visits=limit)))

        self.do(begin())
        self.look()

    @precondition(lambda self: any(process.gates.standing for process in self.processes.values()))
    @rule(
        pick=picks, how=st.sampled_from(("", "", "", "", "again", "fail")), count=st.integers(1, 3),
        apart=st.integers(0, MOST_TURNS_APART),
    )  # fmt: skip
    def end_nodes(self, pick: int, how: str, count: int, apart: int) -> None:
        """End or fail some nodes in flight, at the same time or some turns apart."""
        for _ in range(count):
            self.end_one(pick, how)
            self.pass_turns(apart)
        self.look()

    def pass_turns(self, turns: int) -> None:
        """Let everything move a little."""

        async def some() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        if turns:
            self.do(some())

    def end_one(self, pick: int, how: str, *, sure: bool = True, only: str = "") -> None:
        """End a node in flight: its result is recorded if its process is the driver and survives."""
        standing = [
            (process, gate, word)
            for process in self.processes.values()
            for gate, word in process.gates.standing.items()
            if not word.done() and only in ("", gate.run_id)
        ]
        if not standing:
            return
        process, gate, future = standing[pick % len(standing)]
        known, word = self.runs.get(gate.run_id), self.new_word()
        if known is not None and self.medium.drives(process.store.store, gate.run_id):
            (known.words if sure else known.maybe).add(word)
        if how == "fail":
            future.set_exception(Boom(f"boom {word}"))
        else:
            future.set_result(f"again {word}" if how and gate.name == "review" else word)

    @precondition(lambda self: self.runs)
    @rule(pick=picks, who=picks, limit=limits, raises=st.booleans())
    def resume(self, pick: int, who: int, limit: int | None, *, raises: bool) -> None:
        """Resume a run: a live owner refuses others, and itself at once; without one, all that is unfinished runs."""
        run_id, _ = self.picked(pick)
        self.resume_as(self.at(who), run_id, Limits(visits=limit) if raises else None)

    def resume_as(self, process: Process, run_id: str, given: Limits | None) -> None:
        """Resume a run."""
        known, info = self.runs[run_id], self.info(process, run_id)
        is_driven = info.driver is not None or run_id in lives_of(process.runner).shared.driven
        has_mail = bool(self.do(process.store.store.inbox([run_id])))
        length = len(known.log)

        async def go_on() -> Run[Book] | None:
            if run_id in lives_of(process.runner).shared.driven:
                with pytest.raises(RunIsDriven):
                    process.runner.resume(run_id, process.graph, limits=given, wait_out=False)
                return None
            run = process.runner.resume(run_id, process.graph, limits=given, wait_out=False)
            process.handles.append(run)
            await self.settle()
            return run

        run = self.do(go_on())
        self.look()
        if run is None:
            event("resumed where it is driven")
            return
        has_gone_on = len(known.log) > length and known.log[length].kind == "resumed"
        error = None if not life_of(run).task.done() else self.error_of(run)
        assert error is None or error.code in ("run_failed", "run_is_driven"), error
        is_due = info.due_at is not None and info.due_at <= self.clock.now()
        has_failed = bool(known.stories[length].failed)  # arms or items, which are tried again
        waits = info.status == "waiting" and not (is_due or has_mail or given is not None or has_failed)
        is_wanted = info.status != "finished" and not waits  # else its result is returned, driven or not
        assert has_gone_on == (is_wanted and not is_driven)
        assert isinstance(error, RunIsDriven) == (is_wanted and is_driven)
        if is_wanted and is_driven:
            event("two owners")

    def error_of(self, run: Run[Book]) -> GraphEngineError | None:
        """Return the exception of a run that is over."""
        try:
            self.do(run.result())
        except GraphEngineError as error:
            return error
        return None

    @precondition(lambda self: self.processes)
    @rule(
        pick=picks, ends=st.integers(0, 3), turns=st.integers(0, MOST_TURNS_APART), apart=st.integers(0, 4),
        how=st.sampled_from(("", "again", "fail")),
    )  # fmt: skip
    def crash_at_work(self, pick: int, ends: int, turns: int, apart: int, how: str) -> None:
        """Kill an owner while ends of nodes are on their way to the log: they may or may not have arrived."""
        for _ in range(ends):
            self.end_one(pick, how, sure=False)
            self.pass_turns(apart)
        self.pass_turns(turns)
        self.crash(list(self.processes)[pick % len(self.processes)])
        self.look()

    def crash(self, place: int) -> None:
        """Kill an owner: nothing that it does from now on reaches the medium."""
        process = self.processes.pop(place)
        for run_id, known in self.runs.items():
            known.orphan |= self.medium.drives(process.store.store, run_id)
        process.store.is_dead = True

        async def die() -> None:
            await self.medium.kill(process.store.store)
            with suppress(GraphEngineError):
                await process.runner.close()

        self.do(die())

    @precondition(lambda self: self.processes)
    @rule(pick=picks)
    def close(self, pick: int) -> None:
        """Close an owner's Runner: its runs stop at their current positions."""
        self.end(list(self.processes)[pick % len(self.processes)])
        self.look()

    def end(self, place: int) -> None:
        """Close an owner's Runner."""
        self.do(self.processes.pop(place).runner.close())

    @precondition(lambda self: any(known.log for known in self.runs.values()) and len(self.runs) < MOST_RUNS)
    @rule(pick=picks, who=picks, at=st.integers(0, 40), writes=st.booleans())
    def branch(self, pick: int, who: int, at: int, *, writes: bool) -> None:
        """Branch a child after any step. The parent's log is checked like every other, and stays unchanged."""
        run_id, parent = self.picked(pick)
        process, child_id, word = self.at(who), self.free_id(), self.new_word()
        seq = 1 + at % len(parent.log)
        shared = parent.stories[seq]
        child = Known(parent.log[:seq], parent.stories[: seq + 1], set(shared.words), sent=list(shared.heard))
        child.asked, child.maybe, child.parent = dict(shared.answers), set(shared.heard), run_id
        update = {"log": f"branch {word}"} if writes else None
        self.runs[child_id] = child

        async def begin() -> Run[Book]:
            run = process.runner.branch(run_id, process.graph, seq, update=update, path="", run_id=child_id)
            process.handles.append(run)
            await self.settle()
            return run

        run = self.do(begin())
        if shared.at == "end":
            del self.runs[child_id]
            error = self.error_of(run)
            assert error is not None
            assert error.code == "run_not_resumable"
        elif writes:
            child.words.add(word)
        self.look()

    @precondition(lambda self: self.runs)
    @rule(pick=picks, who=picks)
    def answer(self, pick: int, who: int) -> None:
        """Answer a run: accepted if it asks and has no answer yet, and then delivered once."""
        self.answer_as(self.at(who), self.picked(pick)[0])

    def answer_as(self, process: Process, run_id: str) -> None:
        """Answer a run."""
        known, word = self.runs[run_id], self.new_word()
        story = known.story
        try:
            self.do(process.runner.answer(run_id, word))
        except InputError:
            assert "question" not in story.waits or story.visit in known.asked
        else:
            assert "question" in story.waits
            assert story.visit not in known.asked
            known.asked[story.visit] = word
            known.maybe.add(word)
        self.look()

    @precondition(lambda self: self.runs)
    @rule(pick=picks, who=picks, again=st.booleans())
    def send(self, pick: int, who: int, *, again: bool) -> None:
        """Send a message, or nothing new if the key is that of the last one."""
        self.send_as(self.at(who), self.picked(pick)[0], again=again)

    def send_as(self, process: Process, run_id: str, *, again: bool = False) -> None:
        """Send a message."""
        known = self.runs[run_id]
        own = [word for word in known.sent if word.endswith(f"@{run_id}")]
        word = own[-1] if again and own else f"m{self.new_word()}@{run_id}"
        try:
            self.do(process.runner.send(run_id, "news", word, idempotency_key=word))
        except InputError:
            assert known.story.at == "end"
        else:
            if word not in known.sent:
                known.sent.append(word)
                known.maybe.add(word)
        self.look()

    @precondition(lambda self: self.runs)
    @rule(pick=picks, who=picks, ends=st.integers(0, 2))
    def stop(self, pick: int, who: int, ends: int) -> None:
        """Stop a run from any process: nothing more starts, and nodes in flight end one by one, recorded."""
        self.stop_as(self.at(who), self.picked(pick)[0], pick, ends)

    def stop_as(self, process: Process, run_id: str, pick: int, ends: int) -> None:
        """Stop a run, and then end this many of its nodes in flight."""
        known, driver = self.runs[run_id], self.driver(run_id)
        is_here = run_id in lives_of(process.runner).shared.driven
        if driver is not None and (driver is process or not is_here):
            known.halting = True
        self.let_land(process.runner.stop(run_id), run_id, driver)
        for _ in range(ends):
            self.end_one(pick, "", only=run_id)
            self.look()

    @precondition(lambda self: any(len(process.gates.standing) > 1 for process in self.processes.values()))
    @rule(pick=picks, who=picks)
    def stop_amid(self, pick: int, who: int) -> None:
        """Stop a run with several nodes in flight: the end of each is recorded, in any order."""
        flying = Counter(gate.run_id for process in self.processes.values() for gate in process.gates.standing)
        several = [run_id for run_id, count in flying.items() if count > 1 and run_id in self.runs]
        if several:
            run_id = several[pick % len(several)]
            self.stop_as(self.at(who), run_id, pick, flying[run_id])

    @precondition(lambda self: self.runs)
    @rule(pick=picks, who=picks)
    def leave(self, pick: int, who: int) -> None:
        """Release a run without ending it."""
        run_id, known = self.picked(pick)
        process = self.at(who)
        driver = self.driver(run_id)
        if driver is process:
            known.halting = known.orphan = True
        self.let_land(process.runner.release(run_id), run_id, driver)

    def let_land(self, asking: Coroutine[Any, Any, None], run_id: str, driver: Process | None) -> None:
        """Ask a run to start nothing more: its driver's nodes in flight stay there until they end."""
        flying = {gate for gate in driver.gates.standing if gate.run_id == run_id} if driver is not None else set()
        self.aside_of(asking)
        self.look()
        assert driver is None or flying <= driver.gates.standing.keys(), "nodes in flight were cancelled"

    @rule(seconds=st.sampled_from((1.0, 25.0, 60.0)), asleep=st.none() | picks)
    def turn_the_clock(self, seconds: float, asleep: int | None) -> None:
        """Advance the clock. An owner suspended meanwhile gives no sign of life, so its lease can expire."""
        places = list(self.processes)
        suspended = None if asleep is None or not places else places[asleep % len(places)]
        self.clock.move(seconds)
        for place, process in self.processes.items():
            if place != suspended:
                self.medium.renew(process.store.store)
        self.look()

    @precondition(lambda self: self.places > 1 and any(process.gates.standing for process in self.processes.values()))
    @rule(pick=picks, ends=st.integers(0, 2))
    def suspend(self, pick: int, ends: int) -> None:
        """Suspend a driver past its lease, let another owner claim one of its runs, and then wake the first one."""
        driving = [place for place, process in self.processes.items() if process.gates.standing]
        place = driving[pick % len(driving)]
        other = self.at(place + 1)
        gates = list(self.processes[place].gates.standing)
        run_id = gates[pick % len(gates)].run_id
        if run_id not in self.runs:
            return  # it was suspended before, and its run was removed since
        self.clock.move(LEASE_SECONDS + 1)
        self.medium.renew(other.store.store)
        self.look()
        self.resume_as(other, run_id, None)
        for _ in range(ends):
            self.end_one(pick, "", only=run_id)
            self.look()
        event("a suspended driver")

    # -- checks

    def look(self) -> None:
        """Let everything move as far as it can, and check each run against its story."""
        reader = self.at(next(iter(self.processes), 0))

        async def poll() -> None:
            await self.settle()
            for process in list(self.processes.values()):
                for run_id in list(lives_of(process.runner).shared.driven):
                    await process.runner.get(run_id)._look()  # noqa: SLF001 - what it does twice a second
            await self.settle()

        self.do(poll())
        for task in [task for task in self.aside if task.done()]:
            self.aside.remove(task)
            error = None if task.cancelled() else task.exception()
            assert error is None or isinstance(error, (RunIsDriven, LeaseLost, StoreError)), error
        assert not self.faults
        for run_id, known in self.runs.items():
            if self.only in ("", run_id):
                self.read(reader, run_id, known)
                self.compare(reader, run_id, known)

    def read(self, reader: Process, run_id: str, known: Known) -> None:
        """Check that the log only grew, and that its new steps were possible and happened."""
        self.looks += 1
        if self.looks % FULL_LOOK == 0:
            whole = self.do(reader.runner.history(run_id))
            assert same(whole[: len(known.log)], known.log), f"the past of {run_id} changed"
        for step in self.do(reader.store.store.steps(run_id, len(known.log))):
            known.log.append(step)
            story = known.story.copy()
            story.tell(step)
            known.stories.append(story)
            if step.kind == "resumed":
                known.orphan = known.halting = False
        story = known.story
        assert known.words <= {*story.words}, f"{run_id} lost {known.words - {*story.words}}"
        assert {*story.words} <= known.words | known.maybe, (
            f"{run_id}: no client sent {set(story.words) - known.words - known.maybe}"
        )
        assert story.heard == known.sent[: len(story.heard)]
        assert story.answers.items() <= known.asked.items()

    def compare(self, reader: Process, run_id: str, known: Known) -> None:
        """Compare the nodes in flight, the status and the state with those of the story."""
        story, driver = known.story, self.driver(run_id)
        if known.seen != len(known.log):
            assert self.do(reader.runner.state_at(run_id))["log"] == story.lines
        earlier = len(known.log) * (self.looks % FULL_LOOK) // FULL_LOOK
        if earlier and known.seen != len(known.log):
            assert self.do(reader.runner.state_at(run_id, earlier))["log"] == known.stories[earlier].lines
        known.seen = len(known.log)
        info = self.info(reader, run_id)
        assert info.tags == tuple(sorted(known.tags))
        if driver is None:
            assert info.status == story.status or (info.status == "running" and known.orphan), (info, story)
            return
        standing = {gate.name for gate in driver.gates.standing if gate.run_id == run_id}
        assert standing, f"{run_id} is driven, but nothing is in flight"
        assert standing <= story.gates(), f"{run_id}: {standing - story.gates()} are in flight and should not be"
        if known.halting:
            return
        assert not story.waits or story.heard == known.sent
        if not story.limited:
            assert standing == story.gates(), f"{run_id}: {story.gates() - standing} should be in flight"
            assert all(due is None or due > self.clock.now() for due in story.waits.values())
            assert not ("hear" in story.waits and story.mailbox)
            assert "question" not in story.waits or story.visit not in known.asked

    def finish(self, run_id: str) -> None:
        """Drive a run to its end."""
        known, self.only = self.runs[run_id], run_id
        for _ in range(30):
            if known.story.at == "end":
                break
            process = self.at(0)
            self.resume_as(process, run_id, Limits())
            while standing := [gate for gate in process.gates.standing if gate.run_id == run_id]:
                for _ in standing:
                    self.end_one(0, "", only=run_id)
                self.look()
            if "question" in known.story.waits and known.story.visit not in known.asked:
                self.answer_as(process, run_id)
            if "hear" in known.story.waits and len(known.sent) == len(known.story.heard):
                self.send_as(process, run_id)
            self.clock.move(60.0)
            self.medium.renew(process.store.store)
        assert known.story.at == "end"
        process = self.at(0)

        async def result() -> list[str]:
            return (await process.runner.resume(run_id, process.graph).result()).state.log

        assert self.do(result()) == known.story.lines
