"""Calls of OpenAI's server and of compatible ones: complete answers and streams of events, as JSON.

`Server` makes the calls; `ServedModel` is the base of the models behind OpenAI's two APIs.

The SDK makes the call (connections, headers, server-sent events, its own errors), but does not read the answer: its
classes accept any JSON unchecked, so their types promise what a local server may not keep, and native content must be
kept exactly as it arrived. `openai.py` and `openai_chat.py` therefore get JSON and check it themselves.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import urlsplit

from graphengine.errors import AnswerTorn, BadRequest, DefinitionError
from graphengine.graph.options import is_seconds
from graphengine.models.batches import SKEW_SECONDS
from graphengine.models.limiter import limiter_for
from graphengine.models.openai_errors import complaint, failed, not_this_api, raised
from graphengine.models.openai_parts import SAMPLING, inside, text, thinks, used
from graphengine.models.prices import STANDARD_TIERS, PricedModel, Prices
from graphengine.models.received import ServerEvents, read_json
from graphengine.models.sdk import (
    CALLS_AT_ONCE,
    Clients,
    Failures,
    Key,
    Translates,
    http_address,
    http_client,
    load,
    shown_address,
    sound_json,
)
from graphengine.state.json_values import utf8_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AbstractContextManager

    import httpx2
    from openai import AsyncOpenAI, AsyncStream
    from openai._types import RequestOptions

    from graphengine.errors import ModelError
    from graphengine.models.base import Request, Response
    from graphengine.models.batches import Batches, Ticket
    from graphengine.models.limiter import RateLimiter
    from graphengine.models.openai_parts import JsonObject
    from graphengine.models.prices import Price, Spent
    from graphengine.models.settings import Settings
    from graphengine.state.amounts import Usage

OWN_URL: Final = "https://api.openai.com/v1"
OWN_HOST: Final = "api.openai.com"
AZURE_HOSTS: Final = ".openai.azure.com", ".services.ai.azure.com"
KEY: Final = "OPENAI_API_KEY"
URL: Final = "OPENAI_BASE_URL"
_DONE: Final = "[DONE]"
"""What these APIs send after the last event of a stream."""


class Server:
    """One model's server: its address, its key, and the errors of its calls.

    The environment's key is sent only to OpenAI and to the server that `OPENAI_BASE_URL` names. A server named in code
    gets the key given in code, or none, so that no other company sees the environment's key.

    Args:
        model: The model's name in errors, as `openai:gpt-5`.
        api_key: The key; None for the environment's.
        base_url: The API's address, which usually ends in /v1; None for the environment's, or OpenAI's own.
        timeout_seconds: How long the server may send nothing before the call fails with `ModelTimeout`.
        limiter: Its rate limiter; None for the one that all models with this name, address and key share.

    Attributes:
        is_own: Whether this is OpenAI itself.
        knows_new_names: Whether it knows fields that OpenAI has renamed; other servers may know only the old name.
        address: The API's address.
        shown_address: The same without credentials.
    """

    def __init__(
        self,
        model: str,
        *,
        api_key: str | None,
        base_url: str | None,
        timeout_seconds: float,
        limiter: RateLimiter | None = None,
    ) -> None:
        if not model.partition(":")[2].strip():
            raise DefinitionError(f"{model!r} names no model", repair="give a model's name, as 'gpt-5-mini'")
        if not is_seconds(timeout_seconds):
            raise DefinitionError(f"timeout_seconds={timeout_seconds!r}", repair="give seconds, more than 0")
        self.address = http_address(base_url or os.environ.get(URL) or OWN_URL)
        self.shown_address = shown_address(self.address)
        host = urlsplit(self.address).hostname or ""
        self.is_own = host == OWN_HOST or host.endswith(f".{OWN_HOST}")
        self.knows_new_names = self.is_own or host.endswith(AZURE_HOSTS)
        from_code = bool(base_url) and not self.is_own
        given = "" if from_code and api_key is None else api_key
        self._key = Key(given, KEY, unless=None if self.is_own else "not-needed")
        self._model = model
        self._clients: Clients[AsyncOpenAI] = Clients(self._make)
        self.limiter = limiter or limiter_for((model, self.address, self._key.identity), CALLS_AT_ONCE)
        self.failures = Failures(model, self.address, self._key, float(timeout_seconds))
        self._guards = Translates(self._too_deep)

    async def whole(self, path: str, body: JsonObject, headers: Mapping[str, str]) -> JsonObject:
        """Return the answer to one call, a JSON object.

        Args:
            path: The path of the API's endpoint.
            body: The request.
            headers: Its headers, besides those of the SDK.

        Raises:
            ModelError: The call failed; the class states how.
        """
        client = await self.client()
        try:
            import httpx2  # noqa: PLC0415 - loaded by now

            options: RequestOptions = {"headers": dict(headers)}
            return self._object(
                await client.post(path, body=sound_json(body), cast_to=httpx2.Response, options=options)
            )
        except self._errors as error:
            raise raised(error, self.failures) from None

    async def stream(
        self, path: str, body: JsonObject, headers: Mapping[str, str], take: Callable[[JsonObject], bool]
    ) -> JsonObject | None:
        """Read the answer to one call event by event.

        Args:
            path: The path of the API's endpoint.
            body: The request.
            headers: Its headers, besides those of the SDK.
            take: Gets each event. Returns whether it completes the answer, so that no further event is awaited.

        Returns:
            The complete answer if the server does not stream; None once the stream has ended.

        Raises:
            ModelError: The call failed; the class states how.
        """
        client = await self.client()
        from openai import AsyncStream  # noqa: PLC0415 - loaded by now

        try:
            options: RequestOptions = {"headers": dict(headers)}
            stream = await client.post(
                path,
                body=sound_json(body),
                cast_to=object,
                options=options,
                stream=True,
                stream_cls=AsyncStream[object],
            )
        except self._errors as error:
            raise raised(error, self.failures) from None
        kind = stream.response.headers.get("content-type", "")
        if "json" in kind or "html" in kind:
            async with stream:
                return await self._unstreamed(stream)
        async with ServerEvents(stream.response) as events:
            await self._follow(events, take)
        return None

    async def close(self) -> None:
        """Close the running event loop's connections."""
        await self._clients.close()

    async def _follow(self, events: ServerEvents, take: Callable[[JsonObject], bool]) -> None:
        began = False
        while True:
            try:
                received = await events.next()
                event = None if received is None or received.data.startswith(_DONE) else read_json(received.data)
            except self._errors as error:
                raise raised(error, self.failures, began=began) from None
            if event is None:
                break
            if isinstance(event, dict):
                if event.get("error") and event.get("type") != "error":
                    raise failed(complaint(event["error"]), self.failures)
                if take(event):
                    break
            began = True
        await events.rest()

    async def _unstreamed(self, stream: AsyncStream[object]) -> JsonObject:
        try:
            await stream.response.aread()
            return self._object(stream.response)
        except self._errors as error:
            raise raised(error, self.failures) from None

    def _object(self, response: httpx2.Response) -> JsonObject:
        """Return the JSON object of a response that was read."""
        is_json = "json" in response.headers.get("content-type", "")
        answer = read_json(response.content) if is_json else response.content.decode("utf-8", "replace")
        if isinstance(answer, dict):
            return answer
        if isinstance(answer, str) and answer.strip():
            what = "is not at this address: the server there answers with text, not JSON"
            raise not_this_api(self.failures, what, answer)
        if answer is None or answer == "":
            raise self.torn("returned an empty answer")
        kind = type(answer).__name__
        raise not_this_api(self.failures, f"is not at this address: the server there answers with JSON of type {kind}")

    def torn(self, what: str, text: object = "") -> ModelError:
        """Return the error for an answer that is incomplete or unreadable."""
        return self.failures.of(AnswerTorn, what, text)

    def failing(self) -> AbstractContextManager[None]:
        """Return a block that raises the SDK's errors as `ModelError`s."""
        return Translates(lambda error: raised(error, self.failures) if isinstance(error, self._errors) else None)

    def reading(self) -> AbstractContextManager[None]:
        """Return a block that guards the reading of an answer: it raises `AnswerTorn` for one nested too deeply."""
        return self._guards

    def _too_deep(self, error: Exception) -> ModelError | None:
        return self.torn("returned an answer that is nested too deeply") if isinstance(error, RecursionError) else None

    async def client(self) -> AsyncOpenAI:
        """Return the SDK's client."""
        self._key.value(self._model)
        await load("openai", "openai")
        return await self._clients.get()

    @property
    def _errors(self) -> tuple[type[Exception], ...]:
        """The exceptions of the SDK, of its HTTP client during a stream, and of reading JSON."""
        import httpx2  # noqa: PLC0415 - as openai
        import openai  # noqa: PLC0415 - loaded by then

        return openai.OpenAIError, httpx2.HTTPError, json.JSONDecodeError, UnicodeDecodeError, RecursionError

    def _make(self) -> AsyncOpenAI:
        import openai  # noqa: PLC0415 - a client is made once the SDK is loaded

        http = http_client(openai, self.failures.timeout_seconds, self.limiter.calls_at_once)
        key = self._key.value(self._model)
        return openai.AsyncOpenAI(
            api_key=key, base_url=self.address, timeout=http.timeout, max_retries=0, http_client=http
        )


