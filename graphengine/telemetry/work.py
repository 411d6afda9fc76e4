"""Describe the spans of recorded calls: of models and tools by the GenAI conventions, and of a node's own code."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.trace import SpanKind
from pydantic_core import to_json

from graphengine.agents.tools import Tool, split_tools
from graphengine.kernel.inside import WorkKey, own_name
from graphengine.models.hiding import hide_secrets
from graphengine.records.work_records import CalledTool, TurnRecord, call_record, read_record, turn_record
from graphengine.telemetry import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from opentelemetry.util.types import AttributeValue

    from graphengine.agents.asked import TurnRequest
    from graphengine.kernel.inside import RecordedResult, TokensName
    from graphengine.kernel.reader import Recorded, Usage
    from graphengine.models.base import Message
    from graphengine.records.account import Account


class Described(NamedTuple):
    """What a span for a call within a run contains: its name, its kind, its attributes and its error.

    `error` is "" if the call has not failed.
    """

    name: str
    kind: SpanKind
    attributes: dict[str, AttributeValue]
    error: str = ""


def describe_work(
    account: Account,
    facts: Recorded,
    recorded_results: Mapping[str, RecordedResult],
    *,
    content: bool,
    turn: TurnRequest | None = None,
) -> Described:
    """Describe the span of a recorded call: a model call, a tool call, or a call of the node's own code.

    Args:
        account: The description of the call's step: who did what, what it used, and how it went.
        facts: The record of the call, for facts that only telemetry needs.
        recorded_results: The results that were recorded earlier in the visit.
        content: Whether to include the arguments and the results of tools.
        turn: The messages to the model and its answer; None if they are not known, or must not be included.
    """
    if facts.by is not None:
        return _call_of_model(account, facts, turn)
    if WorkKey.read(facts.key).kind == "tool":
        return _call_of_tool(account, facts, recorded_results, content=content)
    return Described(f"step {account.name}", SpanKind.INTERNAL, {names.KIND: "step"})


def describe_around(key: str) -> Described:
    """Describe a span that contains the spans of other calls: the call of an agent, or a call that was interrupted.

    Args:
        key: The key that identifies the containing call within its visit.
    """
    work = WorkKey.read(key)
    if work.kind == "agent":
        attributes: dict[str, AttributeValue] = {names.OPERATION: "invoke_agent", names.AGENT: work.of}
        return Described(f"invoke_agent {work.of}", SpanKind.INTERNAL, attributes)
    if work.kind == "tool":
        attributes = {names.OPERATION: "execute_tool", names.TOOL: work.of, names.OUTCOME: "cut_off"}
        return Described(f"execute_tool {work.of}", SpanKind.INTERNAL, attributes)
    attributes = {names.KIND: "step", names.OUTCOME: "cut_off"}
    return Described(f"step {own_name(work.name)}", SpanKind.INTERNAL, attributes)


def model_attributes(model: str) -> dict[str, AttributeValue]:
    """Return the attributes that name a model and its provider, for spans and metrics."""
    provider, colon, _ = model.partition(":")
    found: dict[str, AttributeValue] = {names.OPERATION: "chat", names.REQUEST_MODEL: _own_name(model)}
    if colon:
        found[names.PROVIDER] = names.PROVIDERS.get(provider, provider)
    return found


def _own_name(model: str) -> str:
    provider, colon, name = model.partition(":")
    return name if colon else provider


def spent_attributes(usage: Usage, tokens_names: Mapping[TokensName, str] = names.TOKENS) -> dict[str, AttributeValue]:
    """Return the attributes with which a span tells the tokens and the cost of model calls.

    If the cost is not known, an attribute says so.
    """
    found: dict[str, AttributeValue] = {}
    for name, attribute in tokens_names.items():
        tokens = usage.get(name)
        if tokens is not None:
            found[attribute] = tokens
    if "cost_usd" in usage:
        cost = usage["cost_usd"]
        found |= {names.COST_UNKNOWN: True} if cost is None else {names.COST: cost}
    return found


def _call_of_model(account: Account, facts: Recorded, turn: TurnRequest | None) -> Described:
    record = turn_record(facts) or TurnRecord()
    attributes = model_attributes(account.model) | spent_attributes(account.usage)
    attributes[names.AGENT] = account.agent
    if names.COST in attributes:
        attributes |= dict.fromkeys(names.COSTS, attributes[names.COST])
    attributes |= _attributes_of_answer(record)
    stop = names.STOPS.get(record.stop)
    if stop is not None:
        attributes[names.FINISH_REASONS] = [stop]
    if turn is not None and turn.answer is not None:
        if turn.system:
            attributes[names.SYSTEM] = to_json([_text_part(turn.system)]).decode()
        if turn.messages:
            attributes[names.INPUT] = to_json([_message_in_conventions(each) for each in turn.messages]).decode()
        answer = {**_message_in_conventions(turn.answer), "finish_reason": stop}
        attributes[names.OUTPUT] = to_json([answer]).decode()
    return Described(f"chat {_own_name(account.model)}", SpanKind.CLIENT, attributes)


def definitions(tools: Iterable[object]) -> str:
    """Describe the tools of an agent as JSON; "" if the agent has no tools.

    Tools of an MCP server are left out, as they are not known yet.
    """
    found = [
        {"type": "function", "name": each.name, "description": each.description}
        for each in split_tools(tools)[0]
        if isinstance(each, Tool)
    ]
    return to_json(hide_secrets(found)).decode() if found else ""


def _attributes_of_answer(record: TurnRecord) -> dict[str, AttributeValue]:
    """Return the attributes of a span that describe a model's answer: the model, the server, and the answer's id.

    Only attributes that were recorded are returned.
    """
    host, _, port = record.server.rpartition(":")
    found: dict[str, AttributeValue] = {
        names.RESPONSE_MODEL: record.model.partition(":")[2] or record.model,
        names.RESPONSE_ID: record.id,
        names.ADDRESS: host,
    }
    found = {name: value for name, value in found.items() if value}
    return found | {names.PORT: int(port)} if host and port.isdecimal() else found


def _message_in_conventions(message: Message) -> dict[str, object]:
    """Convert a message of a conversation with a model to the form that OpenTelemetry's conventions prescribe."""
    parts: list[object] = [_text_part(message.text)] if message.text else []
    parts += [{"type": "tool_call", **call.model_dump()} for call in message.calls]
    if message.role == "tool":
        parts = [{"type": "tool_call_response", "id": message.call_id, "response": message.text}]
    return {"role": "user" if message.role == "summary" else message.role, "parts": parts}


