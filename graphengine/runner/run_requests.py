"""Requests to a run that goes on: a message, and the reply that a node gives to that very message.

A request is an ordinary message whose payload has the request's key beside its value. A reply is an ordinary published
value, under one name for all replies, with the key of the request that it answers. So a run keeps no more for many
requests than for one, and who waits for a reply follows the steps of the run and takes the reply with its key.

1. A caller sends a request and dies before the reply. 2. Another process sends it again, with the same idempotency key.
3. The store has that message already, so no second one is sent: the reply is looked for from the first step on.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from graphengine.engine.published import publication_in
from graphengine.engine.steps import OVER, Answered, Refused
from graphengine.errors import DefinitionError, InputError, NotPublished, NotPublishedYet, RequestRefused
from graphengine.graph.options import is_seconds
from graphengine.graph.question import Answers
from graphengine.history.changes import polled
from graphengine.state.field import explain, type_name
from graphengine.state.recorded_text import show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.engine.steps import Step
    from graphengine.stores.base import RunInfo, Store

T = TypeVar("T")

REPLIES: Final = "ge:reply"
"""The name under which replies are published; callers cannot use names that begin like this."""


class RunRequest(BaseModel, Generic[T]):
    """A request to a run, as a node receives it with `ctx.receive(topic, RunRequest[int])`.

    `Run.request` sends it. The node, or a later one to which the state brings it, answers it with `ctx.reply(request,
    value)` or `ctx.refuse(request, why)`.

    Attributes:
        value: What is asked.
        key: The key of the request, which the reply has too.
    """

    value: T
    key: str


async def find_reply(  # noqa: PLR0913 - a request, and how to wait for its reply
    store: Store, info: RunInfo, key: str, after: int, output: object, timeout_seconds: float | None
) -> Any:  # noqa: ANN401 - of the type that was asked for
    """Return the reply to a request, which is waited for.

    Args:
        store: The store of the run.
        info: The run's row.
        key: The key of the request.
        after: The step after which the reply can be.
        output: The type of the reply.
        timeout_seconds: How long to wait; None until the run is over.

    Raises:
        RequestRefused: A node refused the request, or receives messages of another type.
        NotPublished: The run is over without a reply.
        NotPublishedYet: There was no reply in time.
        InputError: The reply is of another type.
    """
    where = f"run {info.id}"
    if timeout_seconds is not None and not is_seconds(timeout_seconds):
        repair = "give seconds, or None for no limit"
        raise DefinitionError(f"timeout_seconds={timeout_seconds!r}", where=where, repair=repair)
    answers, takers = Answers(output), set[tuple[str, str, int]]()
    try:
        async with asyncio.timeout(timeout_seconds), aclosing(polled(store, info, after, wants_posted=False)) as polls:
            async for row, steps, _ in polls:
                reply = _reply_in(steps, key, takers, where)
                if reply is not None:
                    return _read_reply(reply, answers, output, where)
                if row.status in OVER:
                    text = f"run {row.id} is over ({row.status}), and no node has replied to the request"
                    raise NotPublished(text, where=where, repair="see `graphengine show`: why the run ended")
    except TimeoutError as error:
        if isinstance(error, NotPublished):
            raise
    text = f"run {info.id} has not replied to the request in {timeout_seconds:g} s"
    repair = "wait longer, with the same idempotency_key, so that the request is not sent twice"
    raise NotPublishedYet(text, where=where, repair=repair)


def _reply_in(
    steps: Sequence[Step], key: str, takers: set[tuple[str, str, int]], where: str
) -> Mapping[str, Any] | None:
    """Return the reply with this key in steps, and note in `takers` which visits of nodes have received the request.

    Raises:
        RequestRefused: A visit that received the request could not read it.
    """
    for step in steps:
        visit, facts = (step.frame, step.node, step.visit), step.data
        if isinstance(facts, Answered):
            given = (facts.answer.value, *facts.also.values())
            if facts.by == "message" and any(isinstance(each, dict) and each.get("key") == key for each in given):
                takers.add(visit)
        elif isinstance(facts, Refused) and visit in takers:
            text = f"node {step.path} receives another type on the topic {facts.wait!r}: {show(facts.message)}"
            repair = (
                f"send what the node receives, or let it receive a request: ctx.receive({facts.wait!r}, RunRequest[…])"
            )
            raise RequestRefused(text, where=where, repair=repair)
        found = publication_in(step)
        reply = found.value if found is not None and found.name == REPLIES else None
        if isinstance(reply, dict) and reply.get("to") == key:
            return reply
    return None


def _read_reply(reply: Mapping[str, Any], answers: Answers, output: object, where: str) -> Any:  # noqa: ANN401 - any type
    if "why" in reply:
        raise RequestRefused(str(reply["why"]), where=where, repair="send another request")
    try:
        return answers.read(reply["value"])
    except ValidationError as error:
        text = f"the reply of {where} is no {type_name(output)}: {explain(error)}"
        raise InputError(text, where=where, repair="ask for the type that the node replies with") from error


__all__ = ["REPLIES", "RunRequest", "find_reply"]
