"""Convert requests to the form of Anthropic's Messages API, and its messages to responses. This module makes no calls.

`body` makes a request. `read` makes a `Response` from a message in plain JSON. `Gathered` assembles a message from the
events of a stream. It replaces the SDK's helper, which parses a tool's arguments from the start again with each piece,
discards how the model wrote them, and fails if usage is not reported.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from graphengine.kernel.extension import utf8_text
from graphengine.models.anthropic_hosted import container, hosted_tools
from graphengine.models.base import PDF, Response, ToolCall, cannot_show
from graphengine.models.call_ids import told_apart
from graphengine.models.prices import Spent
from graphengine.models.received import NoCount, NotThisApi, count, inside, is_count, list_at
from graphengine.models.sdk import called_name, plain_arguments, schema_in_words, sound_json
from graphengine.models.settings import merged
from graphengine.schemas.walking import is_recursive, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic import JsonValue

    from graphengine.models.base import Message, Request, Stop
    from graphengine.models.received import JsonObject
    from graphengine.models.settings import Settings

PROVIDER: Final = "anthropic"
"""The provider's name in `Message.native`."""

DEFAULT_MAX_TOKENS: Final = 16_384
"""The default limit on the tokens of an answer. The API requires a limit, and thinking counts towards it."""

LEAST_COMPACTED: Final = 50_000
"""The smallest number of tokens from which the provider compacts. Source: Anthropic's documentation of compaction."""
_BETA: Final = "anthropic-beta"
_COMPACTS: Final = "compact-2026-01-12"
_FILES: Final = "files-api-2025-04-14"
"""The beta header for media that are given by the id of a file. Source: Anthropic's documentation of its Files API."""
STREAM_FROM_TOKENS: Final = 21_333
"""Answers that may be longer than this are always streamed.

They may take over ten minutes, and a connection without traffic for that long is cut. The SDK has the same limit.
"""

MOST_OPTIONAL: Final = 24
MOST_UNIONS: Final = 16
"""The limits of a schema in the API's own form: optional properties, and values with several types.

Source: Anthropic's documentation of structured outputs.
"""

_NO_END: Final = "it has no stop reason, so its end is missing"

_IN_MESSAGES: Final = {"type", "text", "id", "name", "input"}
"""Fields of blocks of text and calls whose content is also in the text and the calls of a message."""

_HOSTED_CALLS: Final = ("server_tool_use", "mcp_tool_use")
"""The types of blocks that call a tool of the provider."""
_SEALS: Final = {"thinking": "signature", "redacted_thinking": "data"}
"""For each type of block with thinking, the field by which the provider recognises its own thinking."""
_BEFORE: Final = "[What was said before is left out.]"

_CACHED: Final[JsonObject] = {"type": "ephemeral"}
_STANDARD: Final = {
    "service_tier": ("standard", "batch"),
    "inference_geo": ("global", "not_available"),
    "speed": ("standard",),
    "fallback_credit": (),
}
"""Fields of usage that change the price, each with the values that do not.

Sources: the SDK's `Usage` and `BetaUsage`; Anthropic, "Data residency": inference in the US costs more.
"""
_CALLED: Final = ("message", "compaction")
"""The types of iterations in which the called model itself worked."""
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")
_STOPS: Final[dict[str, Stop]] = {
    "max_tokens": "cut",
    "refusal": "refused",
    "model_context_window_exceeded": "full",
    "length": "cut",
    "content_filter": "refused",
    "guardrail_intervened": "refused",
}
"""Stop reasons of incomplete answers, including those of gateways to other APIs."""
_ENDS: Final = ("end_turn", "stop_sequence", "tool_use", "pause_turn", "compaction", "stop", "tool_calls", "end")
"""Stop reasons of complete answers, including those of gateways to other APIs."""


class Unreadable(ValueError):
    """The server's JSON is not a complete message of the Messages API. The text states the reason."""


# -- requests


