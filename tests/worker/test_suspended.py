"""A node that waits for children of its own process stays suspended; recorded is the same as if it ran again."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from graphengine import END, START, Agent, ChildRun, Context, Graph, Runner, ScriptedModel
from graphengine.databases.sqlite.store import SQLiteStore
from graphengine.engine.steps import Step
from graphengine.kernel.fake_clock import FakeClock
from graphengine.models import Request, Response
from graphengine.models.scripted import calls
from graphengine.runner import driving
from graphengine.runner.threads import TimeLimit
from graphengine.stores.base import Append
from graphengine.stores.memory import InMemoryStore
from tests.kit.runs import alone

NEVER_SECONDS = 1e4
ASKS = 1000


class Number(BaseModel):
    """A number."""

    n: int = 0


class Program(BaseModel):
    """What a node does, and what it got."""

    acts: list[tuple[str, int]] = []
    got: list[int] = []


gates: dict[int, asyncio.Event] = {}


async def doubled(n: int, ctx: Context) -> int:
    """Return twice a number, a negative one once its gate is open, and one only as a person says."""
    if n < 0:
        await gates.setdefault(n, asyncio.Event()).wait()
    return await ctx.ask("How many?", int) if n == ASKS else 2 * n


child = alone(Number, doubled, "n", name="child", node="double")


async def square(n: int) -> int:
    """Return a square, a moment later."""
    await asyncio.sleep(0)
    return n * n


async def by_child(n: int, ctx: Context) -> int:
    """Return twice a number, by a child."""
    return (await (await ctx.start(child, {"n": n})).result()).state.n


agent = Agent("helper", prompt="{n}", tools=[by_child], output=int)


async def does(acts: list[tuple[str, int]], ctx: Context) -> list[int]:
    """Do what a program says: start children, wait for one or for all, call, and ask an agent with such a tool."""
    got: list[int] = []
    open_: list[ChildRun[Number, Any]] = []
    for act, n in acts:
        if act == "start":
            open_.append(await ctx.start(child, {"n": n}))
        elif act == "call":
            got.append(await ctx.call(square, n))
        elif act == "ask":
            got.append(await ctx.ask("n?", int))
        elif act == "agent":
            got.append(await agent.run(n=n))
        elif act == "send":
            ctx.send("news", n)
        elif act == "all":
            got += [each.state.n for each in await asyncio.gather(*(run.result() for run in open_))]
            open_.clear()
        elif open_:  # "wait"
            got.append((await open_.pop(n % len(open_)).result()).state.n)
    return got


parent = alone(Program, does, "got", name="parent", node="does")


def nested() -> Graph[Program]:
    """Return a graph in which that graph is a node."""
    graph = Graph("nested", Program)
    graph.add_node("inner", parent, writes={"got": lambda result: result.got})
    graph.add_path(START, "inner", END)
    return graph


def says(request: Request) -> Response:
    """Return a call of the tool, then what the tool returned."""
    last = request.messages[-1]
    if last.role == "tool":
        return Response(last.text)
    return Response("", calls(("by_child", {"n": int(last.text)})).calls, "tools")


def facts_of(steps: Sequence[Step]) -> list[object]:
    """Return what steps record, without times and seqs, and without what a new claim records; messages in one place."""
    found: list[object] = []
    for step in steps:
        record = msgspec.to_builtins(step)
        for key in ("seq", "at", "began"):
            record.pop(key, None)
        if step.kind != "resumed":
            found.append(without_places(record))
    return found


def without_places(record: Any) -> Any:
    """Return a record without the times, and the seqs in ids of waits."""
    if isinstance(record, dict):
        return {key: without_places(part) for key, part in record.items() if key not in ("asked_at", "id", "due")}
    return [without_places(part) for part in record] if isinstance(record, list) else record


async def recorded(graph: Graph[Program], acts: Sequence[tuple[str, int]], *, again: bool) -> tuple[list[int], Any]:
    """Return what a program got, and what was recorded, with all questions answered by 5."""
    models = ScriptedModel({"helper": says})
    async with Runner(InMemoryStore(), clock=FakeClock(), models=models, run_again=again) as runner:
        runner.start(graph, {"acts": list(acts)}, run_id="p")
        result = await runner.get("p", graph).result()
        while result.status == "waiting":
            for info in await runner.runs(status="waiting"):
                asked = graph if info.id == "p" else child
                for wait in (await runner.get(info.id, asked).result()).waits:
                    if wait.kind == "ask":
                        await (await runner.answer(info.id, 5, asked, wait=wait.id)).result()
            result = await runner.resume("p", graph).result()
        return result.state.got, facts_of(await runner.store.steps("p"))


ACTS = ["start", "start", "wait", "wait", "all", "call", "agent", "send", "ask"]
acts = st.tuples(st.sampled_from(ACTS), st.sampled_from([*range(6), ASKS]))


@given(st.lists(acts, max_size=14), st.booleans(), st.sampled_from([1.0, 0.0]))
@settings(max_examples=40, deadline=None)
def test_it_records_what_it_would_if_it_ran_again(
    program: list[tuple[str, int]],
    is_nested: bool,  # noqa: FBT001 - drawn
    seconds: float,
) -> None:
    """Children are awaited one by one, in any order, together, and by an agent's tool, between calls and questions."""

    async def both() -> None:
        graph = nested() if is_nested else parent
        with patch.object(driving, "SUSPENDED_SECONDS", seconds):
            kept, again = [await recorded(graph, program, again=each) for each in (False, True)]
        assert kept == again

    asyncio.run(both())


