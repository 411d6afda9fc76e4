"""Calls of OpenAI's own server, and of others that speak as it does: whole answers and streams of events, as JSON.

The SDK carries the call (connections, headers, server-sent events, its own errors), but does not read the answer: its
classes take any JSON without a check, so that their types promise what a local server may not keep; and what a provider
wants to get back must be kept just as it came. So `openai.py` and `openai_chat.py` get JSON and read it with care.
"""

from __future__ import annotations

import json
import os
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from graphengine.errors import AnswerTorn, DefinitionError
from graphengine.graph.options import is_seconds
from graphengine.models.openai_errors import complaint, failed, not_said, raised
from graphengine.models.sdk import Clients, Failures, Key, http_address, http_client, load, shown_address, sound_json
from graphengine.models.server_events import ServerEvents

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from openai import AsyncOpenAI, AsyncStream

    from graphengine.errors import ModelError
    from graphengine.models.openai_schema import JsonObject

OWN_URL: Final = "https://api.openai.com/v1"
OWN_HOST: Final = "api.openai.com"
AZURE_HOSTS: Final = ".openai.azure.com", ".services.ai.azure.com"
KEY: Final = "OPENAI_API_KEY"
URL: Final = "OPENAI_BASE_URL"
_DONE: Final = "[DONE]"
"""What these APIs send after the last event of a stream."""


class Server:
    """One model's server: where it is, with which key it is called, and how its calls fail.

    The key of the environment goes to OpenAI, and to the server that `OPENAI_BASE_URL` names beside it. A server that
    the code names gets the key that the code gives it, or none: no other company learns a key that is not its own.

    Args:
        model: What errors call the model, as `openai:gpt-5`.
        api_key: The key; None for the one of the environment.
        base_url: The API's address, mostly ending in /v1; None for the environment's, or OpenAI's own.
        timeout_seconds: For how long the server may send nothing before the call fails with `ModelTimeout`.

    Attributes:
        is_own: Whether this is OpenAI itself.
        knows_new_names: Whether it knows what OpenAI has renamed; a compatible server may know the old name alone.
        address: Where it is.
        shown_address: The same without credentials.
    """

    def __init__(self, model: str, *, api_key: str | None, base_url: str | None, timeout_seconds: float) -> None:
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
        self._timeout_seconds = float(timeout_seconds)
        self._model = model
        self._clients: Clients[AsyncOpenAI] = Clients(self._make)
        self.failures = Failures(model, self.address, self._key)

    async def whole(self, path: str, body: JsonObject) -> JsonObject:
        """The answer to one call, an object of JSON.

        Raises:
            ModelError: The call failed; of the kind that fits.
        """
        async with self._calling() as client:
            try:
                answer: object = await client.post(path, body=sound_json(body), cast_to=object)
            except self._errors as error:
                raise raised(error, self.failures) from None
        return self._object(answer)

    async def stream(self, path: str, body: JsonObject, take: Callable[[JsonObject], bool]) -> JsonObject | None:
        """The answer to one call, event by event.

        Args:
            path: Which of the API's paths.
            body: The request.
            take: Gets each event; says whether the answer is whole with it, so that no other is waited for.

        Returns:
            The whole answer, if the server does not stream; None once the stream has ended.

        Raises:
            ModelError: The call failed; of the kind that fits.
        """
        async with self._calling() as client:
            from openai import AsyncStream  # noqa: PLC0415 - loaded by now

            try:
                stream = await client.post(
                    path, body=sound_json(body), cast_to=object, stream=True, stream_cls=AsyncStream[object]
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
        """Close what the running event loop has open."""
        await self._clients.close()

    async def _follow(self, events: ServerEvents, take: Callable[[JsonObject], bool]) -> None:
        began = False
        while True:
            try:
                came = await events.next()
                event = None if came is None or came.data.startswith(_DONE) else json.loads(came.data)
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
            body = (await stream.response.aread()).decode("utf-8", "replace")
            kind = stream.response.headers.get("content-type", "")
            return self._object(json.loads(body) if "json" in kind else body)
        except self._errors as error:
            raise raised(error, self.failures) from None

    def _object(self, answer: object) -> JsonObject:
        if isinstance(answer, dict):
            return answer
        if isinstance(answer, str) and answer.strip():
            raise not_said(self.failures, "is not at this address: it answers with text that is no JSON", answer)
        if answer is None or answer == "":
            raise self.torn("gave an answer that is empty")
        raise not_said(self.failures, f"is not at this address: it answers with JSON that is a {type(answer).__name__}")

    def torn(self, what: str, said: object = "") -> ModelError:
        """The error for an answer that ended before it was whole, or cannot be read."""
        return self.failures.of(AnswerTorn, what, said)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What is done with an answer that came; one that is nested without end is none."""
        try:
            yield
        except RecursionError:
            raise self.torn("gave an answer that is nested too deeply") from None

    @asynccontextmanager
    async def _calling(self) -> AsyncIterator[AsyncOpenAI]:
        self._key.value(self._model)
        await load("openai", "openai")
        async with self._clients.turn() as client:
            yield client

    @property
    def _errors(self) -> tuple[type[Exception], ...]:
        """What the SDK raises, what its HTTP client does amid a stream, and what reading JSON does."""
        import httpx2  # noqa: PLC0415 - as openai
        import openai  # noqa: PLC0415 - loaded by then

        return openai.OpenAIError, httpx2.HTTPError, json.JSONDecodeError, UnicodeDecodeError, RecursionError

    def _make(self) -> AsyncOpenAI:
        import openai  # noqa: PLC0415 - a client is made once the SDK is loaded

        http = http_client(openai, self._timeout_seconds)
        key = self._key.value(self._model)
        return openai.AsyncOpenAI(
            api_key=key, base_url=self.address, timeout=http.timeout, max_retries=0, http_client=http
        )


__all__ = ["Server"]
