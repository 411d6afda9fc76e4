"""OpenAI's models, called with its Responses API. The provider stores no part of a conversation (`store=False`).

`sdk.Server` makes the calls and explains failures. A model that thinks encrypts its reasoning and must get it back with
the next question. The encrypted reasoning is kept in `Message.native`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final

from graphengine.kernel.extension import utf8_text
from graphengine.kernel.inside import DEEPEST
from graphengine.models.base import PDF, Response, ToolCall, cannot_show
from graphengine.models.call_ids import told_apart
from graphengine.models.errors import BadRequest, ModelOverloaded
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
    thinks,
    tool_result,
    unknown,
)
from graphengine.models.received import NotThisApi, inside, list_at, text
from graphengine.models.sdk import called_name, sound_json
from graphengine.models.settings import merged

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pydantic import JsonValue

    from graphengine.models.base import Message, Request, Stop, ToolSpec
    from graphengine.models.hosted import HostedTool, Kind
    from graphengine.models.openai_calls import OpenAIServer
    from graphengine.models.prices import Spent
    from graphengine.models.received import JsonObject

_PATH: Final = "/responses"
_SEALED: Final = "reasoning.encrypted_content"
_THINKING: Final = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")
"""Events with pieces of thinking: a summary of the thinking, or the thinking itself of open models."""
_TYPES: Final[dict[Kind, str]] = {"web_search": "web_search", "code_execution": "code_interpreter"}
"""The API's types of the tools that it runs. Source: `openai.types.responses.ToolParam`."""
_INCLUDED: Final[dict[Kind, str]] = {
    "web_search": "web_search_call.action.sources",
    "code_execution": "code_interpreter_call.outputs",
}
"""For each tool, the part of its results that an answer contains only if the request asks for it."""
_FREE: Final = ("open_page", "find_in_page")
"""Actions of a search without a fee. Source: https://platform.openai.com/docs/pricing."""
_WITH_FEES: Final = ("code_interpreter_call", "file_search_call", "image_generation_call", "shell_call")
"""Items of tools whose fees are neither part of an answer's usage nor counted here. Source: the same page."""
_ABOUT_SEALS: Final = re.compile(r"encrypted[ _]content|required 'reasoning' item|\brs_\w+", re.IGNORECASE)
"""The texts of refusals that concern reasoning that was sent back."""
_WITHOUT_TOOLS: Final = re.compile(r"gpt-3|gpt-4(-\d|-turbo|$)|gpt-4\.1-nano|o1|o3-mini")
"""Names of OpenAI's models that support none of these tools."""


_CUT: Final = "incomplete"
"""The status of an item that was cut off, even if the answer is marked as completed. Such a call is not made."""
_UNENDED: Final = (_CUT, "in_progress", "searching", "interpreting", "generating", "calling")
"""The statuses of calls of the provider's tools that did not end. Source: the SDK's types of items."""
_REASONS: Final[dict[str, Stop]] = {
    "": "cut",
    "max_output_tokens": "cut",
    "max_tokens": "cut",
    "content_filter": "refused",
}
"""Reasons why an answer is incomplete."""

_KNOWN: Final = {
    "message": ("id", "type", "status", "role", "content"),
    "function_call": ("id", "type", "status", "call_id", "name", "arguments"),
}
"""Fields of an answer's items that its text and calls also contain.

Items of other types or with other fields are sent back as they arrived.
"""


