"""Models with a Chat Completions API: Ollama, vLLM, llama.cpp, other compatible servers, and OpenAI itself.

Most servers implement this API, but each a little differently. A request therefore contains only the settings that are
set, and an answer may lack ids, indexes, usage, reasons and contents. `_body` writes a `Request` for this API,
`_Chunks` assembles a stream, `_response` reads the answer, and `sdk.Server` makes the call.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Final
from uuid import uuid4

from graphengine.kernel.extension import utf8_text
from graphengine.kernel.inside import DEEPEST
from graphengine.models.base import PDF, Response, ToolCall, cannot_show
from graphengine.models.call_ids import paired
from graphengine.models.dialects import DIALECTS, THOUGHTS_BACK, Dialect, speak
from graphengine.models.errors import AnswerTorn, BadRequest, ModelError, ModelOverloaded
from graphengine.models.hosted import HOSTS, unsupported
from graphengine.models.openai_calls import ServedModel, StreamReader
from graphengine.models.openai_parts import (
    CHOICES,
    arguments,
    cache_key,
    call_id,
    common_settings,
    data_url,
    file_name,
    form_of_answer,
    form_of_tool,
    instructions,
    location,
    sendable,
    tool_result,
    unknown,
)
from graphengine.models.received import NotThisApi, inside, list_at, text
from graphengine.models.sdk import called_name, sound_json
from graphengine.models.settings import merged
from graphengine.models.think_tags import Splitter, split

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic import JsonValue

    from graphengine.models.base import Message, Request, Stop, ToolSpec
    from graphengine.models.hosted import HostedTool
    from graphengine.models.limiter import RateLimiter
    from graphengine.models.openai_calls import OpenAIServer
    from graphengine.models.prices import Price, Spent
    from graphengine.models.received import JsonObject

_PATH: Final = "/chat/completions"
_SEARCHES: Final = "gpt-4o-search-preview"
_SEARCHES_WEB: Final = "search"
"""A word in the names of models that search the web."""
_STOPS: Final[dict[str, Stop]] = {
    "blocklist": "refused",
    "content_filter": "refused",
    "length": "cut",
    "max_tokens": "cut",
    "model_context_window_exceeded": "full",
    "model_length": "full",
    "prohibited_content": "refused",
    "recitation": "refused",
    "safety": "refused",
    "sensitive": "refused",
}
"""Reasons with which servers mark incomplete answers."""

_ENDS: Final = frozenset(
    {"", "complete", "completed", "done", "end", "end_of_turn", "end_turn", "eos", "eos_token", "finish", "finished"}
    | {"function_call", "stop", "stop_sequence", "stop_token", "stopped", "tool_call", "tool_calls", "tool_use"}
)
"""Reasons with which servers mark complete answers. Some servers give no reason."""

_FAILED: Final[dict[str, type[ModelError]]] = {
    "abort": AnswerTorn,
    "error": ModelOverloaded,
    "insufficient_system_resource": ModelOverloaded,
    "network_error": AnswerTorn,
}
"""Reasons with which some servers mark answers that end in a failure."""


_SOUNDS: Final = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}
"""The API's names of sound formats, by MIME type."""

_KNOWN: Final = ("role", "content", "refusal", "tool_calls", "function_call", "annotations", "audio")
"""Fields of an answer's message that are read here, or that the server does not need back."""

_TEXT_ALONE: Final = frozenset(("role", "content"))
"""The fields of a piece that contains only text."""

_THINKING: Final = ("reasoning_content", "reasoning")
"""Fields of a piece that contain thinking.

DeepSeek, vLLM and llama.cpp use the first field; OpenRouter and Ollama use the second.
"""

_RETURNED: Final = "reasoning_content"
"""The field of thinking that DeepSeek and Moonshot require back with each turn that has calls, even if it is empty."""

_LONGEST_ID: Final = 40
"""The longest id of a call. Source: the API's refusal of longer ids."""

_HEAD: Final = ("id", "model", "usage", "service_tier")
"""Fields of pieces that describe the whole answer."""

_KNOWN_OF_CALL: Final = ("id", "type", "index", "function")
"""Fields of a tool call that are read here."""


