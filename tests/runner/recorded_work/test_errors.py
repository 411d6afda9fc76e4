"""The context of a node: idempotency keys, random numbers, earlier runs, emitted data."""

import asyncio

import pytest

from graphengine import END, START, Context, Graph, PastRun, Retry, RunFailed, Runner, value
from graphengine.runner import Emitted
from graphengine.testing import FakeClock
from tests.kit.facts import said
from tests.kit.runs import SOON, alone, repeated
from tests.kit.working import Page, State, failing, one

# -- idempotency keys


async def test_an_idempotency_key_is_the_same_over_retries_answers_and_resumes(timed: Runner) -> None:
    """The next visit has another one."""
    keys: list[tuple[int, str]] = []
    broken = True

    async def work(ctx: Context) -> str:
        keys.append((ctx.visit, ctx.idempotency_key))
        if ctx.attempt < 3 and ctx.visit == 1 and broken:
            raise ValueError
        return await ctx.ask("Well?", str)

    graph = repeated(State, work, "log", value("log").length() >= 2, name="g", retry=Retry(attempts=2))
    run_id = (await failing(timed, graph)).run_id
    broken = False
    result = await timed.resume(run_id, graph).result()
    while result.status == "waiting":
        await timed.answer(run_id, "x")
        result = await timed.resume(run_id, graph).result()
    assert [visit for visit, _ in keys] == [1, 1, 1, 1, 2, 2]
    assert len(set(keys)) == 2
    assert len({key for _, key in keys}) == 2


async def test_every_item_arm_subgraph_visit_and_branch_has_its_own_key(runner: Runner) -> None:
    """No two attempts of different work ever get one key."""
    keys: list[str] = []

    async def note(ctx: Context) -> str:
        keys.append(ctx.idempotency_key)
        return "x"

    async def note_item(item: int, ctx: Context) -> int:
        keys.append(ctx.idempotency_key)
        return item

    inner = Graph("inner", State, result="text")
    inner.add_node("note", note, writes="text")
    inner.add_node("items", note_item, each={"item": "items"}, writes="items")
    inner.add_path(START, "note", "items", END)
    graph = Graph("g", State)
    graph.add_node("note", note, writes="log")
    graph.add_node("items", note_item, each={"item": "items"}, writes="items")
    graph.add_node("a", inner, writes="log")
    graph.add_node("b", inner, writes="log")
    graph.add_node("each", inner, each={"n_": "items"}, inputs={"n": "n_"}, writes="log")
    graph.add_node("merge")
    graph.add_edge(START, "note")
    graph.add_edge("note", "items")
    graph.add_fork("items", ["a", "b"], join="merge")
    graph.add_path("a", "merge")
    graph.add_path("b", "merge")
    graph.add_edge("merge", "each")
    graph.add_edge("each", END, when=value("log").length() > 9)
    graph.add_edge("each", "note")
    result = await runner.start(graph).result()
    assert len(keys) == len(set(keys)) == 2 * (1 + 3 + 4 + 4 + 12)
    before = set(keys)
    keys.clear()
    await runner.branch(result.run_id, graph, 1).result()
    assert not before & set(keys)


async def test_the_key_of_a_cancelled_arm_is_never_used_again(runner: Runner) -> None:
    """The fork is visited again after it continued without that arm."""
    keys: list[tuple[str, str]] = []

    async def quick(ctx: Context) -> str:
        await asyncio.sleep(0)
        keys.append(("quick", ctx.idempotency_key))
        return "quick"

    async def slow(ctx: Context) -> str:
        keys.append(("slow", ctx.idempotency_key))
        await asyncio.Event().wait()
        return "slow"

    graph = Graph("g", State)
    graph.add_node("plan")
    graph.add_node("quick", quick, writes="log")
    graph.add_node("slow", slow, writes="log")
    graph.add_node("merge")
    graph.add_edge(START, "plan")
    graph.add_fork("plan", ["quick", "slow"], join="merge", need=1)
    graph.add_edge("quick", "merge")
    graph.add_edge("slow", "merge")
    graph.add_edge("merge", END, when=value("log").length() >= 3)
    graph.add_edge("merge", "plan")
    async with asyncio.timeout(SOON):
        await runner.start(graph).result()
    slow_keys = [key for name, key in keys if name == "slow"]
    assert len(slow_keys) == len(set(slow_keys)) == 3