def _text_part(content: str) -> dict[str, str]:
    return {"type": "text", "content": content}


def _call_of_tool(
    account: Account, facts: Recorded, recorded_results: Mapping[str, RecordedResult], *, content: bool
) -> Described:
    name = WorkKey.read(facts.key).of
    attributes: dict[str, AttributeValue] = {names.OPERATION: "execute_tool", names.TOOL: name}
    call = _find_call(facts.key, recorded_results)
    if call is not None:
        attributes[names.TOOL_CALL] = call.id
    if content:
        record = call_record(facts)
        attributes[names.TOOL_RESULT] = hide_secrets(record.text) if record is not None else ""
        if call is not None:
            attributes[names.TOOL_ARGUMENTS] = hide_secrets(call.arguments)
    error = "tool_error" if account.tone == "broken" else ""
    return Described(f"execute_tool {name}", SpanKind.INTERNAL, attributes, error)


def _find_call(key: str, recorded_results: Mapping[str, RecordedResult]) -> CalledTool | None:
    """Find the request of the model that led to a tool call, such as the arguments that the model wrote.

    Args:
        key: The key of the record of the tool call.
        recorded_results: The results that were recorded earlier in the visit. They include the model's answer that
            requested the call.
    """
    work = WorkKey.read(key)
    turn, index = work.place
    memo = recorded_results.get(WorkKey.of_turn(work.around, turn))
    made = read_record(memo.value, TurnRecord) if memo is not None else None
    return made.calls[index] if made is not None and index < len(made.calls) else None


__all__ = ["Described", "describe_around", "describe_work", "model_attributes", "spent_attributes"]
