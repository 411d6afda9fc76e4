"""Anthropic's models, through Anthropic's SDK.

One call of `answer` is one call of the Messages API: streamed if the caller wants pieces of the answer or if the answer
may be long, else at once. `anthropic_forms` makes the request and reads the answer; this module makes the calls and
translates their errors. The SDK's own retries are off, so that each attempt is counted and recorded once.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from graphengine.errors import (
    AnswerTorn,
    BadRequest,
    ContextFull,
    DefinitionError,
    ModelError,
    ModelOverloaded,
    ModelTimeout,
    NoModelServer,
    NotAuthenticated,
    QuotaExceeded,
    RateLimited,
    UnknownModel,
)
from graphengine.graph.options import is_seconds
from graphengine.models.anthropic_forms import (
    LEAST_COMPACTED,
    PROVIDER,
    STREAM_FROM_TOKENS,
    Gathered,
    Json,
    NoMessage,
    Parts,
    Unreadable,
    body,
    can_be_held_to,
    joined,
    paused,
    read,
    reported,
)
from graphengine.models.anthropic_hosted import container_id, lacks_tool
from graphengine.models.base import usage_of_failure
from graphengine.models.batches import SKEW_SECONDS, StillOpen
from graphengine.models.limiter import limiter_for
from graphengine.models.prices import PricedModel, Prices
from graphengine.models.received import ServerEvents, read_json
from graphengine.models.sdk import (
    CALLS_AT_ONCE,
    SHOWN_CHARACTERS,
    WHAT,
    Clients,
    Failures,
    Key,
    Translates,
    advised,
    http_address,
    http_client,
    kept_by_schema,
    kind_of_status,
    load,
    says_too_long,
)
from graphengine.models.settings import refuse_lacking
from graphengine.state.json_values import utf8_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AbstractContextManager

    import anthropic
    import httpx2
    from pydantic import JsonValue

    from graphengine.models.anthropic_forms import Json
    from graphengine.models.base import Request, Response
    from graphengine.models.batches import Batches, Ticket
    from graphengine.models.hosted import HostedTool
    from graphengine.models.limiter import RateLimiter
    from graphengine.models.prices import Price, Spent
    from graphengine.models.settings import Settings

ADDRESS: Final = "https://api.anthropic.com"
MOST_PAUSES: Final = 8
"""How often one answer may pause; each time it is sent back, for the provider to continue it."""

_KINDS: Final[dict[str, type[ModelError]]] = {
    "api_error": ModelOverloaded,
    "authentication_error": NotAuthenticated,
    "billing_error": QuotaExceeded,
    "invalid_request_error": BadRequest,
    "not_found_error": UnknownModel,
    "overloaded_error": ModelOverloaded,
    "permission_error": NotAuthenticated,
    "rate_limit_error": RateLimited,
    "request_too_large": BadRequest,
    "timeout_error": ModelTimeout,
}
"""The provider's error types. They take precedence over the status, as an error event in a stream has status 200."""

