"""The context of a node: idempotency keys, random numbers, earlier runs, emitted data."""

import asyncio

from graphengine import END, START, Context, Graph, Runner, value
from graphengine.runner import Emitted
from tests.kit.facts import said
from tests.kit.runs import SOON
from tests.kit.working import Page, State, one

# -- idempotency keys


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


# -- earlier runs and emitted data


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