def body(model: str, request: Request, schema: JsonObject | None) -> dict[str, Any]:
    """Build the body of a call of the Messages API.

    Args:
        model: The provider's name of the model.
        request: The request.
        schema: The schema of the answer for the API's own field; None to write the request's schema, if it has one,
            into the instructions.
    """
    settings = request.settings
    messages = conversation(request.messages)
    if settings.cache == "conversation":
        _cache_ends(messages)
    fields: dict[str, Any] = {"model": model, "max_tokens": _most_tokens(settings), "messages": messages}
    system = utf8_text(request.system)
    if request.schema is not None and schema is None:
        system = "\n\n".join(part for part in (system, utf8_text(schema_in_words(request))) if part)
    if system.strip():
        fields["system"] = [_build_text_block(system) | _cache_control(request)]
    fields |= _build_tool_settings(request, cites=schema is None)
    config = {"effort": settings.effort, "format": schema and {"type": "json_schema", "schema": schema}}
    if any(config.values()):
        fields["output_config"] = {name: value for name, value in config.items() if value}
    if settings.thinking is not None and (isinstance(settings.thinking, bool) or _may_think(messages)):
        fields["thinking"] = _build_thinking(settings)
    if settings.stop:
        fields["stop_sequences"] = list(settings.stop)
    options = settings.given()
    fields |= {name: options[name] for name in ("service_tier", "temperature", "top_p", "top_k") if name in options}
    if request.compact_from is not None:
        trigger = {"type": "input_tokens", "value": request.compact_from}
        fields["context_management"] = {"edits": [{"type": "compact_20260112", "trigger": trigger}]}
    return merged(fields, settings.extra)


def headers(request: Request) -> dict[str, str]:
    found = dict(request.settings.headers)
    betas = [_COMPACTS] if request.compact_from is not None else []
    if any(one.file_id for message in request.messages for one in message.media):
        betas.append(_FILES)
    if betas:
        beta_name = next((name for name in found if name.lower() == _BETA), _BETA)
        found[beta_name] = ",".join(filter(None, (found.get(beta_name), *betas)))
    return found


def _build_tool_settings(request: Request, *, cites: bool) -> dict[str, Any]:
    """Return the fields of a request's body that concern tools: their descriptions, the tool choice, and a container.

    The container is the one in which an earlier answer ran code. It is sent so that the provider uses it again.
    """
    if not (request.tools or request.hosted):
        return {}
    fields: dict[str, Any] = {"tools": _build_tool_specs(request, cites=cites)}
    settings = request.settings
    alone = settings.parallel_tool_calls is False and settings.tool_choice != "none"
    if settings.tool_choice is not None or alone:
        one: JsonObject = {"disable_parallel_tool_use": True} if alone else {}
        fields["tool_choice"] = _tool_choice(settings.tool_choice or "auto") | one
    if request.hosted and (earlier := container(request.messages)):
        fields["container"] = earlier
    return fields


def _most_tokens(settings: Settings) -> int:
    """Return the limit on the tokens of an answer, which Anthropic requires in each request.

    Thinking counts towards this limit. If the user has set no limit, a thinking budget is therefore added to the
    default.
    """
    thinking = settings.thinking
    return settings.max_tokens or DEFAULT_MAX_TOKENS + (
        0 if thinking is None or isinstance(thinking, bool) else thinking
    )


def _build_thinking(settings: Settings) -> JsonObject:
    if isinstance(settings.thinking, bool):
        return {"type": "adaptive" if settings.thinking else "disabled"}
    return {"type": "enabled", "budget_tokens": settings.thinking}


def _may_think(messages: Sequence[JsonObject]) -> bool:
    """Return whether thinking may be switched on for the next call.

    While the model calls tools, Anthropic accepts thinking only if the first answer after the user's message began with
    thinking.
    """
    first: JsonValue = None
    for message in reversed(messages):
        content = message["content"]
        kinds = [block.get("type") for block in content if isinstance(block, dict)] if isinstance(content, list) else []
        if message["role"] == "assistant":
            first = kinds[0] if kinds else None
        elif "tool_result" not in kinds:
            return message is messages[-1] or first in _SEALS
    return False


def _tool_choice(choice: str) -> JsonObject:
    kind = {"auto": "auto", "required": "any", "none": "none"}.get(choice)
    return {"type": "tool", "name": choice} if kind is None else {"type": kind}


