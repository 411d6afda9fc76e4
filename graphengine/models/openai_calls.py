"""The common parts of the models that use OpenAI's two APIs: server, prices, usage and batches."""

from __future__ import annotations

import functools
import json
import os
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlsplit

from graphengine.kernel.extension import utf8_text
from graphengine.models.base import Response, ToolCall
from graphengine.models.batches import SKEW_SECONDS
from graphengine.models.errors import AnswerTorn, BadRequest, ModelError, NoModelServer, NotAuthenticated
from graphengine.models.hosted import too_many_tools
from graphengine.models.openai_parts import SAMPLING, call_in, thinks, used
from graphengine.models.prices import STANDARD_TIERS, PricedModel, Prices
from graphengine.models.received import inside, read_json, text
from graphengine.models.schema_forms import SchemaForms
from graphengine.models.sdk import Key, Server, http_address, shown_address
from graphengine.models.seals import RefusedSeals
from graphengine.models.settings import refuse_lacking, repair_of
from graphengine.models.tool_forms import answer_with_tool_forms

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from openai import AsyncOpenAI

    from graphengine.models.base import Form, Request
    from graphengine.models.batches import Batches, Ticket
    from graphengine.models.limiter import RateLimiter
    from graphengine.models.prices import Price, Spent
    from graphengine.models.received import JsonObject
    from graphengine.models.settings import Settings

OWN_URL: Final = "https://api.openai.com/v1"
OWN_HOST: Final = "api.openai.com"
_ABOUT_TOOLS: Final = re.compile(r"\b(tools?|tool_\w+|functions?)\b", re.IGNORECASE)
"""The texts of refusals that may concern tools."""
AZURE_HOSTS: Final = ".openai.azure.com", ".services.ai.azure.com"
_UNREAD: Final = "call_unread"
"""The id of a call that a server could not parse. The agent replaces it by a unique id."""
MOST_TOOLS: Final = 128
"""The largest number of tools in a request.

Source: OpenAI's API reference; most compatible servers have the same limit.
"""
KEY: Final = "OPENAI_API_KEY"
URL: Final = "OPENAI_BASE_URL"


class OpenAIServer(Server):
    """OpenAI's server, or another server with one of its APIs.

    The environment's key is sent only to OpenAI and to the server that `OPENAI_BASE_URL` names. A server that is named
    in code receives the key that is passed in code, or no key, so that no other company sees the environment's key.

    Args:
        model: The model's name in errors, such as `openai:gpt-5`.
        api_key: The key; None for the environment's key.
        base_url: The API's address, which usually ends in /v1; None for the environment's address, or else OpenAI's.
        timeout_seconds: How long the server may send nothing before the call fails with `ModelTimeout`.
        limiter: The rate limiter; None for the limiter that all models with this name, address and key share.

    Attributes:
        is_own: Whether the server is OpenAI's own.
        knows_new_names: Whether the server knows fields that OpenAI has renamed. Other servers may only know the old
            names.
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
        address = http_address(base_url or os.environ.get(URL) or OWN_URL)
        host = urlsplit(address).hostname or ""
        self.is_own = host == OWN_HOST or host.endswith(f".{OWN_HOST}")
        self.knows_new_names = self.is_own or host.endswith(AZURE_HOSTS)
        from_code = bool(base_url) and not self.is_own
        passed_key = "" if from_code and api_key is None else api_key
        super().__init__(
            model,
            address,
            Key(passed_key, KEY, unless=None if self.is_own else "not-needed"),
            timeout_seconds=timeout_seconds,
            limiter=limiter,
            make=self._make,
            needs=[("openai", "openai")],
        )

    def error(self, kind: type[ModelError], what: str, text: object = "") -> ModelError:
        """Build an error for this server, with advice that is specific to servers with OpenAI's APIs."""
        error = super().error(kind, what, text)
        if kind is NoModelServer:
            more = "it must be the address of the API itself, which usually ends in /v1, as http://localhost:11434/v1"
            error.repair = f"{error.repair}; {more}"
        if kind is NotAuthenticated and not self.key.known():
            variable = self.key.variable
            error.repair = f"pass api_key=…; {variable} is sent only to OpenAI and to the server of OPENAI_BASE_URL"
        return error

    def torn(self, what: str, text: object = "") -> ModelError:
        return self.error(AnswerTorn, what, text)

    def _make(self, sdk: Any, common: dict[str, Any]) -> Any:  # noqa: ANN401 - the SDK's module and client
        return sdk.AsyncOpenAI(**common)


