"""The types of graph specs: a graph in JSON, as `compile.graph_spec` writes it and stores keep it.

Every key but a node's `name`, an edge's `from` and an arm's `to` can be missing. `check_graph_spec` checks
that a recorded graph spec has these types.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NotRequired, TypedDict

import msgspec

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
    when: NotRequired[str]


EdgeSpec = TypedDict(
    "EdgeSpec",
    {
        "from": str,
        "to": NotRequired[str],
        "when": NotRequired[str],
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
"""Edges out of a node: one (`to`), a switch (`on`, `cases`, `otherwise`) or a fork (`arms`, `join`, `need`)."""


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


def check_graph_spec(graph_spec: Mapping[str, JsonValue]) -> None:
    """Check a graph spec, and those of the graphs inside it.

    Raises:
        ValueError: A value has another type, or is missing.
    """
    try:
        msgspec.convert(graph_spec, GraphSpec)
    except ValueError as error:
        message = f"a node or an edge in it has a value of another type: {error}"
        raise ValueError(message) from error