class OpenAIChatModel(ServedModel):
    """A model with a Chat Completions API, called with the `openai` package.

    Args:
        model: The name of the model on the server.
        base_url: The API's address, which usually ends in /v1, such as `http://localhost:11434/v1`; None for
            `OPENAI_BASE_URL`, or else for OpenAI itself.
        api_key: The key. None sends no key, except that `OPENAI_API_KEY` is sent to OpenAI and to the server of
            `OPENAI_BASE_URL`.
        timeout_seconds: How long the server may send nothing before the call fails with `ModelTimeout`.
        price: The price of the model, if the price tables do not contain it or do not apply.
        limiter: The rate limiter; None for the limiter that all models with this name, address and key share.
        native_schema: Whether the schema of a typed answer is sent as `response_format`, which makes the model follow
            it, or in the instructions. None sends it as `response_format`, with one exception: at addresses other than
            OpenAI's or Azure's, a request with tools puts the schema into the instructions, because many servers would
            ignore the tools. A server that refuses the form receives the schema in the instructions.
        think_tags: Whether `<think>…</think>` at the start of an answer's text is thinking and not part of the answer.
            None means yes, except at OpenAI's or Azure's addresses.

    Raises:
        DefinitionError: An argument is invalid.

    Example:
        >>> OpenAIChatModel("qwen3:8b", base_url="http://localhost:11434/v1").name
        'openai-chat:qwen3:8b'
    """

    _api = "openai-chat"
    _path = _PATH
    _tokens = "prompt_tokens", "completion_tokens"
    _streaming: ClassVar[JsonObject] = {"stream": True, "stream_options": {"include_usage": True}}
    _lacking: ClassVar[Mapping[str, str]] = {
        "thinking": "give effort= instead, or give in extra={…} the field of the server for thinking",
    }

    def __init__(  # noqa: PLR0913 - each is a separate setting of the server
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout_seconds: float = 600.0,
        price: Price | None = None,
        limiter: RateLimiter | None = None,
        native_schema: bool | None = None,
        think_tags: bool | None = None,
    ) -> None:
        super().__init__(
            model,
            base_url=base_url,
            api_key=api_key,
            timeout_seconds=timeout_seconds,
            price=price,
            limiter=limiter,
            native_schema=native_schema,
        )
        self._has_tags = not self._server.knows_new_names if think_tags is None else think_tags
        self._dialects: tuple[Dialect, ...] = ()
        self._accepted: set[Dialect] = set()

    async def _answer_request(self, request: Request, is_native: bool) -> Response:  # noqa: FBT001 - the base's
        """Make a call, and repeat it in another form if the server differs from OpenAI's in a known way.

        Each known difference is a `Dialect`. Once a server has accepted a dialect, all later calls use it. Concurrent
        calls find the same dialects, so a refusal is always compared with the dialects of the request that was sent. An
        example:

        1. Calls A and B are sent, and both are refused. A adds a dialect and is sent again.
        2. B's refusal arrives. The dialect is already added, but B was sent without it. So B is sent again, too.
        3. A is refused for another reason. Its dialect is removed again, unless B or any other call was accepted with
           it.
        """
        added: list[Dialect] = []
        while True:
            sent = self._dialects
            try:
                found = await super()._answer_request(request, is_native)
            except BadRequest as error:
                more = self._find_wanted_dialect(error, sent, request, is_native=is_native)
                if more is None:
                    rejected = {*added} - self._accepted
                    self._dialects = tuple(each for each in self._dialects if each not in rejected)
                    raise
                if more not in self._dialects:
                    added.append(more)
                    self._dialects = (*self._dialects, more)
            else:
                self._accept(sent, request, is_native=is_native)
                return found

    def _find_wanted_dialect(
        self, error: BadRequest, sent: Sequence[Dialect], request: Request, *, is_native: bool
    ) -> Dialect | None:
        """Return the next dialect to try after the server refused a request, judged by the text of the refusal.

        Returns None if no known dialect fits the refusal, or if the dialect would not change the request.
        """
        plain = self._unspoken(request, is_native=is_native)
        body = speak(plain, sent)
        found = (each for each in DIALECTS if each not in sent and each.refusal.search(error.message))
        return next((each for each in found if each is THOUGHTS_BACK or speak(plain, (*sent, each)) != body), None)

    def _accept(self, sent: Sequence[Dialect], request: Request, *, is_native: bool) -> None:
        """Remember the dialects with which the server accepted a request, so that later calls use them.

        Dialects that made no difference to this request are not remembered.
        """
        if self._accepted.issuperset(sent):
            return
        body = self._unspoken(request, is_native=is_native)
        for each in sent:
            plain, body = body, each.said(body)
            if each is THOUGHTS_BACK or body != plain:
                self._accepted.add(each)
        gone = [each for each in sent if each in self._accepted and each not in self._dialects]
        self._dialects = (*self._dialects, *gone)

    def _unspoken(self, request: Request, *, is_native: bool) -> JsonObject:
        """Build the JSON body of a request for OpenAI's own server, before dialects change it for another server."""
        return {**self._body(request, is_native=is_native), **(self._streaming if request.streams else {})}

    def _adapt_body(self, body: JsonObject) -> JsonObject:
        return speak(body, self._dialects)

    @property
    def _returns_thoughts(self) -> bool:
        return THOUGHTS_BACK in self._dialects

    def lacks_tool(self, tool: HostedTool) -> str:
        """Return advice for an agent with a hosted tool that this model cannot run.

        A hosted tool is a tool that the provider runs, such as its web search. `lacks_tool` returns "" if the model can
        run the tool with the given options. Otherwise the advice can be about the tool as a whole or about one of its
        options.
        """
        if tool.name == "web_search" and _SEARCHES_WEB in self.model:
            return unsupported(tool, ("location",), "the Chat Completions API")
        if not self._server.is_own:
            return f"describe the tool in extra={{…}}, in the form of the model's server. Or {HOSTS[tool.name]}"
        return f"Chat Completions has only web_search(), for models such as {_SEARCHES}. Otherwise {HOSTS[tool.name]}"

    def _with_fees(self, spent: Spent, whole: JsonObject) -> Spent:  # noqa: ARG002 - says nothing of searches
        """Mark the cost of a call as unknown if the model itself searches the web.

        The provider charges a fee for each search, but its answer does not contain the number of searches.
        """
        return replace(spent, is_special=True) if _SEARCHES_WEB in self.model else spent

    def _hears(self, request: Request) -> bool:
        return any(one.type in _SOUNDS for message in request.messages for one in message.media)

    def _reads(self, request: Request) -> _Chunks:
        return _Chunks(self._server, request, has_tags=self._has_tags)

    # -- the request

    def _body(self, request: Request, *, is_native: bool) -> JsonObject:
        system = instructions(request, native_schema=is_native)
        first: list[JsonValue] = [{"role": "system", "content": system}] if system else []
        body: JsonObject = {"model": self.model, "messages": [*first, *self._messages(request.messages)]}
        if request.tools:
            body["tools"] = [_build_chat_tool(tool) for tool in request.tools]
        form = form_of_answer(request) if is_native else None
        if form is not None:
            wanted: JsonObject = {"name": form.name, "schema": form.schema, "strict": form.strict}
            body["response_format"] = {"type": "json_schema", "json_schema": wanted}
        return sound_json(merged(body | self._settings(request), request.settings.extra))

    def _messages(self, messages: Sequence[Message]) -> Iterator[JsonObject]:
        """Yield the messages in the API's form.

        A tool's result can only contain text in this API, so images and documents of results follow in a user message.
        """
        shown: list[JsonValue] = []
        messages = _join_over_empty(paired(messages))
        thinks = self._returns_thoughts or any(self._fields(message).get(_RETURNED) for message in messages)
        for message in messages:
            if message.role != "tool" and shown:
                yield {"role": "user", "content": shown}
                shown = []
            yield self._message(message, thinks=thinks)
            if message.role == "tool" and message.media:
                shown += [
                    _build_text_part(f"Shown by the result of call {_fit_call_id(message.call_id)}:"),
                    *_iter_media_parts(message),
                ]
        if shown:
            yield {"role": "user", "content": shown}

    def _fields(self, message: Message) -> JsonObject:
        """Return the additional fields with which this provider sent an earlier answer, such as its thinking."""
        native = message.native or {}
        return inside(native.get("content"), "message") if native.get("provider") == self._provider else {}

    def _message(self, message: Message, *, thinks: bool) -> JsonObject:
        """Convert a message to the API's form.

        Some servers demand their thinking back with every answer that calls tools. If one answer of the conversation
        has thinking, the others therefore get an empty field for it.
        """
        body, fields = _build_chat_message(message), self._fields(message)
        native = message.native or {}
        if message.calls and native.get("provider") == self._provider:
            content = native.get("content")
            more = list_at(content, "tool_calls")
            if len(more) == len(message.calls):
                calls = zip(list_at(body, "tool_calls"), more, strict=True)
                body = {**fields, **body, "tool_calls": [{**own, **call} for call, own in calls]}
        if message.role == "assistant" and thinks and (message.calls or self._returns_thoughts):
            body[_RETURNED] = fields.get(_RETURNED, "")
        return body

    def _native(self, message: JsonObject, calls: tuple[ToolCall, ...], thought: str) -> dict[str, JsonValue] | None:
        """Return the fields of an answer that graphengine does not interpret, in the server's own JSON.

        Returns None if the answer consists of text and tool calls only. The fields are sent back with the next request
        only if the answer calls tools. No server needs them otherwise, and some servers refuse them (DeepSeek's first
        reasoning models).
        """
        found: JsonObject = {"message": unknown(message, _KNOWN)}
        of_calls = [unknown(call, _KNOWN_OF_CALL) for call in list_at(message, "tool_calls")] if calls else []
        found["tool_calls"] = [*of_calls]
        annotations = list_at(message, "annotations")
        found |= {"annotations": [*annotations]} if annotations else {}
        found |= {"thinking": thought} if thought else {}
        if not (found["message"] or any(of_calls) or annotations or thought):
            return None
        content = sound_json(found, levels=DEEPEST)
        return {"provider": self._provider, "content": content}

    def _settings(self, request: Request) -> JsonObject:
        """Return the fields of a request's body that come from the agent's settings.

        OpenAI and Azure have renamed `max_tokens` and refuse the old name, while other servers only know the old name.
        """
        settings, server = request.settings, self._server
        found = common_settings(request)
        if settings.max_tokens is not None:
            found["max_completion_tokens" if server.knows_new_names else "max_tokens"] = settings.max_tokens
        if settings.effort is not None:
            found["reasoning_effort"] = settings.effort
        options = settings.given()
        found |= {name: options[name] for name in ("seed", "top_k", "verbosity") if name in options}
        if settings.stop:
            found["stop"] = list(settings.stop)
        choice = settings.tool_choice
        if request.tools and choice is not None:
            found["tool_choice"] = choice if choice in CHOICES else {"type": "function", "function": {"name": choice}}
        for tool in request.hosted:  # web_search is the only hosted tool of this API
            place: JsonObject = {"type": "approximate", "approximate": location(tool)}
            found["web_search_options"] = merged({"user_location": place} if location(tool) else {}, tool.extra)
        if settings.cache and server.is_own:
            found["prompt_cache_key"] = cache_key(request.system, request.tools)
        return found

    # -- the answer

    def _response(self, whole: JsonObject) -> Response:
        choice = self._choice(whole)
        message = inside(choice, "message")
        calls = _read_chat_calls(list_at(message, "tool_calls"))
        stop, why = self._stop(choice, calls)
        wanted = calls if stop == "tools" else ()
        content = utf8_text(_read_content_text(message.get("content")))
        thought, content = split(content) if self._has_tags else ("", content)
        return Response(
            content,
            calls=wanted,
            stop=stop,
            why=utf8_text(why),
            native=self._native(message, wanted, thought),
        )

    def _choice(self, whole: JsonObject) -> JsonObject:
        """Return the first alternative answer ("choice") of the API's response. graphengine asks for one only.

        Raises:
            ModelError: The answer contains no choice, or an error instead.
        """
        choices = list_at(whole, "choices")
        error = whole.get("error") or (choices[0].get("error") if choices else None)
        if error:
            raise self._server.refused(error)
        if "choices" not in whole:
            words = text(whole, "message") or text(whole, "detail")
            raise NotThisApi(f"the server there has no Chat Completions API: {words}".removesuffix(": "))
        if not choices:
            raise self._server.torn("returned an answer without choices")
        return choices[0]

    def _stop(self, choice: JsonObject, calls: tuple[ToolCall, ...]) -> tuple[Stop, str]:
        """Return why the answer ended, and the provider's explanation if it refused to answer.

        Raises:
            ModelError: The answer ended because of a failure.
        """
        reason = text(choice, "finish_reason").lower()
        if reason in _FAILED:
            raise self._server.error(_FAILED[reason], f"broke off its answer ({reason})")
        refusal = text(inside(choice, "message"), "refusal")
        if refusal:
            return "refused", refusal
        if reason not in _STOPS and reason not in _ENDS:
            raise self._server.unknown_end(reason)
        ends: Stop = "tools" if calls else "end"
        return _STOPS.get(reason, ends), "the provider's content filter" if _STOPS.get(reason) == "refused" else ""


