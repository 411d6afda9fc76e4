"""Models of pydantic-ai, for its providers that have no adapter here: Google, Groq, Mistral, Cohere, xAI and others.

A request is converted to pydantic-ai's messages, settings and tools, and its answer to a `Response`. An answer that
contains more than text and calls is sent back in pydantic-ai's own form.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from graphengine.errors import DefinitionError
from graphengine.kernel.extension import utf8_text
from graphengine.models.base import Response, Stop, ToolCall, cannot_show
from graphengine.models.call_ids import paired
from graphengine.models.errors import (
    AnswerRefused,
    AnswerTorn,
    BadRequest,
    ContextFull,
    ModelError,
    ModelOverloaded,
    ModelTimeout,
    ModelUnavailable,
    ModelUnreachable,
    NotAuthenticated,
    QuotaExceeded,
    RateLimited,
    UnknownModel,
)
from graphengine.models.openai_parts import call_id, sendable
from graphengine.models.prices import STANDARD_TIERS, Spent, prices_sound
from graphengine.models.received import list_at
from graphengine.models.refusals import REPAIRS, WHAT, Complaint, advised, kind_of_status, shorten_outside_text
from graphengine.models.sdk import check_allowed, load, schema_in_words, sound_json
from graphengine.models.settings import refuse_lacking

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import JsonValue
    from pydantic_ai import messages as parts
    from pydantic_ai.models import Model as PydanticModel
    from pydantic_ai.models import ModelRequestParameters, StreamedResponse
    from pydantic_ai.settings import ModelSettings

    from graphengine.media import Media
    from graphengine.models.base import Form, Message, Request
    from graphengine.models.limiter import RateLimiter
    from graphengine.models.settings import Settings

EXTRA: Final = "pydantic-ai"
_SAME: Final = ("seed", "presence_penalty", "frequency_penalty", "parallel_tool_calls")
_STOPS: Final[dict[str, Stop]] = {"length": "cut", "content_filter": "refused"}
# The first matching entry counts, so subclasses come before their bases.
_KINDS: Final[dict[str, type[ModelError]]] = {
    "ModelContextWindowExceededError": ContextFull,
    "ModelAuthenticationError": NotAuthenticated,
    "ModelNotFoundError": UnknownModel,
    "ModelRequestRejectedError": BadRequest,
    "ModelRateLimitError": RateLimited,
    "ModelQuotaExceededError": QuotaExceeded,
    "ModelUnavailableError": ModelOverloaded,
    "ModelServerError": ModelOverloaded,
    "ModelTimeoutError": ModelTimeout,
    "ModelConnectionError": ModelUnreachable,
    "ContentFilterError": AnswerRefused,
    "UnexpectedModelBehavior": AnswerTorn,
    "UserError": BadRequest,
    "UnicodeError": BadRequest,
    "LookupError": AnswerTorn,  # pydantic-ai raises this and the two errors below when it reads a malformed answer
    "TypeError": AnswerTorn,
    "ValueError": AnswerTorn,
}


class PydanticAIModel:
    """Calls a model through pydantic-ai, for providers that graphengine has no adapter for.

    A `PydanticAIModel` switches off the retries of the provider's SDK if pydantic-ai supports that, because graphengine
    retries failed calls itself.

    Args:
        model: The model's name in pydantic-ai, such as `google:gemini-2.5-pro`, or a model object of pydantic-ai.
        timeout_seconds: How long the provider may take. This is pydantic-ai's setting `timeout`.
        limiter: The rate limiter; None for a limiter of this model only.

    Raises:
        DefinitionError: `model` is neither a name nor a model of pydantic-ai.

    Example:
        >>> PydanticAIModel("google:gemini-2.5-pro").name
        'pydantic-ai:google:gemini-2.5-pro'
    """

    def __init__(
        self, model: str | PydanticModel, *, timeout_seconds: float = 600.0, limiter: RateLimiter | None = None
    ) -> None:
        if not (isinstance(model, str) and model.strip()) and not hasattr(model, "model_name"):
            text = f"PydanticAIModel({model!r}): the model must be a name or a model object of pydantic-ai"
            repair = "write PydanticAIModel('google:gemini-2.5-pro')"
            raise DefinitionError(text, where="PydanticAIModel", repair=repair)
        name = model if isinstance(model, str) else f"{model.system}:{model.model_name}"
        self.name = f"pydantic-ai:{name}"
        self._given = model
        self._timeout_seconds = timeout_seconds
        self._model: PydanticModel | None = None if isinstance(model, str) else model
        if limiter is not None:
            self.limiter = limiter

    def __repr__(self) -> str:
        return f"PydanticAIModel({self._given!r})"

    async def answer(self, request: Request) -> Response:
        """Call the model once and return its answer.

        Raises:
            ModelError: The call failed; the class states how.
        """
        refuse_lacking(self, request.settings, request.agent)
        await load("pydantic_ai", EXTRA)
        await load("pydantic_ai.direct", EXTRA)
        from pydantic_ai import direct  # noqa: PLC0415 - loaded now
        from pydantic_ai.exceptions import AgentRunError, UserError  # noqa: PLC0415

        began = False
        try:
            model = self._infer_model()
            check_allowed(self.name, model.base_url)
            if hasattr(model, "_refresh_http_client"):
                model._refresh_http_client()  # noqa: SLF001 - as an agent of pydantic-ai does, for another event loop
            sent = self._messages(request, has_schema=_takes_schema(model))
            settings = {"max_retries": 0, "timeout": self._timeout_seconds, **_settings(request)}
            options: Any = {"model_settings": settings, "model_request_parameters": _parameters(model, request)}
            if not request.streams:
                found = await direct.model_request(model, sent, **options)
            else:
                async with direct.model_request_stream(model, sent, **options) as stream:
                    async for event in stream:
                        began = True
                        show(event, request)
                found = whole(stream)
        except (AgentRunError, UserError, NotImplementedError, LookupError, TypeError, ValueError) as error:
            raise translated(error, self.name, began=began, key=key_of(self._model)) from None
        form: Form = "" if request.schema is None else "native" if _takes_schema(model) else "words"
        return replace(self.response_of(found), form=form)

    def lacks(self, settings: Settings) -> Mapping[str, str]:
        """Return the settings that pydantic-ai does not pass on, each with advice on how to fix it."""
        repair = "give in extra={…} the field that the model's provider has for this setting"
        return {"verbosity": repair} if settings.verbosity is not None else {}

    async def close(self) -> None:
        """Close the connections of the provider's client, unless other models share it."""
        if self._model is not None:
            async with self._model:
                pass

    def _infer_model(self) -> PydanticModel:
        """Return pydantic-ai's model object. If the user gave a name, the object is made at the first call.

        Raises:
            ModelUnavailable: The package or the key of the model's provider is missing, or the name is unknown.
        """
        if self._model is None:
            from pydantic_ai.exceptions import UserError  # noqa: PLC0415 - loaded by `answer`
            from pydantic_ai.models import infer_model  # noqa: PLC0415 - as above

            try:
                self._model = infer_model(cast("str", self._given))
            except (ImportError, UserError, ValueError) as error:
                repair = "install the package or set the key that pydantic-ai names, or check the name of the model"
                text = f"the model {self.name!r} cannot be used: {shorten_outside_text(error)}"
                raise ModelUnavailable(text, where=f"model {self.name}", repair=repair) from None
        return self._model

    def _messages(self, request: Request, *, has_schema: bool) -> list[parts.ModelMessage]:
        from pydantic_ai.messages import ModelMessagesTypeAdapter, ModelRequest, ModelResponse  # noqa: PLC0415

        converted: list[parts.ModelMessage] = []
        names = {call.id: call.name for message in request.messages for call in message.calls}
        for message in paired(request.messages):
            if message.role == "assistant" and (own := self._own(message)):
                converted += ModelMessagesTypeAdapter.validate_python(own)
            elif message.role == "assistant":
                answer_parts = _answer_parts(message)
                converted += [ModelResponse(answer_parts)] if answer_parts else []
            elif converted and isinstance(converted[-1], ModelRequest):
                converted[-1] = replace(converted[-1], parts=[*converted[-1].parts, *_question_parts(message, names)])
            else:
                converted.append(ModelRequest(_question_parts(message, names)))
        words = "" if request.schema is None or has_schema else schema_in_words(request)
        system = "\n\n".join(part for part in (request.system, words) if part)
        if system and converted and isinstance(converted[-1], ModelRequest):
            converted[-1] = replace(converted[-1], instructions=utf8_text(system))
        return converted

    def _own(self, message: Message) -> list[JsonValue]:
        """Return an earlier answer in pydantic-ai's own form.

        Returns an empty list if the answer is from another model, or if its tool calls were changed since.
        """
        native = message.native or {}
        found = list_at(native, "content") if native.get("provider") == self.name else []
        inside = [part for each in found for part in list_at(each, "parts") if part.get("part_kind") == "tool-call"]
        is_same = [part.get("tool_call_id") for part in inside] == [call.id for call in message.calls]
        return [*found] if is_same else []

    def response_of(self, found: parts.ModelResponse) -> Response:
        """Convert a response of pydantic-ai to a `Response` of graphengine."""
        used, reason = found.usage, found.finish_reason or ""
        if reason == "error":
            raise ModelOverloaded(f"{self.name} broke off its answer (error)", repair=REPAIRS[ModelOverloaded])
        calls = tuple(
            ToolCall(id=call.tool_call_id, name=call.tool_name, arguments=call.args_as_json_str())
            for call in found.tool_calls
        )
        stop = _STOPS.get(reason, "tools" if calls else "end")
        text = "".join(part.content for part in found.parts if part.part_kind == "text")
        details = found.provider_details or {}
        return Response(
            utf8_text(text),
            calls=calls if stop == "tools" else (),
            stop=stop,
            why=utf8_text(str(details.get("refusal") or "")) if stop == "refused" else "",
            model=f"pydantic-ai:{found.model_name}" if found.model_name else "",
            input_tokens=used.input_tokens,
            cache_read_tokens=used.cache_read_tokens,
            cache_write_tokens=used.cache_write_tokens,
            output_tokens=used.output_tokens,
            reasoning_tokens=min(used.output_reasoning_tokens or 0, used.output_tokens),
            cost_usd=_find_response_cost(found),
            native=self._native(found),
            id=utf8_text(found.provider_response_id or ""),
        )

    def _native(self, found: parts.ModelResponse) -> dict[str, Any] | None:
        """Return an answer in pydantic-ai's own form, to be sent back with the next request.

        Returns None if the answer consists of text and tool calls only, because these are stored anyway.
        """
        from pydantic_ai.messages import ModelMessagesTypeAdapter  # noqa: PLC0415 - loaded by `answer`

        plain = {"text", "tool-call"}
        if all(part.part_kind in plain and not getattr(part, "provider_details", None) for part in found.parts):
            return None
        content = ModelMessagesTypeAdapter.dump_python([found], mode="json")
        return {"provider": self.name, "content": sound_json(content)}


