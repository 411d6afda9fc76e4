"""Anthropic's models, called with Anthropic's SDK.

One call of `answer` is one call of the Messages API. The answer is streamed if the caller wants pieces of it or if it
may be long; otherwise it is received at once. `anthropic_forms` makes the request and reads the answer. The SDK's own
retries are switched off, so that each attempt is counted and recorded once.
"""

from __future__ import annotations

import functools
import os
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast
from urllib.parse import urlsplit

from graphengine.kernel.extension import utf8_text
from graphengine.models.anthropic_forms import (
    LEAST_COMPACTED,
    PROVIDER,
    STREAM_FROM_TOKENS,
    Gathered,
    Parts,
    body,
    can_be_held_to,
    has_room,
    headers,
    joined,
    paused,
    read,
    reported,
    unknown_end,
)
from graphengine.models.anthropic_hosted import container_id, lacks_tool
from graphengine.models.base import usage_of_failure
from graphengine.models.batches import SKEW_SECONDS, StillOpen
from graphengine.models.errors import BadRequest, ModelError
from graphengine.models.prices import PricedModel, Prices
from graphengine.models.schema_forms import SchemaForms
from graphengine.models.sdk import Key, Server, http_address, kept_by_schema
from graphengine.models.seals import RefusedSeals
from graphengine.models.settings import refuse_lacking, repair_of
from graphengine.models.tool_forms import answer_with_tool_forms

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    import anthropic
    from pydantic import JsonValue

    from graphengine.models.base import Form, Request, Response
    from graphengine.models.batches import Batches, Ticket
    from graphengine.models.hosted import HostedTool
    from graphengine.models.limiter import RateLimiter
    from graphengine.models.prices import Price, Spent
    from graphengine.models.received import JsonObject
    from graphengine.models.settings import Settings

ADDRESS: Final = "https://api.anthropic.com"
MOST_PAUSES: Final = 8
"""How many times one answer may pause. After each pause the message is sent back, so that the provider continues it."""
PATH: Final = "/v1/messages"
_ABOUT_THOUGHTS: Final = re.compile(r"signature|expected `?thinking|thinking`? block", re.IGNORECASE)
"""The texts of refusals that concern the thinking of earlier turns."""
_LACKING: Final = ("seed", "presence_penalty", "frequency_penalty", "verbosity")