def _cache_ends(messages: Sequence[JsonObject]) -> None:
    """Mark the last two user messages as ends of what Anthropic should cache.

    The mark at the last one stores the conversation for the next call. The mark at the one before finds what the
    previous call stored. Without it, the stored part could be missed: Anthropic searches only 20 blocks before a mark,
    and one turn can contain more tool calls than that.
    """
    ends = [message["content"] for message in messages if message["role"] == "user"]
    for content in ends[-2:]:
        if isinstance(content, list) and isinstance(content[-1], dict):
            marked: JsonObject = {**content[-1], "cache_control": _CACHED}
            content[-1] = marked


def conversation(messages: Sequence[Message]) -> list[JsonObject]:
    """Convert the messages of a conversation to the form of Anthropic's API.

    Consecutive messages of the same role are joined, and empty messages are left out.
    """
    turns: list[tuple[str, list[JsonValue]]] = []
    messages = told_apart(messages)
    hosted = _find_hosted_results(messages)
    for message in messages:
        role = "assistant" if message.role == "assistant" else "user"
        content = _build_content(message, hosted)
        if turns and turns[-1][0] == role:
            before = turns[-1][1]
            if role == "user" and _are_text(before[-1:]) and _are_text(content):
                content = [
                    _build_text_block(f"{_text_of(before.pop())}\n\n{_text_of(content[0])}")
                ]  # without a gap between the blocks
            before.extend(content)
        elif content:
            turns.append((role, content))
    if turns and turns[0][0] == "assistant":  # `history=` has left the question out
        turns.insert(0, ("user", [_build_text_block(_BEFORE)]))
    return [{"role": role, "content": content} for role, content in turns]


def _find_hosted_results(messages: Sequence[Message]) -> frozenset[str]:
    """Return the ids of the calls of Anthropic's own tools that may be sent back to Anthropic.

    An answer that was cut off during a web search contains a call without a result. Anthropic refuses to read back such
    a call, so only calls with a result are returned. The last answer is an exception while it waits for results of the
    agent's tools, because Anthropic then sends the missing result in its next answer.
    """
    called: set[str] = set()
    answered: set[str] = set()
    last = next((message for message in reversed(messages) if message.role == "assistant"), None)
    for message in messages:
        for block in _own_blocks(message):
            if block.get("type") in _HOSTED_CALLS:
                called.add(str(block.get("id")))
                answered |= {str(block.get("id"))} if message is last and message.calls else set()
            elif "tool_use_id" in block:
                answered.add(str(block["tool_use_id"]))
    return frozenset(called & answered)


def _own_blocks(message: Message) -> list[JsonObject]:
    """Return the content blocks of an earlier answer exactly as Anthropic sent them.

    Returns an empty list if the message is not an answer of Anthropic, or if its text or tool calls were changed since.
    """
    native = message.native or {}
    if message.role != "assistant" or native.get("provider") != PROVIDER:
        return []
    blocks = list_at(native, "content")
    is_same = "".join(utf8_text(_text_of(block)) for block in blocks if _are_text([block])) == message.text
    ids = [str(block.get("id")) for block in blocks if block.get("type") == "tool_use"]
    return blocks if is_same and {call.id for call in message.calls} <= {*ids} else []


def _read_back(message: Message, hosted: frozenset[str]) -> list[JsonValue]:
    """Return the content blocks of an earlier answer, without those that Anthropic would refuse to read back.

    An answer that was cut off may end in a call without a result, or in thinking without its signature. Anthropic would
    refuse every further call of the conversation because of such a block.
    """
    calls = {call.id for call in message.calls}
    found: list[JsonValue] = []
    for block in _own_blocks(message):
        kind = block.get("type")
        is_open = (
            (kind == "tool_use" and block.get("id") not in calls)
            or (kind in _HOSTED_CALLS and block.get("id") not in hosted)
            or ("tool_use_id" in block and block["tool_use_id"] not in hosted)
            or (kind in _SEALS and not block.get(_SEALS[str(kind)]))
            or (_are_text([block]) and not _text_of(block).strip())
        )
        if not is_open:
            found.append(block)
    while found and isinstance(found[-1], dict) and found[-1].get("type") in _SEALS:
        found.pop()
    return found