class StreamReader(ABC):
    """Base of the classes that put the events of a streamed answer together.

    Attributes:
        head: The fields of the answer that have arrived so far, such as its token usage.
    """

    def __init__(self, server: OpenAIServer, request: Request) -> None:
        self._server = server
        self._request = request
        self.head: JsonObject = {}

    @abstractmethod
    def take(self, event: JsonObject) -> bool:
        """Pass the text or thinking of an event on to the caller, and return whether the answer is now complete.

        Raises:
            ModelError: The event is an error.
        """

    @abstractmethod
    def whole(self) -> JsonObject:
        """Return the complete answer.

        Raises:
            AnswerTorn: The stream ended before the answer was complete.
        """


class ServedModel(PricedModel, ABC):
    """Base of the models that call one of OpenAI's two APIs. Handles settings, the server, prices and usage.

    Attributes:
        most_tools: The largest number of tools in one request.
    """

    most_tools: ClassVar[int] = MOST_TOOLS
    _api: ClassVar[str]
    _server_type: ClassVar[type[OpenAIServer]] = OpenAIServer
    _path: ClassVar[str]
    _tokens: ClassVar[tuple[str, str]]
    """The API's names for the tokens of the question and of the answer."""
    _streaming: ClassVar[JsonObject]
    """The additional fields of a request whose answer is streamed."""
    _lacking: ClassVar[Mapping[str, str]]
    """The settings that the API does not support, each with the repair."""

    def __init__(  # noqa: PLR0913 - each is a separate setting of the server
        self,
        model: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout_seconds: float = 600.0,
        price: Price | None = None,
        limiter: RateLimiter | None = None,
        native_schema: bool | None = None,
    ) -> None:
        self.model = model
        self._forms = SchemaForms(native_schema)
        self.name = f"{self._api}:{model}"
        server = self._server_type(
            self.name, api_key=api_key, base_url=base_url, timeout_seconds=timeout_seconds, limiter=limiter
        )
        self._server = server
        self.limiter = server.limiter
        self._provider = self._api if server.is_own else f"{self._api} {shown_address(server.address)}"
        self._prices = Prices("openai" if server.is_own else "", model, given=price, address=server.address)
        self._seals = RefusedSeals()

    def check_set_up(self) -> None:
        """Check that there is a key and that the packages are installed; see `graphengine.models.base.ChecksSetUp`."""
        self._server.check_set_up()

    def __keys__(self) -> Sequence[str]:
        """Return the API keys of the model, so that they can be removed from prompts, errors and logs."""
        return self._server.key.known()

    async def answer(self, request: Request) -> Response:
        """Call the model once and return its answer.

        Raises:
            ModelError: The call failed; the class states how.
        """
        refuse_lacking(self, request.settings, request.agent)
        for message, repair in too_many_tools(self, len(request.tools)):
            raise BadRequest(message, where=f"agent {request.agent}", repair=repair)

        async def ask(asked: Request) -> Response:
            in_form = functools.partial(self._answer_request, asked)
            return await self._forms.answered(asked, in_form, is_native=self._is_native(asked))

        return await answer_with_tool_forms(self.name, self.limiter, request, ask)

    def form_of(self, request: Request) -> Form:
        """Return whether the schema of a typed answer will be sent in the API's own field or in the instructions."""
        return self._forms.form(request, is_native=self._is_native(request))

    def _is_native(self, request: Request) -> bool:
        """Return whether to send the schema of a typed answer in the API's own field.

        For other servers than OpenAI's this is avoided if the request has tools. Such servers often force the whole
        answer to follow the schema, so the model could not call a tool, and would make up its answer instead.
        """
        return self._forms.is_native(request, by_server=self._server.knows_new_names or not request.tools)

    async def _answer_request(self, request: Request, is_native: bool) -> Response:  # noqa: FBT001 - as `SchemaForms` asks
        body, headers = self._body(request, is_native=is_native), request.settings.headers
        reader = self._reads(request)
        whole: JsonObject | None = None
        try:
            if not request.streams:
                whole = await self._server.whole(self._path, self._adapt_body(body), headers)
            else:
                sent = self._adapt_body({**body, **self._streaming})
                unstreamed = await self._server.stream(self._path, sent, headers, reader.take, request.watch)
                whole = reader.whole() if unstreamed is None else unstreamed
            reader.head = whole
            with self._server.failing():
                return await self._add_counts(self._response(whole), whole, heard=self._hears(request))
        except ModelError as error:
            if error.unread_call and request.tools:
                return self._broken(request, error)
            if isinstance(error, BadRequest):
                error.repair = self._repair(request, error)
            if reader.head.get("usage"):
                spent = self._read_spent_tokens(reader.head)
                error.usage = await self._prices.usage(spent if spent.input_tokens else None, is_torn=whole is None)
            raise

    def _adapt_body(self, body: JsonObject) -> JsonObject:
        """Change the body of a request to what this server accepts. The body is unchanged by default.

        Subclasses override this method for servers that differ from OpenAI's.
        """
        return body

    def _broken(self, request: Request, error: ModelError) -> Response:
        """Return an answer that contains the tool call that the server could not parse.

        The agent then answers the call with an error, so that the model learns what was wrong and tries again.
        """
        if request.on_reset is not None:
            request.on_reset(error.message)
        name, written = call_in(error.unread_call, [tool.name for tool in request.tools])
        call = ToolCall(id=_UNREAD, name=utf8_text(name), arguments=utf8_text(written))
        return Response("", calls=(call,), stop="tools", cost_usd=0.0)

    @property
    def batches(self) -> Batches:
        """The batches of this model at its provider."""
        server = self._server
        return OpenAIBatches(self._path, server.client, self._check_batch_body, self._of_batch, server.failing)

    def _check_batch_body(self, request: Request) -> JsonObject:
        """Build the JSON body that is sent for one request of a batch.

        Raises:
            BadRequest: The request has headers, which a batch does not support.
        """
        if request.settings.headers:
            repair = "leave out Settings(headers=…), or batch=True"
            text = "Settings(headers=…) cannot be sent, because the calls of a batch of OpenAI have no headers"
            raise BadRequest(text, where=f"agent {request.agent}", repair=repair)
        return self._body(request, is_native=self._is_native(request))

    async def _of_batch(self, whole: JsonObject) -> Response:
        """Convert one answer from the results of a batch to a response. Its cost uses the reduced price of batches."""
        with self._server.failing():
            return await self._add_counts(self._response(whole), whole, is_batch=True)

    def _hears(self, request: Request) -> bool:  # noqa: ARG002 - used by an API that accepts sound
        return False

    def _repair(self, request: Request, error: BadRequest) -> str:
        """Return advice for the user about a request that the server refused.

        The cause may be that the server does not support schemas of answers, or that the model cannot call tools. The
        advice names what to change in each of these cases.
        """
        repair = repair_of(request.settings, error.message) or error.repair
        if request.schema is not None and self._is_native(request):
            repair += "; a server without schemas of answers needs native_schema=False"
        if request.tools and _ABOUT_TOOLS.search(error.message):
            repair += "; a model that cannot call tools needs an agent without tools="
        return repair

    @abstractmethod
    def _reads(self, request: Request) -> StreamReader:
        """Return the reader for a streamed answer to this request."""

    @abstractmethod
    def _body(self, request: Request, *, is_native: bool) -> JsonObject:
        """Build the JSON body of a request.

        If `is_native` is false, the schema of the answer is written into the instructions.
        """

    @abstractmethod
    def _response(self, whole: JsonObject) -> Response:
        """Convert the JSON of an answer to a response. Tokens and cost are added afterwards."""

    async def close(self) -> None:
        """Close the connections that belong to the running event loop."""
        await self._server.close()

    def lacks(self, settings: Settings) -> Mapping[str, str]:
        """Return which of an agent's settings the API does not support, each with advice on what to do instead."""
        lacking = dict(self._lacking)
        if self._server.knows_new_names:
            lacking["top_k"] = "leave out this setting, which OpenAI's models do not have"
        if self._server.is_own and thinks(self.model) and settings.effort != "none":
            lacking |= dict.fromkeys(SAMPLING, "leave out this setting, which needs effort='none' (no thinking)")
        return {name: repair for name, repair in lacking.items() if name in settings.given()}

    def _with_fees(self, spent: Spent, whole: JsonObject) -> Spent:  # noqa: ARG002 - an answer with hosted tools
        """Add the fees of tools that the provider ran. A subclass whose API has such tools overrides this method."""
        return spent

    def _read_spent_tokens(self, whole: JsonObject, *, is_batch: bool = False, heard: bool = False) -> Spent:
        """Read the tokens of an answer, and the other facts on which its cost depends."""
        spent = used(inside(whole, "usage"), *self._tokens)
        is_special = text(whole, "service_tier") not in STANDARD_TIERS or (heard and not spent.input_audio_tokens)
        return self._with_fees(replace(spent, is_special=is_special, is_batch=is_batch), whole)

    async def _add_counts(
        self, response: Response, whole: JsonObject, *, is_batch: bool = False, heard: bool = False
    ) -> Response:
        """Return a copy of a response with the answer's id, token counts, cost, and the names of its model and server.

        Args:
            response: The response.
            whole: The answer.
            is_batch: Whether the answer is part of a batch.
            heard: Whether the question contains sound. Not every server counts the tokens of sound separately, so the
                cost may then be unknown.
        """
        spent = self._read_spent_tokens(whole, is_batch=is_batch, heard=heard)
        answered = utf8_text(text(whole, "model"))
        return replace(
            spent.on(response),
            model=f"{self._api}:{answered}" if answered else "",
            id=utf8_text(text(whole, "id")),
            server=self._server.place,
            cost_usd=await self._prices.cost(spent, answered) if spent.input_tokens else None,
        )


