"""Requests in the form of Anthropic's Messages API, and its messages as responses. Nothing here calls anybody.

`body` makes what is sent; `read` makes a `Response` of a message that came, as plain JSON. `Gathered` puts a message
together from the events of a stream. It does so rather than the SDK's helper, which reads a tool's arguments again from
the first character with every piece of them, forgets how the model wrote them, and fails where usage is not told.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from graphengine.models.base import Response, ToolCall
from graphengine.models.prices import Spent
from graphengine.models.sdk import schema_in_words, sound, sound_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic import JsonValue

    from graphengine.models.base import Message, Request, Stop

Json: TypeAlias = "dict[str, JsonValue]"

PROVIDER: Final = "anthropic"
"""What `Message.native` of this provider's says it is."""

DEFAULT_MAX_TOKENS: Final = 16_384
"""The most tokens of an answer where nobody says: the API wants a number, and thinking counts."""

STREAM_FROM_TOKENS: Final = 21_333
"""An answer that may be longer is streamed, whoever watches: it may take over ten minutes, and a connection that is
silent for so long gets cut. It is the SDK's own border."""

_SAID_BY_MESSAGES: Final = {"type", "text", "id", "name", "input"}
"""What blocks of text and calls have that a message's text and calls say too."""

_CACHED: Final[Json] = {"type": "ephemeral"}
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")
_STOPS: Final[dict[str, Stop]] = {
    "max_tokens": "cut",
    "refusal": "refused",
    "model_context_window_exceeded": "full",
}


class Unreadable(ValueError):
    """What came is no whole message; the text says why."""


class NoMessage(Unreadable):
    """What came is something else than a message."""


# -- what is sent


def body(model: str, request: Request, schema: Json | None) -> dict[str, Any]:
    """The arguments of `messages.create`.

    Args:
        model: The model's own name.
        request: What is asked.
        schema: What the answer is held to natively. Where that is None, the instructions say what the request wants.
    """
    made: dict[str, Any] = {
        "model": model,
        "max_tokens": request.max_tokens or DEFAULT_MAX_TOKENS,
        "messages": conversation(request.messages),
    }
    system = sound(request.system)
    if request.schema is not None and schema is None:
        system = "\n\n".join(part for part in (system, sound(schema_in_words(request))) if part)
    if system.strip():
        made["system"] = [_text(system) | _cached(request)]
    if request.tools:
        made["tools"] = _tools(request)
    config = {"effort": request.effort, "format": schema and {"type": "json_schema", "schema": schema}}
    if any(config.values()):
        made["output_config"] = {name: value for name, value in config.items() if value}
    if request.temperature is not None:
        made["extra_body"] = {"temperature": request.temperature}  # no argument any more: newer models refuse it
    return made


def conversation(messages: Iterable[Message]) -> list[Json]:
    """Messages in their form: neighbours of one role are one message, and what says nothing is left out."""
    made: list[tuple[str, list[JsonValue]]] = []
    for message in messages:
        role = "assistant" if message.role == "assistant" else "user"
        content = _content(message)
        if made and made[-1][0] == role:
            before = made[-1][1]
            if role == "user" and _are_text(before[-1:]) and _are_text(content):
                content = [_text(f"{_said(before.pop())}\n\n{_said(content[0])}")]  # blocks are read without a gap
            before.extend(content)
        elif content:
            made.append((role, content))
    return [{"role": role, "content": content} for role, content in made]


def _content(message: Message) -> list[JsonValue]:
    if message.role == "tool":
        result: Json = {"type": "tool_result", "tool_use_id": _id(message.call_id)}
        if message.text.strip():
            result["content"] = sound(message.text)
        return [result | ({"is_error": True} if message.is_error else {})]
    native = message.native or {}
    content = native.get("content")
    if message.role == "assistant" and native.get("provider") == PROVIDER and isinstance(content, list):
        return [block for block in content if not _says_nothing(block)]
    said: list[JsonValue] = [_text(sound(message.text))] if message.text.strip() else []
    return said + [
        {"type": "tool_use", "id": _id(call.id), "name": call.name, "input": _input(call.arguments)}
        for call in message.calls
    ]