class AnthropicModel(PricedModel):
    """A model of Anthropic, or of a server with a compatible API.

    Args:
        model: The name of the model, such as `claude-haiku-4-5`.
        api_key: The key; None for the environment variable ANTHROPIC_API_KEY. For a server that needs no key, pass any
            text.
        base_url: The server's address; None for the environment variable ANTHROPIC_BASE_URL, or else Anthropic's
            address.
        timeout_seconds: How long the server may send nothing before the call fails with `ModelTimeout`.
        price: The price of the model, if the price tables do not contain it or do not apply.
        limiter: The rate limiter; None for the limiter that all models with this name, address and key share.
        native_schema: Whether the schema of a typed answer is sent in the API's own form, which makes the model follow
            it. None sends it in this form to Anthropic's own address, and in the instructions to other addresses. A
            server that refuses the form receives the schema in the instructions.

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
        native_schema: bool | None = None,
    ) -> None:
        address = http_address(base_url or os.environ.get("ANTHROPIC_BASE_URL") or ADDRESS).removesuffix("/v1")
        self._model = model
        self._forms = SchemaForms(native_schema)
        self._has_forms = urlsplit(address).hostname == urlsplit(ADDRESS).hostname
        self._set_up(address, Key(api_key, "ANTHROPIC_API_KEY"), timeout_seconds, price, limiter)

    def _set_up(
        self, address: str, key: Key, timeout_seconds: float, price: Price | None, limiter: RateLimiter | None
    ) -> None:
        self.name = f"{self._api}:{self._model}"
        self._server = Server(
            self.name,
            address,
            key,
            timeout_seconds=timeout_seconds,
            limiter=limiter,
            make=self._make_client,
            needs=self._needs(),
        )
        self.limiter = self._server.limiter
        self._prices = Prices(PROVIDER, self._model, given=price, address=address)
        self._seals = RefusedSeals()

    def __repr__(self) -> str:
        return f"AnthropicModel({self._model!r})"

    def check_set_up(self) -> None:
        """Check that there is a key and that the packages are installed; see `graphengine.models.base.ChecksSetUp`."""
        self._server.check_set_up()

    def __keys__(self) -> Sequence[str]:
        """Return the API keys of the model, so that they can be removed from prompts, errors and logs."""
        return self._server.key.known()

    async def answer(self, request: Request) -> Response:
        """Call the model once and return its answer.

        Raises:
            ModelError: The call failed; the class states how, see `graphengine.errors`.
        """
        refuse_lacking(self, request.settings, request.agent)
        await self._server.client()  # loads the SDK, which transforms schemas

        async def ask(asked: Request) -> Response:
            in_form = functools.partial(self._answer_without_refused_thinking, asked)
            return await self._forms.answered(asked, in_form, is_native=self._is_native(asked))

        return await answer_with_tool_forms(self.name, self.limiter, request, ask)

    async def _answer_without_refused_thinking(self, request: Request, is_native: bool) -> Response:  # noqa: FBT001 - as `SchemaForms` asks
        """Send the request. If the server refuses the thinking in earlier answers, send the request again without it.

        A server refuses thinking that another server, or another API key, has signed.
        """
        sent, bare = self._body(request, is_native=is_native), request.bare()
        answers = [message for message in request.messages if message.role == "assistant"]
        # Between tool calls, a turn can only contain thinking if its first answer did.
        if answers and answers[-1].calls:
            bare = replace(bare, settings=bare.settings.but(thinking=None))
        if request not in self._seals:
            try:
                return await self._send_request(request, sent)
            except BadRequest as error:
                fewer = self._body(bare, is_native=is_native)
                if not _ABOUT_THOUGHTS.search(error.message) or fewer == sent:
                    raise
            self._seals.add(request)
        fewer = self._body(bare, is_native=is_native)
        found = await self._send_request(bare, fewer)
        return found if fewer["messages"] == sent["messages"] else replace(found, unsealed=PROVIDER)

    async def _send_request(self, request: Request, sent: JsonObject) -> Response:
        parts = Parts()
        try:
            message = await self._whole(sent, request, parts)
            with self._server.failing():
                if message.get("error"):  # some proxies return errors with status 200
                    raise self._server.refused(message)
                response, spent = read(message)
            if reason := unknown_end(message):
                raise self._server.unknown_end(reason)
        except ModelError as error:
            if isinstance(error, BadRequest):
                error.repair = repair_of(request.settings, error.message) or error.repair
            error.usage = await self._prices.usage(reported(parts), is_torn=parts.is_torn) or error.usage
            raise
        return await self._price_response(response, spent)

    @property
    def batches(self) -> Batches:
        """Submits batches of requests to Anthropic for agents with `batch=True`."""
        return AnthropicBatches(
            self._server.client,
            lambda request: self._body(request, is_native=self._is_native(request)),
            self._of_batch,
            self._server.failing,
        )

    def _needs(self) -> list[tuple[str, str]]:
        """Return the packages that have to be loaded, each with the extra of graphengine that installs it."""
        return [("anthropic", "anthropic")]

    def lacks(self, settings: Settings) -> Mapping[str, str]:
        """Return which of an agent's settings Anthropic's API does not support, each with advice on what to do."""
        options = settings.given()
        found: dict[str, str] = {
            name: "leave out this setting, which is not in the API" for name in _LACKING if name in options
        }
        if settings.effort in {"none", "minimal"}:
            found["effort"] = "give thinking=False, or effort='low' or higher"
        return found

    def lacks_tool(self, tool: HostedTool) -> str:
        """Return advice for an agent with a hosted tool that this model cannot run.

        A hosted tool is a tool that the provider runs, such as its web search. `lacks_tool` returns "" if the model can
        run the tool with the given options. Otherwise the advice can be about the tool as a whole or about one of its
        options.
        """
        return lacks_tool(self._model, tool)

    def compacts(self, tokens: int) -> bool:
        """Return whether Anthropic replaces older messages by a shorter form itself, from this number of tokens on."""
        return self._server.address == ADDRESS and tokens >= LEAST_COMPACTED

    async def close(self) -> None:
        """Close the connections that belong to the running event loop."""
        await self._server.close()

    # -- calls

    def form_of(self, request: Request) -> Form:
        """Return whether the schema of a typed answer will be sent in the API's own field or in the instructions."""
        return self._forms.form(request, is_native=self._is_native(request))

    def _is_native(self, request: Request) -> bool:
        return self._forms.is_native(request, by_server=self._has_forms) and _native_schema(request) is not None

    def _body(self, request: Request, *, is_native: bool) -> JsonObject:
        """Build the JSON body of a request that calls the model.

        Raises:
            BadRequest: The conversation is empty, because the prompt is.
        """
        sent = body(self._model, request, _native_schema(request) if is_native else None)
        if not sent["messages"]:
            raise BadRequest(
                f"the prompt of agent {request.agent!r} is empty, so there is nothing to send to {self.name}",
                where=f"agent {request.agent}",
                repair="check that the fields that the prompt shows as {path} have values when the agent is called",
            )
        return sent

    async def _of_batch(self, message: JsonObject) -> Response:
        """Convert one answer from the results of a batch to a response. Its cost uses the reduced price of batches."""
        with self._server.failing():
            response, spent = read(message)
        if reason := unknown_end(message):
            raise self._server.unknown_end(reason)
        return await self._price_response(response, spent and replace(spent, is_batch=True))

    async def _price_response(self, response: Response, spent: Spent | None) -> Response:
        response = replace(response, server=self._server.place)
        if spent is None:
            return response
        cost_usd = await self._prices.cost(spent, response.model.removeprefix(f"{PROVIDER}:"))
        return replace(response, cost_usd=cost_usd)

    def _make_client(self, sdk: Any, common: dict[str, Any]) -> Any:  # noqa: ANN401 - the SDK's module and client
        client = sdk.AsyncAnthropic(open_telemetry=False, **common)
        _ = client.messages  # the SDK loads this on first access, which is slow, and this code runs in a thread
        return client

    async def _whole(self, sent: JsonObject, request: Request, parts: Parts) -> JsonObject:
        """Send the request, and send it again for as long as Anthropic pauses its answer; return the whole answer.

        Anthropic pauses when its own tools, such as a web search, take long. It continues when the part of the answer
        that it has sent is sent back. The token counts of each part are added to `parts`, so that they are known even
        if a later part fails.
        """
        limit = sent["max_tokens"]
        streams = request.streams or (isinstance(limit, int) and limit > STREAM_FROM_TOKENS)
        named = headers(request)
        message: JsonObject = {}
        question = cast("list[JsonValue]", sent["messages"])
        for _ in range(MOST_PAUSES + 1):
            gathered = Gathered()
            try:
                more = await (
                    self._read_answer_stream(sent, named, request, gathered)
                    if streams
                    else self._server.whole(PATH, sent, named)
                )
            except ModelError as error:
                parts.usages.append(gathered.usage)
                parts.is_torn = gathered.is_torn or (gathered.usage is None and bool(usage_of_failure(error)))
                raise
            parts.usages.append(more.get("usage"))
            with self._server.failing():
                message = joined(message, more) if message else more
            if not paused(message):
                return message
            sent = {**sent, "messages": [*question, {"role": "assistant", "content": message["content"]}]}
            used = message.get("container")
            if isinstance(used, dict) and (earlier := container_id(used)):
                sent["container"] = earlier
        endless = self._server.error(ModelError, f"paused more than {MOST_PAUSES} times in one answer")
        endless.repair = "limit the tools that the provider runs, as in web_search(max_uses=…), or ask for less"
        raise endless

    async def _read_answer_stream(
        self, sent: JsonObject, named: Mapping[str, str], request: Request, gathered: Gathered
    ) -> JsonObject:
        def take(event: JsonObject) -> bool:
            self._take(event, request, gathered)
            return event.get("type") == "message_stop"

        unstreamed = await self._server.stream(PATH, {**sent, "stream": True}, named, take, request.watch)
        if unstreamed is not None:
            return unstreamed
        with self._server.failing():
            return gathered.whole()

    def _take(self, event: JsonObject, request: Request, gathered: Gathered) -> None:
        """Add an event of the stream to the answer, and pass the text or thinking in the event on to the caller."""
        try:
            text, thought = gathered.add(event)
        except Exception:
            with self._server.failing():
                raise
        if gathered.has_begun:
            request.began()
        if text:  # outside of `failing`, because an exception of `on_text` is not an error of the provider
            request.emit_text(utf8_text(text))
        if thought:
            request.emit_thinking(utf8_text(thought))


