"""Handles on any run: driven here, by another process, waiting, or over."""

import asyncio
import pickle
from collections.abc import AsyncIterator
from copy import copy, deepcopy
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, model_validator

from graphengine import Context, Runner
from graphengine.errors import DefinitionError, RunIsDriven, StoreError, UnknownRun
from graphengine.runner import Emitted, RunEnded, StatusChanged, StepRecorded
from graphengine.runner.result import Result
from graphengine.runner.run_events import Event
from graphengine.stores.memory import InMemoryStore
from tests.kit.runs import alone
from tests.runner.gates import Gate, State, asking, kinds_of, one


async def test_get_returns_the_handle_of_a_run_that_is_driven_here(runner: Runner) -> None:
    """It is the same object from the call of `start` on, until the run is over; then another one only reads."""
    gate = Gate()
    run = runner.start(gate.graph(), run_id="r")
    assert runner.get("r") is run
    await gate.entered.wait()
    assert runner.get("r") is run
    gate.leave.set()
    await run.result()
    later = runner.get("r", gate.graph())
    assert later is not run
    assert (await later.result()).state == State(n=1)
    assert (await kinds_of(later.events()))[-2:] == ["node", "RunEnded"]
    assert (await kinds_of(later.events(after=2))) == ["RunEnded"]


async def test_a_result_makes_its_state_and_output_when_they_are_looked_at(runner: Runner) -> None:
    """Each is made once; the output is made without the fields that it does not read."""
    made: list[str] = []

    class Note(BaseModel):
        text: str

        @model_validator(mode="after")
        def count(self) -> "Note":
            made.append(self.text)
            return self

    class Noted(BaseModel):
        word: str = ""
        notes: list[Note] = []

    def write() -> dict[str, Any]:
        return {"word": "yes", "notes": [{"text": "a"}]}

    graph = alone(Noted, write, ("word", "notes"), name="notes", node="write", result="word")
    result = await runner.start(graph, run_id="r").result()
    made.clear()
    assert (result.output, replace(result, status="stopped").output, made) == ("yes", "yes", [])
    assert result.state.notes[0].text == "a"
    assert made == ["a"]
    assert result.state is result.state
    assert "word='yes'" in repr(result)
    whole = await runner.start(one("adds", lambda n: n + 1)).result()
    assert whole.output is whole.state


async def test_a_copy_of_a_result_has_its_state_but_nothing_of_its_graph(runner: Runner) -> None:
    """So it can be sent to another process, whatever functions the graph has."""
    graph = alone(State, lambda n: n + 1, "n", name="counts", node="add", result="n")
    result = await runner.start(graph).result()
    for made in (copy(result), deepcopy(result), pickle.loads(pickle.dumps(result))):  # noqa: S301 - made here
        assert (made.state, made.output, made) == (State(n=1), 1, result)
        assert replace(made, run_id="other").state == State(n=1)


async def test_a_result_is_what_its_class_makes(runner: Runner) -> None:
    """However it was filled: all its fields are set, cannot be set again, and equal those of one made by a call."""
    result = await runner.start(one("adds", lambda n: n + 1), run_id="r").result()
    assert type(result) is Result
    given = {each.name: getattr(result, each.name) for each in fields(Result) if each.init}
    assert (Result(**given), repr(Result(**given))) == (result, repr(result))
    with pytest.raises(FrozenInstanceError):
        result.status = "stopped"  # type: ignore[misc]


async def test_what_the_result_has_is_refused_with_the_forgotten_await(runner: Runner) -> None:
    """A name that neither has is reported as Python does."""
    run: Any = runner.start(one("adds", lambda n: n + 1))
    with pytest.raises(
        AttributeError,
        match=r"has no attribute .*\n  at: Run.*\n  repair: \(await run\.result\(\)\)\.\w+",
    ):
        _ = run.state
    with pytest.raises(AttributeError, match=r"^'Run' object has no attribute 'nothing'$"):
        _ = run.nothing
    assert (await run.result()).state == State(n=1)


async def test_a_handle_on_a_run_of_another_process_waits_for_its_end(database: Path | str) -> None:
    """Its result is that of the other process; without the graph, the state has the recorded values."""
    gate = Gate()
    async with Runner(database) as runner, Runner(database) as other:
        runner.start(gate.graph(), run_id="r")
        await gate.entered.wait()
        typed = asyncio.create_task(other.get("r", gate.graph()).result())
        untyped = asyncio.create_task(other.get("r").result())
        await asyncio.sleep(0)
        assert not untyped.done()
        gate.leave.set()
        assert (await typed).state == State(n=1)
        assert (await untyped).state.model_dump() == {"n": 1, "text": "", "heard": []}


