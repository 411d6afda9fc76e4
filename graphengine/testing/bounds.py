"""What a run can take at most, from its graph alone; and what runs took, from those recorded.

for bound in await bounds(graph): the most visits of each node and what bounds them
await forecast(graph, "checkpoints/runs.db"): quantiles of cost and time, and the share of each ending
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence  # noqa: TC003 - what a document has is read at run time
from typing import TYPE_CHECKING, Any, Final

from graphengine.agents.model_routing import Models, by_agent, replacing
from graphengine.api.places import reading
from graphengine.checks.dead import never_taken
from graphengine.checks.paths import Paths, Undecided, most_visits
from graphengine.errors import InputError
from graphengine.models.base import EstimatesCosts, KnowsWindow
from graphengine.models.names import as_model
from graphengine.records.base_documents import Part
from graphengine.records.selection import Wanted, newest

if TYPE_CHECKING:
    from os import PathLike

    from graphengine.agents import Agent
    from graphengine.agents.model_routing import GivenModels
    from graphengine.api.graph import Graph
    from graphengine.kernel.extension import NodePlan, Plan
    from graphengine.kernel.store import Store
    from graphengine.models.base import Model

LEAST_RUNS: Final = 5
"""A forecast rests on this many ended runs or more."""
_ENDED: Final = ("finished", "failed", "stopped", "cancelled")


class NodeBound(Part):
    """The most that a node can do in a run. null means that nothing bounds it.

    Attributes:
        path: The node.
        visits: The most visits.
        by: What bounds them, or why nothing does.
        calls: The most calls of models, with every attempt and turn; retries within a provider's client do not count.
        output_tokens: The most tokens of their answers.
        cost_usd: The most that they cost, US dollars, if every question fills the model's window.
    """

    path: str
    visits: int | None
    by: str
    calls: int | None
    output_tokens: int | None
    cost_usd: float | None


class NeverTaken(Part):
    """An edge that no run takes.

    Attributes:
        source: The node that it leaves.
        target: The node that it would enter.
        why: The reason.
    """

    source: str
    target: str
    why: str


class Bounds(Part):
    """The most that a run of a graph can take. null means that nothing bounds it.

    Attributes:
        graph: The graph.
        nodes: Its nodes, and those of graphs inside it.
        visits: The most visits in all, also of nodes inside.
        calls: The most calls of models.
        output_tokens: The most tokens of answers, or the limit on all tokens; a call under way may exceed it.
        cost_usd: The most that models cost, or the limit on it.
        never: The edges that no run takes.
    """

    graph: str
    nodes: Sequence[NodeBound]
    visits: int | None
    calls: int | None
    output_tokens: int | None
    cost_usd: float | None
    never: Sequence[NeverTaken]


class Forecast(Part):
    """What recorded runs of a graph took.

    Attributes:
        graph: The graph.
        runs: The ended runs that it rests on.
        visits: Their visits of nodes.
        endings: The share of each ending, as `finished: approved`.
        cost_usd: The costs that 50, 90 and 99 % of the runs did not exceed; without those of unknown cost.
        unknown_costs: How many runs called a model whose price is not known.
        seconds: The same for the driven time.
    """

    graph: str
    runs: int
    visits: int
    endings: Mapping[str, float]
    cost_usd: Mapping[str, float]
    unknown_costs: int
    seconds: Mapping[str, float]


async def bounds(graph: Graph[Any], models: GivenModels | None = None) -> Bounds:
    """Return the most that a run of a graph can take, without a resume, from its conditions, caps and limits.

    Args:
        graph: The graph.
        models: The models whose prices count, as in `Runner`; those of the agents themselves without it.

    Raises:
        CompileError: The graph cannot run.
        InputError: No agent has the name of a model.
    """
    plan = graph.compile()
    found, limits = _Bounding(plan.graph, by_agent(models)), plan.limits
    Models(None).check_names(plan, by_agent(models), "the models of bounds")
    await found.add(plan, "", 1, limits.get("visits"))
    return Bounds(
        graph=plan.graph,
        nodes=found.nodes,
        visits=_sum_up_to([node.visits for node in found.nodes], limits.get("visits")),
        calls=_sum_up_to([node.calls for node in found.nodes]),
        output_tokens=_sum_up_to([node.output_tokens for node in found.nodes], limits.get("tokens")),
        cost_usd=_sum_up_to([node.cost_usd for node in found.nodes], limits.get("cost_usd")),
        never=found.never,
    )


class _Bounding:
    """The bounds of the nodes of a graph and of those inside it, and the edges that no run takes."""

    def __init__(self, graph: str, given: Mapping[str, Model | str]) -> None:
        self._graph, self._given = graph, given
        self.nodes: list[NodeBound] = []
        self.never: list[NeverTaken] = []

    async def add(self, plan: Plan[Any], prefix: str, times: float, limit: float | None) -> None:
        """Add the nodes of a graph.

        Args:
            plan: The graph.
            prefix: The path of the node that it is at, with a slash.
            times: How often it is entered at most.
            limit: The most visits in a run.
        """
        paths, why = Paths(plan.start, plan.nodes, plan.state, (), plan.collect_errors), ""
        try:
            most = most_visits(paths.walk())
            found = never_taken(paths, [name for name, visits in most.items() if visits])
            self.never += [NeverTaken(f"{prefix}{each.source}", each.target, each.why) for each in found]
        except Undecided as error:
            most, why = dict.fromkeys(plan.nodes, math.inf), str(error)
        own = plan.own_limits.get("visits") if prefix else None
        for name, node in plan.nodes.items():
            visits, by = (
                most.get(name, 0) * times if times else 0,
                "its conditions" if most.get(name) else "no path leads here",
            )
            if math.isinf(visits) and math.isinf(most.get(name, 0)):
                by = f"nothing: {why or 'a loop leads back to it'}"
                if own is not None:
                    visits, by = own * times, f"the limit of {own:,} visits of {plan.graph}"
            elif math.isinf(visits):
                by = f"nothing: it is entered for each item of {prefix[:-1]}"
            if limit is not None and visits > limit:
                visits, by = limit, f"the limit of {limit:,} visits"
            tries = visits * (node.retry.attempts if node.retry is not None else 1)
            if node.each is not None and visits:
                lists = " and ".join(reading.text for _, reading, _ in node.each.sources)
                tries, by = math.inf, f"{by}; once for each item of {lists}"
            at = len(self.nodes)
            for call in node.calls:
                if call.graph is not None:
                    await self.add(call.graph, f"{prefix}{name}/", tries, None if node.each is not None else limit)
            calls, tokens, cost = await self._models(node, f"{prefix}{name}", tries)
            most_of = [None if math.isinf(amount) else int(amount) for amount in (visits, calls, tokens)]
            usd = None if math.isinf(cost) else cost
            bound = NodeBound(f"{prefix}{name}", most_of[0], by, most_of[1], most_of[2], usd)
            self.nodes.insert(at, bound)

    async def _models(self, node: NodePlan, path: str, tries: float) -> tuple[float, float, float]:
        """Return the most calls of models in so many attempts of a node, the tokens of the answers, and the cost."""
        calls = tokens = cost = 0.0
        for call in node.calls:
            agent: Any = getattr(call.body, "agent", None)
            if call.body.kind != "agent" or agent is None or not tries:
                continue
            most = tries * (1 + agent.output_retries + (agent.turns + 1 if agent.tools else 0))
            longest = agent.settings.max_tokens
            price = await self._price(agent, path, longest)
            calls = max(calls, most)
            tokens = max(tokens, math.inf if longest is None else most * longest)
            cost = max(cost, math.inf if price is None else most * price if price else 0)
        return calls, tokens, cost

    async def _price(self, agent: Agent[Any, Any], path: str, longest: int | None) -> float | None:
        """Return the most that a call can cost; None if that is not known."""
        chosen = replacing(self._given, self._graph, path, agent.name) or agent.model
        model: Any = None if chosen is None else as_model(chosen)
        free = 0.0 if model is not None and model.name == "rules" else None
        window = await model.window_tokens() if isinstance(model, KnowsWindow) else None
        if isinstance(model, EstimatesCosts) and window is not None and longest is not None:
            price: float | None = await model.price_of(window, longest)
            return price
        return free


def _sum_up_to(amounts: Sequence[Any], limit: float | None = None) -> Any:  # noqa: ANN401 - of either kind of number
    """Return a sum, but at most a limit; None if neither is known."""
    return min((each for each in (None if None in amounts else sum(amounts), limit) if each is not None), default=None)


async def forecast(graph: Graph[Any] | str, store: str | PathLike[str] | Store) -> Forecast:
    """Return what the recorded runs of a graph took that have ended, without the branches of comparisons.

    Args:
        graph: The graph, or its name.
        store: The database: a path, `postgresql://…`, or a store, which stays open.

    Raises:
        InputError: Fewer than five runs have ended.
        StoreError: The database cannot be read.
    """
    name = graph if isinstance(graph, str) else graph.name
    async with reading(store) as opened:
        wanted = [Wanted(0, status, name) for status in _ENDED]
        ended = [info for each in wanted for info in await newest(opened, each, compared=False)]
    runs = [(info, info.summary) for info in ended if info.summary is not None]
    if len(runs) < LEAST_RUNS:
        message = f"{len(runs)} runs of {name} have ended, and a forecast needs {LEAST_RUNS}"
        raise InputError(message, where="forecast", repair="record more runs, or use check --bounds")
    endings = Counter(
        info.status + (f": {took.reason}" if info.status == "finished" and took.reason else "") for info, took in runs
    )
    costs = [took.cost_usd for _, took in runs if took.cost_usd is not None]
    return Forecast(
        graph=name,
        runs=len(runs),
        visits=sum(took.visits for _, took in runs),
        endings={ending: count / len(runs) for ending, count in endings.most_common()},
        cost_usd=_quantiles(costs),
        unknown_costs=len(runs) - len(costs),
        seconds=_quantiles([took.seconds for _, took in runs]),
    )


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {f"p{p}": ordered[math.ceil(p / 100 * len(ordered)) - 1] for p in (50, 90, 99)} if ordered else {}


__all__ = ["Bounds", "Forecast", "NeverTaken", "NodeBound", "bounds", "forecast"]