began: list[str] = []


async def one_by_one(n: int, ctx: Context) -> int:
    """Start a child and wait for it, n times, and note each beginning."""
    began.append(ctx.run_id)
    return sum([(await (await ctx.start(child, {"n": each})).result()).state.n for each in range(n)])


async def in_order(n: int, ctx: Context) -> int:
    """Start n children, then wait for each, and note each beginning."""
    began.append(ctx.run_id)
    runs = [await ctx.start(child, {"n": each}) for each in range(n)]
    return sum([(await run.result()).state.n for run in runs])


async def until(holds: Callable[[], bool]) -> None:
    """Return once something holds."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - what happens in a run sets no event
            await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def _afresh() -> None:
    began.clear()
    gates.clear()


@pytest.mark.parametrize("form", [one_by_one, in_order])
@pytest.mark.parametrize("count", [10, 300])
async def test_a_node_runs_again_once_however_many_children_it_awaits(form: object, count: int) -> None:
    """Its first wait lets it run again; at each other it stays where it is, and a child costs the same few steps."""
    async with Runner() as runner:
        run = runner.start(alone(Number, form, "n"), {"n": count})
        assert (await run.result()).state.n == count * (count - 1)
        steps = await runner.store.steps(run.id)
    assert len(began) == 2
    assert len(steps) <= 5 * count + 4


async def test_with_run_again_it_runs_again_for_each_wait() -> None:
    """The switch has each wait end its attempt."""
    async with Runner(run_again=True) as runner:
        await runner.start(alone(Number, one_by_one, "n"), {"n": 5}).result()
    assert len(began) == 6


async def test_work_that_it_does_not_ask_for_again_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A node whose calls depend on how often it ran is named, with the first piece of work."""

    async def forgets(n: int, ctx: Context) -> int:
        began.append(ctx.run_id)
        await ctx.call(square, len(began))
        return (await (await ctx.start(child, {"n": n})).result()).state.n

    async with Runner(run_again=True) as runner:
        await runner.start(alone(Number, forgets, "n"), {"n": 5}).result()
    assert [record for record in caplog.messages if "did not ask for work that it had recorded, first for" in record]
    caplog.clear()
    async with Runner(run_again=True) as runner:
        await runner.start(alone(Number, one_by_one, "n"), {"n": 3}).result()
    assert not caplog.messages


class Watched(InMemoryStore):
    """Notes what is appended of run `p`, with a note of what its node does in between."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def append(self, batch: Append) -> None:
        """Note the kinds and the status."""
        super().append(batch)
        if batch.run_id == "p":
            self.told.append(" ".join([*(step.kind for step in batch.steps), batch.status]))

    async def release(self, run_id: str, fence: int) -> None:
        """Note that it is released without a step."""
        await super().release(run_id, fence)
        if run_id == "p":
            self.told.append("released")


def gated(store: Watched) -> Graph[Number]:
    """Return a graph whose node awaits a child, then one behind a gate, and takes a while to clean up."""

    async def waits(n: int, ctx: Context) -> int:
        began.append(ctx.run_id)
        first = await (await ctx.start(child, {"n": n})).result()
        try:
            return first.state.n + (await (await ctx.start(child, {"n": -1})).result()).state.n
        finally:
            store.told.append("cleans up")
            await asyncio.sleep(0)
            store.told.append("is clean")

    return alone(Number, waits, "n")


async def suspended(runner: Runner, store: Watched) -> None:
    """Start run `p`, and return once its node is suspended."""
    runner.start(gated(store), {"n": 1}, run_id="p")
    await until(lambda: store.told.count("waiting running") == 1)


@pytest.mark.parametrize("seconds", [0.0, NEVER_SECONDS])
async def test_it_is_ended_before_its_run_is_released(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a second, or as its Runner closes, its `finally` has run before the lease is given back; it waits then."""
    monkeypatch.setattr(driving, "SUSPENDED_SECONDS", seconds)
    store = Watched()
    runner = Runner(store)
    await suspended(runner, store)
    if seconds:
        assert (await store.info("p")).driver is not None
        await runner.close()
    await until(lambda: store.told[-1] == "waiting")
    assert store.told[store.told.index("waiting running") :] == ["waiting running", "cleans up", "is clean", "waiting"]
    assert len(began) == 2
    gates.setdefault(-1, asyncio.Event()).set()
    if not seconds:
        assert (await runner.get("p", gated(store)).result()).state.n == 0
        assert len(began) == 3
        await runner.close()


