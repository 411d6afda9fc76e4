"""List the outgoing edges of a graph spec's nodes, with one entry for each arrow of a picture.

The edges of a node form two groups, edges after a success and edges after a failure. The edges of each group are tried
in declared order. A switch is one edge with several arrows. Cases that lead to the same target share an arrow.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from graphengine.kernel.extension import START
from graphengine.kernel.inside import condition_text
from graphengine.render.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphengine.kernel.reader import ConditionSpec, EdgeSpec, GraphSpec


@dataclass(frozen=True, slots=True)
class DrawnEdge:
    """An edge of a graph as a picture shows it. A fork or a switch is split into one edge for each target.

    Attributes:
        source: The node that the edge leaves.
        target: The node to which the edge leads.
        label: The user's label; "" if the edge has no label.
        condition: The condition of the edge in words; "" if the edge is always taken.
        recorded: The labels with which a step can record the edge.
        failure: Whether the edge is tried after a failure.
        order: The index of the edge in its group (success or failure) of its node, from 0.
        several: Whether the group has more than one edge.
        fork: The text of the fork, if the arrow is an arm of a fork; "" otherwise.
        way: The index of the edge in the graph spec, from 0.
        when: The condition of the edge or of the arm, as data; None for a switch, and if there is no condition.
    """

    source: str
    target: str
    label: str
    condition: str
    recorded: frozenset[str]
    failure: bool
    order: int = 0
    several: bool = False
    fork: str = ""
    way: int = -1
    when: ConditionSpec | None = None

    @property
    def is_case(self) -> bool:
        """Whether the arrow is a case of a switch. If it has no label, its condition can be shown instead."""
        return self.recorded != {self.label}


def edges_of(graph_spec: GraphSpec) -> list[DrawnEdge]:
    """Return all edges of a graph from its description, in the order in which they are declared."""
    tried: Counter[tuple[str, bool]] = Counter()
    found: list[DrawnEdge] = []
    for way, facts in enumerate(graph_spec.get("ways", ())):
        arrows = _switch(facts) if "cases" in facts else _read_arms(facts) if "arms" in facts else [_read_edge(facts)]
        found += [replace(edge, order=tried[edge.source, edge.failure], way=way) for edge in arrows]
        tried.update({(edge.source, edge.failure) for edge in arrows})
    several = (replace(edge, several=tried[edge.source, edge.failure] > 1) for edge in found)
    return [
        replace(edge, condition="otherwise")
        if edge.several and not (edge.condition or edge.label or edge.fork)
        else edge
        for edge in several
    ]


def joins_of(graph_spec: GraphSpec) -> dict[str, str]:
    """Return a note for each node of a graph at which arms of a fork come together, such as `joins 2 of 3 arms`."""
    notes: dict[str, list[str]] = {}
    for facts in graph_spec.get("ways", ()):
        if "arms" in facts and "join" in facts:
            arms, need = len(facts["arms"]), facts.get("need")
            count = f"{need} of {arms} arms" if need else f"{arms} arm" + "s" * (arms != 1)
            notes.setdefault(str(facts["join"]), []).append(count)
    return {join: f"joins {' and '.join(counts)}" for join, counts in notes.items()}


def find_closing_edges(edges: Sequence[DrawnEdge], declared: Iterable[str]) -> set[int]:
    """Return the indexes of the edges that lead back in a loop. Without them, the graph has no loops.

    An edge closes a loop if it leads back to the only node through which the loop is entered. If a loop has several
    entries, the edges that lead against the declared order of the nodes close it.

    Args:
        edges: All edges of a graph.
        declared: The graph's nodes in declared order. Nodes that only edges name come after them.
    """
    out, leading = _targets_by_node(edges), Counter(edge.target for edge in edges)
    reachable, closing = find_reached([START], out), set[int]()
    for target in (name for name, count in leading.items() if count > 1 and name in reachable):
        others = {name: targets for name, targets in out.items() if name != target}
        inside = (reachable - find_reached([START], others) | {target}) & find_reached([target], out)
        closing |= {index for index, edge in enumerate(edges) if edge.target == target and edge.source in inside}
    names = dict.fromkeys([START, *declared, *(name for edge in edges for name in (edge.source, edge.target))])
    place = {name: index for index, name in enumerate(names)}
    left = [(index, edge) for index, edge in enumerate(edges) if index not in closing]
    out = _targets_by_node([edge for _, edge in left])
    against = [(index, edge) for index, edge in left if place[edge.target] <= place[edge.source]]
    return closing | {index for index, edge in against if edge.source in find_reached([edge.target], out)}


def _targets_by_node(edges: Iterable[DrawnEdge]) -> dict[str, list[str]]:

    out: dict[str, list[str]] = {}
    for edge in edges:
        out.setdefault(edge.source, []).append(edge.target)
    return out


def find_reached(begin: Iterable[str], out: Mapping[str, Sequence[str]]) -> set[str]:
    """Return all nodes of a graph that can be reached along edges from some first nodes, together with these nodes.

    Args:
        begin: The first nodes.
        out: The targets of each node's edges.
    """
    reached, left = set(begin), list(begin)
    while left:
        for target in out.get(left.pop(), ()):
            if target not in reached:
                reached.add(target)
                left.append(target)
    return reached


def _read_edge(facts: EdgeSpec) -> DrawnEdge:
    if "to" not in facts:
        raise KeyError("to")
    label = str(facts.get("label") or "")
    condition = _when(facts.get("when"))
    failure = bool(facts.get("failure"))
    ends, recorded = (str(facts["from"]), str(facts["to"])), frozenset((label,))
    return DrawnEdge(*ends, label, condition, recorded, failure, when=facts.get("when"))


def _when(condition: ConditionSpec | None) -> str:
    return one_line(condition_text(condition)) if condition else ""


def _switch(facts: EdgeSpec) -> list[DrawnEdge]:
    if "on" not in facts or "cases" not in facts:
        raise KeyError("on")
    source, on = str(facts["from"]), one_line(str(facts["on"]))
    values: dict[str, list[str]] = {}
    for value, target in facts["cases"].items():
        values.setdefault(str(target), []).append(str(value))
    arrows = {
        target: DrawnEdge(source, target, "", f"{on} is {one_line(_join_or(cases))}", frozenset(cases), failure=False)
        for target, cases in values.items()
    }
    otherwise = facts.get("otherwise")
    if otherwise is not None:
        target = str(otherwise)
        same = arrows.get(target)
        condition = f"{same.condition}, or otherwise" if same else f"{on} is anything else"
        recorded = same.recorded | {""} if same else frozenset(("",))
        arrows[target] = DrawnEdge(source, target, "", condition, recorded, failure=False)
    return list(arrows.values())


def _read_arms(facts: EdgeSpec) -> list[DrawnEdge]:
    """Return the edges that a picture shows for a fork: one to each arm, and one to the join if no arm has to run."""
    if "arms" not in facts or "join" not in facts:
        raise KeyError("join")
    source, join, label = str(facts["from"]), str(facts["join"]), str(facts.get("label") or "")
    count, words_of = facts.get("need"), _when(facts.get("when"))
    need = f", {count} of {len(facts['arms'])} needed" if count else ""
    words = [f"in parallel until {join}{need}"]
    if words_of:
        words.append(words_of)
    fork = "; ".join(words)
    recorded = frozenset((label,))
    arrows: list[DrawnEdge] = []
    for arm in facts["arms"]:
        when = f"if {_when(arm.get('when'))}" if "when" in arm else ""
        condition = arm.get("when")
        arrows.append(
            DrawnEdge(source, str(arm["to"]), label, when, recorded, failure=False, fork=fork, when=condition)
        )
    if all("when" in arm for arm in facts["arms"]):
        arrows.append(DrawnEdge(source, join, label, "if no arm is run", recorded, failure=False, fork=fork))
    return arrows


def _join_or(cases: Sequence[str]) -> str:
    *others, last = cases
    return f"{', '.join(others)} or {last}" if others else last


class _Cap(NamedTuple):
    """A limit on the number of visits to a node, which an edge of the node enforces.

    After this number of visits, the edge is always taken.

    Attributes:
        node: The node.
        order: The position of the edge among those that the node tries.
        since: The name of a node: only visits after the last visit to this node count. "" to count all visits.
        visits: The number of visits.
    """

    node: str
    order: int
    since: str
    visits: int


def bounds_of(edges: Sequence[DrawnEdge]) -> dict[str, str]:
    """Return notes such as `3 visits at most` for the nodes in loops that certainly cannot be visited more often.

    Such a limit N is certain if the node has an edge that is always taken after N visits of the node, and if the node
    cannot be reached again along its edges that are tried before this edge or after a failure.

    Args:
        edges: All edges of a graph in declared order.
    """
    out = _targets_by_node(edges)
    found: dict[str, _Cap] = {}
    for cap in (cap for edge in edges for cap in _caps(edge) if _binds(cap, edges, out)):
        least = min(cap, found.get(cap.node, cap), key=lambda each: each.visits)
        found[cap.node] = least
    return {
        node: f"{cap.visits} visit{'s' * (cap.visits != 1)}{f' since {cap.since}' if cap.since else ''} at most"
        for node, cap in found.items()
    }


def _caps(edge: DrawnEdge) -> Iterable[_Cap]:
    """Yield the limits on the number of a node's visits that an edge enforces by its condition.

    Example: `visits >= 3 or score > 8` is always true from the third visit on, so it yields the limit 3.
    """
    for part in _alternatives(edge.when) if edge.when is not None and not (edge.failure or edge.fork) else ():
        of, than = part.get("of"), part.get("than")
        if part["is"] not in (">=", ">") or not isinstance(of, dict) or type(than) is not int:
            continue
        since = of.get("since", "")
        if of.get("visits") == edge.source != since:
            yield _Cap(edge.source, edge.order, since, than + (part["is"] == ">"))


def _alternatives(condition: ConditionSpec) -> Iterable[ConditionSpec]:
    """Yield the parts of a condition that are joined by `or`. If one of the parts is true, the condition is true."""
    if condition["is"] != "or":
        yield condition
        return
    for part in condition.get("parts", ()):
        yield from _alternatives(part)


def _binds(cap: _Cap, edges: Sequence[DrawnEdge], out: Mapping[str, Sequence[str]]) -> bool:
    """Return whether the visits of a node in a loop are certainly limited, given a limit that one of its edges sets.

    After the limit is reached, its edge is always taken. The node could only be visited again along edges that are
    tried before this edge or after a failure, so the node must not be reachable along these edges.
    """
    if cap.node not in find_reached(out.get(cap.node, ()), out):
        return False
    own = [edge for edge in edges if edge.source == cap.node and (edge.failure or edge.order <= cap.order)]
    return all(cap.node not in find_reached([edge.target], out) for edge in own)
