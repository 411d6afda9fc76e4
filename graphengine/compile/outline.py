"""Outlines: a graph in JSON, what it looks like and nothing of its code.

A store keeps the outline with a run, so that the run can be drawn without the code, and so that a changed graph can
tell what changed: types, reducers, paths, conditions, prompts. A changed line of a function is not seen in it.

A node's outline has `each` (item: where the list is read) if it is run once an item, and `graphs`
(choice: that graph's outline, the choice "" where there is none to make) if it is a graph or chooses among some, and
`agents` in the same way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphengine.engine.plan import EdgeWay, SwitchWay
from graphengine.graph.conditions import is_on_failure
from graphengine.graph.graph import END, Edge, Fork, Switch
from graphengine.graph.options import MODEL_RETRY
from graphengine.graph.question import AskBody
from graphengine.state.field import reducers_of, type_name
from graphengine.state.injection import Injected
from graphengine.state.type_facts import enum_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from graphengine.engine.plan import Call, NodePlan, Plan
    from graphengine.graph.graph import Graph
    from graphengine.state.json_values import JsonValue
    from graphengine.state.selector import Reading


FORMAT: Final = 2
"""The version of outlines: those of version 1 have no reducers, reads, sources, agents and types of answers."""


def outline_of(graph: Graph[Any], nodes: Mapping[str, NodePlan]) -> dict[str, JsonValue]:
    """The outline of a graph.

    Args:
        graph: The graph.
        nodes: The plans of its nodes by name.
    """
    fields = graph.state.model_fields
    reducers = {name: found[0].__name__ for name, info in fields.items() if (found := reducers_of(info))}
    return {
        "format": FORMAT,
        "graph": graph.name,
        "version": graph.version,
        "state": {name: type_name(info.annotation) for name, info in fields.items()},
        **({"reducers": reducers} if reducers else {}),
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
    if node.retry is not None and node.retry is not MODEL_RETRY:
        facts["attempts"] = node.retry.attempts
    if node.choices:
        facts |= _choices(node)
    if node.selector is not None:
        facts["on"] = node.selector.text
    if node.each is not None:
        facts["each"] = {name: reading.text for name, reading, _ in node.each.sources}
    if node.asks:
        facts["on_resume"] = "ask"
    if node.call is not None and isinstance(node.call.body, AskBody):
        facts |= _question(node.call.body)
    facts |= _flow(node)
    inner = {choice: call.graph.outline for choice, call in _calls(node) if call.graph is not None}
    if inner:
        facts["graphs"] = inner
    return facts


def _flow(node: NodePlan) -> dict[str, JsonValue]:
    """What a node reads, what of its result it writes where it does not write the whole, who answers in it."""
    facts: dict[str, JsonValue] = {}
    reads = sorted({text for _, call in _calls(node) for text in _reads(call)})
    if reads:
        facts["reads"] = reads
    sources = {target.place: _source(source) for target, source in node.writer.parts}
    whole = node.writer.whole
    if whole is not None and whole.key is not None:
        sources[f"{whole.field}[{whole.key}]"] = "."
    if sources:
        facts["sources"] = sources
    agents = {choice: _agent(call.body) for choice, call in _calls(node) if call.body.kind == "agent"}
    if agents:
        facts["agents"] = agents
    return facts


def _reads(call: Call) -> Iterator[str]:
    """Each path that it reads, with the parameter where that is called otherwise."""
    pairs = [*call.fields, *((argument.name, argument.reading.text) for argument in call.arguments)]
    for name, text in pairs:
        yield text if name == text else f"{name}={text}"


def _source(source: Reading | Injected | None) -> str:
    """What of a result is written."""
    return "." if source is None else source.name if isinstance(source, Injected) else source.text


def _agent(body: Any) -> dict[str, JsonValue]:  # noqa: ANN401 - an agent's, which stands above this in the layers
    """What an agent is told, and what it answers with."""
    agent = body.agent
    model = agent.model if isinstance(agent.model, str) else type(agent.model).__name__
    prompt = agent.prompt if isinstance(agent.prompt, str) else getattr(agent.prompt, "__name__", "function")
    facts = {"model": model, "system": agent.system, "prompt": prompt, "output": type_name(agent.output)}
    return {name: text for name, text in facts.items() if text}


def _question(body: AskBody) -> dict[str, JsonValue]:
    """What is asked, as it is written, and how long it waits."""
    question = body.ask.question
    text = question if isinstance(question, str) else getattr(question, "__name__", "function")
    facts: dict[str, JsonValue] = {"question": text, "answer": type_name(body.ask.answers.type)}
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
    return str(enum_value(value))


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