def translated(error: Exception, model: str, *, began: bool = False, key: str = "") -> ModelError:
    """Convert an exception of pydantic-ai to the matching `ModelError`.

    Args:
        error: The error.
        model: The model's name.
        began: Whether a part of the answer had arrived.
        key: The provider's key, which is hidden in the message.
    """
    names = [kind.__name__ for kind in type(error).__mro__]
    kind = next((found for name, found in _KINDS.items() if name in names), ModelError)
    headers = None
    if "ModelHTTPError" in names:
        failed: Any = error
        headers = failed.headers
        kind = kind_of_status(failed.status_code) if kind is ModelError else kind
    elif kind is ModelError and "ModelAPIError" in names:
        kind = AnswerTorn
    if began and kind is ModelUnreachable:
        kind = AnswerTorn
    model_error = kind(
        f"{model} {WHAT.get(kind, 'failed')}: {shorten_outside_text(error, key)}",
        where=f"model {model}",
        repair="follow the message of pydantic-ai",
    )
    if kind is ModelUnreachable:
        model_error.usage = {}
    return advised(model_error, headers or {}, Complaint(message=model_error.message))


def key_of(model: PydanticModel | None) -> str:
    """Return the API key of the model's provider, so that errors can hide it; "" if it cannot be found."""
    client = getattr(getattr(model, "provider", None), "client", None)
    key = getattr(client, "api_key", "")
    return key if isinstance(key, str) else ""


