"""Requests to a run: a message, and the reply that a node gives to exactly this message.

A request is an ordinary message whose payload contains the key of the request beside its value. A reply is an ordinary
published value, under one name for all replies, with the key of the request that it answers. So a run does not store
more for many requests than for one. A caller that waits for a reply follows the steps of the run and takes the reply
with its key.

A caller that died can ask again:

1. A caller sends a request and dies before the reply.
2. Another process sends the request again, with the same idempotency key.
3. The store has that message already, so no second message is sent, and the reply is looked for from the first step on.
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
"""The name under which replies are published. Callers cannot use names that begin with `ge:`."""


class RunRequest(BaseModel, Generic[T]):
    """A request that was sent with `Run.request`, as a node gets it from `ctx.receive(topic, RunRequest[int])`.

    To answer a `RunRequest`, the node calls `ctx.reply(request, value)`. To refuse the request, it calls
    `ctx.refuse(request, why)`. The node can also write the request into the state, so that a later node answers it.

    Attributes:
        value: The value of the request.
        key: The key of the request, which the reply contains too.
    """

    value: T
    key: str


class Reply:
    """Waits for the reply to one request, for `Run.request`.

    Args:
        run_id: The id of the run.
        key: The key of the request: its topic, a blank, and a text that distinguishes it from other requests.
        output: The type of the reply.
        timeout_seconds: How long to wait; None to wait until the run is over.

    Raises:
        DefinitionError: The type or the time cannot be used.
    """

    def __init__(self, run_id: str, key: str, output: object, timeout_seconds: float | None) -> None:
        self.key = key
        self._where, self._timeout_seconds = f"run {run_id}", timeout_seconds
        self._output, self._answers = output, Answers(output)
        self._takers = set[tuple[str, str, int]]()  # the visits of nodes whose last message is the request
        if timeout_seconds is not None and not is_seconds(timeout_seconds):
            repair = "give seconds, or None for no limit"
            text = f"timeout_seconds={timeout_seconds!r} is not a number of seconds"
            raise DefinitionError(text, where=self._where, repair=repair)

    async def find(self, store: Store, info: RunInfo, after: int) -> Any:  # noqa: ANN401 - of the type that was asked for
        """Follow the run's steps after the step number `after`, until one contains the reply, and return the reply.

        Raises:
            RequestRefused: A node refused the request, or receives messages of another type.
            NotPublished: The run ended without a reply.
            NotPublishedYet: No reply arrived in time.
            InputError: The reply has another type.
        """
        limit = asyncio.timeout(self._timeout_seconds)
        try:
            async with limit, aclosing(polled(store, info, after, wants_posted=False)) as polls:
                async for row, steps, _ in polls:
                    found = self._find_in(steps)
                    if found is not None:
                        return self._read(found)
                    if row.status in OVER:
                        text = f"run {row.id} is over ({row.status}), and no node has replied to the request"
                        repair = "find out why the run ended: `graphengine show`"
                        raise NotPublished(text, where=self._where, repair=repair)
        except TimeoutError:
            if not limit.expired():
                raise
        text = f"{self._where} has not replied to the request in {self._timeout_seconds:g} s"
        repair = "wait longer, with the same idempotency_key, so that the request is not sent twice"
        raise NotPublishedYet(text, where=self._where, repair=repair)

    def _find_in(self, steps: Sequence[Step]) -> Mapping[str, Any] | None:
        """Return the reply if one of these steps contains it; None otherwise.

        Raises:
            RequestRefused: The node that received the request could not read it as the type that the node expects.
        """
        for step in steps:
            visit, facts = (step.frame, step.node, step.visit), step.data
            if isinstance(facts, Answered) and facts.by == "message":
                given = (facts.answer.value, *facts.also.values())
                is_this = any(isinstance(each, dict) and each.get("key") == self.key for each in given)
                (self._takers.add if is_this else self._takers.discard)(visit)
            elif isinstance(facts, Refused) and visit in self._takers and self.key.startswith(f"{facts.wait} "):
                topic = repr(facts.wait)
                text = f"node {step.path} receives another type on the topic {topic}: {show(facts.message)}"
                repair = f"send what the node receives, or let it use ctx.receive({topic}, RunRequest[…])"
                raise RequestRefused(text, where=self._where, repair=repair)
            found = publication_in(step)
            reply = found.value if found is not None and found.name == REPLIES else None
            if isinstance(reply, dict) and reply.get("to") == self.key:
                return reply
        return None

    def _read(self, reply: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any type
        if "why" in reply:
            raise RequestRefused(str(reply["why"]), where=self._where, repair="send another request")
        try:
            return self._answers.read(reply["value"])
        except ValidationError as error:
            text = f"the reply of {self._where} is not of type {type_name(self._output)}: {explain(error)}"
            raise InputError(text, where=self._where, repair="ask for the type that the node replies with") from error


__all__ = ["REPLIES", "Reply", "RunRequest"]