class OpenAIModel(ServedModel):
    """A model of OpenAI, or of a server with its Responses API, called with the `openai` package.

    Args:
        model: The name of the model, such as `gpt-5-mini`.
        api_key: The key; None for the environment variable `OPENAI_API_KEY`. The environment's key is sent only to
            OpenAI and to the server of `OPENAI_BASE_URL`, not to a `base_url` that is passed here.
        base_url: The API's address, which usually ends in /v1; None for `OPENAI_BASE_URL`, or else for OpenAI itself.
        timeout_seconds: How long the server may send nothing before the call fails with `ModelTimeout`.
        price: The price of the model, if the price tables do not contain it or do not apply.
        limiter: The rate limiter; None for the limiter that all models with this name, address and key share.
        native_schema: Whether the schema of a typed answer is sent in the API's own form, which makes the model follow
            it, or in the instructions. None sends it in the API's own form, with one exception: at addresses other than
            OpenAI's or Azure's, a request with tools puts the schema into the instructions, because many servers would
            ignore the tools. A server that refuses the form receives the schema in the instructions.

    Raises:
        DefinitionError: An argument is invalid.

    Example:
        >>> OpenAIModel("gpt-5-mini").name
        'openai:gpt-5-mini'
    """

    _api = "openai"
    _path = _PATH
    _tokens = "input_tokens", "output_tokens"
    _streaming: ClassVar[JsonObject] = {"stream": True}
    _lacking: ClassVar[Mapping[str, str]] = {
        "stop": "leave out this setting, or use the Chat Completions API: openai-chat:MODEL",
        "thinking": "give effort= instead, or effort='none' for no thinking",
        **dict.fromkeys(
            ("seed", "presence_penalty", "frequency_penalty", "top_k"),
            "leave out this setting, which is not in the API",
        ),
    }

    def compacts(self, tokens: int) -> bool:  # noqa: ARG002 - compacts from any number on
        """Return whether the server can replace older messages by a shorter form itself.

        Only OpenAI's own server can.
        """
        return self._server.is_own

    async def _answer_request(self, request: Request, is_native: bool) -> Response:  # noqa: FBT001 - the base's
        """Make a call. If the server refuses the encrypted reasoning of earlier answers, repeat the call without it.

        A server refuses reasoning that another key or region has encrypted.
        """
        if request not in self._seals:
            try:
                return await super()._answer_request(request, is_native)
            except BadRequest as error:
                has_native = any(message.native for message in request.messages)
                if not has_native or not _ABOUT_SEALS.search(error.message):
                    raise
            self._seals.add(request)
        found = await super()._answer_request(request.bare(), is_native)
        return replace(found, unsealed=self._provider)

    def _reads(self, request: Request) -> _Events:
        return _Events(self._server, request)

    def _body(self, request: Request, *, is_native: bool) -> JsonObject:
        """Build the body of a request. Unset settings are left out, so that the provider's defaults apply."""
        body: JsonObject = {"model": self.model, "store": False}
        system = instructions(request, native_schema=is_native)
        if system:
            body["instructions"] = system
        body["input"] = _after_compaction([item for each in told_apart(request.messages) for item in self._items(each)])
        if request.compact_from is not None:
            body["context_management"] = [{"type": "compaction", "compact_threshold": request.compact_from}]
        if request.tools or request.hosted:
            body["tools"] = [*map(_build_function_spec, request.tools), *map(_build_hosted_spec, request.hosted)]
        form = form_of_answer(request) if is_native else None
        if form is not None:
            wanted: JsonObject = {"type": "json_schema", "name": form.name, "schema": form.schema}
            body["text"] = {"format": {**wanted, "strict": form.strict}}
        return sound_json(merged(merged(body, self._settings(request)), request.settings.extra))

    def _settings(self, request: Request) -> JsonObject:
        """Return the fields of a request's body that come from the agent's settings.

        Some fields are only sent to OpenAI's own server, because other servers may refuse fields that they do not know.
        """
        settings = request.settings
        thinking = self._server.is_own and thinks(self.model)
        found = common_settings(request)
        if settings.max_tokens is not None:
            found["max_output_tokens"] = settings.max_tokens
        if settings.effort is not None:
            found["reasoning"] = {"effort": settings.effort}
        if settings.verbosity is not None:
            found["text"] = {"verbosity": settings.verbosity}
        include = [_SEALED] if thinking else []
        include += [_INCLUDED[tool.name] for tool in request.hosted if tool.name in _INCLUDED]
        if include:
            found["include"] = [*include]
        choice = settings.tool_choice
        if (request.tools or request.hosted) and choice is not None:
            found["tool_choice"] = choice if choice in CHOICES else _build_tool_choice(choice, request)
        if settings.cache and self._server.is_own:
            found["prompt_cache_key"] = cache_key(request.system, request.tools)
        return found

    def lacks_tool(self, tool: HostedTool) -> str:
        """Return advice for an agent with a hosted tool that this model cannot run.

        A hosted tool is a tool that the provider runs, such as its web search. `lacks_tool` returns "" if the model can
        run the tool with the given options. Otherwise the advice can be about the tool as a whole or about one of its
        options.
        """
        if tool.name not in _TYPES or (self._server.is_own and _WITHOUT_TOOLS.match(self.model)):
            return HOSTS[tool.name]
        return unsupported(tool, ("allowed_domains", "location"), "OpenAI")

    def _with_fees(self, spent: Spent, whole: JsonObject) -> Spent:
        """Add to a call's token counts the number of web searches, and whether the price tables lack fees of the call.

        The searches are counted in the answer, because the usage that OpenAI reports does not contain their number.
        """
        items = list_at(whole, "output")
        searches = [item for item in items if item.get("type") == "web_search_call"]
        fetched = [item for item in searches if text(inside(item, "action"), "type") in _FREE]
        fees = any(item.get("type") in _WITH_FEES for item in items)
        return replace(spent, web_searches=len(searches) - len(fetched), is_special=spent.is_special or fees)

    def _items(self, message: Message) -> Iterator[JsonValue]:
        if message.role == "tool":
            output: JsonValue = tool_result(message.text, is_error=message.is_error)
            if message.media:
                output = [{"type": "input_text", "text": output}, *_iter_media_items(message)]
            yield {"type": "function_call_output", "call_id": call_id(message.call_id), "output": output}
        elif message.role == "assistant":
            yield from self._find_sealed_items(message) or _assemble_items(message)
        elif message.media:
            yield {
                "role": "user",
                "content": [{"type": "input_text", "text": message.text}, *_iter_media_items(message)],
            }
        else:
            yield {"role": "user", "content": message.text}

    def _find_sealed_items(self, message: Message) -> list[JsonValue]:
        """Return the items of an earlier answer as OpenAI sent them, including encrypted reasoning.

        The result is [] if the items cannot be sent back: another provider sent them, the message was changed since, or
        the reasoning is not encrypted.

        OpenAI also refuses an answer that was cut off, such as reasoning without the item that should follow, or a call
        without a result. An unfinished end of the answer is therefore removed. If an item in the middle is unfinished,
        the answer is not sent back.
        """
        native = message.native or {}
        items = list_at(native, "content")
        if native.get("provider") != self._provider or _read_final_text(items) != message.text:
            return []
        called = {call.id for call in message.calls}
        while items and _is_unfinished_item(items[-1], called):
            items.pop()
        if [call.id for call in _read_function_calls(items)] != [call.id for call in message.calls]:
            return []
        has_gap = any(item.get("type") != "reasoning" and _is_unfinished_item(item, called) for item in items)
        thoughts = [item for item in items if item.get("type") == "reasoning"]
        is_whole = not has_gap and all(text(item, "encrypted_content") for item in thoughts)
        return [{key: value for key, value in item.items() if value is not None} for item in items] if is_whole else []

    def _response(self, whole: JsonObject) -> Response:
        items = self._check_output_items(whole)
        stop, why = _stop(whole, items)
        return Response(
            utf8_text(_read_final_text(items)),
            calls=_read_function_calls(items) if stop == "tools" else (),
            stop=stop,
            why=utf8_text(why),
            native=self._native(items),
        )

    def _check_output_items(self, whole: JsonObject) -> list[JsonObject]:
        """Return the items of an answer, such as its texts and tool calls.

        Raises an error if the answer's status is a failure.
        """
        error, status = whole.get("error"), whole.get("status", "completed")
        if error:
            raise self._server.refused(error)
        if not isinstance(whole.get("output"), list):
            raise NotThisApi("the server there has no Responses API")
        items = list_at(whole, "output")
        if status == "failed":
            raise self._server.error(ModelOverloaded, "failed without an explanation")
        if status not in {"completed", "incomplete"}:
            raise self._server.torn("returned an incomplete answer", f"the status of the answer is {status}")
        if status == "incomplete" and (reason := text(inside(whole, "incomplete_details"), "reason")) not in _REASONS:
            raise self._server.unknown_end(reason)
        return items

    def _native(self, items: list[JsonObject]) -> dict[str, JsonValue] | None:
        """Return an answer in OpenAI's own JSON, to be sent back with the next request.

        Returns None if the answer consists of text and tool calls only, because these are stored anyway.
        """
        more = any(unknown(item, _KNOWN.get(text(item, "type"), ())) for item in items)
        more = more or any(part.get("annotations") for item in items for part in list_at(item, "content"))
        content: list[JsonValue] = [*items]
        return {"provider": self._provider, "content": sound_json(content, levels=DEEPEST)} if more else None


