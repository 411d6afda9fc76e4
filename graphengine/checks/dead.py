"""Edges that no run takes, conditions that always or never hold, and plateaus of fields that no node writes.

The number of visits is never less than 0, and a field has only values of its type. For example, no run can make
`iterations("a") >= -3` false. The edges that no run takes are found by walking the graph, as `check --bounds` does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.checks.paths import Paths, Undecided, leaves_of
from graphengine.checks.subjects import holds
from graphengine.errors import Problem
from graphengine.kernel.extension import START, Fork, Switch
from graphengine.kernel.inside import Comparison, Fact

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from graphengine.kernel.extension import AnyEdge, Compiling

_MOST_POINTS: Final = 1_000
"""How many points the walk of each compilation visits at most.

For larger graphs only `check --bounds` finds dead edges.
"""


class Never(NamedTuple):
    """An edge that no run of a graph can take, which is probably a mistake of the user.

    Attributes:
        source: The node that the edge leaves.
        target: The node that the edge would enter.
        edge: The edge.
        is_reached: Whether a run can come to the source.
    """

    source: str
    target: str
    edge: AnyEdge
    is_reached: bool

    @property
    def why(self) -> str:
        """The reason why no run takes the edge, as text: for example, that no run reaches the node it leaves."""
        if not self.is_reached:
            return f"no run reaches node '{self.source}'"
        if isinstance(self.edge, Switch):
            return f"the value of '{self.edge.reading.text}' never leads there"
        if self.edge.condition is not None:
            return f"the condition '{self.edge.condition}' never leads there"
        is_arm = isinstance(self.edge, Fork)
        return "the condition of the arm never holds" if is_arm else "an earlier edge of the node is always taken"


def never_taken(paths: Paths, reached: Collection[str]) -> Iterator[Never]:
    """Yield the edges that no run takes, after a search for all paths through the graph.

    Args:
        paths: The search for all paths.
        reached: The nodes that a run can reach.
    """
    leaving: dict[str, Sequence[AnyEdge]] = {START: paths.start}
    for name, node in paths.nodes.items():
        leaving[name] = (*node.edges, *node.failure_edges)
    for name, edges in leaving.items():
        for edge in edges:
            for target in dict.fromkeys(edge.targets):
                if (id(edge), target) not in paths.taken:
                    yield Never(name, target, edge, name == START or name in reached)


def dead_problems(found: Compiling) -> tuple[Sequence[Problem], Collection[str]]:
    """Report edges that no run takes and conditions that never change, by following all paths through a graph.

    Returns the problems, and the names of the nodes that can always be left because one of their edges always holds.
    Such a node needs no edge without a condition.
    """
    start = [edge for edge in found.graph.edges if edge.source == START]
    edges = [*start, *(edge for node in found.nodes.values() for edge in (*node.edges, *node.failure_edges))]
    if not any(isinstance(edge, Switch) or [*leaves_of(edge)] for edge in edges):
        return (), ()
    paths = Paths(start, found.nodes, found.state, (), found.graph.collect_errors, most=_MOST_POINTS)
    constant = [(edge, *each) for edge in edges for each in _find_constant_conditions(edge, paths, found)]
    problems = [
        _put_at_line(edge, Problem("constant_condition", f"edge from {edge.source}", text, repair, warning=True))
        for edge, text, repair in constant
    ]
    try:
        walked = paths.walk()
    except Undecided:
        return problems, ()
    reported = {id(edge) for edge, *_ in constant}
    origins = {(each.name, each.origin) for each in found.graph.nodes}
    for never in never_taken(paths, paths.reached(walked)):
        is_first = never.is_reached and not any(
            id(edge) in reported for edge in (never.edge, *_list_earlier_edges(never, paths))
        )
        if is_first and not _is_of_pattern(never, origins):
            text = f"no run takes the edge to '{never.target}', because {never.why}"
            repair = "remove this edge, or change its condition or the conditions of the edges before it"
            problem = Problem("dead_edge", f"edge from {never.source}", text, repair, warning=True)
            problems.append(_put_at_line(never.edge, problem))
    return problems, paths.reached(walked) - paths.stuck


def _is_of_pattern(never: Never, made: Collection[tuple[str, object]]) -> bool:
    """Return whether one call of the user created both the node and its edge, as functions for patterns do.

    The edge is then not reported as unused. A pattern may contain, for example, a loop that runs only once in this
    graph.
    """
    origin = never.edge.origin
    return origin is not None and not origin.file.startswith("<") and (never.source, origin) in made


def _list_earlier_edges(never: Never, paths: Paths) -> Sequence[AnyEdge]:
    """Return the edges that the node tries before this edge. If one of them always holds, that was already reported."""
    edges = paths.start if never.source == START else paths.nodes[never.source].edges
    return edges[: next((at for at, edge in enumerate(edges) if edge is never.edge), 0)]


def _put_at_line(edge: AnyEdge, problem: Problem) -> Problem:
    origin = edge.origin
    return problem if origin is None else replace(problem, file=origin.file, line=origin.line)


def _find_constant_conditions(edge: AnyEdge, paths: Paths, found: Compiling) -> Iterator[tuple[str, str]]:
    """Find the simple conditions of an edge that have the same outcome in all runs, and yield each with a repair."""
    for leaf in leaves_of(edge):
        if not isinstance(leaf, Switch) and leaf.sampled and (name := _unwritten(leaf.sampled, found)):
            text = f"the condition '{leaf}' never holds, because no node writes {name}"
            yield text, "ask for a plateau of a field that a node writes"
        elif isinstance(leaf, Comparison) and (held := _decide_outcome(leaf, paths)) is not None:
            word = "always" if held else "never"
            is_count = isinstance(leaf.quantity, Fact)
            why = "the number is never less than 0" if is_count else "the type of the field allows no other result"
            text = f"the condition '{leaf}' {word} holds, because {why}"
            yield text, "compare with another value, or remove the condition"


def _unwritten(sampled: Collection[str], found: Compiling) -> str:
    """Return the fields that a plateau condition watches, if no node writes any of them: the condition never changes.

    The fields are returned as text for a message. The result is "" if a node writes one of the fields, or if it is not
    known which fields nodes write.
    """
    if found.state.whole or found.unsound:
        return ""
    written = {name for node in found.nodes.values() for name in node.writer.fields} | {found.graph.collect_errors}
    return "" if written.intersection(sampled) else " or ".join(map(repr, sorted(sampled)))


def _decide_outcome(leaf: Comparison, paths: Paths) -> bool | None:
    """Return whether a comparison has the same outcome in all runs: True or False if it has, None if it has not."""
    if isinstance(leaf.quantity, Fact):
        below = isinstance(leaf.other, (int, float)) and leaf.other < 0
        if below or (leaf.other == 0 and leaf.operator in (">=", "<")):
            return leaf.operator in (">=", ">", "!=")
        return None
    subject = paths.subject_of(leaf)
    if subject is None:
        return None
    true = subject.where(lambda value: bool(holds(leaf, value)))
    return True if true == subject.all else None if true else False
