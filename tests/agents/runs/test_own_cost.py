"""What lists, searches and sums count of a run is what its own steps cost."""

from pathlib import Path

from pydantic import BaseModel

from graphengine import END, START, Agent, Context, Graph, Limits, Runner, ScriptedModel
from graphengine.engine.snapshot import Snapshot
from graphengine.models import Response
from graphengine.records.json_document import spending_of_run
from graphengine.records.spending import SpentBelow, load_spent_below
from graphengine.stores.memory import InMemoryStore


class State(BaseModel):
    """Two texts."""

    plan: str = ""
    text: str = ""


def answers(*costs: float | None) -> ScriptedModel:
    """Return a model whose calls cost this."""
    return ScriptedModel([Response(f"{cost}", cost_usd=cost, input_tokens=3, output_tokens=1) for cost in costs])


def two_calls() -> Graph[State]:
    """Return a graph of two agents."""
    graph = Graph("two", State)
    graph.add_node("plan", Agent("planner", prompt="Plan."), writes="plan")
    graph.add_node("write", Agent("writer", prompt="Write {plan}."), writes="text")
    graph.add_path(START, "plan", "write", END)
    return graph


async def test_what_a_branch_shares_is_counted_once(database: Path | str) -> None:
    """The sum over all runs of a list is what was spent, and a search by cost looks at own costs; a limit at all."""
    graph = two_calls()
    async with Runner(database, models=answers(0.5, 0.25, 0.125, 0.0625)) as runner:
        parent = await runner.start(graph, run_id="parent").result()
        branch = await runner.branch("parent", graph, at=("plan", 1), run_id="branch").result()
        below = await runner.branch("branch", graph, at=("plan", 1), run_id="below").result()
        infos = {info.id: info for info in await runner.runs()}
        summaries = {name: info.summary for name, info in infos.items() if info.summary is not None}
        own = {name: (each.cost_usd, each.tokens) for name, each in summaries.items()}
        assert own == {"parent": (0.75, 8), "branch": (0.125, 4), "below": (0.0625, 4)}
        assert [result.usage.cost_usd for result in (parent, branch, below)] == [0.75, 0.625, 0.5625]
        assert [info.id for info in await runner.runs("cost>0.1")] == ["branch", "parent"]
        assert sum(trend.cost_usd or 0.0 for trend in (await runner.admin.trends()).trends) == 0.9375


async def test_a_limit_of_a_branch_counts_what_it_shares() -> None:
    """A branch ends at its limit with what its parent had spent before."""
    graph = two_calls()
    async with Runner(InMemoryStore(), models=answers(0.5, 0.25, 0.125)) as runner:
        await runner.start(graph, run_id="parent").result()
        limits = Limits(cost_usd=0.5)
        branch = await runner.branch("parent", graph, at=("plan", 1), run_id="branch", limits=limits).result()
        assert branch.status == "stopped"
        assert (branch.usage.cost_usd, (await runner.info("branch")).summary) != (None, None)


async def test_the_cost_of_children_stands_beside_that_of_their_parent(database: Path | str) -> None:
    """All levels count once, in no figure of the parent itself; what stays is a tree of its own."""
    below = two_calls()

    async def middle(ctx: Context) -> str:
        return (await (await ctx.start(below)).result()).status

    inner = Graph("inner", State)
    inner.add_node("call", middle, writes="plan")
    inner.add_node("write", Agent("writer", prompt="Write {plan}."), writes="text")
    inner.add_path(START, "call", "write", END)

    async def top(ctx: Context) -> str:
        await (await ctx.start(below, on_stop="leave")).result()
        return (await (await ctx.start(inner, run_id="inner")).result()).status

    outer = Graph("outer", State)
    outer.add_node("call", top, writes="plan")
    outer.add_path(START, "call", END)
    async with Runner(database, models=answers(8.0, 16.0, 0.5, 0.25, 0.125)) as runner:
        result = await runner.start(outer, run_id="outer").result()
        assert (result.usage.cost_usd, await load_spent_below(runner.store, "outer")) == (0.0, SpentBelow(2, 0.875))
        assert await load_spent_below(runner.store, "inner") == SpentBelow(1, 0.75)
        spent = await load_spent_below(runner.store, "outer")
        document = spending_of_run(await runner.info("outer"), Snapshot(), [], spent)
        assert document.children == SpentBelow(2, 0.875)


async def test_an_unknown_cost_of_a_child_is_unknown_at_its_parent() -> None:
    """It is not counted as nothing."""

    async def start(ctx: Context) -> str:
        return (await (await ctx.start(two_calls())).result()).status

    outer = Graph("outer", State)
    outer.add_node("call", start, writes="plan")
    outer.add_path(START, "call", END)
    async with Runner(InMemoryStore(), models=answers(0.5, None)) as runner:
        await runner.start(outer, run_id="outer").result()
        assert await load_spent_below(runner.store, "outer") == SpentBelow(1, None)