class _Events(StreamReader):
    """Reads the events of a streamed answer. The last event contains the complete answer."""

    def __init__(self, server: OpenAIServer, request: Request) -> None:
        super().__init__(server, request)
        self._items: list[JsonValue] = []
        self._last: JsonObject | None = None

    def take(self, event: JsonObject) -> bool:
        """Pass the text or thinking of an event on to the caller, and return whether the answer is now complete.

        Raises:
            ModelError: The event is an error.
        """
        kind = text(event, "type")
        if kind.startswith("response.output"):
            self._request.began()
        if kind == "response.output_text.delta":
            self._request.emit_text(utf8_text(text(event, "delta")))
        elif kind in _THINKING:
            self._request.emit_thinking(utf8_text(text(event, "delta")))
        elif kind == "response.output_item.done":
            self._items.append(event.get("item"))
        elif kind in {"response.completed", "response.incomplete", "response.failed"}:
            self._last = inside(event, "response") or None
        elif kind == "error":
            raise self._server.refused({**event, "type": ""})
        return self._last is not None

    def whole(self) -> JsonObject:
        """Return the complete answer, after the stream has ended.

        The last event contains the whole answer. Some servers omit its items there, because they have sent each item
        before. The items are then taken from the earlier events.

        Raises:
            AnswerTorn: The stream ended before the answer was complete.
        """
        if self._last is None:
            raise self._server.torn("ended its answer before it was complete")
        return self._last if self._last.get("output") else {**self._last, "output": self._items}