def _build_content(message: Message, hosted: frozenset[str]) -> list[JsonValue]:
    if message.role == "tool":
        result: JsonObject = {"type": "tool_result", "tool_use_id": _sanitise_call_id(message.call_id)}
        if message.media:
            texts = [_build_text_block(utf8_text(message.text))] if message.text.strip() else []
            result["content"] = [*texts, *_iter_media_blocks(message)]
        elif message.text.strip():
            result["content"] = utf8_text(message.text)
        return [result | ({"is_error": True} if message.is_error else {})]
    if own := _read_back(message, hosted):
        return own
    text: list[JsonValue] = [_build_text_block(utf8_text(message.text))] if message.text.strip() else []
    return [*text, *_iter_media_blocks(message)] + [
        {
            "type": "tool_use",
            "id": _sanitise_call_id(call.id),
            "name": called_name(call.name),
            "input": _parse_tool_input(call.arguments),
        }
        for call in message.calls
    ]


def _build_text_block(text: str) -> JsonObject:
    return {"type": "text", "text": text}


def _iter_media_blocks(message: Message) -> Iterator[JsonValue]:
    """Yield the images and documents of a message as content blocks, with labels such as `[media 1: photo.png]`.

    Raises:
        BadRequest: The API does not accept media of this type.
    """
    for text, one in message.labelled_media():
        source: JsonObject = {"type": "base64", "media_type": one.type, "data": one.data}
        if one.url:
            source = {"type": "url", "url": one.url}
        elif one.file_id:
            source = {"type": "file", "file_id": one.file_id}
        if one.kind == "image":
            yield _build_text_block(text)
            yield {"type": "image", "source": source}
        elif one.type == PDF:
            yield {"type": "document", "source": source, "title": text}
        else:
            raise cannot_show(one)


def _are_text(blocks: Sequence[JsonValue]) -> bool:
    return bool(blocks) and all(isinstance(block, dict) and block.get("type") == "text" for block in blocks)


def _text_of(block: JsonValue) -> str:
    return str(block.get("text") or "") if isinstance(block, dict) else ""


def _sanitise_call_id(given: str) -> str:
    """Replace the characters of a call's id that Anthropic does not allow. Other providers' ids may contain them."""
    return _NOT_IN_IDS.sub("_", given) or "call"


def _parse_tool_input(arguments: str) -> JsonValue:
    """Parse the arguments of a tool call. Anthropic demands an object, so malformed arguments are wrapped in one."""
    found = _as_json(plain_arguments(arguments))
    return sound_json(found) if isinstance(found, dict) else {"unreadable": utf8_text(arguments)}


def _refuse_json_constant(name: str) -> None:
    raise Unreadable(f"{name} is not JSON")


def _cache_control(request: Request) -> JsonObject:
    return {"cache_control": _CACHED} if request.settings.cache else {}


def _build_tool_specs(request: Request, *, cites: bool) -> list[JsonObject]:
    specs: list[JsonObject] = [
        {
            "name": tool.name,
            "description": utf8_text(tool.description),
            "input_schema": {"type": "object", **tool.schema},
        }
        for tool in request.tools
    ]
    specs += hosted_tools(request, cites=cites)
    specs[-1] |= _cache_control(request)
    return specs


def can_be_held_to(schema: Mapping[str, JsonValue]) -> bool:
    """Return whether Anthropic's API can force an answer to follow this JSON Schema.

    The API supports neither recursive types, nor tuples, nor objects with arbitrary keys (it would leave such objects
    empty).
    """
    return not any(map(_has_open_keys, walk(schema))) and not is_recursive(schema)


def has_room(schema: JsonObject) -> bool:
    """Return whether a schema has no more optional properties and unions than Anthropic's API allows."""
    optional = unions = 0
    for part in walk(schema):
        properties, required = part.get("properties"), part.get("required")
        optional += len(properties if isinstance(properties, dict) else ())
        optional -= len(required if isinstance(required, list) else ())
        unions += "anyOf" in part or isinstance(part.get("type"), list)
    return optional <= MOST_OPTIONAL and unions <= MOST_UNIONS


