"""OpenAI's models through its Responses API. Nothing of a conversation is stored there (`store=False`).

`_Call` writes a `Request` as this API wants it and reads what comes back; `openai_calls.py` carries it, and
`openai_errors.py` tells what went wrong. A model that thinks seals its thoughts and wants them back with the next
question; they travel in `Message.native`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphengine.errors import ModelError, ModelOverloaded
from graphengine.models.base import Response, ToolCall
from graphengine.models.openai_calls import Server
from graphengine.models.openai_errors import complaint, failed, not_said
from graphengine.models.openai_parts import (
    arguments,
    cache_key,
    call_id,
    form_of_answer,
    form_of_tool,
    inside,
    instructions,
    listed,
    reported,
    sendable,
    text,
    thinks,
    tool_result,
    unknown,
    used,
)
from graphengine.models.prices import Prices
from graphengine.models.sdk import sound, sound_json
from graphengine.state.json_values import DEEPEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import JsonValue

    from graphengine.models.base import Message, Request, Stop, ToolSpec
    from graphengine.models.openai_schema import JsonObject
    from graphengine.models.prices import Price

_PATH: Final = "/responses"
_SEALED: Final = "reasoning.encrypted_content"


_KNOWN: Final = {
    "message": ("id", "type", "status", "role", "content"),
    "function_call": ("id", "type", "status", "call_id", "name", "arguments"),
}
"""What parts of an answer have that its text and calls say too. Others, and those with more, go back as they came."""


class OpenAIModel:
    """A model of OpenAI's, or of a server that has its Responses API, asked through the `openai` package.

    Args:
        model: Its name, as `gpt-5-mini`.
        api_key: The key; None for the environment's `OPENAI_API_KEY`. That one is sent to OpenAI alone, and to the
            server of `OPENAI_BASE_URL`, not to a `base_url` given here.
        base_url: Where the API is, mostly ending in /v1; None for `OPENAI_BASE_URL`, or OpenAI itself.
        timeout_seconds: For how long the server may send nothing before the call fails with `ModelTimeout`.
        price: What it costs, where the price tables do not know or do not fit.

    Raises:
        DefinitionError: An argument makes no sense.

    Example:
        >>> OpenAIModel("gpt-5-mini").name
        'openai:gpt-5-mini'
    """

    def __init__(
        self,
        model: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout_seconds: float = 600.0,
        price: Price | None = None,
    ) -> None:
        self.model = model
        self.name = f"openai:{model}"
        self._server = Server(self.name, api_key=api_key, base_url=base_url, timeout_seconds=timeout_seconds)
        self._prices = Prices("openai" if self._server.is_own else "", model, given=price, address=self._server.address)

    async def answer(self, request: Request) -> Response:
        """The answer to one request. `temperature` is passed over by a model that thinks, which has none.

        Raises:
            ModelError: The call failed; of the kind that fits.
        """
        call = _Call(self.model, self._server)
        body = call.body(request)
        if not request.streams:
            whole = await self._server.whole(_PATH, body)
        else:
            events = _Events(self._server, request)
            unstreamed = await self._server.stream(_PATH, {**body, "stream": True}, events.take)
            whole = events.whole() if unstreamed is None else unstreamed
        try:
            with self._server.reading():
                return await call.response(whole, self._prices)
        except ModelError as error:
            error.usage = await self._prices.usage(reported(inside(whole, "usage"), "input_tokens", "output_tokens"))
            raise

    async def close(self) -> None:
        """Close what the running event loop has open."""
        await self._server.close()

    async def knows_price(self) -> bool:
        """Whether `cost_usd` of its answers will be known."""
        return await self._prices.known()


class _Events:
    """Gathers what a stream brings: the text for who watches, and the whole answer, which comes with the last event."""

    def __init__(self, server: Server, request: Request) -> None:
        self._server = server
        self._request = request
        self._items: list[JsonValue] = []
        self._last: JsonObject | None = None

    def take(self, event: JsonObject) -> bool:
        """Whether the answer is whole with this event.

        Raises:
            ModelError: It is an error.
        """
        kind = text(event, "type")
        if kind.startswith("response.output"):
            self._request.began()
        if kind == "response.output_text.delta":
            self._request.said(sound(text(event, "delta")))
        elif kind == "response.output_item.done":
            self._items.append(event.get("item"))
        elif kind in {"response.completed", "response.incomplete", "response.failed"}:
            self._last = inside(event, "response") or None
        elif kind == "error":
            raise failed(complaint(inside(event, "error") or {**event, "type": ""}), self._server.failures)
        return self._last is not None

    def whole(self) -> JsonObject:
        """The whole answer; some servers leave its parts out of the last event, having sent each before.

        Raises:
            AnswerTorn: The stream ended before it was there.
        """
        if self._last is None:
            raise self._server.torn("ended its answer before it was whole")
        return self._last if self._last.get("output") else {**self._last, "output": self._items}


class _Call:
    """One request as the Responses API writes it, and its answer as it is read."""

    def __init__(self, model: str, server: Server) -> None:
        self._model = model
        self._server = server
        self._provider = "openai" if server.is_own else f"openai {server.shown_address}"

    def body(self, request: Request) -> JsonObject:
        """The request; what was not asked for is not in it, so that defaults are the provider's."""
        body: JsonObject = {"model": self._model, "store": False}
        system = instructions(request)
        if system:
            body["instructions"] = system
        body["input"] = [item for message in request.messages for item in self._items(message)]
        if request.tools:
            body["tools"] = [_tool(tool) for tool in request.tools]
        form = form_of_answer(request)
        if form is not None:
            wanted: JsonObject = {"type": "json_schema", "name": form.name, "schema": form.schema}
            body["text"] = {"format": {**wanted, "strict": form.strict}}
        return body | self._settings(request)

    def _settings(self, request: Request) -> JsonObject:
        """The rest of it. Only OpenAI's own server is told what others may refuse for not knowing it."""
        found: JsonObject = {}
        thinking = self._server.is_own and thinks(self._model)
        if request.max_tokens is not None:
            found["max_output_tokens"] = request.max_tokens
        if request.temperature is not None and not thinking:
            found["temperature"] = request.temperature
        if request.effort is not None:
            found["reasoning"] = {"effort": request.effort}
        if thinking:
            found["include"] = [_SEALED]
        if request.cache and self._server.is_own:
            found["prompt_cache_key"] = cache_key(request.system, request.tools)
        return found

    def _items(self, message: Message) -> Iterator[JsonValue]:
        if message.role == "tool":
            output = tool_result(message.text, is_error=message.is_error)
            yield {"type": "function_call_output", "call_id": call_id(message.call_id), "output": output}
        elif message.role == "assistant":
            yield from self._sealed(message) or _spoken(message)
        else:
            yield {"role": "user", "content": message.text}

    def _sealed(self, message: Message) -> list[JsonValue]:
        """The answer as it came; [] if it came from elsewhere, is not what the message says, or has lost its seal."""
        native = message.native or {}
        items = listed(native, "content")
        if native.get("provider") != self._provider or _text(items) != message.text:
            return []
        if [call.id for call in _calls(items)] != [call.id for call in message.calls]:
            return []
        return [*items] if all(text(item, "encrypted_content") for item in _thoughts(items)) else []

    async def response(self, whole: JsonObject, prices: Prices) -> Response:
        """The answer, read.

        Raises:
            ModelError: It is none.
        """
        items = self._checked(whole)
        stop, why = _stop(whole, items)
        tokens = used(inside(whole, "usage"), "input_tokens", "output_tokens")
        answered = sound(text(whole, "model"))
        return Response(
            sound(_text(items)),
            calls=_calls(items) if stop == "tools" else (),
            stop=stop,
            why=sound(why),
            model=f"openai:{answered}" if answered else "",
            input_tokens=tokens.spent.input_tokens,
            cache_read_tokens=tokens.spent.cache_read_tokens,
            cache_write_tokens=tokens.spent.cache_write_tokens,
            output_tokens=tokens.spent.output_tokens,
            reasoning_tokens=tokens.reasoning_tokens,
            cost_usd=await prices.cost(tokens.spent, answered) if tokens.told else None,
            native=self._native(items),
        )

    def _checked(self, whole: JsonObject) -> list[JsonObject]:
        """The parts of the answer."""
        error, status = whole.get("error"), whole.get("status", "completed")
        if error:
            raise failed(complaint(error), self._server.failures)
        if not isinstance(whole.get("output"), list):
            raise not_said(self._server.failures, "is not at this address: what answers there is no Responses API")
        items = listed(whole, "output")
        if status == "failed":
            raise self._server.failures.of(ModelOverloaded, "failed, and does not say why")
        if status not in {"completed", "incomplete"}:
            raise self._server.torn("gave an answer that is not whole", f"its status is {status}")
        return items

    def _native(self, items: list[JsonObject]) -> dict[str, JsonValue] | None:
        """The answer for its next question, where it is more than text and calls."""
        more = any(unknown(item, _KNOWN.get(text(item, "type"), ())) for item in items)
        return {"provider": self._provider, "content": sound_json([*items], levels=DEEPEST)} if more else None