def _native_schema(request: Request) -> JsonObject | None:
    """Convert the JSON Schema of an answer to the subset of JSON Schema that Anthropic accepts in a request.

    Returns None if the schema cannot be converted. The schema is then written into the instructions instead.
    """
    return None if request.schema is None else _transform_schema(dict(request.schema))


@kept_by_schema
def _transform_schema(schema: JsonObject) -> JsonObject | None:
    if not can_be_held_to(schema):
        return None
    import anthropic  # noqa: PLC0415 - `answer` has loaded it

    try:
        transformed = cast("JsonObject", anthropic.transform_schema(schema))
        return transformed if has_room(transformed) else None
    except (AssertionError, AttributeError, TypeError, ValueError):  # the API does not support a part of the schema
        return None


@dataclass(frozen=True, slots=True, eq=False)
class AnthropicBatches:
    """Submits batches of requests to Anthropic for one model, finds batches again, and reads their answers.

    Anthropic's batches have no name or metadata, and their content is listed only after they have ended. A batch is
    therefore found again by the ids of its requests, which begin with the name of the batch.

    Args:
        client: Returns the client of Anthropic's SDK.
        body: Builds the JSON body that is sent for a request.
        response: Converts a message in the results of a batch to a `Response`.
        failing: A context manager that converts the SDK's exceptions to `ModelError`s.
    """

    client: Callable[[], Awaitable[anthropic.AsyncAnthropic]]
    body: Callable[[Request], JsonObject]
    response: Callable[[JsonObject], Awaitable[Response]]
    failing: Callable[[], AbstractContextManager[None]]

    async def submit(self, name: str, requests: Mapping[str, Request]) -> str:  # noqa: ARG002 - the ids have the name
        """Submit the requests as a batch, and return the id of the batch."""
        client = await self.client()
        batch_requests: Any = [{"custom_id": item, "params": self.body(request)} for item, request in requests.items()]
        named = headers(next(iter(requests.values())))  # equal for all requests of a group
        with self.failing():
            batch = await client.messages.batches.create(requests=batch_requests, extra_headers=named)
            return batch.id

    async def find(self, ticket: Ticket) -> str | None:
        """Search Anthropic's list of batches for the batch that contains the request of a ticket.

        The ticket was recorded before its batch was submitted, perhaps by a process that died. Returns the id of the
        batch, or None if the batch was never submitted.

        Raises:
            StillOpen: A batch that may be the right one has not ended, so its contents cannot be listed yet.
        """
        client = await self.client()
        with self.failing():
            listed = client.messages.batches.list(limit=100)
            is_open = False
            async for batch in listed:  # the newest batch comes first
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
        client = await self.client()
        with self.failing():
            return (await client.messages.batches.retrieve(batch)).processing_status == "ended"

    async def answers(self, batch: str) -> Mapping[str, Response]:
        client = await self.client()
        messages: dict[str, JsonObject] = {}
        with self.failing():
            async for row in await client.messages.batches.results(batch):
                if row.result.type == "succeeded":
                    messages[row.custom_id] = row.result.message.model_dump(mode="json", exclude_unset=True)
        return {item: await self.response(message) for item, message in messages.items()}


__all__ = ["AnthropicBatches", "AnthropicModel"]