def _has_open_keys(schema: Mapping[str, JsonValue]) -> bool:
    keys_of_any_name = schema.get("additionalProperties", False) is not False or (
        schema.get("type") == "object" and "properties" not in schema
    )
    return keys_of_any_name or "prefixItems" in schema


# -- answers


def read(message: Mapping[str, JsonValue]) -> tuple[Response, Spent | None]:
    """Convert a message of the API to a response, and read its token counts. The response gets its cost later.

    Raises:
        NotThisApi: The JSON is not a message.
        Unreadable: The message is incomplete.
    """
    if message.get("type") != "message":
        raise NotThisApi(f"a JSON object of type {message.get('type')!r}")
    blocks = _blocks(message)
    reason = message.get("stop_reason")
    if not isinstance(reason, str):
        raise Unreadable(_NO_END)
    wanted = tuple(_read_tool_use(block) for block in blocks if block.get("type") == "tool_use")
    stop = _STOPS.get(reason, "tools" if wanted else "end")
    spent = _read_spent(message.get("usage"))
    model = message.get("model")
    response = Response(
        content="".join(utf8_text(str(block.get("text") or "")) for block in blocks if block.get("type") == "text"),
        calls=wanted if stop == "tools" else (),
        stop=stop,
        why=_read_refusal_reason(message.get("stop_details")) if stop == "refused" else "",
        model=f"{PROVIDER}:{utf8_text(model)}" if isinstance(model, str) and model else "",
        native=_keep_native_blocks(blocks, message.get("container")),
        id=utf8_text(found) if isinstance(found := message.get("id"), str) else "",
    )
    return (spent or Spent()).on(response), spent


def unknown_end(message: Mapping[str, JsonValue]) -> str:
    """Return the message's stop reason if graphengine does not know it; otherwise ""."""
    reason = str(message.get("stop_reason"))
    return "" if reason in _STOPS or reason in _ENDS else reason


@dataclass(slots=True)
class Parts:
    """The token counts of an answer that Anthropic sent in several parts, because it paused between them.

    Attributes:
        usages: The usage that was reported with each part.
        is_torn: Whether the last part broke off, so that it may have used more tokens than were reported.
    """

    usages: list[JsonValue] = field(default_factory=list)
    is_torn: bool = False


def reported(parts: Parts) -> Spent | None:
    """Add up the reported tokens of all parts of an answer that failed; None if nothing was reported."""
    usages = [usage for usage in parts.usages if isinstance(usage, dict)]
    return _read_spent(functools.reduce(_sum, usages)) if usages else None


def paused(message: Mapping[str, JsonValue]) -> bool:
    """Return whether the provider paused, or compacted the conversation, and needs the message back to continue."""
    return message.get("stop_reason") in {"pause_turn", "compaction"}


def joined(first: JsonObject, then: JsonObject) -> JsonObject:
    """Join a message that Anthropic paused with its continuation to one message."""
    content: list[JsonValue] = [*_blocks(first), *_blocks(then)]
    return {**then, "content": content, "usage": _sum(inside(first, "usage"), inside(then, "usage"))}


def _sum(one: JsonObject, other: JsonObject) -> JsonObject:
    summed: JsonObject = {}
    for name in (*one, *(name for name in other if name not in one)):
        a, b = one.get(name), other.get(name)
        if isinstance(a, dict) or isinstance(b, dict):
            summed[name] = _sum(inside(one, name), inside(other, name))
        elif isinstance(a, list) and isinstance(b, list):
            summed[name] = [*a, *b]
        elif name in _STANDARD:  # A text, such as the service tier. The value with a price of its own is kept.
            summed[name] = b if a is None or a in _STANDARD[name] else a
        elif is_count(a) and is_count(b):
            summed[name] = count(one, name) + count(other, name)
        else:
            # This value is not a number. It is kept, so that the sum is not a number either.
            summed[name] = b if is_count(a) else a
    return summed


def _blocks(message: Mapping[str, JsonValue]) -> list[JsonObject]:
    content = message.get("content")
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise Unreadable("it has no content")
    return cast("list[JsonObject]", content)


