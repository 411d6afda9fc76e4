"""Batches: many requests that a provider answers within a day, at half the price.

`Batches` is the interface of a provider's batches; `BatchCollector` gathers the requests of one model in this process,
so that the items of a map share a batch. A batch must be paid once, whenever a process dies, but no provider has an
idempotent submission. So it takes these steps, of which the agent's run records the first and the third:

1. A request joins a group, which gets a name of its own, and its place in it.
2. When every member of the group has recorded that, the group is submitted under its name.
3. Each member records the id of the batch. If a process dies between 1 and 3, the next one searches the provider's list
   for the name, and submits only what it does not find.

Example: a process with the members a and b records "ge1_0" and "ge1_1", submits the batch, and dies. The next process
joins both again under the name "ge1", finds a batch with this name, and records its id instead of submitting it.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakKeyDictionary

from graphengine.models.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.models.base import Model, Request, Response

QUIET_SECONDS: Final = 1.0
"""How long a group waits for one more request."""
LONGEST_SECONDS: Final = 10.0
"""How long it waits in all."""
MOST_REQUESTS: Final = 10_000
"""The most requests of a batch; Anthropic allows 100,000 and OpenAI 50,000, but also limits their bytes."""
FIRST_POLL_SECONDS: Final = 30.0
LONGEST_POLL_SECONDS: Final = 3600.0
_SHARE: Final = 0.25  # of the time that a batch has taken, so that a day takes about forty requests
_FRESH_SECONDS: Final = 5.0
_KEPT_ANSWERS: Final = 4
SKEW_SECONDS: Final = 300.0
"""By how much the clocks of this machine and of the provider may differ."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """The place of a request in a group, as it is recorded before the group is submitted.

    Attributes:
        batch: The group's name.
        item: The request's id in the batch; it begins with the name.
        at: When the group was made, epoch seconds.
        size: The number of its requests.
    """

    batch: str
    item: str
    at: float
    size: int


class StillOpen(Exception):
    """Whether a batch was submitted is not known before another one has ended, as its content is not known so far."""


class Batches(Protocol):
    """The batches of one model."""

    async def submit(self, name: str, requests: Mapping[str, Request]) -> str:
        """Submit a batch, and return its id.

        Args:
            name: Its name, by which `find` finds it.
            requests: The requests by their ids.
        """
        ...

    async def find(self, ticket: Ticket) -> str | None:
        """Return the id of the batch that a ticket belongs to; None if it was not submitted.

        Raises:
            StillOpen: That is not known yet.
        """
        ...

    async def ended(self, batch: str) -> bool:
        """Return whether a batch has ended."""
        ...

    async def answers(self, batch: str) -> Mapping[str, Response]:
        """Return the answers of a batch that has ended; those that failed or expired are missing."""
        ...


@dataclass(eq=False)
class _Group:
    """Requests that will be one batch.

    Attributes:
        name: Its name.
        began: When it was made, epoch seconds.
        recovers: Whether a process that died may have submitted it.
        requests: Its requests by their ids, as they join.
        joins: How many have joined it, also those that have left.
        closed: Set when no more can join.
        joined: Set when a request joins.
        ready: The members that have recorded their tickets.
        submission: The task that submits it.
        changed: Set when a member is ready, or leaves.
    """

    name: str
    began: float
    recovers: bool
    requests: dict[str, Request] = field(default_factory=dict)
    joins: int = 0
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    joined: asyncio.Event = field(default_factory=asyncio.Event)
    ready: set[str] = field(default_factory=set)
    submission: asyncio.Future[str] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class BatchCollector:
    """The requests for batches of one model in this process.

    Args:
        batches: The provider's batches.
    """

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self._open: dict[tuple[int, str], _Group] = {}
        self._groups: dict[str, _Group] = {}
        self._submitted: dict[str, str] = {}
        self._ended: dict[str, tuple[float, asyncio.Task[bool]]] = {}
        self._answers: OrderedDict[str, asyncio.Task[Mapping[str, Response]]] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    async def join(self, request: Request) -> Ticket:
        """Join a group, and return the place in it once the group is closed."""
        group = self._join_group("", request)
        item = f"{group.name}_{group.joins}"  # not its size: a member that left would give its id to another one
        group.joins += 1
        group.requests[item] = request
        group.joined.set()
        try:
            await group.closed.wait()
        except asyncio.CancelledError:
            group.requests.pop(item, None)
            raise
        return Ticket(group.name, item, group.began, len(group.requests))

    async def submitted(self, ticket: Ticket, request: Request) -> str:
        """Return the id of the ticket's batch: submit it when all its members have recorded their tickets.

        Raises:
            StillOpen: Another process may have submitted it; ask again later.
        """
        if ticket.batch in self._submitted:  # by an earlier attempt, which ended before it had recorded that
            return self._submitted[ticket.batch]
        group = self._groups.get(ticket.batch)
        if group is None or ticket.item not in group.requests:  # the ticket is of a process that died
            group = self._join_group(ticket.batch, request)
            group.requests[ticket.item] = request
            group.joined.set()
            await group.closed.wait()
        group.ready.add(ticket.item)
        if group.submission is None:
            group.submission = asyncio.ensure_future(self._submit(group, ticket if group.recovers else None))
        group.changed.set()
        return await asyncio.shield(group.submission)

    def leave(self, ticket: Ticket) -> None:
        """Leave a group that does not wait for this member any more, unless it was ready."""
        group = self._groups.get(ticket.batch)
        if group is not None and ticket.item not in group.ready:
            group.requests.pop(ticket.item, None)
            group.changed.set()
            if not group.requests:
                self._groups.pop(ticket.batch, None)

    async def ended(self, batch: str) -> bool:
        """Return whether a batch has ended; many callers share one question."""
        now = time.monotonic()
        self._ended = {each: found for each, found in self._ended.items() if now - found[0] <= _FRESH_SECONDS}
        if batch not in self._ended:
            self._ended[batch] = now, asyncio.ensure_future(self._batches.ended(batch))
        return await asyncio.shield(self._ended[batch][1])

    async def answers(self, batch: str) -> Mapping[str, Response]:
        """Return the answers of a batch that has ended; many callers share them."""
        task = self._answers.get(batch)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._answers[batch] = asyncio.ensure_future(self._batches.answers(batch))
            while len(self._answers) > _KEPT_ANSWERS:
                self._answers.popitem(last=False)
        return await asyncio.shield(task)

    def _join_group(self, name: str, request: Request) -> _Group:
        """Return the group to join: the open one, or the one of this name."""
        headers = repr(sorted(request.settings.headers.items()))
        key = (id(asyncio.get_running_loop()), name or headers)
        group = self._open.get(key)
        if group is None:
            group = _Group(name or f"ge{secrets.token_hex(8)}", time.time(), recovers=bool(name))
            self._open[key] = group
            task = asyncio.ensure_future(self._close(key, group))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return group

    async def _close(self, key: tuple[int, str], group: _Group) -> None:
        """Close a group when no request has joined for a while, or it is full."""
        deadline = time.monotonic() + LONGEST_SECONDS
        try:
            while time.monotonic() < deadline and len(group.requests) < MOST_REQUESTS:
                group.joined.clear()
                try:
                    async with asyncio.timeout(QUIET_SECONDS):
                        await group.joined.wait()
                except TimeoutError:
                    break
        finally:  # an event loop that ends here leaves no group to a later one with the same id
            self._open.pop(key, None)
        self._groups[group.name] = group
        group.closed.set()

    async def _submit(self, group: _Group, lost: Ticket | None) -> str:
        """Submit a group when all members are ready; one of a process that died is searched for before."""
        while group.requests.keys() - group.ready:
            group.changed.clear()
            await group.changed.wait()
        try:
            found = None if lost is None else await self._batches.find(lost)
            self._submitted[group.name] = found or await self._batches.submit(group.name, group.requests)
            return self._submitted[group.name]
        finally:
            self._groups.pop(group.name, None)


_COLLECTORS: Final[WeakKeyDictionary[object, BatchCollector]] = WeakKeyDictionary()


def collector_of(model: Model, batches: Batches) -> BatchCollector:
    """Return the collector of a model."""
    collector = _COLLECTORS.get(model)
    if collector is None:
        collector = _COLLECTORS[model] = BatchCollector(batches)
    return collector


def lacks_batches(model: object) -> str:
    """Return the repair if a model has no batches, "" if it has; a script answers at once."""
    if hasattr(model, "batches"):
        return ""
    return "leave out batch=, or use one model of a provider with batches: anthropic:…, openai:… or openai-chat:…"


def batches_of(model: Model, agent: str) -> Batches | None:
    """Return the batches of a model; None for one that answers at once, as a script.

    Raises:
        BadRequest: The model has no batches.
    """
    if repair := lacks_batches(model):
        raise BadRequest(f"{model.name} has no batches", where=f"agent {agent}", repair=repair)
    batches: Batches | None = model.batches  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    return batches


def poll_seconds(ticket: Ticket) -> float:
    """Return how long to sleep before asking for the state of a batch again: the longer it has taken, the longer."""
    return min(max(FIRST_POLL_SECONDS, (time.time() - ticket.at) * _SHARE), LONGEST_POLL_SECONDS)


__all__ = [
    "BatchCollector",
    "Batches",
    "StillOpen",
    "Ticket",
    "batches_of",
    "collector_of",
    "lacks_batches",
    "poll_seconds",
]
