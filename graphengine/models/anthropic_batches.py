"""Batches of Anthropic: the Message Batches API.

A batch has no name or metadata there, and its content is listed only when it has ended. So a batch is found again by
the ids of its requests, which begin with its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphengine.models.batches import SKEW_SECONDS, StillOpen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AbstractContextManager

    import anthropic

    from graphengine.models.anthropic_forms import Json
    from graphengine.models.base import Request, Response
    from graphengine.models.batches import Ticket


@dataclass(frozen=True, slots=True, eq=False)
class AnthropicBatches:
    """The batches of one model.

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


__all__ = ["AnthropicBatches"]