def _spoken(message: Message) -> Iterator[JsonValue]:
    """An answer from its text and calls alone."""
    if message.text or not message.calls:
        yield {"role": "assistant", "content": message.text}
    for call in message.calls:
        written = sendable(call.arguments)
        yield {"type": "function_call", "call_id": call_id(call.id), "name": call.name, "arguments": written}


def _tool(tool: ToolSpec) -> JsonObject:
    form = form_of_tool(tool)
    told: JsonObject = {"type": "function", "name": form.name, "description": tool.description}
    return {**told, "parameters": form.schema, "strict": form.strict}


def _text(items: list[JsonObject]) -> str:
    """What is said; where a part is marked as the final answer, what is said before that is only about the work."""
    said = [item for item in items if item.get("type") == "message"]
    final = [item for item in said if item.get("phase") == "final_answer"]
    parts = [part for item in final or said for part in listed(item, "content")]
    return "".join(text(part, "text") for part in parts if part.get("type") == "output_text")


def _thoughts(items: list[JsonObject]) -> list[JsonObject]:
    return [item for item in items if item.get("type") == "reasoning"]


def _calls(items: list[JsonObject]) -> tuple[ToolCall, ...]:
    return tuple(
        ToolCall(
            id=sound(text(item, "call_id") or text(item, "id")),
            name=sound(text(item, "name")),
            arguments=arguments(item.get("arguments")),
        )
        for item in items
        if item.get("type") == "function_call"
    )


def _stop(whole: JsonObject, items: list[JsonObject]) -> tuple[Stop, str]:
    """Why the answer ends, and what is said of a refusal."""
    reason = text(inside(whole, "incomplete_details"), "reason")
    if reason == "content_filter":
        return "refused", "the provider's content filter"
    if whole.get("status") == "incomplete":
        return "cut", ""
    parts = [part for item in items for part in listed(item, "content")]
    refusals = [text(part, "refusal") for part in parts if part.get("type") == "refusal"]
    if refusals:
        return "refused", "".join(refusals)
    return ("tools", "") if any(item.get("type") == "function_call" for item in items) else ("end", "")


__all__ = ["OpenAIModel"]
