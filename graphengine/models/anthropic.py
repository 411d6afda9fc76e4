"""Anthropic's models, through Anthropic's SDK.

One call of `answer` is one call of the Messages API: whole where nobody watches, streamed where somebody does or where
the answer may be long. `anthropic_forms` makes what is sent and reads what comes; here are the calls, and what each way
to fail is called. The SDK's own attempts are off, so that each attempt is counted and recorded once.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from graphengine.errors import (
    AnswerTorn,
    BadRequest,
    ContextFull,
    DefinitionError,
    ModelError,
    ModelOverloaded,
    ModelTimeout,
    ModelUnreachable,
    NoModelServer,
    NotAuthenticated,
    QuotaExceeded,
    RateLimited,
    UnknownModel,
)
from graphengine.graph.options import is_seconds
from graphengine.models.anthropic_forms import (
    PROVIDER,
    STREAM_FROM_TOKENS,
    Gathered,
    Json,
    NoMessage,
    Unreadable,
    body,
    can_be_held_to,
    joined,
    paused,
    read,
    reported,
)
from graphengine.models.prices import Prices
from graphengine.models.sdk import (
    SHOWN_CHARACTERS,
    Clients,
    Failures,
    Key,
    http_address,
    http_client,
    kind_of_status,
    load,
    nothing_used,
    retry_after,
    says_too_long,
    sound,
)
from graphengine.models.server_events import ServerEvents

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import anthropic
    import httpx2
    from anthropic.types import RawMessageStreamEvent
    from pydantic import JsonValue

    from graphengine.models.base import Request, Response
    from graphengine.models.prices import Price

ADDRESS: Final = "https://api.anthropic.com"
MOST_PAUSES: Final = 8
"""How often one answer may pause; each time it is given back, to be gone on with."""

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
"""What the provider's own kinds of error are; an event in a stream has status 200, so this goes before the status."""

_WHAT: Final[dict[type[ModelError], str]] = {
    BadRequest: "does not accept the request",
    ContextFull: "cannot hold the question",
    ModelOverloaded: "is overloaded, or has an error of its own",
    ModelTimeout: "did not answer in time",
    NoModelServer: "is not at this address",
    NotAuthenticated: "does not accept the API key",
    QuotaExceeded: "wants money: the account has nothing left to spend",
    RateLimited: "takes no more calls for a moment",
    UnknownModel: "is not known",
}
_OK: Final = 200
_NO_MONEY = re.compile(r"credit balance|usage limits?\b|spend(?:ing)?[ _]limit|billing", re.IGNORECASE)


