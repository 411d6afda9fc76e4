"""The types of graph specs, which describe graphs in JSON.

A store keeps the graph spec of each graph that its runs used. `compile.graph_spec` writes graph specs.
`check_graph_spec` checks that a recorded graph spec has the types of this module. Every key is optional, except a
node's `name`, an edge's `from` and an arm's `to`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NotRequired, TypedDict

import msgspec

from graphengine.graph.condition_spec import ConditionSpec, check_condition

if TYPE_CHECKING:
    from graphengine.state.json_values import JsonValue


class NodeSpec(TypedDict):
    """One node in the JSON description of a graph.

    Attributes:
        name: The name of the node.
        kind: The kind of the node's body: `function`, `graph`, `agent`, `ask`, …, or `choose`.
        writes: The fields that the node writes.
        title: The title of the node.
        fallback: Whether the node has a fallback.
        attempts: The number of attempts that a visit of the node can have.
        choices: The names of the choices, if the node chooses among several bodies.
        kinds: The kind of each choice. The key is missing if all choices are functions.
        on: The selector by which the node chooses.
        each: For a node that runs once for each item of a list: the place where the list is read, by the name that an
            item has in the node.
        effect: `read`, `idempotent` or `once`. The key is missing if the node does not declare an effect.
        question: The question that the node asks.
        answer: The type of the answer.
        timeout_seconds: How long the node waits for the answer.
        reads: The paths that the node reads.
        sources: The part of the result that each place gets, if not all places get the whole result.
        details: Details that the bodies report about themselves, such as the instructions of an agent, by choice. The
            choice is "" if the node does not choose.
        graphs: The graph specs of the node's graphs, by choice. The choice is "" if the node does not choose.
        was: The name under which runs recorded the node, in a graph spec whose nodes a migration renamed.
    """

    name: str
    kind: NotRequired[str]
    writes: NotRequired[Sequence[str]]
    title: NotRequired[str]
    fallback: NotRequired[bool]
    attempts: NotRequired[int]
    choices: NotRequired[Sequence[str]]
    kinds: NotRequired[Mapping[str, str]]
    on: NotRequired[str]
    each: NotRequired[Mapping[str, str]]
    effect: NotRequired[str]
    question: NotRequired[str]
    answer: NotRequired[str]
    timeout_seconds: NotRequired[float]
    reads: NotRequired[Sequence[str]]
    sources: NotRequired[Mapping[str, str]]
    details: NotRequired[Mapping[str, Mapping[str, str]]]
    graphs: NotRequired[Mapping[str, GraphSpec]]
    was: NotRequired[str]


class ArmSpec(TypedDict):
    """One arm of a fork in the JSON description of a graph: the node to which it leads, and its condition."""

    to: str
    when: NotRequired[ConditionSpec]


EdgeSpec = TypedDict(
    "EdgeSpec",
    {
        "from": str,
        "to": NotRequired[str],
        "when": NotRequired[ConditionSpec],
        "label": NotRequired[str],
        "failure": NotRequired[bool],
        "on": NotRequired[str],
        "cases": NotRequired["Mapping[str, str]"],
        "otherwise": NotRequired["str | None"],
        "arms": NotRequired["Sequence[ArmSpec]"],
        "join": NotRequired[str],
        "need": NotRequired[int],
    },
)
"""The edges out of a node: a plain edge (`to`), a switch (`on`, `cases`, `otherwise`) or a fork (`arms`, `join`).

Of a fork, `need` is the number of arms that must arrive; the key is missing if all must. A step names an edge by the
position of the edge in the list `ways` of its graph.
"""


class GraphSpec(TypedDict, total=False):
    """The description of a graph in JSON, from which the graph can be drawn and compared with other versions.

    Attributes:
        format: The version of this JSON format.
        graph: The name of the graph.
        version: The version of the graph.
        state: The types of the fields of the graph's state.
        rules: Constraints and defaults, by field. A field without constraints and defaults is left out. The entry under
            "" describes the state as a whole.
        types: The definitions of the types that the description names, by the name of the type: a text for each field
            or member. The key "" of a type describes the whole type.
        reducers: The names of reducers, by field, for the fields that have a reducer.
        nodes: The nodes of the graph, in declared order.
        ways: The edges of the graph, in declared order.
    """

    format: int
    graph: str
    version: int
    state: Mapping[str, str]
    rules: Mapping[str, str]
    types: Mapping[str, Mapping[str, str]]
    reducers: Mapping[str, str]
    nodes: Sequence[NodeSpec]
    ways: Sequence[EdgeSpec]


def fingerprint_of(graph_spec: GraphSpec) -> str:
    """Return a digest of a graph's JSON description, with which runs record the version of their graph."""
    body = json.dumps(graph_spec, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def check_graph_spec(graph_spec: Mapping[str, JsonValue]) -> None:
    """Check that a graph description read from a store has the expected types, including the graphs inside it.

    Raises:
        ValueError: A value has the wrong type, or a required key is missing.
    """
    try:
        _check_conditions(msgspec.convert(graph_spec, GraphSpec))
    except (ValueError, RecursionError) as error:
        message = f"a node or an edge in it has a value of another type: {error}"
        raise ValueError(message) from error


def _check_conditions(graph_spec: GraphSpec) -> None:
    for edge in graph_spec.get("ways", ()):
        for each in (edge, *edge.get("arms", ())):
            if "when" in each:
                check_condition(each["when"])
    for node in graph_spec.get("nodes", ()):
        for inner in node.get("graphs", {}).values():
            _check_conditions(inner)