class _Chunks(StreamReader):
    """Puts the chunks of a streamed answer together to the JSON that the server would have sent without streaming."""

    def __init__(self, server: OpenAIServer, request: Request, *, has_tags: bool) -> None:
        super().__init__(server, request)
        self._split = Splitter() if has_tags else None
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._calls: list[_PartialCall] = []
        self._more: dict[str, list[JsonValue]] = {}
        self._places: dict[str, _PartialCall] = {}
        self._reason = ""

    def take(self, event: JsonObject) -> bool:
        """Add a chunk, and pass its text or thinking on to the caller.

        Always returns False, because the end of the answer cannot be recognised: the usage arrives after the last text.

        Raises:
            ModelError: The chunk is an error.
        """
        if event.get("type") == "error" or ("choices" not in event and text(event, "message")):
            raise self._server.refused({**event, "type": ""})
        for key in _HEAD:
            if event.get(key):
                self.head[key] = event[key]
        for choice in list_at(event, "choices")[:1]:
            if choice.get("error"):
                raise self._server.refused(choice["error"])
            if choice.get("finish_reason") is not None:
                self._reason = text(choice, "finish_reason") or self._reason
            self._request.began()
            self._add(inside(choice, "delta"))
        return False

    def whole(self) -> JsonObject:
        """Return the complete answer, put together from its chunks.

        Raises:
            AnswerTorn: The stream ended before the answer was complete.
        """
        if not self._reason:
            raise self._server.torn("ended its answer before it was complete")
        if self._split is not None:
            self._emit(*self._split.rest())
        message = {key: _join_pieces(pieces) for key, pieces in self._more.items()}
        message |= {"content": "".join(self._text), "refusal": "".join(self._refusal)}
        message["tool_calls"] = [call.whole() for call in self._calls]
        return {**self.head, "choices": [{"message": message, "finish_reason": self._reason}]}

    def _add(self, delta: JsonObject) -> None:
        content = _read_content_text(delta.get("content"))
        if content and delta.keys() <= _TEXT_ALONE:  # nearly always true
            self._text.append(content)
            self._emit(*(("", content) if self._split is None else self._split.add(content)))
            return
        if content:
            self._text.append(content)
            self._emit(*(("", content) if self._split is None else self._split.add(content)))
        for name in _THINKING:
            if thought := text(delta, name):
                self._request.emit_thinking(utf8_text(thought))
                break
        self._refusal.append(text(delta, "refusal"))
        annotations = list_at(delta, "annotations")
        more: JsonObject = {"annotations": [*annotations]} if annotations else {}
        for key, value in (unknown(delta, _KNOWN) | more).items():
            self._more.setdefault(key, []).append(value)
        for piece in list_at(delta, "tool_calls"):
            self._add_call(piece)

    def _emit(self, thought: str, said: str) -> None:
        if thought:
            self._request.emit_thinking(utf8_text(thought))
        if said:
            self._request.emit_text(utf8_text(said))

    def _add_call(self, piece: JsonObject) -> None:
        """Add a piece of a tool call to the tool call to which it belongs.

        The index in the piece identifies the call. Some servers send no index, or the same index for all calls. For
        these servers, a new id begins a new call.
        """
        place, named, function = text(piece, "index"), text(piece, "id"), inside(piece, "function")
        call = self._places.get(place) if place else (self._calls[-1] if self._calls else None)
        if call is None or (named and call.id and named != call.id):
            call = _PartialCall()
            self._calls.append(call)
            self._places[place] = call
        call.id = call.id or named
        call.more |= unknown(piece, _KNOWN_OF_CALL)
        call.name = call.name or text(function, "name")
        more = function.get("arguments")
        call.arguments.append(more if isinstance(more, str) else arguments(more) if more else "")


