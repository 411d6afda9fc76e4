"""The server's side of OpenAI's Responses API."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from graphengine.models.base import ToolCall
from tests.conformance.model_scenes import Counted, Fails, Noise, Received, Says, Scene, Turn
from tests.models.read_back import of_responses
from tests.models.wire import Event, Json, first_of, key_of, pieces, text_of, unanswered
from tests.models.wire_chat import openai_error
from tests.models.wire_schemas import not_arguments, not_strict

LONGEST_ID: Final = 64


class ResponsesWire:
    """POST /v1/responses."""

    path = "/v1/responses"

    def lacks(self, scene: Scene) -> str:
        """Refuse a full context window, which the API does not have."""
        if isinstance(scene, Says) and scene.stop == "full":
            return "the Responses API has no word for a context window that is full amid an answer"
        return ""

    def objection(self, body: Json) -> str:
        """Require a result for each call, short ids, sealed reasoning before what it is about, and schemas."""
        items = body["input"] if isinstance(body["input"], list) else []
        called = [item["call_id"] for item in items if item.get("type") == "function_call"]
        wrong = unanswered(called, [item["call_id"] for item in items if item.get("type") == "function_call_output"])
        long = [each for each in called if len(each) > LONGEST_ID or not each]
        if wrong or long:
            return wrong or f"ids must have 1 to {LONGEST_ID} characters: {long}"
        form = (body.get("text") or {}).get("format") or {}
        tools = [tool for tool in body.get("tools") or () if tool["type"] == "function" and "parameters" in tool]
        return first_of(
            of_responses(body),
            map(_unfollowed, items, [*items[1:], {}]),
            not_strict(form["schema"]) if form.get("strict") else "",
            (not_arguments(tool["name"], tool["parameters"], api="responses") for tool in tools),
            (not_strict(tool["parameters"]) for tool in tools if tool.get("strict")),
        )

    def whole(self, says: Says) -> Json:
        """Return a response that is completed, or incomplete."""
        return _frame("incomplete" if says.stop == "cut" else "completed") | {
            "output": list(_items(says)),
            "incomplete_details": {"reason": "max_output_tokens"} if says.stop == "cut" else None,
            "usage": None if says.counted is None else _usage(says.counted),
        }

    def events(self, says: Says) -> list[Event]:
        """Return response.created, the items, response.completed or response.incomplete."""
        whole = self.whole(says)
        begun = _frame("in_progress")
        found = [Event({"type": f"response.{each}", "response": begun}) for each in ("created", "in_progress")]
        for index, item in enumerate(whole["output"]):
            found += _item_events(index, item)
        found.append(Event({"type": f"response.{whole['status']}", "response": whole}))
        return _numbered(found)

    def error(self, fails: Fails) -> tuple[int, Json]:
        """Return `{"error": …}`."""
        status, inside = openai_error(fails)
        return status, {"error": inside}

    def error_event(self, fails: Fails) -> Event:
        """Return an event `error`; a full context window is `response.failed`."""
        inside = openai_error(fails)[1]
        if fails.trouble == "context_full":
            failed = _frame("failed") | {"error": {"code": inside["code"], "message": inside["message"]}}
            return Event({"type": "response.failed", "sequence_number": 9, "response": failed}, "response.failed")
        return Event({"type": "error", "sequence_number": 9} | inside | {"type": "error"}, "error")

    def hollow(self, noise: Noise) -> Json:
        """Return a response with no output, or with a message whose content is null."""
        message = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": None}
        return self.whole(Says()) | {"output": [] if noise == "no_answer" else [message]}

    def read(self, headers: Mapping[str, str], body: Json) -> Received:
        """Read a call of create."""
        form = (body.get("text") or {}).get("format") or {}
        given = body["input"]
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        standing = ("system", "developer")
        spoken = [text_of(item["content"]) for item in items if item.get("role") in standing]
        return Received(
            key=key_of(headers),
            system="\n".join(filter(None, [body.get("instructions"), *spoken])),
            turns=tuple(_turns([item for item in items if item.get("role") not in standing])),
            tools={tool.get("name", tool["type"]): tool.get("parameters", {}) for tool in body.get("tools") or ()},
            schema=form.get("schema"),
            stream=bool(body.get("stream")),
            max_tokens=body.get("max_output_tokens"),
            body=body,
        )


def _unfollowed(item: Json, after: Json) -> str:
    """Return what is wrong with an item of reasoning: its seal is missing, or what it was about."""
    if item.get("type") != "reasoning":
        return ""
    if not item.get("encrypted_content"):
        return f"Item with id '{item.get('id')}' not found. Items are not persisted when `store` is set to false."
    follows = after.get("type", "message") if after.get("role", "assistant") == "assistant" and after else ""
    known = follows in {"message", "reasoning", "compaction"} or follows.endswith("_call")
    return "" if known else f"Item '{item['id']}' of type 'reasoning' was provided without its required following item."


def _frame(status: str) -> Json:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": status,
        "model": "gpt-5-mini",
        "output": [],
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "store": False,
        "usage": None,
    }


def _items(says: Says) -> Iterator[Json]:
    if says.thinking:
        yield {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": says.thinking}
    if says.stop == "refused":
        yield _message({"type": "refusal", "refusal": says.why})
    elif says.text or not says.calls:
        yield _message({"type": "output_text", "text": says.text, "annotations": [], "logprobs": []})
    for number, call in enumerate(says.calls, 1):
        yield {
            "type": "function_call",
            "id": f"fc_{number}",
            "call_id": call.id,
            "name": call.name,
            "arguments": call.arguments,
            "status": "completed",
        }


def _message(part: Json) -> Json:
    return {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [part]}


def _item_events(index: int, item: Json) -> Iterator[Event]:
    place = {"output_index": index, "item_id": item["id"]}
    hollow: dict[str, Json] = {"message": {"content": []}, "function_call": {"arguments": ""}}
    begun = {"type": "response.output_item.added", "output_index": index}
    yield Event(begun | {"item": item | hollow.get(item["type"], {}) | {"status": "in_progress"}})
    if item["type"] == "message":
        yield from _part_events(place | {"content_index": 0}, item["content"][0])
    elif item["type"] == "function_call":
        written = item["arguments"]
        for each in (written[: len(written) // 2], written[len(written) // 2 :]):
            yield Event({"type": "response.function_call_arguments.delta", "delta": each} | place, piece=each)
        done = {"type": "response.function_call_arguments.done", "arguments": written, "name": item["name"]}
        yield Event(done | place)
    yield Event({"type": "response.output_item.done", "output_index": index, "item": item})


def _part_events(place: Json, part: Json) -> Iterator[Event]:
    kind, key = ("refusal", "refusal") if part["type"] == "refusal" else ("output_text", "text")
    extra: Json = {"logprobs": []} if kind == "output_text" else {}
    yield Event({"type": "response.content_part.added", "part": part | {key: ""}} | place)
    for each in pieces(part[key]):
        yield Event({"type": f"response.{kind}.delta", "delta": each} | extra | place, piece=each)
    yield Event({"type": f"response.{kind}.done", key: part[key]} | extra | place)
    yield Event({"type": "response.content_part.done", "part": part} | place)


def _numbered(events: list[Event]) -> list[Event]:
    """Number and name each event, as this API does."""
    found = []
    for number, event in enumerate(events):
        data: dict[str, Any] = dict(event.data) if isinstance(event.data, dict) else {}
        found.append(Event(data | {"sequence_number": number}, data["type"], event.piece))
    return found


def _usage(counted: Counted) -> Json:
    return {
        "input_tokens": counted.input_tokens,
        "input_tokens_details": {
            "cached_tokens": counted.cache_read_tokens,
            "cache_write_tokens": counted.cache_write_tokens,
        },
        "output_tokens": counted.output_tokens,
        "output_tokens_details": {"reasoning_tokens": counted.reasoning_tokens},
        "total_tokens": counted.input_tokens + counted.output_tokens,
    }


def _turns(items: list[Json]) -> Iterator[Turn]:
    """Join the items of one answer (reasoning, message, calls) into one turn."""
    thinking: list[str] = []
    text, calls, begun = "", list[ToolCall](), False
    for item in items:
        kind = item.get("type", "message")
        if kind == "compaction":
            continue
        if kind == "reasoning" or kind.endswith("_call") or item.get("role") == "assistant":
            begun = True
            if kind == "reasoning":
                thinking.append(item.get("encrypted_content") or "")
            elif kind == "function_call":
                calls.append(ToolCall(id=item["call_id"], name=item["name"], arguments=item["arguments"]))
            else:
                text += text_of(item.get("content"))
            continue
        if begun:
            yield Turn("assistant", text, tuple(calls), thinking=tuple(thinking))
            thinking, text, calls, begun = [], "", [], False
        if kind == "function_call_output":
            yield Turn("tool", text_of(item["output"]), call_id=item["call_id"])
        else:
            yield Turn("user", text_of(item["content"]))
    if begun:
        yield Turn("assistant", text, tuple(calls), thinking=tuple(thinking))