_PATH: Final = "/v1/messages"
_BESIDES_BODY: Final = {"extra_body", "extra_headers"}
_OK: Final = 200
_MALFORMED: Final = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What the SDK or our reading raise for a malformed answer."""
_NO_MONEY = re.compile(r"credit balance|usage limits?\b|spend(?:ing)?[ _]limit|billing", re.IGNORECASE)


class AnthropicModel(PricedModel):
    """A model of Anthropic, or of a compatible server.

    Args:
        model: Its name, as `claude-haiku-4-5`.
        api_key: The key; None for the environment variable ANTHROPIC_API_KEY. For a server that needs none, any text.
        base_url: The server's address; None for the environment variable ANTHROPIC_BASE_URL, else Anthropic's.
        timeout_seconds: How long the server may send nothing before the call fails with `ModelTimeout`.
        price: Its price, if the price tables do not have it or do not apply.
        limiter: Its rate limiter; None for the one that all models with this name, address and key share.

    Raises:
        DefinitionError: An argument is invalid.

    Example:
        >>> AnthropicModel("claude-haiku-4-5").name
        'anthropic:claude-haiku-4-5'
    """

    _api: ClassVar[str] = PROVIDER

    def __init__(  # noqa: PLR0913 - each is a separate setting of the server
        self,
        model: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout_seconds: float = 600.0,
        price: Price | None = None,
        limiter: RateLimiter | None = None,
    ) -> None:
        if not model.strip():
            raise DefinitionError(f"AnthropicModel({model!r})", repair="give a model's name, as 'claude-haiku-4-5'")
        if not is_seconds(timeout_seconds):
            raise DefinitionError(f"timeout_seconds={timeout_seconds!r}", repair="give seconds, more than 0")
        self.name = f"{self._api}:{model}"
        self._model = model
        self._address = http_address(base_url or os.environ.get("ANTHROPIC_BASE_URL") or ADDRESS).removesuffix("/v1")
        self._key = Key(api_key, "ANTHROPIC_API_KEY")
        self._prices = Prices(PROVIDER, model, given=price, address=self._address)
        self._failures = Failures(self.name, self._address, self._key, float(timeout_seconds))
        self._clients = Clients(self._make_client)
        self._translates = Translates(self._translated)
        self.limiter = limiter or limiter_for((self.name, self._address, self._key.identity), CALLS_AT_ONCE)

    def __repr__(self) -> str:
        return f"AnthropicModel({self._model!r})"

    async def answer(self, request: Request) -> Response:
        """Return the answer to one request.

        Raises:
            ModelError: The call failed; the class states how, see `graphengine.errors`.
        """
        refuse_lacking(self, request.settings, request.agent)
        client = await self._loaded()
        sent = self._arguments(request)
        parts = Parts()
        try:
            message = await self._whole(client, sent, request, parts)
            with self._failing():
                if message.get("type") == "error":  # with status 200, as some proxies make of every status
                    raise self._refused(_OK, message, {})
                answer = read(message)
        except ModelError as error:
            error.usage = await self._prices.usage(reported(parts), is_torn=parts.is_torn) or error.usage
            raise
        if answer.spent is None:
            return answer.response
        return await self._priced(answer.response, answer.spent)

    @property
    def batches(self) -> Batches:
        """Its batches."""
        return AnthropicBatches(self._loaded, self._arguments, self._of_batch, self._failing)

    async def _load(self) -> None:
        """Load the SDK."""
        await load("anthropic", "anthropic")

    def lacks(self, settings: Settings) -> Mapping[str, str]:
        """Return the repair for each setting that the API does not have, by name."""
        if settings.effort not in {"none", "minimal"}:
            return {}
        return {"effort": "give thinking=False, or an effort from low on"}

    def lacks_tool(self, tool: HostedTool) -> str:
        """Return the repair if the model does not have this tool, "" if it has it."""
        return lacks_tool(self._model, tool)

    def compacts(self, tokens: int) -> bool:
        """Return whether the provider compacts a conversation of this many tokens itself."""
        return self._address == ADDRESS and tokens >= LEAST_COMPACTED

    async def close(self) -> None:
        """Close the running event loop's connections."""
        await self._clients.close()

    # -- calls

    async def _loaded(self) -> anthropic.AsyncAnthropic:
        """Return the SDK's client."""
        self._key.value(self.name)
        await self._load()
        return await self._clients.get()

    def _arguments(self, request: Request) -> dict[str, Any]:
        """Return the arguments of a call.

        Raises:
            BadRequest: The request is empty.
        """
        sent = body(self._model, request, _native_schema(request))
        if not sent["messages"]:
            raise BadRequest(
                f"the question of agent {request.agent} to {self.name} is empty",
                where=f"agent {request.agent}",
                repair="check the values of the prompt's {paths} at the time of the call",
            )
        return sent

    async def _of_batch(self, message: Json) -> Response:
        """Return a message of a batch as a response, at the price of batches."""
        with self._failing():
            answer = read(message)
        spent = answer.spent
        return answer.response if spent is None else await self._priced(answer.response, replace(spent, is_batch=True))

    async def _priced(self, response: Response, spent: Spent) -> Response:
        cost_usd = await self._prices.cost(spent, response.model.removeprefix(f"{PROVIDER}:"))
        return replace(response, cost_usd=cost_usd)

    def _make_client(self) -> anthropic.AsyncAnthropic:
        import anthropic  # noqa: PLC0415 - `answer` has loaded it

        http = http_client(anthropic, self._failures.timeout_seconds, self.limiter.calls_at_once)
        client = anthropic.AsyncAnthropic(
            api_key=self._key.value(self.name),
            base_url=self._address,
            timeout=http.timeout,
            max_retries=0,
            open_telemetry=False,
            http_client=http,
        )
        _ = client.messages  # the SDK loads it on first access; this runs in a thread
        return client

    async def _whole(
        self, client: anthropic.AsyncAnthropic, sent: dict[str, Any], request: Request, parts: Parts
    ) -> Json:
        """Return the complete answer. Note the usage of its parts, also if the call fails."""
        streams = request.streams or sent["max_tokens"] > STREAM_FROM_TOKENS
        message: Json = {}
        question = sent["messages"]
        for _ in range(MOST_PAUSES + 1):
            gathered = Gathered()
            try:
                more = await (
                    self._streamed(client, sent, request, gathered) if streams else self._at_once(client, sent)
                )
            except ModelError as error:
                parts.usages.append(gathered.usage)
                parts.is_torn = gathered.is_torn or (gathered.usage is None and bool(usage_of_failure(error)))
                raise
            parts.usages.append(more.get("usage"))
            with self._failing():
                message = joined(message, more) if message else more
            if not paused(message):
                return message
            so_far = {"role": "assistant", "content": message["content"]}
            sent = {**sent, "messages": [*question, so_far]}
            used = message.get("container")
            if isinstance(used, dict) and (earlier := container_id(used)):
                sent["container"] = earlier
        raise self._failures.of(AnswerTorn, f"paused more than {MOST_PAUSES} times in one answer")

    async def _at_once(self, client: anthropic.AsyncAnthropic, sent: dict[str, Any]) -> Json:
        with self._failing():
            return _json(await _posted(client, sent, streams=False))

    async def _streamed(
        self, client: anthropic.AsyncAnthropic, sent: dict[str, Any], request: Request, gathered: Gathered
    ) -> Json:
        with self._failing():
            response = await _posted(client, sent, streams=True)
        kind = response.headers.get("content-type", "")
        if kind and "event-stream" not in kind:
            try:
                with self._failing():
                    await response.aread()  # the server does not stream, or is not a model's server
                    return _json(response)
            finally:
                await response.aclose()
        async with ServerEvents(response) as events:
            return await self._gathered(events, response.headers, request, gathered)

    async def _gathered(
        self, events: ServerEvents, headers: Mapping[str, str], request: Request, gathered: Gathered
    ) -> Json:
        while True:
            with self._failing():
                event = await events.next()
                if event is None:
                    break
                if event.kind == "error":
                    raise self._refused(_OK, _read(event.data), headers)
                text, thought = gathered.add(_object(event.data)) if event.kind not in {"", "ping"} else ("", "")
            if gathered.has_begun:
                request.began()
            if text:  # outside `_failing`: an exception of `on_text` is not the provider's
                request.emit_text(utf8_text(text))
            if thought:
                request.emit_thinking(utf8_text(thought))
            if event.kind == "message_stop":
                await events.rest()
                break
        with self._failing():
            return gathered.whole()

    # -- errors

    def _failing(self) -> AbstractContextManager[None]:
        """Return a block that raises the SDK's errors as `ModelError`s."""
        return self._translates

    def _translated(self, error: Exception) -> ModelError | None:
        """Return the `ModelError` for an exception of the SDK or of our reading, None if it is neither."""
        import anthropic  # noqa: PLC0415 - `answer` has loaded it
        import httpx2  # noqa: PLC0415 - as anthropic

        failures = self._failures
        found: ModelError | None
        match error:
            case anthropic.APIStatusError():
                found = self._refused(error.status_code, error.body, error.response.headers)
            case anthropic.APIConnectionError():
                found = failures.lost(error.__cause__ or error)
            case httpx2.HTTPError():  # during a stream the SDK does not wrap it
                found = failures.lost(error)
            case anthropic.AnthropicError():
                found = failures.of(ModelError, "failed in Anthropic's SDK", error)
            case UnicodeEncodeError():
                what = "cannot be called: a name or schema has a lone surrogate, which UTF-8 cannot encode"
                found = failures.of(BadRequest, what, repr(error.object[error.start : error.end]))
            case NoMessage():
                found = failures.of(NoModelServer, "is not the server at this address", error)
            case _:
                found = failures.of(AnswerTorn, WHAT[AnswerTorn], error) if isinstance(error, _MALFORMED) else None
        return found

    def _refused(self, status: int, body: object, headers: Mapping[str, str]) -> ModelError:
        """Return the error for an error object of the provider."""
        complaint = body.get("error") if isinstance(body, dict) else None
        complaint = complaint if isinstance(complaint, dict) else {}
        words = str(complaint.get("message") or body or "")
        details = complaint.get("details")
        code = str(details.get("error_code") or "") if isinstance(details, dict) else ""
        named = _KINDS.get(str(complaint.get("type") or ""))
        kind = named or kind_of_status(status)
        if kind is UnknownModel and named is None:
            kind = NoModelServer  # the provider would name the type, so this is not its API
        elif _NO_MONEY.search(code) or (kind in {BadRequest, NotAuthenticated} and _NO_MONEY.search(words)):
            kind = QuotaExceeded
        elif kind is BadRequest and says_too_long(words):
            kind = ContextFull
        how = "during its answer" if status == _OK else f"HTTP {status}"
        request_id = headers.get("request-id")
        what = f"{WHAT[kind]} ({how}{f', request {request_id}' if request_id else ''})"
        error = self._failures.of(kind, what, words)
        if kind is BadRequest and "temperature" in words:
            error.repair = "leave temperature out: newer models have no such setting"
        return advised(error, headers)