@dataclass(slots=True)
class _PartialCall:
    """A tool call in an answer that is still being streamed, put together from the pieces that have arrived."""

    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    more: JsonObject = field(default_factory=dict)

    def whole(self) -> JsonObject:
        function: JsonObject = {"name": self.name, "arguments": "".join(self.arguments)}
        return {"id": self.id, "function": function, **self.more}


def _join_pieces(pieces: list[JsonValue]) -> JsonValue:
    """Join the pieces of one field of an answer that arrived in several chunks.

    Texts and lists are concatenated. Of other values, the last one is kept.
    """
    texts = [piece for piece in pieces if isinstance(piece, str)]
    lists = [piece for piece in pieces if isinstance(piece, list)]
    if len(texts) == len(pieces):
        return "".join(texts)
    return [item for items in lists for item in items] if len(lists) == len(pieces) else pieces[-1]


def _join_over_empty(messages: Sequence[Message]) -> Sequence[Message]:
    """Leave out answers that contain neither text nor tool calls, because many servers refuse to read them back.

    The user messages before and after such an answer are joined into one.
    """
    joined: list[Message] = []
    joins = False
    for message in messages:
        if message.role == "assistant" and not (message.text.strip() or message.calls):
            joins = True
            continue
        if joins and message.role == "user" and not message.media and joined and joined[-1].role == "user":
            joined[-1] = joined[-1].model_copy(update={"text": f"{joined[-1].text}\n\n{message.text}"})
        else:
            joined.append(message)
        joins = False
    return joined