def _read_tool_use(block: JsonObject) -> ToolCall:
    tool_input = block.get("input")
    written = tool_input if isinstance(tool_input, str) else json.dumps(tool_input, ensure_ascii=False)
    return ToolCall(
        id=utf8_text(str(block.get("id") or "")),
        name=utf8_text(str(block.get("name") or "")),
        arguments=utf8_text(written),
    )


def _read_refusal_reason(details: JsonValue) -> str:
    found = details if isinstance(details, dict) else {}
    return utf8_text(str(found.get("explanation") or found.get("category") or ""))


def _keep_native_blocks(blocks: Sequence[JsonObject], used: JsonValue) -> dict[str, JsonValue] | None:
    """Return an answer in Anthropic's own JSON, if it contains more than text and tool calls; otherwise None.

    The JSON is sent back with the next request, because Anthropic needs, for example, the signatures of its thinking.
    If code was run, the container in which it ran is part of the result.
    """
    kinds = [str(block.get("type")) for block in blocks]
    texts = kinds.count("text")
    ordinary = set(kinds) <= {"text", "tool_use"} and texts <= 1 and kinds[:texts] == ["text"] * texts
    if ordinary and not any(block[key] for block in blocks for key in block.keys() - _IN_MESSAGES):
        return None
    taken = [
        block | {"input": _parse_tool_input(text)} if isinstance(text := block.get("input"), str) else block
        for block in blocks
    ]
    native: dict[str, JsonValue] = {"provider": PROVIDER, "content": sound_json(cast("list[JsonValue]", taken))}
    return native | ({"container": used} if isinstance(used, dict) else {})


def _read_spent(usage: JsonValue) -> Spent | None:
    """Read the token counts that an answer reports. Returns None if they are missing or are not numbers."""
    try:
        return _read_counts(usage)
    except NoCount:
        return None


def _read_counts(usage: JsonValue) -> Spent | None:
    if not isinstance(usage, dict) or all(usage.get(name) is None for name in ("input_tokens", "output_tokens")):
        return None
    passes = usage.get("iterations")  # a compaction is a separate call, which the other figures do not include
    for one in passes if isinstance(passes, list) else ():
        if isinstance(one, dict) and one.get("type") == "compaction":
            usage = _sum(usage, one)
    read_tokens = count(usage, "cache_read_input_tokens")
    write_tokens = count(usage, "cache_creation_input_tokens")
    return Spent(
        input_tokens=count(usage, "input_tokens") + read_tokens + write_tokens,
        cache_read_tokens=read_tokens,
        cache_write_tokens=write_tokens,
        cache_write_1h_tokens=count(usage.get("cache_creation"), "ephemeral_1h_input_tokens"),
        output_tokens=count(usage, "output_tokens"),
        reasoning_tokens=count(usage.get("output_tokens_details"), "thinking_tokens"),
        web_searches=count(usage.get("server_tool_use"), "web_search_requests"),
        is_special=_is_special(usage),
    )


def _is_special(usage: JsonObject) -> bool:
    """Return whether the price tables do not apply to a call, judged by the usage that the answer reports.

    This is the case if the call was billed above or below the standard price, or if another model did part of the work.
    """
    passes = usage.get("iterations")
    kinds = [one.get("type") for one in passes if isinstance(one, dict)] if isinstance(passes, list) else []
    changed = (usage.get(name) not in (None, *usual) for name, usual in _STANDARD.items())
    return any(changed) or any(kind not in _CALLED for kind in kinds)


_PIECES: Final = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("signature", "signature"),
    "input_json_delta": ("partial_json", "input"),
}
"""For each type of delta: the field with the piece of text, and the field of the block to which the piece belongs."""


def _read_block_index(event: JsonObject) -> int:
    """Return the index in an event of a streamed answer, which tells to which content block the event belongs."""
    index = event["index"]
    if not isinstance(index, int):
        raise Unreadable(f"an event is about block {index!r}")
    return index


