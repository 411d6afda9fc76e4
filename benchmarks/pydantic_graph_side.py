"""The workloads of `benchmarks.peers` as a user of pydantic-graph writes them. Needs the packages of the group `bench`.

A node changes the state in place. Spans are off (`auto_instrument`); without Logfire they would do nothing anyway.
"""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_graph import BaseNode, End, GraphBuilder, GraphRunContext, StepContext, reduce_sum

from benchmarks.ours import Counter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from benchmarks.peers import Library, Run


class Checked(Counter, validate_assignment=True):
    """The counter as a state that validates each value that is assigned to a field."""


@dataclass
class Increase(BaseNode[Checked, int, int]):
    """A node in the form of a class, which returns the next node.

    The dependency of a run is the number of visits after which the run ends.
    """

    async def run(self, ctx: GraphRunContext[Checked, int]) -> Increase | End[int]:
        """Add one, and return this node again or the end of the run."""
        ctx.state.count += 1
        return End(ctx.state.count) if ctx.state.count >= ctx.deps else Increase()


async def _increase(ctx: StepContext) -> int:
    state: Checked = ctx.state
    state.count += 1
    return state.count


async def _plan(_: StepContext) -> None:
    pass


async def _one(_: StepContext) -> int:
    return 1


@asynccontextmanager
async def side(_: None) -> AsyncIterator[Mapping[str, Library]]:
    """Yield the workloads of `benchmarks.peers` for pydantic-graph, in memory."""
    yield {
        "pydantic-graph": {"chain": _chain, "loop": _loop, "fork": _fork},
        "pydantic-graph, classes": {"loop": _node},
    }


def _builder() -> Any:  # noqa: ANN401 - its type parameters differ from step to step
    return GraphBuilder(state_type=Checked, output_type=int, auto_instrument=False)


def _chain(nodes: int) -> Run:
    graph = _builder()
    steps = [graph.step(_increase, node_id=f"node{number}") for number in range(nodes)]
    path = [graph.start_node, *steps, graph.end_node]
    graph.add(*(graph.edge_from(source).to(target) for source, target in itertools.pairwise(path)))
    return _ran(graph)


def _loop(visits: int) -> Run:
    graph = _builder()
    increase = graph.step(_increase)
    enough = graph.match(int, matches=lambda count: count >= visits).to(graph.end_node)
    again = graph.match(int).to(increase)
    graph.add(
        graph.edge_from(graph.start_node).to(increase),
        graph.edge_from(increase).to(graph.decision().branch(enough).branch(again)),
    )
    return _ran(graph)


def _node(visits: int) -> Run:
    graph: Any = GraphBuilder(state_type=Checked, deps_type=int, output_type=int, auto_instrument=False)
    graph.add(graph.node(Increase), graph.edge_from(graph.start_node).transform(lambda _: Increase()).to(Increase))
    return _ran(graph, visits)


def _fork(arms: int) -> Run:
    graph = _builder()
    plan = graph.step(_plan)
    steps = [graph.step(_one, node_id=f"arm{number}") for number in range(arms)]
    join = graph.join(reduce_sum, initial=0)
    graph.add(
        graph.edge_from(graph.start_node).to(plan),
        graph.edge_from(plan).to(*steps),
        graph.edge_from(*steps).to(join),
        graph.edge_from(join).to(graph.end_node),
    )
    return _ran(graph)


def _ran(graph: Any, deps: int | None = None) -> Run:  # noqa: ANN401
    built = graph.build()

    async def run() -> int:
        counted: int = await built.run(state=Checked(), deps=deps)
        return counted

    return run
