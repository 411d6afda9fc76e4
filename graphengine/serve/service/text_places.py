"""Decide which field of a graph's state receives the text of a client's message. All doors use this one rule.

A client of a chat sends a text, and a graph has a state with fields. The text becomes the value of one field:

1. the field that is required, if exactly one required field is a text;
2. else the field `question`, if it accepts a text;
3. else the only field without a default, if it accepts a text;
4. else the only text that no node writes.

In a chat (`Graph.chat(agent)`) the same rule applies to the fields that a message sets. If the agent's prompt names
exactly one other input, the text becomes this input. A graph without such a field can have a node that receives
messages (`ctx.receive`): its run starts without the text, and receives the text afterwards. Any other graph has no
place for a text. A door refuses the text in this case, because a client must not believe that a text arrived which no
code reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from graphengine.agents.call_inputs import ANSWER, QUESTION
from graphengine.agents.chats import TURN, is_chat
from graphengine.errors import InputError
from graphengine.kernel.extension import compiled
from graphengine.kernel.inside import names_in_code
from graphengine.models.base import Message

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from graphengine.api.graph import Graph
    from graphengine.kernel.extension import Call, Plan


@dataclass(frozen=True, slots=True)
class TextGraph:
    """A graph that clients can use as a chat model, because its runs can receive the text of a person's message.

    Attributes:
        name: The name of the graph.
        graph: The graph.
        field: The field of the state that receives the text; None if a run starts without the text, and receives it
            later.
        messages: The field with an agent's messages, if there is one.
        speakers: The nodes whose text is streamed to the client as the reply.
        missing: The required fields that the text does not set. If there are any, the text alone cannot start a run.
    """

    name: str
    graph: Graph[Any]
    field: str | None
    messages: str | None
    speakers: frozenset[str]
    missing: Sequence[str]


def text_graphs(graphs: Mapping[str, Graph[Any]]) -> Mapping[str, TextGraph]:
    """Return the graphs that can receive the text of a message, by name."""
    found = {name: _text_graph(name, graph) for name, graph in graphs.items()}
    return {name: graph for name, graph in found.items() if graph is not None}


def _text_graph(name: str, graph: Graph[Any]) -> TextGraph | None:
    plan = compiled(graph)
    field = text_field(plan)
    if field is None and not receives_text(plan):
        return None
    field = None if is_chat(plan) else field
    fields = {each: kind.info for each, kind in plan.state.fields.items()}
    messages = next((each for each, info in fields.items() if info.annotation == list[Message]), None)
    path = plan.result.path if plan.result is not None else None
    speakers = set(plan.nodes) if plan.result is None else set[str]()
    if path is not None and str in _list_union_types(fields[path.root].annotation):
        speakers = {each for each, node in plan.nodes.items() if path.root in node.writer.fields}
    missing = [each for each, info in fields.items() if info.is_required() and each != field]
    return TextGraph(name, graph, field, messages, frozenset(speakers), missing)


def text_field(plan: Plan[Any]) -> str | None:
    """Return the state field that receives the text of a client's message, or the field of the graph's chat messages.

    The result is None if there is no such field, or if several fields could be meant.
    """
    fields = {name: each.info for name, each in plan.state.fields.items()}
    unwritten: Collection[str] = fields.keys() - find_written_fields(plan) - plan.state.secrets
    if is_chat(plan):
        fields = {each: fields[each] for each in fields if each not in (TURN, ANSWER)}
        unwritten = fields = {each: info for each, info in fields.items() if info.annotation != list[Message]}
    texts = [name for name, info in fields.items() if _includes_text(info.annotation)]
    required = [name for name, info in fields.items() if info.is_required()]
    candidates = (
        [name for name in texts if name in required],
        [name for name in fields if name == QUESTION and _accepts_text(fields[name].annotation)],
        [name for name in required if len(required) == 1 and _accepts_text(fields[name].annotation)],
        [name for name in texts if name in unwritten],
        [name for name in fields if is_chat(plan) and len(fields) == 1 and _accepts_text(fields[name].annotation)],
    )
    return next((names[0] for names in candidates if len(names) == 1), None)


def receives_text(plan: Plan[Any]) -> bool:
    """Return whether a node calls `ctx.receive`, so that a run can receive a text after its start."""
    return not is_chat(plan) and any(_call_receives(node.call) for node in plan.nodes.values() if node.call is not None)


def _call_receives(call: Call) -> bool:
    if call.graph is not None:
        return receives_text(call.graph)
    has_context = call.body.kind == "function" and "ctx" in call.extras
    return has_context and "receive" in names_in_code([call.body.call])


def find_written_fields(plan: Plan[Any]) -> frozenset[str | None]:
    """Return the fields that nodes write. Nodes that may write every field are not counted."""
    every = frozenset(plan.state.fields)
    writers = (node.writer for node in plan.nodes.values())
    return frozenset({plan.collect_errors}).union(*(each.fields for each in writers if each.keys != every))


def no_place(graph: str, plan: Plan[Any]) -> InputError:
    """Return the error to raise when a client sends a text to a graph that has no clear field for the text."""
    texts = [name for name, each in plan.state.fields.items() if _includes_text(each.info.annotation)]
    why = f": the text could belong to each of the fields {', '.join(map(repr, texts))}" if len(texts) > 1 else ""
    repair = f'add the field {QUESTION}: str = "" to the state, or start the graph by POST /graphs/GRAPH/runs'
    text = f"the graph {graph!r} has no clear field for the text of a message{why}"
    return InputError(text, where=f"graph {graph}", repair=repair)


def _list_union_types(annotation: object) -> Sequence[object]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _list_union_types(get_args(annotation)[0])
    return (
        [each for part in get_args(annotation) for each in _list_union_types(part)]
        if origin in (Union, UnionType)
        else [annotation]
    )


def _includes_text(annotation: object) -> bool:
    found = [each for each in _list_union_types(annotation) if isinstance(each, type) and not issubclass(each, Enum)]
    return any(issubclass(each, str) for each in found)


def _accepts_text(annotation: Any) -> bool:  # noqa: ANN401 - any type
    try:
        TypeAdapter(annotation).validate_python("a text")
    except (ValidationError, PydanticUserError):
        return False
    return True


__all__ = ["TextGraph", "find_written_fields", "no_place", "receives_text", "text_field", "text_graphs"]