def _takes_schema(model: PydanticModel) -> bool:
    return bool(model.profile.get("supports_json_schema_output", False))


def _parameters(model: PydanticModel, request: Request) -> ModelRequestParameters:
    from pydantic_ai.models import ModelRequestParameters  # noqa: PLC0415 - loaded by `answer`
    from pydantic_ai.output import OutputObjectDefinition  # noqa: PLC0415 - as above
    from pydantic_ai.tools import ToolDefinition  # noqa: PLC0415 - as above

    tools = [
        ToolDefinition(
            name=tool.name,
            description=utf8_text(tool.description),
            parameters_json_schema=_sanitise_schema(tool.schema),
        )
        for tool in request.tools
    ]
    if request.schema is None or not _takes_schema(model):
        return ModelRequestParameters(function_tools=tools, allow_text_output=True)
    wanted = OutputObjectDefinition(json_schema=_sanitise_schema(request.schema), name=request.output)
    return ModelRequestParameters(
        function_tools=tools, output_mode="native", output_object=wanted, allow_text_output=True
    )


def _sanitise_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    return sound_json(dict(schema))


def _settings(request: Request) -> ModelSettings:
    options = request.settings.given()
    names = ("max_tokens", "temperature", "top_p", "top_k", "tool_choice", "service_tier", *_SAME)
    found: dict[str, Any] = {name: options[name] for name in names if name in options}
    if "stop" in options:
        found["stop_sequences"] = list(options["stop"])
    effort, thinking = options.get("effort"), options.get("thinking")
    if effort is not None or thinking is not None:
        found["thinking"] = False if effort == "none" else effort if effort is not None else bool(thinking)
    if "tool_choice" in found and found["tool_choice"] not in ("auto", "required", "none"):
        found["tool_choice"] = [found["tool_choice"]]
    if "headers" in options:
        found["extra_headers"] = dict(options["headers"])
    if "extra" in options:
        found["extra_body"] = dict(options["extra"])
    return cast("ModelSettings", found)