def _text(text: str) -> Json:
    return {"type": "text", "text": text}


def _are_text(blocks: Sequence[JsonValue]) -> bool:
    return bool(blocks) and all(isinstance(block, dict) and block.get("type") == "text" for block in blocks)


def _said(block: JsonValue) -> str:
    return str(block.get("text") or "") if isinstance(block, dict) else ""


def _says_nothing(block: JsonValue) -> bool:
    """Whether it is a text block that the API would refuse."""
    return _are_text([block]) and not _said(block).strip()


def _id(given: str) -> str:
    """A call's id, which may be another provider's, in the letters that are allowed here."""
    return _NOT_IN_IDS.sub("_", given) or "call"


def _input(arguments: str) -> JsonValue:
    """What a model wrote as a tool's arguments, as an object: that is what the API takes."""
    try:
        found: JsonValue = json.loads(arguments, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        found = None
    return sound_json(found) if isinstance(found, dict) else {"unreadable": sound(arguments)}


def _no_constant(name: str) -> None:
    raise Unreadable(f"{name} is no JSON")


def _cached(request: Request) -> Json:
    return {"cache_control": _CACHED} if request.cache else {}


def _tools(request: Request) -> list[Json]:
    made: list[Json] = [
        {"name": tool.name, "description": sound(tool.description), "input_schema": {"type": "object", **tool.schema}}
        for tool in request.tools
    ]
    made[-1] |= _cached(request)
    return made


def can_be_held_to(schema: Mapping[str, JsonValue]) -> bool:
    """Whether the API can hold an answer to a JSON Schema.

    It knows no object with keys of any name, which would stay empty, no tuple, and no type that contains itself.
    """
    return not _open(schema) and not _contains_itself(schema)


def _parts(schema: Mapping[str, JsonValue]) -> list[Mapping[str, JsonValue]]:
    """The schemas right inside a schema."""
    found: list[JsonValue] = [schema.get("items")]
    for key in ("properties", "$defs"):
        named = schema.get(key)
        found += named.values() if isinstance(named, dict) else ()
    for key in ("anyOf", "oneOf", "allOf"):
        several = schema.get(key)
        found += several if isinstance(several, list) else ()
    return [part for part in found if isinstance(part, dict)]


def _open(schema: Mapping[str, JsonValue]) -> bool:
    keys_of_any_name = schema.get("additionalProperties", False) is not False or (
        schema.get("type") == "object" and "properties" not in schema
    )
    return keys_of_any_name or "prefixItems" in schema or any(_open(part) for part in _parts(schema))


def _contains_itself(schema: Mapping[str, JsonValue]) -> bool:
    kinds = schema.get("$defs")
    named = {f"#/$defs/{name}": kind for name, kind in kinds.items()} if isinstance(kinds, dict) else {}

    def mentions(part: Mapping[str, JsonValue]) -> set[str]:
        own = {ref} if isinstance(ref := part.get("$ref"), str) else set()
        inner = [inside for inside in _parts(part) if inside is not part]
        return own.union(*(mentions(inside) for inside in inner))

    uses = {name: mentions(kind) for name, kind in named.items() if isinstance(kind, dict)}
    while leaves := {name for name, used in uses.items() if not used & uses.keys()}:
        uses = {name: used for name, used in uses.items() if name not in leaves}
    return bool(uses)


# -- what comes


@dataclass(frozen=True, slots=True)
class Answer:
    """A message that came: the response, which has no cost yet, and what its price depends on."""

    response: Response
    spent: Spent | None


def read(message: Mapping[str, JsonValue]) -> Answer:
    """A message as a response.

    Raises:
        NoMessage: It is something else.
        Unreadable: It is not whole.
    """
    if message.get("type") != "message":
        raise NoMessage(f"a JSON object of type {message.get('type')!r}")
    blocks = _blocks(message)
    reason = message.get("stop_reason")
    if not isinstance(reason, str):
        raise Unreadable("it does not say why it ends, so its end is missing")
    wanted = tuple(_call(block) for block in blocks if block.get("type") == "tool_use")
    stop = _STOPS.get(reason, "tools" if wanted else "end")
    spent, reasoning_tokens = _spent(message.get("usage"))
    counted = spent or Spent()
    model = message.get("model")
    response = Response(
        content="".join(sound(str(block.get("text") or "")) for block in blocks if block.get("type") == "text"),
        calls=wanted if stop == "tools" else (),
        stop=stop,
        why=_why(message.get("stop_details")) if stop == "refused" else "",
        model=f"{PROVIDER}:{sound(model)}" if isinstance(model, str) and model else "",
        input_tokens=counted.input_tokens,
        cache_read_tokens=counted.cache_read_tokens,
        cache_write_tokens=counted.cache_write_tokens,
        output_tokens=counted.output_tokens,
        reasoning_tokens=min(reasoning_tokens, counted.output_tokens),
        native=_native(blocks),
    )
    return Answer(response, spent)


def reported(usages: Iterable[JsonValue]) -> Spent | None:
    """The tokens of the parts of an answer that failed, as far as they were reported; None for nothing."""
    known = [usage for usage in usages if isinstance(usage, dict)]
    return _spent(functools.reduce(_sum, known))[0] if known else None


def paused(message: Mapping[str, JsonValue]) -> bool:
    """Whether the provider wants to be given the message back before it goes on."""
    return message.get("stop_reason") == "pause_turn"


def joined(first: Mapping[str, JsonValue], then: Mapping[str, JsonValue]) -> Json:
    """A message that paused, and the one that goes on with it, as one."""
    usage = [one if isinstance(one, dict) else {} for one in (first.get("usage"), then.get("usage"))]
    content: list[JsonValue] = [*_blocks(first), *_blocks(then)]
    return {**then, "content": content, "usage": _sum(*usage)}


def _sum(one: Json, other: Json) -> Json:
    summed: Json = {}
    for name in (*one, *(name for name in other if name not in one)):
        a, b = one.get(name), other.get(name)
        if isinstance(a, dict) or isinstance(b, dict):
            summed[name] = _sum(a if isinstance(a, dict) else {}, b if isinstance(b, dict) else {})
        elif isinstance(a, int) or isinstance(b, int):
            summed[name] = _count(a) + _count(b)
    return summed


def _blocks(message: Mapping[str, JsonValue]) -> list[Json]:
    content = message.get("content")
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise Unreadable("it has no content")
    return cast("list[Json]", content)


def _call(block: Json) -> ToolCall:
    given = block.get("input")
    written = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    return ToolCall(
        id=sound(str(block.get("id") or "")), name=sound(str(block.get("name") or "")), arguments=sound(written)
    )


def _why(details: JsonValue) -> str:
    told = details if isinstance(details, dict) else {}
    return sound(str(told.get("explanation") or told.get("category") or ""))


def _native(blocks: Sequence[Json]) -> dict[str, JsonValue] | None:
    """The blocks as they came; None where text and calls say all of it."""
    kinds = [str(block.get("type")) for block in blocks]
    texts = kinds.count("text")
    ordinary = set(kinds) <= {"text", "tool_use"} and texts <= 1 and kinds[:texts] == ["text"] * texts
    if ordinary and not any(block[key] for block in blocks for key in block.keys() - _SAID_BY_MESSAGES):
        return None
    taken = [
        block | {"input": _input(text)} if isinstance(text := block.get("input"), str) else block for block in blocks
    ]
    return {"provider": PROVIDER, "content": sound_json(cast("list[JsonValue]", taken))}


def _spent(usage: JsonValue) -> tuple[Spent | None, int]:
    """What a price depends on, None where it is not told; and how many tokens were thinking."""
    if not isinstance(usage, dict) or not {"input_tokens", "output_tokens"} & usage.keys():
        return None, 0
    read_tokens = _count(usage.get("cache_read_input_tokens"))
    write_tokens = _count(usage.get("cache_creation_input_tokens"))
    written, thought = usage.get("cache_creation"), usage.get("output_tokens_details")
    spent = Spent(
        input_tokens=_count(usage.get("input_tokens")) + read_tokens + write_tokens,
        cache_read_tokens=read_tokens,
        cache_write_tokens=write_tokens,
        cache_write_1h_tokens=_count(written.get("ephemeral_1h_input_tokens")) if isinstance(written, dict) else 0,
        output_tokens=_count(usage.get("output_tokens")),
    )
    return spent, _count(thought.get("thinking_tokens")) if isinstance(thought, dict) else 0


def _count(value: JsonValue) -> int:
    return value if isinstance(value, int) and value > 0 else 0


_PIECES: Final = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("signature", "signature"),
    "input_json_delta": ("partial_json", "input"),
}
"""Of each kind of piece: where it has its text, and of what in its block that is a part."""


