"""Graph specs: the structure of a graph in JSON, without its code.

A store keeps the spec with each run. Therefore a run can be drawn without the code, and a changed graph can be compared
with the recorded one: its types, reducers, paths, conditions and prompts. A change inside a function does not change
the spec.

The spec of a node that runs once for each item has `each`: the name of each item, and where its list is read. The spec
of a node that runs a graph has `graphs`: the spec of each graph by the choice that selects it. The choice is "" if the
node has no choices. `details` has the same form.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from graphengine.compile.described_types import described, type_text, types_in
from graphengine.graph.conditions import is_on_failure
from graphengine.graph.definition import Fork, Switch
from graphengine.graph.options import DEFAULT_RETRY
from graphengine.graph.question import AskBody
from graphengine.graph.runnable import HasDetails
from graphengine.state.field_from_model import reducers_of
from graphengine.state.injection import Injected
from graphengine.state.texts import choice_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from graphengine.engine.graph_spec import ArmSpec, EdgeSpec, GraphSpec, NodeSpec
    from graphengine.engine.plan import Call, NodePlan
    from graphengine.graph.definition import AnyEdge, GraphDefinition
    from graphengine.state.selector import Reading


FORMAT: Final = 1


def graph_spec_of(graph: GraphDefinition[Any], nodes: Mapping[str, NodePlan]) -> GraphSpec:
    """Describe a graph in JSON, so that the graph can be drawn and compared with other versions.

    Args:
        graph: The graph.
        nodes: Its compiled nodes, by name.
    """
    fields, state = graph.state.model_fields, described(graph.state)
    reducers = {name: found[0].__name__ for name, info in fields.items() if (found := reducers_of(info))}
    graph_spec: GraphSpec = {
        "format": FORMAT,
        "graph": graph.name,
        "version": graph.version,
        "state": dict(state.fields),
    }
    if state.rules:
        graph_spec["rules"] = dict(state.rules)
    answers = [*_answer_types(nodes.values())]
    types = types_in([*(info.annotation for info in fields.values()), *answers]) if answers else state.types
    if types:
        graph_spec["types"] = types
    if reducers:
        graph_spec["reducers"] = reducers
    graph_spec["nodes"] = [_build_node_spec(nodes[declared.name]) for declared in graph.nodes]
    graph_spec["ways"] = [_build_edge_spec(edge) for edge in graph.edges]
    return graph_spec


def _answer_types(nodes: Iterable[NodePlan]) -> Iterator[object]:
    for _, call in chain.from_iterable(map(_calls_of_node, nodes)):
        if isinstance(call.body, AskBody):
            yield call.body.ask.answers.type
        elif isinstance(call.body, HasDetails):
            yield getattr(call.body, "returns", None)


def _add_choices(facts: NodeSpec, node: NodePlan) -> None:
    """Add the choices of a node that chooses among several bodies to the description of the node.

    If at least one body is not a function, the kind of each body (such as `agent`) is added too.
    """
    kinds = {choice_text(value): call.body.kind for value, call in node.choices.items()}
    facts["choices"] = list(kinds)
    if set(kinds.values()) != {"function"}:
        facts["kinds"] = kinds


def _build_node_spec(node: NodePlan) -> NodeSpec:
    kind = node.call.body.kind if node.call is not None else "choose"
    facts: NodeSpec = {"name": node.name, "kind": kind, "writes": sorted(node.writer.fields)}
    if node.title:
        facts["title"] = node.title
    if node.fallback is not None:
        facts["fallback"] = True
    if node.retry is not None and node.retry is not DEFAULT_RETRY:
        facts["attempts"] = node.retry.attempts
    if node.choices:
        _add_choices(facts, node)
    if node.selector is not None:
        facts["on"] = node.selector.text
    if node.each is not None:
        facts["each"] = {name: reading.text for name, reading, _ in node.each.sources}
    if node.effect is not None:
        facts["effect"] = node.effect
    if node.call is not None and isinstance(node.call.body, AskBody):
        _add_question(facts, node.call.body)
    _add_flow(facts, node)
    inner = {choice: call.graph.graph_spec for choice, call in _calls_of_node(node) if call.graph is not None}
    if inner:
        facts["graphs"] = inner
    return facts


def _add_flow(facts: NodeSpec, node: NodePlan) -> None:
    """Add to a node's description which fields it reads, which parts of its result it writes, and what it runs."""
    reads = sorted({text for _, call in _calls_of_node(node) for text in _list_reads(call)})
    if reads:
        facts["reads"] = reads
    sources = {
        target.field if target.key is None else f"{target.field}[{target.key}]": _source(source)
        for target, source in node.writer.parts
        if source is not None or target.key is not None
    }
    if sources:
        facts["sources"] = sources
    details = {choice: call.body.details for choice, call in _calls_of_node(node) if isinstance(call.body, HasDetails)}
    if details:
        facts["details"] = details


def _list_reads(call: Call) -> Iterator[str]:
    """Yield each path that a body reads, with the name of the parameter if that is different."""
    pairs = [*call.fields, *((argument.name, argument.reading.text) for argument in call.arguments)]
    for name, text in pairs:
        yield text if name == text else f"{name}={text}"


def _source(source: Reading | Injected | None) -> str:
    if source is None:
        return "."
    return source.name if isinstance(source, Injected) else source.text


def _add_question(facts: NodeSpec, body: AskBody) -> None:
    """Add to a node's description the question that the node asks, the type of the answer, and the timeout."""
    question = body.ask.question
    text = question if isinstance(question, str) else getattr(question, "__name__", "function")
    facts["question"], facts["answer"] = text, type_text(body.ask.answers.type)
    if body.ask.timeout_seconds is not None:
        facts["timeout_seconds"] = body.ask.timeout_seconds


def _calls_of_node(node: NodePlan) -> Iterable[tuple[str, Call]]:
    if node.call is not None:
        yield "", node.call
    for value, call in node.choices.items():
        yield choice_text(value), call


def _build_edge_spec(edge: AnyEdge) -> EdgeSpec:
    if isinstance(edge, Fork):
        return _build_fork_spec(edge)
    if isinstance(edge, Switch):
        cases = {choice_text(value): target for value, target in edge.cases.items()}
        return {"from": edge.source, "on": edge.reading.text, "cases": cases, "otherwise": edge.otherwise}
    facts: EdgeSpec = {"from": edge.source, "to": edge.target}
    if edge.condition is not None:
        facts["when"] = edge.condition.spec
    if edge.label:
        facts["label"] = edge.label
    if edge.condition is not None and is_on_failure(edge.condition):
        facts["failure"] = True
    return facts


def _build_fork_spec(edge: Fork) -> EdgeSpec:
    arms: list[ArmSpec] = [{"to": to} if c is None else {"to": to, "when": c.spec} for to, c in edge.arms]
    facts: EdgeSpec = {"from": edge.source, "arms": arms, "join": edge.join}
    if edge.condition is not None:
        facts["when"] = edge.condition.spec
    if edge.label:
        facts["label"] = edge.label
    if edge.need is not None:
        facts["need"] = edge.need
    return facts
