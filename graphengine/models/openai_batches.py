"""Batches of OpenAI's Batch API, for Responses and for Chat Completions: a file of requests, and one of answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphengine.models.batches import SKEW_SECONDS
from graphengine.models.openai_parts import inside, text
from graphengine.models.received import read_json
from graphengine.models.sdk import sound_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AbstractContextManager

    from openai import AsyncOpenAI

    from graphengine.models.base import Request, Response
    from graphengine.models.batches import Ticket
    from graphengine.models.openai_schema import JsonObject

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


__all__ = ["OpenAIBatches"]