class ServedModel(PricedModel, ABC):
    """What the models behind OpenAI's two APIs share: settings, server, prices, and how usage is reported."""

    _api: ClassVar[str]
    _server_type: ClassVar[type[Server]] = Server
    _path: ClassVar[str]
    _tokens: ClassVar[tuple[str, str]]
    """The API's names for the question's and the answer's tokens."""
    _lacking: ClassVar[Mapping[str, str]]
    """The settings that the API does not have, each with the repair."""

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
        self.model = model
        self.name = f"{self._api}:{model}"
        server = self._server_type(
            self.name, api_key=api_key, base_url=base_url, timeout_seconds=timeout_seconds, limiter=limiter
        )
        self._server = server
        self.limiter = server.limiter
        self._provider = self._api if server.is_own else f"{self._api} {server.shown_address}"
        self._prices = Prices("openai" if server.is_own else "", model, given=price, address=server.address)

    @property
    def batches(self) -> Batches:
        """Its batches."""
        server = self._server
        return OpenAIBatches(self._path, server.client, self._checked_body, self._of_batch, server.failing)

    def _checked_body(self, request: Request) -> JsonObject:
        """Return the body of a request in a batch.

        Raises:
            BadRequest: It has headers.
        """
        if request.settings.headers:
            repair = "leave out Settings(headers=…), or batch=True"
            raise BadRequest("a batch of OpenAI has no headers", where=f"agent {request.agent}", repair=repair)
        return self._body(request)

    async def _of_batch(self, whole: JsonObject) -> Response:
        """Return an answer of a batch as a response, at the price of batches."""
        with self._server.reading():
            return await self._counted(self._response(whole), whole, is_batch=True)

    @abstractmethod
    def _body(self, request: Request) -> JsonObject:
        """Return the body of a request."""

    @abstractmethod
    def _response(self, whole: JsonObject) -> Response:
        """Return an answer as a response, without its tokens."""

    async def close(self) -> None:
        """Close the running event loop's connections."""
        await self._server.close()

    def lacks(self, settings: Settings) -> Mapping[str, str]:
        """Return the repair for each setting that the API does not have, by name."""
        lacking = dict(self._lacking)
        if self._server.is_own and thinks(self.model) and settings.effort != "none":
            lacking |= dict.fromkeys(SAMPLING, "leave it out: a model that thinks has none; or give effort='none'")
        return {name: repair for name, repair in lacking.items() if name in settings.given()}

    def _with_fees(self, spent: Spent, whole: JsonObject) -> Spent:  # noqa: ARG002 - of an answer with hosted tools
        """Return what was spent, with the tools that the provider ran."""
        return spent

    async def _usage_of_failure(self, whole: JsonObject, *, is_torn: bool = False) -> Usage | None:
        spent = self._spent(whole)
        return await self._prices.usage(spent if spent.input_tokens else None, is_torn=is_torn)

    def _spent(self, whole: JsonObject, *, is_batch: bool = False, heard: bool = False) -> Spent:
        """Return the tokens of an answer, and what else its cost depends on."""
        spent = used(inside(whole, "usage"), *self._tokens)
        is_special = text(whole, "service_tier") not in STANDARD_TIERS or (heard and not spent.input_audio_tokens)
        return self._with_fees(replace(spent, is_special=is_special, is_batch=is_batch), whole)

    async def _counted(
        self, response: Response, whole: JsonObject, *, is_batch: bool = False, heard: bool = False
    ) -> Response:
        """Return the response with the model that answered, its tokens and their cost.

        Args:
            response: The response.
            whole: The answer.
            is_batch: Whether it is from a batch.
            heard: Whether the question has sound, whose tokens not every server counts apart.
        """
        spent = self._spent(whole, is_batch=is_batch, heard=heard)
        answered = utf8_text(text(whole, "model"))
        return replace(
            response,
            model=f"{self._api}:{answered}" if answered else "",
            input_tokens=spent.input_tokens,
            cache_read_tokens=spent.cache_read_tokens,
            cache_write_tokens=spent.cache_write_tokens,
            output_tokens=spent.output_tokens,
            reasoning_tokens=spent.reasoning_tokens,
            cost_usd=await self._prices.cost(spent, answered) if spent.input_tokens else None,
        )


