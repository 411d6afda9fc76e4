"""Runs that have the id of an earlier run, which was removed: nothing of that one reaches them, over each store."""

from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, RunFailed, Runner, ask
from graphengine.stores.base import RunInfo

pytestmark = pytest.mark.usefixtures("drawn_nonces")


class Rates(BaseModel):
    day: int = 0
    key: str = ""


class Report(BaseModel):
    got: int = 0
    keys: list[str] = []
    drawn: float = 0.0


def graphs(days: list[int], **options: Any) -> Graph[Report]:
    """Return a graph whose node starts a child run, which starts another; `days` counts the calls of the last."""

    async def fetch(ctx: Context) -> dict[str, object]:
        days.append(len(days) + 1)
        return {"day": days[-1], "key": ctx.idempotency_key}

    async def between(ctx: Context) -> dict[str, object]:
        found = (await (await ctx.start(rates)).result()).state
        return {"day": found.day, "key": f"{ctx.idempotency_key} {found.key}"}

    async def build(ctx: Context) -> dict[str, object]:
        found = (await (await ctx.start(middle, **options)).result()).state
        return {"got": found.day, "keys": [ctx.idempotency_key, found.key], "drawn": ctx.random.random()}

    rates, middle, report = Graph("rates", Rates), Graph("middle", Rates), Graph("report", Report)
    for graph, node, function in ((rates, "fetch", fetch), (middle, "between", between), (report, "build", build)):
        graph.add_node(node, function, writes=list(graph.state.model_fields))
        graph.add_path(START, node, END)
    return report


async def remove(runner: Runner, run_id: str) -> None:
    """Remove a run, and none of those that it started."""
    assert await runner.store.remove([await runner.info(run_id)]) == {}


async def test_a_later_run_starts_children_of_its_own(runner: Runner) -> None:
    """It takes no result of an earlier run's child; keys that were given outside are the same, at any depth."""
    days: list[int] = []
    first = (await runner.start(graphs(days), run_id="report").result()).state
    await remove(runner, "report")
    second = (await runner.start(graphs(days), run_id="report").result()).state
    assert (first.got, second.got) == (1, 2)
    assert (first.keys, first.drawn) == (second.keys, second.drawn)
    assert [info.graph for info in await runner.store.runs(starter="report")] == ["middle"]


async def test_a_chosen_id_of_an_earlier_runs_child_is_refused(runner: Runner) -> None:
    """The error names the child, and what can be done; once the child is removed too, the id is free."""
    days: list[int] = []
    await runner.start(graphs(days, run_id="rates-1"), run_id="report").result()
    await remove(runner, "report")
    with pytest.raises(RunFailed, match="run rates-1 exists already; it was started by an earlier run"):
        await runner.start(graphs(days, run_id="rates-1"), run_id="report").result()
    await remove(runner, "report")
    await remove(runner, "rates-1")
    assert (await runner.start(graphs(days, run_id="rates-1"), run_id="report").result()).state.got == 2


def asking() -> Graph[Rates]:
    """Return a graph that asks for a day."""
    graph = Graph("asking", Rates)
    graph.add_node("ask", ask("Which day?", int), writes="day")
    graph.add_path(START, "ask", END)
    return graph


@pytest.mark.parametrize("final", [False, True])
async def test_a_stop_of_a_tree_passes_by_a_run_that_has_a_childs_id_by_now(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, *, final: bool
) -> None:
    """1. The children are listed. 2. One is removed, and another run gets its id. 3. The stop reaches that run."""

    async def build(ctx: Context) -> int:
        return (await (await ctx.start(asking(), run_id="child")).result()).state.day

    graph = Graph("top", Rates)
    graph.add_node("build", build, writes="day")
    graph.add_path(START, "build", END)
    await runner.start(graph, run_id="top").result()
    listed = runner.store.started

    async def started(run_ids: Sequence[str]) -> Sequence[RunInfo]:
        found = await listed(run_ids)
        if run_ids == ["top"] and (await runner.info("child")).starter is not None:
            await runner.stop("child", final=True)
            await remove(runner, "child")
            await runner.start(asking(), run_id="child").result()
        return found

    monkeypatch.setattr(runner.store, "started", started)
    await runner.stop("top", final=final)
    assert (await runner.info("top")).status == ("cancelled" if final else "stopped")
    there = await runner.info("child")
    assert (there.status, there.seq, await runner.store.inbox(["child"])) == ("waiting", 2, [])