def _after_compaction(items: list[JsonValue]) -> list[JsonValue]:
    """Drop the items of a conversation that OpenAI's last compaction has replaced by a shorter form."""
    places = [place for place, item in enumerate(items) if isinstance(item, dict) and item.get("type") == "compaction"]
    return items[places[-1] :] if places else items


def _iter_media_items(message: Message) -> Iterator[JsonValue]:
    """Yield the media of a message in the API's form, each after its label such as `[media 1: photo.png]`.

    Raises:
        BadRequest: The API does not accept media of this type.
    """
    for mark, one in message.labelled_media():
        yield {"type": "input_text", "text": mark}
        if one.kind == "image":
            place = {"file_id": one.file_id} if one.file_id else {"image_url": one.url or data_url(one)}
            yield {"type": "input_image", **place, "detail": "auto"}
        elif one.file_id:
            yield {"type": "input_file", "file_id": one.file_id}
        elif one.url and one.kind != "audio":
            yield {"type": "input_file", "file_url": one.url}
        elif one.type == PDF:
            yield {"type": "input_file", "filename": file_name(one), "file_data": data_url(one)}
        else:
            raise cannot_show(one)


def _assemble_items(message: Message) -> Iterator[JsonValue]:
    """Convert an earlier answer to items of OpenAI's Responses API, from the answer's text and tool calls alone.

    This is needed for answers of other providers, and for answers whose original items OpenAI would refuse to read
    back.
    """
    if message.text.strip():
        # Servers of other companies require the type.
        yield {"type": "message", "role": "assistant", "content": message.text}
    for call in message.calls:
        written = sendable(call.arguments)
        yield {
            "type": "function_call",
            "call_id": call_id(call.id),
            "name": called_name(call.name),
            "arguments": written,
        }


