"""Outlines: a graph in JSON, what it looks like and nothing of its code.

A store keeps the outline with a run, so that the run can be drawn without the code, and so that a changed graph can
tell what changed. A node's outline has `reads` (parameter: where its value is read from, a function's name with `()`;
by choice where it chooses), `each` (item: where the list is read) if it is run once an item, and `graphs`
(choice: that graph's outline, the choice "" where there is none to make) if it is a graph or chooses among some.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.asking import AskBody
from graphengine.conditions import is_on_failure
from graphengine.fieldtype import type_name
from graphengine.graph import END, Edge, Fork, Switch
from graphengine.plan import EdgeWay, SwitchWay

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from graphengine.graph import Graph
    from graphengine.plan import Call, NodePlan, Plan
    from graphengine.records import JsonValue


def outline_of(graph: Graph[Any], nodes: Mapping[str, NodePlan]) -> dict[str, JsonValue]:
    """The outline of a graph.

    Args:
        graph: The graph.
        nodes: The plans of its nodes by name.
    """
    return {
        "graph": graph.name,
        "version": graph.version,
        "state": {name: type_name(info.annotation) for name, info in graph.state.model_fields.items()},
        "nodes": [_node(nodes[declared.name]) for declared in graph.nodes],
        "ways": [_way(way) for way in graph.ways],
    }


def ends_of(plan: Plan[Any]) -> Iterable[str]:
    """The labels that a graph can come to its end with, which `ended(…)` around it may ask for."""
    for way in (*plan.start, *(w for n in plan.nodes.values() for w in (*n.ways, *n.failure_ways))):
        if isinstance(way, SwitchWay):
            yield from (_choice(v) for v, target in way.cases.items() if target == END)
        elif way.label and (way.target if isinstance(way, EdgeWay) else way.join) == END:
            yield way.label


def _choices(node: NodePlan) -> dict[str, JsonValue]:
    """What a node chooses among, and what each of it is where they are not functions alone."""
    kinds = {_choice(value): call.body.kind for value, call in node.choices.items()}
    functions = set(kinds.values()) == {"function"}
    return {"choices": list(kinds), **({} if functions else {"kinds": kinds})}


def _node(node: NodePlan) -> dict[str, JsonValue]:
    kind = node.call.body.kind if node.call is not None else "choose"
    facts: dict[str, JsonValue] = {"name": node.name, "kind": kind, "writes": sorted(node.writer.fields)}
    if node.title:
        facts["title"] = node.title
    if node.fallback is not None:
        facts["fallback"] = True
    if node.retry is not None:
        facts["attempts"] = node.retry.attempts
    if node.choices:
        facts |= _choices(node)
    facts |= _read_from(node)
    if node.asks:
        facts["on_resume"] = "ask"
    if node.call is not None and isinstance(node.call.body, AskBody):
        facts |= _question(node.call.body)
    inner = {choice: call.graph.outline for choice, call in _calls(node) if call.graph is not None}
    if inner:
        facts["graphs"] = inner
    return facts


def _read_from(node: NodePlan) -> dict[str, JsonValue]:
    """Where a node reads: what it runs its parameters, what it chooses by, its items."""
    facts: dict[str, JsonValue] = {}
    read = {choice: bindings for choice, call in _calls(node) if (bindings := call.bindings)}
    if read:
        facts["reads"] = read if node.choices else read[""]
    if node.selector is not None:
        facts["on"] = node.selector.text
    if node.each is not None:
        facts["each"] = {name: reading.text for name, reading, _ in node.each.sources}
    return facts


def _question(body: AskBody) -> dict[str, JsonValue]:
    """What is asked, as it is written, and how long it waits."""
    question = body.ask.question
    text = question if isinstance(question, str) else getattr(question, "__name__", "function")
    facts: dict[str, JsonValue] = {"question": text}
    if body.ask.timeout_seconds is not None:
        facts["timeout_seconds"] = body.ask.timeout_seconds
    return facts


def _calls(node: NodePlan) -> Iterable[tuple[str, Call]]:
    """What a node may run, by the choice that picks it."""
    if node.call is not None:
        yield "", node.call
    for value, call in node.choices.items():
        yield _choice(value), call


def _choice(value: object) -> str:
    return str(getattr(value, "value", value))


def _way(way: Edge | Switch | Fork) -> dict[str, JsonValue]:
    if isinstance(way, Fork):
        return _fork(way)
    if isinstance(way, Switch):
        on = way.on if isinstance(way.on, str) else getattr(way.on, "__name__", "function")
        cases = {_choice(value): target for value, target in way.cases.items()}
        return {"from": way.source, "on": on, "cases": cases, "otherwise": way.otherwise}
    facts: dict[str, JsonValue] = {"from": way.source, "to": way.target}
    if way.condition is not None:
        facts["when"] = str(way.condition)
    if way.label:
        facts["label"] = way.label
    if way.condition is not None and is_on_failure(way.condition):
        facts["failure"] = True
    return facts


def _fork(way: Fork) -> dict[str, JsonValue]:
    arms = [{"to": target, **({"when": str(c)} if c is not None else {})} for target, c in way.targets]
    facts: dict[str, JsonValue] = {"from": way.source, "arms": arms, "join": way.join}
    if way.condition is not None:
        facts["when"] = str(way.condition)
    if way.label:
        facts["label"] = way.label
    if way.need is not None:
        facts["need"] = way.need
    return facts
