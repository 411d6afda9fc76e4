"""All checks of a graph, and the checks of the graph as a whole: forks, reachable nodes, nodes that end, and loops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphengine.checks.before_waits import acts_before_waits
from graphengine.checks.cases import choice_problems, none_problems
from graphengine.checks.dead import dead_problems
from graphengine.checks.forks import check_cancelled_effects, fork_problems
from graphengine.checks.loops import find_unbounded_loops
from graphengine.checks.options import graph_problems, migration_problems, node_problems
from graphengine.checks.paths import leaves_of
from graphengine.checks.rules import rule_problems
from graphengine.checks.shape import MeantShape
from graphengine.checks.state import field_problems, model_problems
from graphengine.checks.waits import wait_problems
from graphengine.errors import Problem
from graphengine.kernel.extension import Checks, Limits, Switch
from graphengine.kernel.inside import closed_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pydantic import BaseModel

    from graphengine.kernel.extension import (
        AnyEdge,
        Compiling,
        FieldType,
        GraphDefinition,
        NodePlan,
        StateType,
    )
    from graphengine.kernel.inside import Declared


class _All(Checks):
    """All checks."""

    def model(self, model: type[BaseModel]) -> Iterable[Problem]:
        return model_problems(model)

    def field(self, where: str, field: FieldType) -> Iterable[Problem]:
        return field_problems(where, field)

    def options(self, graph: GraphDefinition[Any]) -> Iterable[tuple[str, str]]:
        return graph_problems(graph)

    def node(self, declared: Declared) -> Iterable[tuple[str, str]]:
        return node_problems(declared)

    def migrations(self, graph: GraphDefinition[Any]) -> Iterable[Problem]:
        return migration_problems(graph)

    def whole(self, found: Compiling) -> Iterable[Problem]:
        return _whole_problems(found)


ALL: Final = _All()


def _whole_problems(found: Compiling) -> Iterator[Problem]:
    """Find the problems of a compiled graph that concern several nodes, such as unreachable nodes and endless loops."""
    graph, nodes, state = found.graph, found.nodes, found.state
    yield from wait_problems(nodes)
    if found.walks:
        yield from acts_before_waits(found)
    yield from choice_problems(found)
    yield from none_problems(found)
    shape = MeantShape.of(graph)
    undeclared = {d.name for d in graph.nodes if d.options.writes is None and d.runnable is not None}
    forks = list(fork_problems(shape, nodes, state.fields, undeclared.difference(found.unsound)))
    wrong = [fork for fork in shape.forks if any(p.where == f"fork at {fork.source}" for p in forks)]
    ending = shape.ending()
    closed = {
        name for name, node in nodes.items() if any(e.is_always_taken or _exhaustive(e, state) for e in node.edges)
    }
    open_ends = [name for name, node in nodes.items() if node.edges and name in ending - closed - {*found.unclear}]
    problems = list(shape.problems({fork.join for fork in wrong}, open_ends))
    yield from forks
    yield from check_cancelled_effects(shape, nodes)
    yield from problems
    if not (shape.unknown or wrong or found.doubtful or found.unclear or found.unsound):
        yield from _find_walk_problems(found, open_ends, problems)
    elif not any(problem.code == "unreachable" for problem in problems):  # that problem names the missing edge
        yield from map(_no_otherwise, open_ends)
    # limits of the user decide where a run ends; visits=None declares that it never ends
    if not isinstance(graph.own_limits, Limits):
        sound = (shape.reached() & ending) - {*found.doubtful, *(fork.source for fork in wrong)}
        yield from _find_unbounded({name: nodes[name] for name in shape.names if name in sound}, state)


def _find_walk_problems(found: Compiling, open_ends: Sequence[str], problems: Sequence[Problem]) -> Iterator[Problem]:
    """Find problems by following all paths through a graph.

    These are nodes that cannot be left, edges that are never taken, and rules that can be broken.
    """
    dead, left = dead_problems(found) if found.walks and not problems else ((), ())
    if not any(problem.code == "unreachable" for problem in problems):  # that problem names the missing edge
        yield from (_no_otherwise(name) for name in open_ends if name not in left)
    yield from dead
    names = {name.partition("/")[0] for rule in found.graph.rules for name in rule.names}
    if names and names <= {*found.nodes}:
        yield from rule_problems(found)


def _no_otherwise(name: str) -> Problem:
    text = f"every edge out of node '{name}' has a condition; if none of them holds, the run fails with no_way_out"
    return Problem("no_otherwise", f"node {name}", text, "add an edge without a condition", warning=True)


def _find_unbounded(nodes: Mapping[str, NodePlan], state: StateType[Any]) -> Iterator[Problem]:
    """Report loops that may run forever, because nothing forces them to end."""
    for loop in find_unbounded_loops(nodes, state):
        text = f"nothing forces the loop {' → '.join(loop)} to end"
        edges = [edge for name in loop for edge in (*nodes[name].edges, *nodes[name].failure_edges)]
        leaves = [leaf for edge in edges for leaf in leaves_of(edge) if not isinstance(leaf, Switch)]
        if idle := [leaf for leaf in leaves if leaf.may_never_hold(state)]:
            text += f", and '{idle[0]}' may never hold, because the score may be missing or improve for ever"
        repair = f"before the edges back, add an edge out of the loop: when=iterations('{loop[0]}') >= 10"
        yield Problem("unbounded_loop", f"node {loop[0]}", text, repair, warning=True)


def _exhaustive(edge: AnyEdge, state: StateType[Any]) -> bool:
    """Return whether an edge is a switch with a case for every possible value, so that a target always follows.

    The node then needs no other edge.
    """
    if not isinstance(edge, Switch):
        return False
    values = closed_values(state.types_read(edge.reading))
    return values is not None and all(value in edge.cases for value in values)


__all__ = ["ALL"]