def _build_function_spec(tool: ToolSpec) -> JsonObject:
    form = form_of_tool(tool)
    spec: JsonObject = {"type": "function", "name": form.name, "description": tool.description}
    return {**spec, "parameters": form.schema, "strict": form.strict}


def _build_hosted_spec(tool: HostedTool) -> JsonObject:
    spec: JsonObject = {"type": _TYPES[tool.name]}
    if tool.name == "code_execution":
        spec["container"] = {"type": "auto"}
    if domains := tool.options.get("allowed_domains"):
        spec["filters"] = {"allowed_domains": domains}
    if location(tool):
        spec["user_location"] = {"type": "approximate", **location(tool)}
    return merged(spec, tool.extra)


def _build_tool_choice(name: str, request: Request) -> JsonObject:
    """Build the setting that forces the model to call this tool."""
    hosted = next((_TYPES[tool.name] for tool in request.hosted if tool.name == name), None)
    return {"type": "function", "name": name} if hosted is None else {"type": hosted}


def _read_final_text(items: list[JsonObject]) -> str:
    """Return the text of an answer, from its items.

    If one message in the answer is marked as the final answer, the other messages are comments and are left out.
    """
    messages = [item for item in items if item.get("type") == "message"]
    final = [item for item in messages if item.get("phase") == "final_answer"]
    parts = [part for item in final or messages for part in list_at(item, "content")]
    whole = [text(item, "content") for item in final or messages]  # of servers that send a text instead of parts
    return "".join([*whole, *(text(part, "text") for part in parts if part.get("type") in {"output_text", "text"})])


def _read_function_calls(items: list[JsonObject]) -> tuple[ToolCall, ...]:
    return tuple(
        ToolCall(
            id=utf8_text(text(item, "call_id") or text(item, "id")),
            name=utf8_text(text(item, "name")),
            arguments=arguments(item.get("arguments")),
        )
        for item in items
        if item.get("type") == "function_call" and item.get("status") != _CUT
    )


def _is_unfinished_item(item: JsonObject, called: Collection[str]) -> bool:
    """Return whether the answer was cut off at this item, so that OpenAI would refuse an answer that ends with it.

    Reasoning counts as unfinished too, because another item has to follow it.
    """
    kind, status = text(item, "type"), text(item, "status")
    if kind == "function_call":
        return status == _CUT or (text(item, "call_id") or text(item, "id")) not in called
    if kind == "message":
        return status not in {"", "completed"} and not _read_final_text([item])
    return kind == "reasoning" or (kind.endswith("_call") and status in _UNENDED)


def _stop(whole: JsonObject, items: list[JsonObject]) -> tuple[Stop, str]:
    """Return why the answer ended, and the provider's explanation if it refused to answer."""
    reason = text(inside(whole, "incomplete_details"), "reason")
    if reason == "content_filter":
        return "refused", "the provider's content filter"
    if whole.get("status") == "incomplete":
        return "cut", ""
    parts = [part for item in items for part in list_at(item, "content")]
    refusals = [text(part, "refusal") for part in parts if part.get("type") == "refusal"]
    if refusals:
        return "refused", "".join(refusals)
    if _read_function_calls(items):
        return "tools", ""
    return ("cut" if any(item.get("type") == "function_call" for item in items) else "end"), ""


__all__ = ["OpenAIModel"]