_NAME: Final = "graphengine"
"""The key of a batch's metadata that contains the batch's name."""
_OVER: Final = ("completed", "failed", "expired", "cancelled")
_OK: Final = 200


@dataclass(frozen=True, slots=True, eq=False)
class OpenAIBatches:
    """Submits batches of requests to OpenAI for one model, finds batches again, and reads their answers.

    Args:
        path: The path of the API, such as `/responses`.
        client: Returns the client of OpenAI's SDK.
        body: Builds the JSON body that is sent for a request.
        response: Converts an answer in the results of a batch to a `Response`.
        failing: A context manager that converts the SDK's exceptions to `ModelError`s.
    """

    path: str
    client: Callable[[], Awaitable[AsyncOpenAI]]
    body: Callable[[Request], JsonObject]
    response: Callable[[JsonObject], Awaitable[Response]]
    failing: Callable[[], AbstractContextManager[None]]

    async def submit(self, name: str, requests: Mapping[str, Request]) -> str:
        """Upload the requests as a file, submit them as a batch, and return the id of the batch.

        If the process dies between the two steps, the file remains at OpenAI, which costs nothing.
        """
        client = await self.client()
        url = f"/v1{self.path}"
        lines = [
            {"custom_id": item, "method": "POST", "url": url, "body": self.body(request)}
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
        """Search OpenAI's list of batches for the batch that contains the request of a ticket.

        Returns the id of the batch, or None if the batch was never submitted.
        """
        client = await self.client()
        with self.failing():
            async for batch in client.batches.list(limit=100):  # the newest batch comes first
                if batch.created_at < ticket.at - SKEW_SECONDS:
                    break
                if (batch.metadata or {}).get(_NAME) == ticket.batch:
                    return batch.id
        return None

    async def ended(self, batch: str) -> bool:
        client = await self.client()
        with self.failing():
            return (await client.batches.retrieve(batch)).status in _OVER

    async def answers(self, batch: str) -> Mapping[str, Response]:
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


__all__ = ["OpenAIBatches", "OpenAIServer", "ServedModel", "StreamReader"]
