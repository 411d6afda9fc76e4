"""What a run can take at most, from its graph alone; and what runs took, from those recorded.

for bound in await bounds(graph): the most visits of each node and what bounds them
await forecast(graph, "checkpoints/runs.db"): quantiles of cost and time, and the share of each ending
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence  # noqa: TC003 - what a document has is read at run time
from os import PathLike
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from graphengine.agents.model_routing import by_agent, replacing
from graphengine.api.places import store_at
from graphengine.checks.paths import Paths, Undecided, most_visits
from graphengine.errors import InputError
from graphengine.graph.definition import Fork, Switch
from graphengine.graph.options import START
from graphengine.models.base import EstimatesCosts, KnowsWindow
from graphengine.models.names import as_model
from graphengine.records.step_document import Part

if TYPE_CHECKING:
    from graphengine.agents.model_routing import GivenModels
    from graphengine.api.graph import Graph
    from graphengine.engine.plan import NodePlan, Plan
    from graphengine.graph.definition import AnyEdge
    from graphengine.stores.base import Store

_ModelOf: TypeAlias = "Callable[[str, Any], Any]"
LEAST_RUNS: Final = 5
"""A forecast rests on this many ended runs or more."""
_ENDED: Final = ("finished", "failed", "stopped")


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
        visits: The most visits in all.
        calls: The most calls of models.
        tokens: The limit on tokens, if there is one; a call under way may exceed it.
        output_tokens: The most tokens of answers.
        cost_usd: The most that models cost, or the limit on it.
        never: The edges that no run takes.
        unbounded: What nothing bounds.
    """

    graph: str
    nodes: Sequence[NodeBound]
    visits: int | None
    calls: int | None
    tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    never: Sequence[NeverTaken]
    unbounded: Sequence[str]


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
    """
    plan = graph.compile()
    given = by_agent(models)

    def model_of(path: str, agent: Any) -> Any:  # noqa: ANN401 - an agent and a model of any kind
        chosen = replacing(given, plan.graph, path, agent.name) or agent.model
        return None if chosen is None else as_model(chosen)

    nodes = await _nodes(plan, "", 1, plan.limits.visits, model_of)
    limits = plan.limits
    total = sum(math.inf if bound.visits is None else bound.visits for bound in nodes if "/" not in bound.path)
    visits = min(total, math.inf if limits.visits is None else limits.visits)
    cost = _sum([bound.cost_usd for bound in nodes])
    if limits.cost_usd is not None:
        cost = limits.cost_usd if cost is None else min(cost, limits.cost_usd)
    unbounded = [f"{bound.path}: {bound.by}" for bound in nodes if bound.visits is None or bound.calls is None]
    return Bounds(
        graph=plan.graph,
        nodes=nodes,
        visits=None if math.isinf(visits) else int(visits),
        calls=_sum([bound.calls for bound in nodes]),
        tokens=limits.tokens,
        output_tokens=_sum([bound.output_tokens for bound in nodes]),
        cost_usd=cost,
        never=_never(plan),
        unbounded=unbounded,
    )


def _paths(plan: Plan[Any]) -> tuple[Paths, dict[str, float], str]:
    """Return the walk of a graph, the most visits of each node, and why they are not known."""
    paths = Paths(plan.start, plan.nodes, plan.state, (), plan.collect_errors)
    try:
        return paths, most_visits(paths.walk()), ""
    except Undecided as error:
        return paths, dict.fromkeys(plan.nodes, math.inf), str(error)


async def _nodes(
    plan: Plan[Any], prefix: str, times: float, limit: float | None, model_of: _ModelOf
) -> list[NodeBound]:
    """Return the bounds of a graph's nodes.

    Args:
        plan: The graph.
        prefix: The path of the node that it is at, with a slash.
        times: How often it is entered at most.
        limit: The most visits in a run.
        model_of: Returns the model of an agent at a path.
    """
    _, most, why = _paths(plan)
    own = plan.own_limits.get("visits") if prefix else None
    found: list[NodeBound] = []
    for name, node in plan.nodes.items():
        each, by = most.get(name, 0), "its conditions" if most.get(name, 0) else "no path leads here"
        if math.isinf(each):
            by = f"nothing: {why or 'a loop leads back to it'}"
            if own is not None:
                each, by = own, f"the limit of {own:,} visits of {plan.graph}"
        visits = 0 if not each else each * times
        if limit is not None and visits > limit:
            visits, by = limit, f"the limit of {limit:,} visits"
        runs, items = visits, node.each is not None
        if node.each is not None:
            lists = " and ".join(reading.text for _, reading, _ in node.each.sources)
            runs, by = math.inf, f"{by}; once for each item of {lists}"
        amounts = await _models(node, f"{prefix}{name}", runs, model_of)
        found.append(NodeBound(f"{prefix}{name}", None if math.isinf(visits) else int(visits), by, *amounts))
        attempts = node.retry.attempts if node.retry is not None else 1
        for call in node.calls:
            if call.graph is not None:
                found += await _nodes(
                    call.graph, f"{prefix}{name}/", runs * attempts, None if items else limit, model_of
                )
    return found


async def _models(
    node: NodePlan, path: str, runs: float, model_of: _ModelOf
) -> tuple[int | None, int | None, float | None]:
    """Return the most calls of models in so many visits of a node, the tokens of their answers, and their cost."""
    calls = tokens = cost = 0.0
    for call in node.calls:
        agent: Any = getattr(call.body, "agent", None)
        if call.body.kind != "agent" or agent is None:
            continue
        attempts = node.retry.attempts if node.retry is not None else 1
        most = runs * attempts * (1 + agent.output_retries + (agent.turns + 1 if agent.tools else 0)) if runs else 0
        longest = agent.settings.max_tokens
        model = model_of(path, agent)
        price = 0.0 if model is not None and model.name == "rules" else None
        window = await model.window_tokens() if isinstance(model, KnowsWindow) else None
        if isinstance(model, EstimatesCosts) and window is not None and longest is not None:
            price = await model.price_of(window, longest)
        calls = max(calls, most)
        tokens = max(tokens, math.inf if longest is None and most else most * (longest or 0))
        cost = max(cost, math.inf if price is None and most else most * (price or 0))
    whole = [None if math.isinf(amount) else int(amount) for amount in (calls, tokens)]
    return whole[0], whole[1], None if math.isinf(cost) else cost


def _never(plan: Plan[Any], prefix: str = "") -> list[NeverTaken]:
    """Return the edges of a graph, and of those inside it, that no run takes."""
    paths, most, why = _paths(plan)
    found: list[NeverTaken] = []
    leaving: dict[str, Sequence[AnyEdge]] = {START: plan.start}
    leaving |= {name: (*node.edges, *node.failure_edges) for name, node in plan.nodes.items()}
    for name, edges in leaving.items() if not why else ():
        for edge in edges:
            text = edge.reading.text if isinstance(edge, Switch) else str(edge.condition)
            for target in dict.fromkeys(edge.targets):
                if (id(edge), target) in paths.taken:
                    continue
                reason = (
                    f"no run comes to {name}" if name != START and not most.get(name) else f"'{text}' never leads there"
                )
                if isinstance(edge, Fork) and edge.condition is None:
                    reason = "the condition of the arm never holds"
                found.append(NeverTaken(f"{prefix}{name}", target, reason))
    for name, node in plan.nodes.items():
        found += [
            each for call in node.calls if call.graph is not None for each in _never(call.graph, f"{prefix}{name}/")
        ]
    return found


def _sum(amounts: Sequence[Any]) -> Any:  # noqa: ANN401 - of either kind of number
    return None if None in amounts else sum(amounts)


async def forecast(graph: Graph[Any] | str, store: str | PathLike[str] | Store) -> Forecast:
    """Return what the recorded runs of a graph took that have ended.

    Args:
        graph: The graph, or its name.
        store: The database: a path, `postgresql://…`, or a store, which stays open.

    Raises:
        InputError: Fewer than five runs have ended.
        StoreError: The database cannot be read.
    """
    name = graph if isinstance(graph, str) else graph.name
    if not isinstance(store, str | PathLike):
        await store.open()
        return await _forecast(name, store)
    opened = store_at(store, read_only=True)
    try:
        await opened.open()
        return await _forecast(name, opened)
    finally:
        await opened.close()


async def _forecast(name: str, store: Store) -> Forecast:
    endings: Counter[str] = Counter()
    costs: list[float] = []
    times: list[float] = []
    visits = unknown = 0
    for status in _ENDED:
        for info in await store.runs(status=status, graph=name, limit=1_000_000):
            if info.summary is None:
                continue
            label = f": {info.summary.reason}" if status == "finished" and info.summary.reason else ""
            endings[f"{status}{label}"] += 1
            times.append(info.summary.seconds)
            visits += info.summary.visits
            if info.summary.cost_usd is None:
                unknown += 1
            else:
                costs.append(info.summary.cost_usd)
    if len(times) < LEAST_RUNS:
        message = f"{len(times)} runs of {name} have ended, and a forecast needs {LEAST_RUNS}"
        raise InputError(message, where="forecast", repair="record more runs, or use check --bounds")
    return Forecast(
        graph=name,
        runs=len(times),
        visits=visits,
        endings={ending: count / len(times) for ending, count in endings.most_common()},
        cost_usd=_quantiles(costs),
        unknown_costs=unknown,
        seconds=_quantiles(times),
    )


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {f"p{p}": ordered[math.ceil(p / 100 * len(ordered)) - 1] for p in (50, 90, 99)} if ordered else {}


__all__ = ["Bounds", "Forecast", "NeverTaken", "NodeBound", "bounds", "forecast"]