class AnthropicModel:
    """A model of Anthropic's, or of a server that speaks as theirs does.

    Args:
        model: Its name, as `claude-haiku-4-5`.
        api_key: The key; None for the environment variable ANTHROPIC_API_KEY. For a server of your own that wants
            none, any text.
        base_url: The server's address; None for the environment variable ANTHROPIC_BASE_URL, else Anthropic's.
        timeout_seconds: For how long the server may send nothing before the call fails with `ModelTimeout`.
        price: What it costs, where the price tables do not know or do not fit.

    Raises:
        DefinitionError: An argument makes no sense.

    Example:
        >>> AnthropicModel("claude-haiku-4-5").name
        'anthropic:claude-haiku-4-5'
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
        if not model.strip():
            raise DefinitionError(f"AnthropicModel({model!r})", repair="give a model's name, as 'claude-haiku-4-5'")
        if not is_seconds(timeout_seconds):
            raise DefinitionError(f"timeout_seconds={timeout_seconds!r}", repair="give seconds, more than 0")
        self.name = f"{PROVIDER}:{model}"
        self._model = model
        self._address = http_address(base_url or os.environ.get("ANTHROPIC_BASE_URL") or ADDRESS).removesuffix("/v1")
        self._timeout_seconds = float(timeout_seconds)
        self._key = Key(api_key, "ANTHROPIC_API_KEY")
        self._prices = Prices(PROVIDER, model, given=price)
        self._failures = Failures(self.name, self._address, self._key)
        self._clients = Clients(self._make_client)

    def __repr__(self) -> str:
        return f"AnthropicModel({self._model!r})"

    async def answer(self, request: Request) -> Response:
        """The answer to one request.

        Raises:
            ModelError: Of the kind that fits; see `graphengine.errors`.
        """
        self._key.value(self.name)
        await load("anthropic", "anthropic")
        sent = body(self._model, request, _held_schema(request))
        if not sent["messages"]:
            raise BadRequest(
                f"agent {request.agent} asks {self.name} nothing: the question is empty",
                where=f"agent {request.agent}",
                repair="look at what the prompt's {paths} are when it is asked",
            )
        usages: list[JsonValue] = []
        try:
            async with self._clients.turn() as client:
                message = await self._whole(client, sent, request, usages)
            with self._failing():
                if message.get("type") == "error":  # with status 200, which servers in between make of every status
                    raise self._refused(_OK, message, {})
                answer = read(message)
        except ModelError as error:
            error.usage = await self._prices.usage(reported(usages)) or error.usage
            raise
        if answer.spent is None:
            return answer.response
        cost_usd = await self._prices.cost(answer.spent, answer.response.model.removeprefix(f"{PROVIDER}:"))
        return replace(answer.response, cost_usd=cost_usd)

    async def knows_price(self) -> bool:
        """Whether `cost_usd` of its answers will be known."""
        return await self._prices.known()

    async def close(self) -> None:
        """Close what the running event loop has open."""
        await self._clients.close()

    # -- calls

    def _make_client(self) -> anthropic.AsyncAnthropic:
        import anthropic  # noqa: PLC0415 - `answer` has loaded it

        http = http_client(anthropic, self._timeout_seconds)
        client = anthropic.AsyncAnthropic(
            api_key=self._key.value(self.name),
            base_url=self._address,
            timeout=http.timeout,
            max_retries=0,
            open_telemetry=False,
            http_client=http,
        )
        _ = client.messages  # loads when first touched, and this is a thread
        return client

    async def _whole(
        self, client: anthropic.AsyncAnthropic, sent: dict[str, Any], request: Request, usages: list[JsonValue]
    ) -> Json:
        """The answer; `usages` gets what its parts used, also where it fails."""
        streams = request.streams or sent["max_tokens"] > STREAM_FROM_TOKENS
        message: Json = {}
        question = sent["messages"]
        for _ in range(MOST_PAUSES + 1):
            gathered = Gathered()
            try:
                more = await (
                    self._streamed(client, sent, request, gathered) if streams else self._at_once(client, sent)
                )
            except ModelError:
                usages.append(gathered.usage)
                raise
            usages.append(more.get("usage"))
            with self._failing():
                message = joined(message, more) if message else more
            if not paused(message):
                return message
            given_back = {"role": "assistant", "content": message["content"]}
            sent = {**sent, "messages": [*question, given_back]}
        raise self._failures.of(AnswerTorn, f"paused more than {MOST_PAUSES} times in one answer")

    async def _at_once(self, client: anthropic.AsyncAnthropic, sent: dict[str, Any]) -> Json:
        with self._failing():
            raw = await client.messages.with_raw_response.create(**sent)
            return _json(raw.http_response)

    async def _streamed(
        self, client: anthropic.AsyncAnthropic, sent: dict[str, Any], request: Request, gathered: Gathered
    ) -> Json:
        with self._failing():
            stream: anthropic.AsyncStream[RawMessageStreamEvent] = await client.messages.create(**sent, stream=True)
        kind = stream.response.headers.get("content-type", "")
        if kind and "event-stream" not in kind:
            async with stream:
                with self._failing():
                    await stream.response.aread()  # a server that does not stream; or no model's server at all
                    return _json(stream.response)
        async with ServerEvents(stream.response) as events:
            return await self._gathered(events, stream.response.headers, request, gathered)

    async def _gathered(
        self, events: ServerEvents, headers: Mapping[str, str], request: Request, gathered: Gathered
    ) -> Json:
        while True:
            with self._failing():
                event = await events.next()
                if event is None:
                    return gathered.whole()
                if event.kind == "error":
                    raise self._refused(_OK, _read(event.data), headers)
                text = gathered.add(_object(event.data)) if event.kind not in {"", "ping"} else ""
            if gathered.has_begun:
                request.began()
            if text:  # not within: an error in there is not the provider's
                request.said(sound(text))

    # -- what each way to fail is called

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Name what fails here by our own errors. Theirs are not kept: they hold the request, and its key with it."""
        import anthropic  # noqa: PLC0415 - `answer` has loaded it
        import httpx2  # noqa: PLC0415 - as anthropic

        try:
            yield
        except ModelError:
            raise
        except anthropic.APIStatusError as error:
            raise self._refused(error.status_code, error.body, error.response.headers) from None
        except anthropic.APIConnectionError as error:
            raise self._broken(error.__cause__ or error) from None
        except httpx2.HTTPError as error:  # amid a stream the SDK passes it on as it is
            raise self._broken(error) from None
        except anthropic.AnthropicError as error:
            raise self._failures.of(ModelError, "failed in Anthropic's SDK", error) from None
        except UnicodeEncodeError as error:
            what = "cannot be asked: a name or schema has half a surrogate pair, which UTF-8 cannot carry"
            raise self._failures.of(BadRequest, what, repr(error.object[error.start : error.end])) from None
        except NoMessage as error:
            raise self._failures.of(NoModelServer, "is not what answers at this address", error) from None
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            # What the SDK, or our reading, makes of an answer that is not what it should be.
            raise self._failures.of(AnswerTorn, "gave an answer that is not whole, or cannot be read", error) from None

    def _refused(self, status: int, told: object, headers: Mapping[str, str]) -> ModelError:
        """The error for what the provider complains of."""
        complaint = told.get("error") if isinstance(told, dict) else None
        complaint = complaint if isinstance(complaint, dict) else {}
        said = str(complaint.get("message") or told or "")
        details = complaint.get("details")
        code = str(details.get("error_code") or "") if isinstance(details, dict) else ""
        named = _KINDS.get(str(complaint.get("type") or ""))
        kind = named or kind_of_status(status)
        if kind is UnknownModel and named is None:
            kind = NoModelServer  # the provider names the kind; what does not is no provider of this sort
        elif _NO_MONEY.search(code) or (kind in {BadRequest, NotAuthenticated} and _NO_MONEY.search(said)):
            kind = QuotaExceeded
        elif kind is BadRequest and says_too_long(said):
            kind = ContextFull
        how = "told amid its answer" if status == _OK else f"HTTP {status}"
        request_id = headers.get("request-id")
        what = f"{_WHAT.get(kind, 'failed')} ({how}{f', request {request_id}' if request_id else ''})"
        error = self._failures.of(kind, what, said, retry_after_seconds=retry_after(headers))
        if kind is BadRequest and "temperature" in said:
            error.repair = "leave temperature out: newer models have no such setting"
        return error

    def _broken(self, cause: BaseException) -> ModelError:
        """The error for a connection that was not made, or did not hold."""
        import httpx2  # noqa: PLC0415 - `answer` has loaded it

        if isinstance(cause, httpx2.TimeoutException) and not isinstance(cause, httpx2.ConnectTimeout):
            return self._failures.of(ModelTimeout, f"sent nothing for {self._timeout_seconds:g} s")
        said = f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__
        lost = self._failures.of(ModelUnreachable, "cannot be reached, or the connection broke", said)
        lost.usage = nothing_used(cause)
        return lost


