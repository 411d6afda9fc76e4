"""Extensions: what a Runner tells other code of its runs, and when."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import Context, Graph, Limits, Runner
from graphengine.engine.plan import Plan
from graphengine.engine.snapshot import Frame
from graphengine.engine.steps import Step
from graphengine.errors import GraphChanged, InputError
from graphengine.runner import Extension, Follower, OpenRun
from graphengine.runner import runner as core
from graphengine.stores.memory import InMemoryStore
from tests.kit.runs import alone, row


class State(BaseModel):
    """A number."""

    n: int = 0


class Notes(Extension, Follower):
    """Notes each moment."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.refuses = self.breaks_at = ""

    def checked(self, plan: Plan[Any], *, is_queued: bool) -> None:
        self.seen.append(f"checked {plan.graph}{' queued' if is_queued else ''}")
        if self.refuses:
            raise InputError(self.refuses)

    async def opened(self, run: OpenRun) -> Follower:
        self.seen.append(f"opened at {run.snapshot.seq}")
        return self

    def entered(self, frame: Frame) -> None:
        self.seen.append(f"entered {frame.at}")

    def ended(self, frame: Frame) -> None:
        self.seen.append(f"ended {frame.at}")

    def recorded(self, steps: Sequence[Step]) -> None:
        self.seen += [f"recorded {step.kind}" for step in steps]
        if any(step.kind == self.breaks_at for step in steps):
            raise RuntimeError(self.breaks_at)

    async def left(self) -> None:
        self.seen.append("left")

    async def closed(self) -> None:
        self.seen.append("closed")


def two() -> Graph[State]:
    """Return a graph of two nodes, of which the second records work."""

    async def records(ctx: Context, n: int) -> int:
        return n + await ctx.call(int, "1")

    return row(State, ("plain", lambda n: n + 1, "n"), ("records", records, "n"), name="two")


async def test_an_extension_is_told_of_each_moment_in_order(tmp_path: Path) -> None:
    """A run that is cut off, and resumed by another Runner, which follows it from where it is."""
    notes, graph = Notes(), two()
    async with Runner(tmp_path / "runs.db", extensions=[notes]) as runner:
        await runner.start(graph, run_id="r", limits=Limits(visits=1)).result()
    first = "checked two, opened at 0, recorded started, entered plain, recorded node, recorded stopped, left, closed"
    assert notes.seen == first.split(", ")
    notes.seen.clear()
    async with Runner(tmp_path / "runs.db", extensions=[notes]) as runner:
        assert (await runner.resume("r", graph, limits=Limits(visits=9)).result()).state.n == 2
    then = (
        "checked two, opened at 3, recorded resumed, entered records, recorded recorded, ended records, recorded node"
    )
    assert notes.seen == [*then.split(", "), "left", "closed"]


async def test_an_extension_can_refuse_a_graph() -> None:
    """`start` raises at once, and nothing is recorded."""
    notes = Notes()
    notes.refuses = "not here"
    async with Runner(extensions=[notes]) as runner:
        with pytest.raises(InputError, match="not here"):
            runner.start(two(), queue="q")
        assert await runner.store.runs() == []
    assert notes.seen == ["checked two queued", "closed"]


async def test_a_graph_is_checked_again_once_another_one_was_run() -> None:
    """Many runs of one graph often start one after the other. One that is queued is always checked."""
    notes, graph, other = Notes(), two(), alone(State, lambda n: n + 1, "n", name="other", node="add")
    async with Runner(extensions=[notes]) as runner:
        for each, queue in ((graph, "q"), (graph, None), (graph, None), (graph, "q"), (other, None), (graph, None)):
            await runner.start(each, queue=queue).result()
    seen = [each for each in notes.seen if each.startswith("checked")]
    assert seen == ["checked two queued", "checked two", "checked two queued", "checked other", "checked two"]


async def test_an_extension_that_raises_ends_the_drive_and_not_the_run(tmp_path: Path) -> None:
    """The step is recorded, `result` raises the error, and the run can be resumed."""
    notes, graph = Notes(), two()
    notes.breaks_at = "node"
    async with Runner(tmp_path / "runs.db", extensions=[notes]) as runner:
        with pytest.raises(RuntimeError, match="node"):
            await runner.start(graph, run_id="r").result()
        assert notes.seen[-2:] == ["recorded node", "left"]
        notes.breaks_at = ""
        assert (await runner.resume("r", graph).result()).state.n == 2


async def test_what_an_extension_leaves_out_is_never_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """A follower of which nothing is overridden costs nothing for a step."""

    def refused(*_: object) -> None:
        raise AssertionError

    class Silent(Extension):
        async def opened(self, run: OpenRun) -> Follower:
            return Follower()

    for moment in ("entered", "ended", "recorded", "left"):
        monkeypatch.setattr(Follower, moment, refused)
    async with Runner(extensions=[Extension(), Silent()]) as runner:
        assert (await runner.start(two()).result()).state.n == 2


async def test_what_fails_as_a_run_is_left_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The run has its result, and the other extensions are called too."""

    class Fails(Notes):
        async def left(self) -> None:
            raise ValueError("no room")

    notes = Notes()
    graph = alone(State, lambda n: n + 1, "n", name="one", node="add")
    async with Runner(extensions=[Fails(), notes]) as runner:
        assert (await runner.start(graph).result()).state.n == 1
    assert "left" in notes.seen
    assert "no room" in caplog.text


async def test_without_an_extension_that_fits_it_no_run_continues_under_a_changed_graph() -> None:
    """The core alone migrates nothing: it refuses, and the run is as it was."""
    store = InMemoryStore()
    async with core.Runner(store) as runner:
        cut = await runner.start(two(), run_id="r", limits=Limits(visits=1)).result()
        changed = two()
        changed.version = 2
        with pytest.raises(GraphChanged, match=r"put the earlier graph back, or use graphengine\.Runner"):
            await runner.resume("r", changed).result()
        assert (await runner.info("r")).seq == cut.seq


async def test_each_is_told_that_a_run_was_left_though_the_runner_closes() -> None:
    """The Runner closes, and cancels the run, while the first of two followers handles it."""
    telling, closing = asyncio.Event(), asyncio.Event()

    class Slow(Notes):
        async def left(self) -> None:
            telling.set()
            await closing.wait()
            await super().left()

    slow, other = Slow(), Notes()
    async with Runner(extensions=[slow, other]) as runner:
        run = runner.start(two())
        await telling.wait()
        asyncio.get_running_loop().call_later(0, asyncio.get_running_loop().call_soon, closing.set)
    assert (run.id, slow.seen[-2:], other.seen[-2:]) == (run.id, ["left", "closed"], ["left", "closed"])