async def _posted(client: anthropic.AsyncAnthropic, sent: Mapping[str, Any], *, streams: bool) -> httpx2.Response:
    """Send the arguments of `messages.create`. Return the HTTP response, not read yet if it is streamed.

    The SDK makes and sends the request, but not its objects of the answer, which would take a quarter of the CPU time
    of a call.
    """
    import anthropic  # noqa: PLC0415 - `answer` has loaded it
    import httpx2  # noqa: PLC0415 - as anthropic

    body = {name: value for name, value in sent.items() if name not in _BESIDES_BODY} | sent.get("extra_body", {})
    made: object = await client.post(
        _PATH,
        cast_to=httpx2.Response,
        body=body | {"stream": True} if streams else body,
        options={"headers": sent["extra_headers"]} if "extra_headers" in sent else {},
        stream=streams,
        stream_cls=anthropic.AsyncStream[object],
    )
    return cast("httpx2.Response", made)  # also for a stream, unlike the SDK's annotation


def _read(text: str) -> JsonValue:
    """Return an event's data as JSON, or as text if it is not JSON."""
    try:
        return read_json(text)
    except ValueError:
        return text


def _object(text: str) -> Json:
    """Return an event's data as a JSON object.

    Raises:
        Unreadable: It is not a JSON object.
    """
    found = _read(text)
    if not isinstance(found, dict):
        raise Unreadable(f"an event is not a JSON object: {text[:SHOWN_CHARACTERS]}")
    return found


