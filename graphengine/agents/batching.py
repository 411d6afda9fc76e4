"""A turn of an agent as a part of a batch: recorded before it is submitted, collected when the batch has ended.

The run sleeps meanwhile, so the process may end. Each step is a piece of recorded work below the turn, see
`graphengine.models.batches` for their order.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from pydantic_core import to_json

from graphengine.errors import DefinitionError
from graphengine.models.batches import StillOpen, Ticket, batches_of, collector_of, poll_seconds
from graphengine.models.settings import ChecksSettings, refuse_lacking
from graphengine.runner.scope import Piece

BATCH_KEY: Final = "/batch||"
"""What comes after the key of a turn in the key of the record of its place in a batch."""

if TYPE_CHECKING:
    from graphengine.agents.runtime import AgentRuntime
    from graphengine.models.base import Model, Request, Response
    from graphengine.models.batches import BatchCollector
    from graphengine.state.json_values import JsonValue


async def batched(runtime: AgentRuntime, model: Model, request: Request) -> Response | None:
    """Return the answer of a batch; None if the model answers at once, or the batch has no answer to the request.

    Raises:
        BadRequest: The model has no batches, or not all settings.
        DefinitionError: There is no run that could wait for it.
        ModelError: The provider's batches failed.
    """
    batches = batches_of(model, request.agent)
    if batches is None:
        return None
    if isinstance(model, ChecksSettings):
        refuse_lacking(model, request.settings, request.agent)
    if not runtime.may_sleep():
        raise DefinitionError(
            f"agent {request.agent} has batch=True, and nothing can wait for a batch here",
            where=f"agent {request.agent}",
            repair="run it as a node, outside of ctx.step; or agent.but(batch=False).run(…)",
        )
    return await _collected(runtime, model, request, collector_of(model, batches))


async def _collected(
    runtime: AgentRuntime, model: Model, request: Request, collector: BatchCollector
) -> Response | None:
    joined: list[Ticket] = []

    async def join() -> Piece:
        joined.append(await collector.join(request))
        return _piece(asdict(joined[0]))

    async def submit() -> Piece:
        return _piece({"id": await collector.submitted(ticket, request)})

    try:
        ticket = Ticket(**await runtime.piece("batch", "", join))
        batch = None
        unknown = f"whether {model.name} has batch {ticket.batch}"
        while batch is None:
            try:
                while runtime.has_slept(unknown):
                    await runtime.sleep_for(0, unknown)
                batch = (await runtime.piece("submitted", "", submit))["id"]
            except StillOpen:
                await runtime.sleep_for(poll_seconds(ticket), unknown)
    finally:
        for each in joined:
            collector.leave(each)
    under_way = f"batch {batch} of {model.name}"
    while runtime.has_slept(under_way) or not await collector.ended(batch):
        await runtime.sleep_for(poll_seconds(ticket), under_way)
    return (await collector.answers(batch)).get(ticket.item)


def _piece(record: dict[str, JsonValue]) -> Piece:
    return Piece(record, len(to_json(record)))


__all__ = ["batched"]