def _build_chat_message(message: Message) -> JsonObject:
    if message.role == "tool":
        result = tool_result(message.text, is_error=message.is_error)
        return {"role": "tool", "tool_call_id": _fit_call_id(message.call_id), "content": result}
    if message.role != "assistant":
        content: JsonValue = (
            [_build_text_part(message.text), *_iter_media_parts(message)] if message.media else message.text
        )
        return {"role": "user", "content": content}
    if not message.calls:
        return {"role": "assistant", "content": message.text}
    calls: list[JsonValue] = [
        {
            "id": _fit_call_id(call.id),
            "type": "function",
            "function": {"name": called_name(call.name), "arguments": sendable(call.arguments)},
        }
        for call in message.calls
    ]
    return {"role": "assistant", "content": message.text or None, "tool_calls": calls}


def _fit_call_id(given: str) -> str:
    return call_id(given, _LONGEST_ID)


def _build_text_part(text: str) -> JsonObject:
    return {"type": "text", "text": text}


def _iter_media_parts(message: Message) -> Iterator[JsonValue]:
    """Yield the media of a message in the API's form, each after its label such as `[media 1: photo.png]`.

    Raises:
        BadRequest: The API does not accept media of this type.
    """
    for mark, one in message.labelled_media():
        yield _build_text_part(mark)
        if one.kind == "image" and not one.file_id:
            yield {"type": "image_url", "image_url": {"url": one.url or data_url(one)}}
        elif one.file_id and one.kind != "image":
            yield {"type": "file", "file": {"file_id": one.file_id}}
        elif one.url:
            raise cannot_show(one)
        elif one.type == PDF:
            yield {"type": "file", "file": {"filename": file_name(one), "file_data": data_url(one)}}
        elif one.type in _SOUNDS:
            yield {"type": "input_audio", "input_audio": {"data": one.data, "format": _SOUNDS[one.type]}}
        else:
            raise cannot_show(one)