def _json(response: httpx2.Response) -> Json:
    """Return the JSON object of a response with status 200.

    Raises:
        NoMessage: The body is not a JSON object.
        Unreadable: The body is incomplete JSON.
    """
    kind = response.headers.get("content-type", "")
    try:
        found = read_json(response.content)
    except ValueError:
        if response.content.strip() and "json" not in kind:
            raise NoMessage(f"{kind or 'no content type'}: {response.text[:SHOWN_CHARACTERS]}") from None
        raise Unreadable("the body is empty" if not response.content else "the body is incomplete JSON") from None
    if not isinstance(found, dict):
        raise NoMessage(f"JSON, but not an object: {response.text[:SHOWN_CHARACTERS]}")
    return found


def _native_schema(request: Request) -> Json | None:
    """Return the request's schema in the form that the API supports, or None if it has no such form."""
    return None if request.schema is None else _transformed(dict(request.schema))


@kept_by_schema
def _transformed(schema: Json) -> Json | None:
    if not can_be_held_to(schema):
        return None
    import anthropic  # noqa: PLC0415 - `answer` has loaded it

    try:
        return cast("Json", anthropic.transform_schema(schema))
    except (AssertionError, AttributeError, TypeError, ValueError):  # the API does not support a part of it
        return None


@dataclass(frozen=True, slots=True, eq=False)
class AnthropicBatches:
    """The batches of one model.

    A batch has no name or metadata there, and its content is listed only when it has ended. So a batch is found again
    by the ids of its requests, which begin with its name.

    Args:
        client: Returns the SDK's client.
        arguments: Returns the arguments of `messages.create` for a request.
        response: Returns a message of a batch as a response.
        failing: Raises the SDK's errors as `ModelError`s.
    """

    client: Callable[[], Awaitable[anthropic.AsyncAnthropic]]
    arguments: Callable[[Request], dict[str, Any]]
    response: Callable[[Json], Awaitable[Response]]
    failing: Callable[[], AbstractContextManager[None]]

    async def submit(self, name: str, requests: Mapping[str, Request]) -> str:  # noqa: ARG002 - the ids have the name
        """Submit a batch, and return its id."""
        client = await self.client()
        made: list[Any] = []
        headers: dict[str, str] = {}
        for item, request in requests.items():
            sent = self.arguments(request)
            headers = sent.pop("extra_headers", {})  # equal for all requests of a group
            more = sent.pop("extra_body", {})
            made.append({"custom_id": item, "params": sent | more})
        with self.failing():
            batch = await client.messages.batches.create(requests=made, extra_headers=headers)
            return batch.id

    async def find(self, ticket: Ticket) -> str | None:
        """Return the id of the batch that a ticket belongs to; None if it was not submitted."""
        client = await self.client()
        with self.failing():
            listed = client.messages.batches.list(limit=100)
            is_open = False
            async for batch in listed:  # the newest first
                if batch.created_at.timestamp() < ticket.at - SKEW_SECONDS:
                    break
                counts = batch.request_counts
                total = counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
                if total > ticket.size:
                    continue
                if batch.processing_status != "ended":
                    is_open = True
                    continue
                async for row in await client.messages.batches.results(batch.id):
                    if row.custom_id.startswith(f"{ticket.batch}_"):
                        return batch.id
                    break
        if is_open:
            raise StillOpen
        return None

    async def ended(self, batch: str) -> bool:
        """Return whether a batch has ended."""
        client = await self.client()
        with self.failing():
            return (await client.messages.batches.retrieve(batch)).processing_status == "ended"

    async def answers(self, batch: str) -> Mapping[str, Response]:
        """Return the answers of a batch that has ended."""
        client = await self.client()
        messages: dict[str, Json] = {}
        with self.failing():
            async for row in await client.messages.batches.results(batch):
                if row.result.type == "succeeded":
                    messages[row.custom_id] = row.result.message.model_dump(mode="json", exclude_unset=True)
        return {item: await self.response(message) for item, message in messages.items()}


__all__ = ["AnthropicBatches", "AnthropicModel"]