def _read(text: str) -> JsonValue:
    """What an event holds: JSON, or the text where it is none."""
    try:
        found: JsonValue = json.loads(text)
    except ValueError:
        return text
    return found


def _object(text: str) -> Json:
    """What an event of a message holds.

    Raises:
        Unreadable: It is no JSON object.
    """
    found = _read(text)
    if not isinstance(found, dict):
        raise Unreadable(f"an event is no JSON object: {text[:SHOWN_CHARACTERS]}")
    return found


def _json(response: httpx2.Response) -> Json:
    """What a response with status 200 holds.

    Raises:
        NoMessage: Something else than a JSON object.
        Unreadable: JSON that is not whole.
    """
    kind = response.headers.get("content-type", "")
    try:
        found: JsonValue = json.loads(response.content)
    except ValueError:
        if response.content.strip() and "json" not in kind:
            raise NoMessage(f"{kind or 'no content type'}: {response.text[:SHOWN_CHARACTERS]}") from None
        raise Unreadable("the body is empty" if not response.content else "the body is no whole JSON") from None
    if not isinstance(found, dict):
        raise NoMessage(f"JSON, but no object: {response.text[:SHOWN_CHARACTERS]}")
    return found


def _held_schema(request: Request) -> Json | None:
    """The request's schema in the form that the API can hold an answer to; None if there is none."""
    if request.schema is None or not can_be_held_to(request.schema):
        return None
    import anthropic  # noqa: PLC0415 - `answer` has loaded it

    try:
        return cast("Json", anthropic.transform_schema(dict(request.schema)))
    except (AssertionError, AttributeError, TypeError, ValueError):  # it has a part that the API has no word for
        return None


__all__ = ["AnthropicModel"]