_NAME: Final = "graphengine"
"""The key of a batch's metadata that has its name."""
_OVER: Final = ("completed", "failed", "expired", "cancelled")
_OK: Final = 200


@dataclass(frozen=True, slots=True, eq=False)
class OpenAIBatches:
    """The batches of one model.

    Args:
        path: The path of the API, as `/responses`.
        client: Returns the SDK's client.
        body: Returns the body of a request.
        response: Returns an answer of a batch as a response.
        failing: Raises the SDK's errors as `ModelError`s.
    """

    path: str
    client: Callable[[], Awaitable[AsyncOpenAI]]
    body: Callable[[Request], JsonObject]
    response: Callable[[JsonObject], Awaitable[Response]]
    failing: Callable[[], AbstractContextManager[None]]

    async def submit(self, name: str, requests: Mapping[str, Request]) -> str:
        """Submit a batch, and return its id. A file that is left over by a process that died costs nothing."""
        client = await self.client()
        url = f"/v1{self.path}"
        lines = [
            {"custom_id": item, "method": "POST", "url": url, "body": sound_json(self.body(request))}
            for item, request in requests.items()
        ]
        rows = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines).encode()
        with self.failing():
            file = await client.files.create(file=(f"{name}.jsonl", rows), purpose="batch")
            batch = await client.batches.create(
                completion_window="24h",
                endpoint=url,  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - one of two that it has
                input_file_id=file.id,
                metadata={_NAME: name},
            )
            return batch.id

    async def find(self, ticket: Ticket) -> str | None:
        """Return the id of the batch that a ticket belongs to; None if it was not submitted."""
        client = await self.client()
        with self.failing():
            async for batch in client.batches.list(limit=100):  # the newest first
                if batch.created_at < ticket.at - SKEW_SECONDS:
                    break
                if (batch.metadata or {}).get(_NAME) == ticket.batch:
                    return batch.id
        return None

    async def ended(self, batch: str) -> bool:
        """Return whether a batch has ended."""
        client = await self.client()
        with self.failing():
            return (await client.batches.retrieve(batch)).status in _OVER

    async def answers(self, batch: str) -> Mapping[str, Response]:
        """Return the answers of a batch that has ended."""
        client = await self.client()
        rows: list[JsonObject] = []
        with self.failing():
            found = await client.batches.retrieve(batch)
            if found.output_file_id:
                content = (await client.files.content(found.output_file_id)).text
                lines = [read_json(line) for line in content.split("\n") if line.strip()]
                rows = [line for line in lines if isinstance(line, dict)]
        answered = [row for row in rows if inside(row, "response").get("status_code") == _OK]
        return {
            text(row, "custom_id"): await self.response(inside(inside(row, "response"), "body")) for row in answered
        }


__all__ = ["OpenAIBatches", "ServedModel", "Server"]