def _build_chat_tool(tool: ToolSpec) -> JsonObject:
    """Describe a tool in the form of the Chat Completions API.

    `strict` is only sent if it is true, because some servers do not know the field.
    """
    form = form_of_tool(tool)
    spec: JsonObject = {"name": form.name, "description": tool.description, "parameters": form.schema}
    return {"type": "function", "function": {**spec, "strict": True} if form.strict else spec}


def _read_content_text(content: JsonValue) -> str:
    """Return the text of an answer. Some servers send a list of parts, which may also contain thinking."""
    if isinstance(content, list):
        return "".join(text(part, "text") for part in content if text(part, "type") == "text")
    return content if isinstance(content, str) else ""


def _read_chat_calls(found: list[JsonObject]) -> tuple[ToolCall, ...]:
    """Read the tool calls of an answer, and give each a unique id.

    Some servers send no ids, or the same id for all calls.
    """
    calls: list[ToolCall] = []
    for item in found:
        named, function = utf8_text(text(item, "id")), inside(item, "function")
        if not named or any(named == call.id for call in calls):
            named = f"call_{uuid4().hex}"
        called = utf8_text(text(function, "name"))
        calls.append(ToolCall(id=named, name=called, arguments=arguments(function.get("arguments"))))
    return tuple(calls)


__all__ = ["OpenAIChatModel"]