class Gathered:
    """Puts the events of a streamed answer together to the message that Anthropic would have sent without streaming."""

    def __init__(self) -> None:
        self._message: JsonObject = {}
        self._blocks: dict[float, JsonObject] = {}
        self._pieces: dict[tuple[float, str], list[str]] = {}

    @property
    def usage(self) -> JsonValue:
        """The usage that the provider has reported so far; None if it has reported nothing."""
        return self._message.get("usage")

    @property
    def is_torn(self) -> bool:
        """Whether the usage reported so far is not final, because the message has not ended."""
        return self.usage is not None and self._message.get("stop_reason") is None

    @property
    def has_begun(self) -> bool:
        """Whether a part of the answer has arrived."""
        return bool(self._blocks)

    def add(self, event: JsonObject) -> tuple[str, str]:
        """Add an event of the stream to the message. Returns the text and the thinking that the event contains."""
        kind = event.get("type")
        if kind == "content_block_delta":
            delta = event["delta"]
            if not isinstance(delta, dict):
                raise Unreadable(f"an event's delta is {delta!r}")
            return self._delta(_read_block_index(event), delta)
        if kind == "message_start":
            self._message = inside(event, "message")
        elif kind == "content_block_start":
            self._blocks[_read_block_index(event)] = inside(event, "content_block")
        elif kind == "message_delta":
            self._message |= inside(event, "delta")
            usage = {name: value for name, value in inside(event, "usage").items() if value is not None}
            self._message["usage"] = {**inside(self._message, "usage"), **usage}
        return "", ""

    def _delta(self, index: int, delta: JsonObject) -> tuple[str, str]:
        kind = delta.get("type")
        if kind == "citations_delta":
            quoted = self._blocks[index].get("citations")
            before: list[JsonValue] = quoted if isinstance(quoted, list) else []
            self._blocks[index]["citations"] = [*before, delta["citation"]]
        elif kind == "compaction_delta":
            self._blocks[index] |= {name: value for name, value in delta.items() if name != "type"}
        elif isinstance(kind, str) and kind in _PIECES:
            source, part = _PIECES[kind]
            piece = str(delta[source])
            self._pieces.setdefault((self._own(index, part), part), []).append(piece)
            return piece if part == "text" else "", piece if part == "thinking" else ""
        return "", ""

    def _own(self, index: int, part: str) -> float:
        """Return the index under which to store a streamed piece of text or thinking.

        Usually this is the index in the event. Some gateways send thinking under the index of the text that follows, or
        leave out the event that begins a block. Thinking is then stored just before the text, under an index such as
        0.5.
        """
        kind = "thinking" if part == "signature" else part
        if part == "input":
            return index  # a piece of a tool call, whose name is only in the event that begins the block
        if self._blocks.setdefault(index, {"type": kind}).get("type") == kind:
            return index
        beside = index - 0.5 if kind == "thinking" else index + 0.5
        self._blocks.setdefault(beside, {"type": kind})
        return beside

    def whole(self) -> JsonObject:
        """Return the message that all events of the stream form together.

        Raises:
            Unreadable: The stream ended before the message did.
        """
        if "type" not in self._message:
            raise Unreadable("the stream ended before a message began")
        if self.is_torn:
            raise Unreadable(_NO_END)
        blocks = {index: dict(block) for index, block in self._blocks.items()}
        for (index, part), pieces in self._pieces.items():
            text = "".join(pieces)
            if part == "input":
                blocks[index][part] = _as_json(text) if text else blocks[index].get(part, {})
            else:
                blocks[index][part] = str(blocks[index].get(part) or "") + text
        content: list[JsonValue] = [blocks[index] for index in sorted(blocks)]
        return {**self._message, "content": content}


def _as_json(text: str) -> JsonValue:
    """Parse the arguments of a tool call, which should be the text of a JSON object.

    Any other text is returned unchanged. The validation of the arguments then reports what is wrong with them.
    """
    try:
        found: JsonValue = json.loads(text, parse_constant=_refuse_json_constant)
    except (ValueError, RecursionError):
        return text
    return found if isinstance(found, dict) else text


__all__ = [
    "PROVIDER",
    "STREAM_FROM_TOKENS",
    "Gathered",
    "Parts",
    "Unreadable",
    "body",
    "can_be_held_to",
    "conversation",
    "has_room",
    "headers",
    "joined",
    "paused",
    "read",
    "reported",
    "unknown_end",
]