def _question_parts(message: Message, names: Mapping[str, str]) -> Sequence[parts.ModelRequestPart]:
    from pydantic_ai.messages import ToolReturnPart, UserPromptPart  # noqa: PLC0415 - loaded by `answer`

    shown_parts = _label_media(message)
    if message.role != "tool":
        return [UserPromptPart([utf8_text(message.text), *shown_parts] if shown_parts else utf8_text(message.text))]
    returned = ToolReturnPart(
        tool_name=names.get(message.call_id, "tool"),
        content=utf8_text(message.text),
        tool_call_id=call_id(message.call_id),
        outcome="failed" if message.is_error else "success",
    )
    return [returned, *([UserPromptPart(shown_parts)] if shown_parts else [])]


def _label_media(message: Message) -> list[Any]:
    found: list[Any] = []
    for mark, one in message.labelled_media():
        found += [mark, binary(one)]
    return found


def binary(one: Media) -> parts.BinaryContent | parts.ImageUrl | parts.AudioUrl | parts.DocumentUrl:
    """Convert an image, document or sound to pydantic-ai's form.

    Raises:
        BadRequest: The media is given by the id of an uploaded file, which pydantic-ai does not support.
    """
    from pydantic_ai.messages import AudioUrl, BinaryContent, DocumentUrl, ImageUrl  # noqa: PLC0415 - as the caller

    if one.file_id:
        raise cannot_show(one)
    if one.url:
        kind = ImageUrl if one.kind == "image" else AudioUrl if one.kind == "audio" else DocumentUrl
        return kind(one.url, media_type=one.type)
    return BinaryContent(one.content, media_type=one.type)


def _answer_parts(message: Message) -> list[parts.ModelResponsePart]:
    from pydantic_ai.messages import TextPart, ToolCallPart  # noqa: PLC0415 - loaded by `answer`

    calls = [ToolCallPart(call.name, sendable(call.arguments), call_id(call.id)) for call in message.calls]
    return [TextPart(utf8_text(message.text)), *calls] if message.text.strip() else [*calls]


def whole(stream: StreamedResponse) -> parts.ModelResponse:
    """Return the complete answer after its stream has ended.

    Raises:
        UnexpectedModelBehavior: The stream ended before the answer was complete.
    """
    from pydantic_ai.exceptions import UnexpectedModelBehavior  # noqa: PLC0415 - loaded by the caller

    found = stream.get()
    if found.usage.unmeasured_requests and "finish_reason" not in (found.provider_details or {}):
        raise UnexpectedModelBehavior("the stream ended before the answer was complete")
    return found


def show(event: object, request: Request) -> None:
    """Pass the text or thinking of a stream event on to the caller."""
    request.began()
    part = getattr(event, "part", None) if getattr(event, "event_kind", "") == "part_start" else None
    delta = getattr(event, "delta", None)
    kind = getattr(part, "part_kind", "") or getattr(delta, "part_delta_kind", "")
    piece = getattr(part, "content", None) if part is not None else getattr(delta, "content_delta", None)
    if isinstance(piece, str) and piece:
        if kind == "text":
            request.emit_text(utf8_text(piece))
        elif kind == "thinking":
            request.emit_thinking(utf8_text(piece))


def _find_response_cost(found: parts.ModelResponse) -> float | None:
    """Return the cost by pydantic-ai's price tables; None if they do not apply to this call or this address."""
    usage, address = found.usage, found.provider_url
    tier = str((found.provider_details or {}).get("service_tier") or "").lower()
    if not usage.input_tokens or tier not in STANDARD_TIERS:
        return None
    try:
        priced = found.cost()
    except (AssertionError, LookupError, ValueError):
        return None
    spent = Spent(input_audio_tokens=usage.input_audio_tokens, output_audio_tokens=usage.output_audio_tokens)
    # In this case only the provider's name matches.
    elsewhere = address and not re.match(priced.provider.api_pattern, address)
    return None if elsewhere or not prices_sound(spent, priced.model_price) else float(priced.total_price)


__all__ = ["EXTRA", "PydanticAIModel", "binary", "key_of", "show", "translated", "whole"]