async def test_a_handle_does_what_the_runner_does_with_its_run(database: Path | str) -> None:
    """It sends, answers, stops, reads and branches, also if another process began the run."""
    async with Runner(database) as ours, Runner(database) as theirs:
        graph = asking()
        run = ours.start(graph, run_id="r")
        assert [wait.name for wait in (await run.result()).waits] == ["a"]
        for handle in (run, theirs.get("r", graph)):
            assert await handle.status() == "waiting"
            assert [step.seq for step in await handle.history(after=1, limit=1)] == [2]
            assert await handle.history() == await ours.history("r")
        theirs_child = theirs.get("r", graph).branch(1, run_id="child")
        assert (await theirs_child.result()).status == "waiting"
        await theirs.get("child").stop("enough")
        assert await theirs_child.status() == "stopped"
        await theirs.get("r").send("said", "hello")
        await theirs.get("r").answer(5, wait="a")
        result = await ours.resume("r", graph).result()
        assert (result.state.n, result.unread) == (5, {"said": ["hello"]})
        assert await run.status() == "finished"
        with pytest.raises(DefinitionError, match="does not know the graph of the run") as caught:
            theirs.get("r").branch(1)
        assert "runner.get('r', graph)" in caught.value.repair


async def test_an_unknown_run_is_reported_by_every_method_of_its_handle(runner: Runner) -> None:
    """`get` asks the store only when the handle is used."""
    run = runner.get("missing")
    for call in (
        run.result(),
        run.status(),
        run.history(),
        run.answer(1),
        run.send("topic", 1),
        run.stop(),
        anext(run.events()),
        anext(runner.watch("missing")),
        runner.info("missing"),
    ):
        with pytest.raises(UnknownRun, match="missing"):
            await call


async def test_events_raise_the_error_because_of_which_there_is_no_result() -> None:
    """If a step cannot be recorded, the stream does not end as if the run had."""

    class Full(InMemoryStore):
        """A store that records only the first step."""

        def append(self, batch: Any) -> None:
            raise StoreError("no room")

    async with Runner(Full()) as runner:
        run = runner.start(one("adds", lambda n: n + 1))
        seen: list[Event] = []
        with pytest.raises(StoreError, match="no room"):
            await _collect(run.events(), seen)
        assert [event.seq for event in seen if isinstance(event, StepRecorded)] == [1]


async def test_resume_of_a_run_that_is_driven_here_is_refused_at_once(runner: Runner) -> None:
    """The error names the handle; a run that waits or was stopped is still resumed."""
    gate = Gate()
    run = runner.start(gate.graph(), run_id="r")
    await gate.entered.wait()
    with pytest.raises(RunIsDriven, match=r"runner\.get\('r'\)"):
        runner.resume("r", gate.graph())
    gate.leave.set()
    assert (await run.result()).state.n == 1


async def test_watch_follows_a_run_through_its_waits(database: Path | str) -> None:
    """Another process sees each step once, what the run waits for, and the result; live events only where it runs."""
    async with Runner(database) as runner, Runner(database) as other:
        watched: list[Event] = []
        is_waiting = asyncio.Event()

        async def watch() -> None:
            async for event in other.watch("r", asking()):
                watched.append(event)
                if isinstance(event, StatusChanged) and event.waits:
                    is_waiting.set()

        await runner.start(asking(), run_id="r").result()
        task = asyncio.create_task(watch())
        await is_waiting.wait()
        await runner.answer("r", 5)
        await runner.resume("r", asking()).result()
        await task
    steps = [event.seq for event in watched if isinstance(event, StepRecorded)]
    assert steps == list(range(1, len(steps) + 1))
    changes = [event for event in watched if isinstance(event, StatusChanged)]
    assert (changes[0].status, [wait.question for wait in changes[0].waits]) == ("waiting", ["Which?"])
    assert isinstance(watched[-1], RunEnded)
    assert watched[-1].result.state == State(n=5)


async def test_watch_has_live_events_of_a_run_that_is_driven_here(runner: Runner) -> None:
    """They come in order with the steps, also after the run waited and was resumed here."""
    gate = Gate()

    async def both(n: int, ctx: Context) -> int:
        ctx.emit("before")
        n = await ctx.ask("Which?", int)
        ctx.emit(f"answered {n}")
        return n

    graph = one("both", both)
    run = runner.start(graph, run_id="r")
    watched = asyncio.create_task(_collect(runner.watch("r", graph), []))
    await run.result()
    gate.leave.set()
    await runner.answer("r", 5)
    await runner.resume("r", graph).result()
    events = await watched
    assert "before" in [event.data for event in events if isinstance(event, Emitted)]
    seqs = [event.seq for event in events if isinstance(event, StepRecorded)]
    assert seqs == sorted(set(seqs))
    assert seqs[0] == 1
    assert isinstance(events[-1], RunEnded)
    assert events[-1].result.state.n == 5


async def _collect(events: AsyncIterator[Event], found: list[Event]) -> list[Event]:
    """Add each event to the list as it comes, and return the list."""
    async for event in events:
        found.append(event)  # noqa: PERF401 - also those before an error
    return found


async def test_a_broken_off_watch_leaves_nothing_behind(runner: Runner) -> None:
    """A client that disconnects closes the stream: no task polls on, and the run has no watcher."""
    gate = Gate()
    run: Any = runner.start(gate.graph(), run_id="r")
    await gate.entered.wait()
    before = asyncio.all_tasks()
    events: Any = runner.watch("r")
    await anext(events)
    assert run._life.audience.watchers  # noqa: SLF001 - not public
    await events.aclose()
    assert not run._life.audience.watchers  # noqa: SLF001 - not public
    assert asyncio.all_tasks() <= before
    gate.leave.set()
    await run.result()