async def test_the_random_numbers_of_an_attempt_are_repeated(runner: Runner) -> None:
    """A node that runs again with an answer draws the same numbers."""
    drawn: list[float] = []

    async def work(ctx: Context) -> str:
        drawn.append(ctx.random.random())
        return await ctx.ask("Well?", str)

    graph = one(work)
    run_id = (await runner.start(graph).result()).run_id
    await runner.answer(run_id, "x")
    await runner.resume(run_id, graph).result()
    await runner.start(graph).result()
    assert drawn[0] == drawn[1] != drawn[2]


# -- earlier runs and emitted data


async def test_a_node_reads_earlier_runs_of_a_graph(runner: Runner) -> None:
    """They are finished ones, newest first, without the run itself; they are recorded, so answers change nothing."""
    seen: list[list[tuple[str, str]]] = []

    async def work(text: str, ctx: Context) -> str:
        past = await ctx.runs("one", last=2)
        assert all(isinstance(run, PastRun) for run in past)
        seen.append([(run.run_id, run.state["text"]) for run in past])
        if text == "ask":
            await ctx.ask("Well?", str)
        return f"{text}!"

    graph = one(work)
    for name in "abc":
        await runner.start(graph, {"text": name}, run_id=name).result()
    assert seen == [[], [("a", "a!")], [("b", "b!"), ("a", "a!")]]
    await runner.start(graph, {"text": "ask"}, run_id="asks").result()
    await runner.start(graph, {"text": "d"}, run_id="d").result()
    await runner.answer("asks", "x")
    await runner.resume("asks", graph).result()
    assert seen[3] == seen[5] == [("c", "c!"), ("b", "b!")]


async def test_earlier_runs_have_the_requested_fields(runner: Runner) -> None:
    """Nothing else of their states is recorded; an unknown field is an error that names the closest one."""

    class Wide(State):
        more: str = "m" * 1000

    async def work(ctx: Context) -> str:
        past = await ctx.runs(wide, fields=("text",))
        return str([run.state for run in past])

    wide = alone(Wide, work, "text", retry=Retry(attempts=1), name="wide", node="a")
    await runner.start(wide).result()
    result = await runner.start(wide).result()
    assert result.state.text == "[{'text': '[]'}]"
    (work_done,) = [step for step in await runner.history(result.run_id) if step.kind == "recorded"]
    assert "mmm" not in str(work_done)

    async def astray(ctx: Context) -> str:
        return str(await ctx.runs(wide, fields=("texd",)))

    with pytest.raises(RunFailed, match="wide has no field 'texd'"):
        await runner.start(one(astray)).result()


async def test_a_graph_can_be_named_for_earlier_runs(runner: Runner) -> None:
    """It can be given as an object or a name; a graph that never ran has no runs."""

    async def work(ctx: Context) -> str:
        return str(len(await ctx.runs(other)) + len(await ctx.runs("unknown")))

    other = alone(State, lambda: "x", "text", name="other", node="a")
    await runner.start(other).result()
    assert (await runner.start(one(work)).result()).state.text == "1"


async def test_emitted_data_is_kept_on_request(runner: Runner) -> None:
    """Watchers see both events, with the path; the step has one."""

    async def work(ctx: Context) -> str:
        ctx.emit({"half": 1})
        ctx.emit(Page(url="u"), record=True)
        return "x"

    run = runner.start(one(work))
    shown = [(event.path, event.data) async for event in run.events() if isinstance(event, Emitted)]
    assert shown == [("work", {"half": 1}), ("work", Page(url="u"))]
    step = (await runner.history(run.id))[-1]
    assert said(step)["emitted"] == [{"url": "u", "words": []}]


async def test_the_time_of_a_step_is_recorded() -> None:
    """The record has its beginning and its end."""
    clock = FakeClock(start=50.0)

    async def slow() -> str:
        clock.move(7)
        return "x"

    async def work(ctx: Context) -> str:
        return await ctx.call(slow)

    async with Runner(clock=clock) as runner:
        run = runner.start(one(work))
        await run.result()
        (step,) = [step for step in await runner.history(run.id) if step.kind == "recorded"]
        assert (step.began, step.at) == (50.0, 57.0)
