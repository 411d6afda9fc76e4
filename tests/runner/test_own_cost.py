"""What lists, searches and sums count of a run is what its own steps cost."""

from pathlib import Path

from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Limits, Runner, ScriptedModel
from graphengine.models import Response
from graphengine.stores.memory import MemoryStore


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
        assert sum(trend.cost_usd or 0.0 for trend in (await runner.trends()).trends) == 0.9375


async def test_a_limit_of_a_branch_counts_what_it_shares() -> None:
    """A branch ends at its limit with what its parent had spent before."""
    graph = two_calls()
    async with Runner(MemoryStore(), models=answers(0.5, 0.25, 0.125)) as runner:
        await runner.start(graph, run_id="parent").result()
        limits = Limits(cost_usd=0.5)
        branch = await runner.branch("parent", graph, at=("plan", 1), run_id="branch", limits=limits).result()
        assert branch.status == "stopped"
        assert (branch.usage.cost_usd, (await runner.info("branch")).summary) != (None, None)