async def test_a_stop_ends_it() -> None:
    """It cleans up, and then the stop is recorded."""
    store = Watched()
    async with Runner(store) as runner:
        await suspended(runner, store)
        await runner.stop("p")
    assert store.told[-3:] == ["cleans up", "is clean", "stopped stopped"]


async def test_it_goes_on_where_it_waits() -> None:
    """The end of the child lets it go on, and its `finally` runs once."""
    store = Watched()
    async with Runner(store) as runner:
        await suspended(runner, store)
        gates[-1].set()
        assert (await runner.get("p", gated(store)).result()).state.n == 0
    assert len(began) == 2
    assert store.told.count("cleans up") == 1


async def test_a_child_that_asks_a_person_lets_it_end() -> None:
    """What waits for somebody holds nothing: the run is released as soon as the child waits."""
    store = Watched()

    async def waits(n: int, ctx: Context) -> int:
        runs = [await ctx.start(child, {"n": each}) for each in (n, ASKS)]
        return sum([(await run.result()).state.n for run in runs])

    async with Runner(store) as runner:
        run = runner.start(alone(Number, waits, "n"), {"n": 1}, run_id="p")
        result = await run.result()
        assert (result.status, (await store.info("p")).driver) == ("waiting", None)
        asking = next(info.id for info in await runner.runs(graph="child", status="waiting"))
        await (await runner.answer(asking, 5, child)).result()
        assert (await runner.resume("p", alone(Number, waits, "n")).result()).state.n == 7


@pytest.mark.parametrize("catches", [False, True])
async def test_a_timeout_around_a_wait_does_not_come_in_it(catches: bool) -> None:  # noqa: FBT001
    """Run again after the wait it would never come: so the attempt ends, and what it does then does not count."""
    store, limits = Watched(), list[asyncio.Timeout]()

    async def waits(n: int, ctx: Context) -> int:
        began.append(ctx.run_id)
        first = await (await ctx.start(child, {"n": n})).result()
        try:
            async with asyncio.timeout(None) as limit:
                limits.append(limit)
                return first.state.n + (await (await ctx.start(child, {"n": -1})).result()).state.n
        except TimeoutError:
            if not catches:
                raise
            return await ctx.call(square, 10)

    graph = alone(Number, waits, "n")
    async with Runner(store) as runner:
        runner.start(graph, {"n": 1}, run_id="p")
        await until(lambda: "waiting running" in store.told)
        limits[-1].reschedule(asyncio.get_running_loop().time())
        await until(lambda: store.told[-1] == "waiting")
        gates[-1].set()
        assert (await runner.get("p", graph).result()).state.n == 0
    assert len(began) == 3


async def test_a_timer_beside_a_wait_does_not_decide() -> None:
    """A race against what is not recorded, which an attempt that ends at the wait would lose, is lost here too."""
    store, timer = Watched(), asyncio.Event()

    async def races(n: int, ctx: Context) -> int:
        began.append(ctx.run_id)
        first = await (await ctx.start(child, {"n": n})).result()
        run = await ctx.start(child, {"n": -1})
        slow, fast = asyncio.ensure_future(run.result()), asyncio.ensure_future(timer.wait())
        done, _ = await asyncio.wait([slow, fast], return_when=asyncio.FIRST_COMPLETED)
        if slow not in done:
            return await ctx.call(square, 10)
        return first.state.n + (await slow).state.n

    graph = alone(Number, races, "n")
    async with Runner(store) as runner:
        runner.start(graph, {"n": 1}, run_id="p")
        await until(lambda: "waiting running" in store.told)
        timer.set()
        await until(lambda: store.told[-1] == "waiting")
        timer.clear()
        gates[-1].set()
        assert (await runner.get("p", graph).result()).state.n == 0


async def test_time_in_the_log_is_the_same_after_a_wait() -> None:
    """`ctx.now()` is the time at which the wait was over, whether the node ran again or not."""
    seen: list[list[float]] = []

    async def looks(n: int, ctx: Context) -> int:
        for each in range(n):
            await (await ctx.start(child, {"n": each})).result()
            now.append(ctx.now())
        return n

    for again in (False, True):
        now: list[float] = []
        clock = FakeClock()
        async with Runner(clock=clock, run_again=again) as runner:
            await runner.start(alone(Number, looks, "n"), {"n": 3}, run_id="p").result()
            ends = [step.at for step in await runner.store.steps("p") if step.kind == "answered"]
        seen.append(now[-3:])
        assert now[-3:] == ends
    assert seen[0] == seen[1]