def _object(value: JsonValue) -> Json:
    return value if isinstance(value, dict) else {}


def _place(event: Json) -> int:
    """Which block of the message an event is about."""
    index = event["index"]
    if not isinstance(index, int):
        raise Unreadable(f"an event is about block {index!r}")
    return index


class Gathered:
    """A message as far as it has come in a stream."""

    def __init__(self) -> None:
        self._message: Json = {}
        self._blocks: dict[int, Json] = {}
        self._pieces: dict[tuple[int, str], list[str]] = {}

    @property
    def usage(self) -> JsonValue:
        """What the provider has reported of its usage so far; None for nothing."""
        return self._message.get("usage")

    @property
    def has_begun(self) -> bool:
        """Whether a part of the answer has come."""
        return bool(self._blocks)

    def add(self, event: Json) -> str:
        """Take in one event, and give the text that it adds to the answer."""
        kind = event.get("type")
        if kind == "content_block_delta":
            delta = event["delta"]
            if not isinstance(delta, dict):
                raise Unreadable(f"an event's delta is {delta!r}")
            return self._delta(_place(event), delta)
        if kind == "message_start":
            self._message = _object(event.get("message"))
        elif kind == "content_block_start":
            self._blocks[_place(event)] = _object(event.get("content_block"))
        elif kind == "message_delta":
            self._message |= _object(event.get("delta"))
            usage = {name: value for name, value in _object(event.get("usage")).items() if value is not None}
            self._message["usage"] = {**_object(self._message.get("usage")), **usage}
        return ""

    def _delta(self, index: int, delta: Json) -> str:
        kind = delta.get("type")
        if kind == "citations_delta":
            quoted = self._blocks[index].get("citations")
            before: list[JsonValue] = quoted if isinstance(quoted, list) else []
            self._blocks[index]["citations"] = [*before, delta["citation"]]
        elif isinstance(kind, str) and kind in _PIECES:
            source, part = _PIECES[kind]
            piece = str(delta[source])
            self._pieces.setdefault((index, part), []).append(piece)
            return piece if part == "text" else ""
        return ""

    def whole(self) -> Json:
        """The message.

        Raises:
            Unreadable: It never began.
        """
        if "type" not in self._message:
            raise Unreadable("the stream ended before a message began")
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
    """The object that a text is; else the text, for the tool's own checks to complain of."""
    try:
        found: JsonValue = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return text
    return found if isinstance(found, dict) else text


__all__ = [
    "PROVIDER",
    "STREAM_FROM_TOKENS",
    "Answer",
    "Gathered",
    "NoMessage",
    "Unreadable",
    "body",
    "can_be_held_to",
    "conversation",
    "joined",
    "paused",
    "read",
    "reported",
]
