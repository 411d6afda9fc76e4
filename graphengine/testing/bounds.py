"""Compute the most that a run of a graph can cost, and predict its cost and time from recorded runs.

`await bounds(graph)` looks only at the graph. It returns the largest number of visits of each node, the reason for the
number, and the calls, tokens and cost that follow from it.

`await forecast(graph, "checkpoints/runs.db")` looks at recorded runs. It returns quantiles of cost and time, and the
share of each ending.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence  # noqa: TC003 - documents read the annotations
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
"""The smallest number of ended runs from which a forecast is made."""
_ENDED: Final = ("finished", "failed", "stopped", "cancelled")


class NodeBound(Part):
    """The most that a node can do in one run. null means that the number has no bound.

    Attributes:
        path: The path of the node.
        visits: The largest number of visits.
        by: The reason for the bound of the visits, or the reason why there is no bound.
        calls: The largest number of calls of models in all attempts and turns. Retries within a provider's client do
            not count.
        output_tokens: The largest number of tokens in the answers of the models.
        cost_usd: The highest cost of the calls in US dollars, if every question fills the model's context window.
    """

    path: str
    visits: int | None
    by: str
    calls: int | None
    output_tokens: int | None
    cost_usd: float | None


class NeverTaken(Part):
    """An edge that no run can ever take.

    Attributes:
        source: The node that the edge leaves.
        target: The node to which the edge leads.
        why: The reason why no run can take the edge.
    """

    source: str
    target: str
    why: str


class Bounds(Part):
    """The most that a run of a graph can do and cost. null means that the number has no bound.

    Attributes:
        graph: The name of the graph.
        nodes: The nodes of the graph, and the nodes of the graphs inside the graph.
        visits: The largest number of visits in total, including visits of nodes in graphs inside the graph.
        calls: The largest number of calls of models.
        output_tokens: The largest number of tokens in answers, or the limit on all tokens if the limit is lower. A call
            in progress may exceed the limit.
        cost_usd: The highest cost of models, or the limit on the cost if the limit is lower.
        never: The edges that no run can ever take.
    """

    graph: str
    nodes: Sequence[NodeBound]
    visits: int | None
    calls: int | None
    output_tokens: int | None
    cost_usd: float | None
    never: Sequence[NeverTaken]


class Forecast(Part):
    """A forecast of the cost, time and ending of a run, made from recorded runs of the graph.

    Attributes:
        graph: The name of the graph.
        runs: The number of ended runs from which the forecast was made.
        visits: The number of visits of nodes in these runs.
        endings: The share of each ending, such as `finished: approved`.
        cost_usd: The costs that 50, 90 and 99 % of the runs did not exceed. Runs of unknown cost are left out.
        unknown_costs: How many runs called a model whose price is not known.
        seconds: The times that 50, 90 and 99 % of the runs did not exceed, counting only time in which a process worked
            on the run.
    """

    graph: str
    runs: int
    visits: int
    endings: Mapping[str, float]
    cost_usd: Mapping[str, float]
    unknown_costs: int
    seconds: Mapping[str, float]


async def bounds(graph: Graph[Any], models: GivenModels | None = None) -> Bounds:
    """Compute the most that one run of a graph can do and cost, from the graph's conditions and limits.

    The numbers hold for a run that is not resumed.

    Args:
        graph: The graph.
        models: The models whose prices are used, as in `Runner`. By default, the agents' own models are used.

    Raises:
        CompileError: The graph cannot run.
        InputError: A key of `models` does not name an agent of the graph.
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
    """Walks through a graph for `bounds`, and collects the bounds of each node and the edges that no run can take."""

    def __init__(self, graph: str, given: Mapping[str, Model | str]) -> None:
        self._graph, self._given = graph, given
        self.nodes: list[NodeBound] = []
        self.never: list[NeverTaken] = []

    async def add(self, plan: Plan[Any], prefix: str, times: float, limit: float | None) -> None:
        """Compute the bounds of all nodes of a graph, and of the graphs inside it.

        Args:
            plan: The graph.
            prefix: The path of the node that runs the graph, followed by a slash; "" for the run's own graph.
            times: How many times a run can enter the graph.
            limit: The limit on all visits of a run; None if there is no limit.
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
        """Return the largest number of model calls and output tokens of a node, and their highest cost in US dollars.

        `tries` is the number of attempts that the node can make in one run.
        """
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
        chosen = replacing(self._given, self._graph, path, agent.name) or agent.model
        model: Any = None if chosen is None else as_model(chosen)
        free = 0.0 if model is not None and model.name == "rules" else None
        window = await model.window_tokens() if isinstance(model, KnowsWindow) else None
        if isinstance(model, EstimatesCosts) and window is not None and longest is not None:
            price: float | None = await model.price_of(window, longest)
            return price
        return free


def _sum_up_to(amounts: Sequence[Any], limit: float | None = None) -> Any:  # noqa: ANN401 - of either kind of number
    """Return the sum of amounts, such as model calls, tokens or money, but at most `limit`.

    An amount of None is unknown and makes the sum unknown. The result is then the limit, or None if there is no limit.
    """
    return min((each for each in (None if None in amounts else sum(amounts), limit) if each is not None), default=None)


async def forecast(graph: Graph[Any] | str, store: str | PathLike[str] | Store) -> Forecast:
    """Predict the cost, time and ending of a run from the ended runs of the graph in a database.

    Branches that `what_if` made to compare runs are left out.

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
        message = f"only {len(runs)} recorded runs of graph {name!r} have ended, but a forecast needs {LEAST_RUNS}"
        repair = "record more runs, or use check --bounds, which needs no runs"
        raise InputError(message, where="forecast", repair=repair)
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
