"""What is kept of a model's answer, and the answer that it stands for.

A model may be anybody's, and say anything. What it says is looked at before it is recorded: costs and tokens are
counted and limited by, texts are written to files, calls are told apart by their ids.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final, get_args

from pydantic_core import PydanticSerializationError, to_json

from graphengine.errors import ModelError
from graphengine.graph.templates import as_text, utf8_text
from graphengine.models.base import Response, Stop, ToolCall
from graphengine.state.json_values import check_depth

if TYPE_CHECKING:
    from graphengine.models.base import Model
    from graphengine.state.json_values import JsonValue

_FIGURES: Final = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
_MORE: Final = ("stop", "why", "model", *_FIGURES, "cost_usd", "offline", "native")
_STOPS: Final = get_args(Stop)


def checked(response: object, model: Model, agent: str) -> Response:
    """What a model answered, if it is an answer.

    Raises:
        ModelError: It is none.
    """
    wrong = _wrong(response)
    if wrong:
        raise _nonsense(model, agent, wrong)
    return _with_native(response, model, agent)  # type: ignore[arg-type]


def _with_native(response: Response, model: Model, agent: str) -> Response:
    """The answer, with a native form that can be written as JSON."""
    native = response.native
    try:
        if native is not None:
            check_depth(to_json(native))
    except (PydanticSerializationError, ValueError, RecursionError):
        mended = _utf8(native)
    else:
        return response
    try:
        check_depth(to_json(mended))
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise _nonsense(model, agent, f"an answer whose native form JSON cannot carry: {error}") from error
    return replace(response, native=mended)


def _nonsense(model: Model, agent: str, what: str) -> ModelError:
    repair = "mend the model: see graphengine.models.Response"
    return ModelError(f"{model.name} gave {what}", where=f"agent {agent}", repair=repair)


def _wrong(response: object) -> str:
    """What of an answer makes no sense, "" for nothing."""
    if not isinstance(response, Response):
        return f"{type(response).__name__} in place of a Response"
    for name in _FIGURES:
        number = getattr(response, name)
        if type(number) is not int or number < 0:
            return f"an answer with {name}={number!r}"
    cost = response.cost_usd
    if cost is not None and not (type(cost) in (int, float) and 0 <= cost < math.inf):
        return f"an answer with cost_usd={cost!r}"
    if response.stop not in _STOPS:
        return f"an answer with stop={response.stop!r}"
    if not all(isinstance(call, ToolCall) for call in response.calls):
        return "an answer whose calls are no ToolCalls"
    return ""


def record_of(response: Response, known: set[str]) -> dict[str, JsonValue]:
    """What is kept of a response; what is empty is left out.

    Args:
        response: The response.
        known: The ids of earlier calls. A call with none, or with one of these, gets one of its own, unless the
            provider gets its own form of the answer back, with the ids that stand there.
    """
    content = response.content if isinstance(response.content, str) else as_text(response.content)
    record: dict[str, JsonValue] = {"text": utf8_text(content), "stop": response.stop}
    if response.calls:
        record["calls"] = [_call(call) for call in response.calls]
        if response.native is None:
            _tell_apart(record["calls"], known)
    for name in ("why", "model"):
        if getattr(response, name):
            record[name] = utf8_text(getattr(response, name))
    for name in (*_FIGURES, "offline"):
        if getattr(response, name):
            record[name] = getattr(response, name)
    if response.cost_usd is not None:
        record["cost_usd"] = response.cost_usd
    if response.native is not None:
        record["native"] = response.native
    return record


def response_of(record: JsonValue) -> Response:
    """The response that a record stands for."""
    calls = tuple(ToolCall(**call) for call in record.get("calls", ()))
    more = {name: record[name] for name in _MORE if name in record}
    return Response(record["text"], calls, **more)


def _call(call: ToolCall) -> dict[str, JsonValue]:
    return {"id": utf8_text(call.id), "name": utf8_text(call.name), "arguments": utf8_text(call.arguments)}


def _tell_apart(calls: list[dict[str, JsonValue]], known: set[str]) -> None:
    """Give each call an id that no other has."""
    taken = set(known)
    for call in calls:
        identity, number = call["id"], 0
        while not identity or identity in taken:
            number += 1
            identity = f"{call['id'] or 'call'}_{len(taken) + number}"
        call["id"] = identity
        taken.add(identity)


def _utf8(value: JsonValue) -> JsonValue:
    """The same, with texts that UTF-8 can carry; what JSON has no form for is left as it is."""
    if isinstance(value, str):
        return utf8_text(value)
    if isinstance(value, dict):
        return {_utf8(key): _utf8(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_utf8(item) for item in value]
    return value


__all__ = ["checked", "record_of", "response_of"]
