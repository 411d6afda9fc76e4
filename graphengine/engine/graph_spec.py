"""The types of graph specs: a graph in JSON, as `compile.graph_spec` writes it and stores keep it.

Every key but a node's `name`, an edge's `from` and an arm's `to` can be missing. `check_graph_spec` checks
that a recorded graph spec has these types.
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
    """A node.

    Attributes:
        name: Its name.
        kind: The kind of its body: `function`, `graph`, `agent`, `ask`, …, or `choose`.
        writes: The fields that it writes.
        title: Its title.
        fallback: Whether it has a fallback.
        attempts: The number of its attempts.
        choices: What it chooses among.
        kinds: The kind of each choice, unless all are functions.
        on: The selector that chooses.
        each: Where the list is read, by the name that an item has in the node, if it runs once for each item.
        effect: `read`, `idempotent` or `once`, if it is said.
        question: The question that it asks.
        answer: The type of the answer.
        timeout_seconds: How long it waits for the answer.
        reads: The paths that it reads.
        sources: The part of the result that each place gets, if it is not the whole result.
        details: What its bodies say of themselves by choice, as an agent its instructions; "" if there is no choice.
        graphs: The graph specs of its graphs by choice; "" if there is no choice.
        was: Its recorded name, in a graph spec whose nodes a migration renamed.
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
    """An arm of a fork: its target and its condition."""

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
"""Edges out of a node: one (`to`), a switch (`on`, `cases`, `otherwise`) or a fork (`arms`, `join`, `need`).

A step names an edge by its place in `ways`."""


class GraphSpec(TypedDict, total=False):
    """A graph.

    Attributes:
        format: The version of graph specs that it was written with.
        graph: The graph's name.
        version: The graph's version.
        state: The types of its state's fields.
        rules: Constraints and defaults of fields that have some, and of the state as a whole under "".
        types: What the types that it names are made of, by name: a text for each field or member; "" is the whole.
        reducers: The names of their reducers, of fields that have one.
        nodes: Its nodes in declared order.
        ways: Its edges in declared order.
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
    """Return the digest of a graph spec."""
    body = json.dumps(graph_spec, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def check_graph_spec(graph_spec: Mapping[str, JsonValue]) -> None:
    """Check a graph spec, and those of the graphs inside it.

    Raises:
        ValueError: A value has another type, or is missing.
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
