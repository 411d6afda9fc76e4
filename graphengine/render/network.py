"""Convert a graph to a networkx graph, to use the algorithms of networkx: critical paths, dominators, reachability.

This module imports networkx, which takes longer to import than the rest of the package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import networkx as nx

from graphengine.kernel.extension import END, FAIL, START
from graphengine.render.amounts import Used
from graphengine.render.edges import find_closing_edges
from graphengine.render.scopes import path_at, scopes_of
from graphengine.render.trace import trace_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.kernel.reader import GraphSpec, Step
    from graphengine.records.visit_tree import Place
    from graphengine.render.scopes import Scope
    from graphengine.render.trace import Trace

_ENDS = (START, END, FAIL)


def to_networkx(
    graph_spec: GraphSpec, steps: Sequence[Step] | None = None, specs: Mapping[str, GraphSpec] | None = None
) -> nx.MultiDiGraph[str]:
    """Return a graph, and a run on it, as a networkx graph.

    The names of the networkx nodes are paths: `review`, `article/write` for a node of a nested graph, and
    `teams (law)/write` if the node `teams` chooses among graphs. A node with a nested graph stays a node. An edge of
    the kind `enter` leads from the node to the START of the nested graph, and an edge of the kind `leave` leads from
    its END back to the node.

    The attributes are texts and numbers, so that the result can be written as GraphML and GEXF:

    - A node has `kind` (`function`, `agent`, …, `start`, `end`, `fail`), `title` and `writes` (fields, separated by
      commas). With a run, it also has `visits`, `seconds`, `cost_usd` (missing if unknown) and `failures` (the number
      of failed attempts).
    - An edge has `kind` (`edge`, `failure`, `fork`, `enter`, `leave`), `label`, `condition`, `order` (its index among
      the edges of its node) and `back` (whether it closes a loop). With a run, all edges except `enter` and `leave`
      also have `taken` and `why`.
    - The graph has `name`.

    Args:
        graph_spec: The graph's spec, from its plan or from a store.
        steps: All steps of a run from seq 1 on; None for no run.
        specs: Other specs of the graph by fingerprint, if steps were recorded under other versions of the graph.

    Raises:
        RenderError: The graph spec or the steps cannot be read.
    """
    scopes = scopes_of(graph_spec)
    trace = trace_of(graph_spec, scopes, steps, specs) if steps is not None else None
    found: nx.MultiDiGraph[str] = nx.MultiDiGraph(name=scopes[()].name)
    for place, scope in scopes.items():
        _add_nodes(found, place, scope, trace)
        _add_edges(found, place, scope, trace)
    for place in scopes:
        if place:
            around = path_at(place[:-1], place[-1][0])
            _add_link(found, around, path_at(place, START), "enter", place[-1][1])
            _add_link(found, path_at(place, END), around, "leave", place[-1][1])
    return found


def _add_nodes(found: nx.MultiDiGraph[str], place: Place, scope: Scope, trace: Trace | None) -> None:
    names: list[str] = [START, *scope.nodes, *(name for edge in scope.edges for name in (edge.source, edge.target))]
    for name in dict.fromkeys([*names, END] if place else names):
        facts = scope.nodes.get(name) or {"name": name}
        attributes: dict[str, Any] = {
            "kind": name.lower() if name in _ENDS else facts.get("kind", ""),
            "title": facts.get("title") or name,
            "writes": ", ".join(facts.get("writes", ())),
        }
        if trace is not None:
            used = trace.used_at.get((place, name), Used())
            attributes |= {
                "visits": trace.visits.get((place, name), 0),
                "seconds": used.seconds or 0.0,
                "failures": used.failures,
            }
            cost_usd: float | None = used.usage.get("cost_usd", 0.0)
            if cost_usd is not None:
                attributes["cost_usd"] = cost_usd
        found.add_node(path_at(place, name), **attributes)


def _add_edges(found: nx.MultiDiGraph[str], place: Place, scope: Scope, trace: Trace | None) -> None:
    closing = find_closing_edges(scope.edges, scope.nodes)
    for index, edge in enumerate(scope.edges):
        attributes: dict[str, Any] = {
            "kind": "failure" if edge.failure else "fork" if edge.fork else "edge",
            "label": edge.label,
            "condition": edge.condition,
            "order": edge.order,
            "back": index in closing,
        }
        if trace is not None:
            attributes |= {"taken": trace.taken[place][index], "why": trace.reasons.get((place, index), "")}
        found.add_edge(path_at(place, edge.source), path_at(place, edge.target), **attributes)


def _add_link(found: nx.MultiDiGraph[str], source: str, target: str, kind: str, label: str) -> None:
    found.add_edge(source, target, kind=kind, label=label, condition="", order=0, back=kind == "leave")