async def test_children_that_need_what_it_holds_get_it() -> None:
    """A lock that a node holds while it waits, and its child needs, is free again after the second at most."""
    lock = asyncio.Lock()

    async def locked(n: int) -> int:
        async with lock:
            return n

    inner = alone(Number, locked, "n", name="inner")

    async def holds(n: int, ctx: Context) -> int:
        first = await (await ctx.start(child, {"n": n})).result()
        async with lock:
            run = await ctx.start(inner, {"n": 2})
            return first.state.n + (await run.result()).state.n

    async with Runner() as runner:
        assert (await runner.start(alone(Number, holds, "n"), {"n": 1}).result()).state.n == 4


async def test_the_time_of_a_node_begins_anew_after_a_wait() -> None:
    """`timeout_seconds` bounds what it does between two waits, as when each wait lets it run again."""
    now = asyncio.get_running_loop().time
    anew: list[bool] = []

    async def looks(n: int, ctx: Context) -> int:
        for each in range(n):
            run, since = await ctx.start(child, {"n": each}), now()
            await run.result()
            limit = TimeLimit.here()
            assert limit is not None
            anew.append(limit.spent_seconds < now() - since)
        return n

    async with Runner() as runner:
        await runner.start(alone(Number, looks, "n", timeout_seconds=30), {"n": 4}).result()
    assert anew == [False, True, True, True]


async def test_a_second_is_long_over_each_store(database: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose attempt was ended after its second is recorded as waiting, without a driver; any process has it."""
    monkeypatch.setattr(driving, "SUSPENDED_SECONDS", 0.0)
    graph = gated(Watched())
    async with Runner(database) as runner:
        run = runner.start(graph, {"n": 1}, run_id="p")
        await until(lambda: len(began) == 2)
        while (info := await runner.store.info("p")).driver is not None or info.status != "waiting":  # noqa: ASYNC110
            await asyncio.sleep(0.001)  # what another task records sets no event
        gates[-1].set()
        assert (await run.result()).state.n == 0


@pytest.mark.parametrize("count", [5, 20])
async def test_what_ended_here_is_not_read_from_the_store(count: int, tmp_path: Path) -> None:
    """Neither the rows nor the logs of children are read; a wait for one that has ended costs one append, not two."""
    read: list[str] = []
    appended: list[list[str]] = []
    kinds: dict[str, Any] = {"load": SQLiteStore.load, "info": SQLiteStore.info}
    append = SQLiteStore.append

    def noting(name: str) -> Callable[..., Any]:
        def method(store: SQLiteStore, run_id: str, *more: Any) -> Any:
            read.append(f"{name} {'p' if run_id == 'p' else 'child'}")
            return kinds[name](store, run_id, *more)

        return method

    def noted(store: SQLiteStore, batch: Append) -> Any:
        if batch.run_id == "p" and batch.steps:
            appended.append([step.kind for step in batch.steps])
        return append(store, batch)

    acts = [("start", n) for n in range(count)] + [("wait", 0)] * count
    async with Runner(tmp_path / "runs.db") as runner:
        with patch.multiple(SQLiteStore, load=noting("load"), info=noting("info"), append=noted):
            result = await runner.start(parent, {"acts": acts}, run_id="p").result()
    assert sorted(result.state.got) == [2 * n for n in range(count)]
    assert not [each for each in read if each.endswith("child")]
    assert len(appended) <= 3 * count + 5  # its start, its wait with the end of that, and its end


async def test_a_row_is_read_once_for_all_starts_at_once(tmp_path: Path) -> None:
    """Calls of `ctx.start` that begin together read the run's row together."""
    rows: list[str] = []
    info = SQLiteStore.info

    async def noted(store: SQLiteStore, run_id: str) -> Any:
        rows.append(run_id)
        return await info(store, run_id)

    async def begins(ctx: Context) -> int:
        started = await asyncio.gather(*(ctx.start(child, {"n": n}) for n in range(9)))
        return sum([(await run.result()).state.n for run in started])

    graph = Graph("together", Number)
    graph.add_node("begins", begins, writes="n")
    graph.add_path(START, "begins", END)
    async with Runner(tmp_path / "runs.db") as runner:
        with patch.object(SQLiteStore, "info", noted):
            assert (await runner.start(graph, run_id="p").result()).state.n == 72
    assert rows.count("p") < 9
