"""Batches: many requests that a provider answers within a day, at half the price.

`Batches` is the interface to a provider's batches. `BatchCollector` collects the requests for one model in this
process, so that the items of a map share a batch.

A batch must only be paid once, even if a process dies at any point, but no provider offers an idempotent submission. A
batch therefore takes three steps. The agent's run records the first and the third step:

1. A request joins a group. It gets the group's unique name and its own place in the group.
2. When every member of the group has recorded its place, the group is submitted under its name.
3. Each member records the id of the batch.

If a process dies between steps 1 and 3, the next process searches the provider's list of batches for the name, and
submits the group only if it is not found.

Example: a process with the members a and b records "ge1_0" and "ge1_1", submits the batch, and dies. The next process
joins both again under the name "ge1", finds a batch with this name, and records its id instead of submitting it again.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from weakref import WeakKeyDictionary

from graphengine.models.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from graphengine.models.base import Model, Request, Response

T = TypeVar("T")

QUIET_SECONDS: Final = 1.0
"""How long a group waits for another request."""
LONGEST_SECONDS: Final = 10.0
"""How long a group waits for requests in all."""
MOST_REQUESTS: Final = 10_000
"""The largest number of requests in a batch.

Anthropic allows 100,000 and OpenAI 50,000, but both also limit the bytes.
"""
FIRST_POLL_SECONDS: Final = 30.0
LONGEST_POLL_SECONDS: Final = 3600.0
_SHARE: Final = 0.25  # of the time that a batch has taken; a batch that takes a day is checked about forty times
_FRESH_SECONDS: Final = 5.0
_KEPT_ANSWERS: Final = 4
SKEW_SECONDS: Final = 300.0
"""The largest difference between the clocks of this machine and of the provider."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """Identifies a request in a batch, so that its answer can be found after a crash.

    A run records the ticket before the batch is submitted. If the process dies during the submission, another process
    uses the ticket to search for the batch, so that the provider is not paid twice.

    Attributes:
        batch: The name that graphengine chose for the batch.
        item: The id of the request in the batch, which begins with the name of the batch.
        at: The time at which this process began to collect requests for the batch, in epoch seconds.
        size: The number of requests in the batch.
    """

    batch: str
    item: str
    at: float
    size: int


class StillOpen(Exception):
    """It cannot be decided yet whether a batch was submitted by a process that died.

    Anthropic shows the contents of a batch only after its end, so another batch that may be the right one has to end
    first.
    """


class Batches(Protocol):
    """Submits batches of requests for one model to its provider, and reads their answers."""

    async def submit(self, name: str, requests: Mapping[str, Request]) -> str:
        """Submit requests to the provider as one batch, and return the provider's id of the batch.

        Args:
            name: The name of the batch, by which `find` finds it.
            requests: The requests by their ids.
        """
        ...

    async def find(self, ticket: Ticket) -> str | None:
        """Search the provider's list of batches for the batch to which a recorded ticket belongs.

        Returns the id of the batch, or None if the batch was never submitted.

        Raises:
            StillOpen: It cannot be decided yet whether the batch was submitted.
        """
        ...

    async def ended(self, batch: str) -> bool:
        """Ask the provider whether it has finished the batch."""
        ...

    async def answers(self, batch: str) -> Mapping[str, Response]:
        """Return the answers of a finished batch, by the ids of the requests.

        Requests that failed or expired are missing from the result.
        """
        ...


@dataclass(eq=False)
class _Group:
    """Requests of this process that will be submitted together as one batch.

    Attributes:
        name: The name of the batch.
        began: The time at which the group was made, in epoch seconds.
        recovers: Whether the batch may already have been submitted by another process that died. The provider's list of
            batches is then searched first.
        requests: The requests by their ids, in the order in which they joined.
        joins: How many requests have joined, including requests that have left again.
        closed: Set when no more requests can join.
        joined: Set when a request joins.
        ready: The ids of the requests whose tickets are recorded in their runs. The batch is submitted once all its
            requests are ready.
        submission: The task that submits the group.
        changed: Set when a request becomes ready or leaves.
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


@dataclass(eq=False)
class _Gathered:
    """What this process knows about the batches of one model: requests being collected, submitted batches and answers.

    Entries for finished batches do not refer to the model, so that the model can be freed.

    Attributes:
        open: The groups of requests that more requests can join. The key is the event loop with the request's headers,
            or the event loop with the name of the batch.
        groups: The groups that are complete but not submitted yet, by the name of the batch.
        submitted: The provider's ids of the submitted batches, by the name of the batch.
        ended: By the name of each batch: the time at which the provider was last asked whether the batch has ended, and
            the provider's answer.
        answers: The answers of the newest finished batches.
        tasks: The tasks in progress.
    """

    open: dict[tuple[int, str], _Group] = field(default_factory=dict)
    groups: dict[str, _Group] = field(default_factory=dict)
    submitted: dict[str, str] = field(default_factory=dict)
    ended: dict[str, tuple[float, asyncio.Future[bool]]] = field(default_factory=dict)
    answers: OrderedDict[str, asyncio.Future[Mapping[str, Response]]] = field(default_factory=OrderedDict)
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)


class BatchCollector:
    """Collects requests for one model into batches, so that all items of a map are sent in one batch.

    Args:
        batches: Submits batches to the provider.
        gathered: What this process already knows about the batches of the model.
    """

    def __init__(self, batches: Batches, gathered: _Gathered | None = None) -> None:
        self._batches = batches
        self._gathered = gathered or _Gathered()

    async def join(self, request: Request) -> Ticket:
        """Add a request to the batch that is being collected, and wait until that batch accepts no more requests.

        Waiting takes at most 10 seconds. The ticket that is returned must be recorded before `submitted` is called.
        """
        group = self._join_group("", request)
        # The number of joins is used and not the size of the group: a member that left would pass its id to another
        # one.
        item = f"{group.name}_{group.joins}"
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
        """Submit the batch that contains a ticket's request, and return the provider's id of the batch.

        The method first waits until it was called for all requests of the batch, that is, until the tickets of all of
        them are recorded. If a process that died has already submitted the batch, the batch is found and not submitted
        again.

        Raises:
            StillOpen: Another process may have submitted the batch; ask again later.
        """
        # An earlier attempt submitted the batch and ended before it had recorded the id.
        if ticket.batch in self._gathered.submitted:
            return self._gathered.submitted[ticket.batch]
        group = self._gathered.groups.get(ticket.batch)
        if group is None or ticket.item not in group.requests:  # the ticket was recorded by a process that died
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
        """Remove the request of a cancelled run from a batch that has not been submitted yet.

        The other requests of the batch then no longer wait for this request to become ready. If `submitted` was already
        called for the request, the request stays in the batch.
        """
        group = self._gathered.groups.get(ticket.batch)
        if group is not None and ticket.item not in group.ready:
            group.requests.pop(ticket.item, None)
            group.changed.set()
            if not group.requests:
                self._gathered.groups.pop(ticket.batch, None)

    async def ended(self, batch: str) -> bool:
        """Return whether the provider has finished a batch.

        The provider's reply is kept for five seconds. Many callers that wait for the same batch therefore cause only
        one request to the provider.
        """
        now, asked = time.monotonic(), self._gathered.ended
        for each in [each for each, (at, _) in asked.items() if now - at > _FRESH_SECONDS]:
            del asked[each]
        if batch not in asked or not _can_be_awaited(asked[batch][1]):
            asked[batch] = now, self._share(self._batches.ended(batch), partial(asked.pop, batch, None))
        return await asyncio.shield(asked[batch][1])

    async def answers(self, batch: str) -> Mapping[str, Response]:
        """Return the answers of a finished batch. Concurrent callers share one request to the provider."""
        kept = self._gathered.answers
        if batch not in kept or not _can_be_awaited(kept[batch]):
            kept[batch] = self._share(self._batches.answers(batch), partial(kept.pop, batch, None))
            while len(kept) > _KEPT_ANSWERS:
                kept.popitem(last=False)
        return await asyncio.shield(kept[batch])

    def _share(self, work: Coroutine[Any, Any, T], forget: Callable[[], object]) -> asyncio.Future[T]:
        """Start work for whose result several callers wait, and return a future of the result.

        Callers get a future and not the task itself. The task would keep the context of the caller that started it in
        memory, and its exception would keep the model in memory.

        Args:
            work: The coroutine to run.
            forget: Called if the work fails, to remove the stored future, so that the next caller starts the work
                again.
        """
        shared: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def end(task: asyncio.Task[T]) -> None:
            self._gathered.tasks.discard(task)
            if task.cancelled():
                shared.cancel()
            elif (error := task.exception()) is not None:
                shared.set_exception(error)
            else:
                shared.set_result(task.result())
                return
            forget()

        task = asyncio.create_task(work)
        self._gathered.tasks.add(task)
        task.add_done_callback(end)
        return shared

    def _join_group(self, name: str, request: Request) -> _Group:
        """Return the group of requests that a new request joins, and make the group if there is none.

        A name is given to rebuild the group of a process that died. With `name=""`, this is the group that collects
        requests with the same headers.
        """
        headers = repr(sorted(request.settings.headers.items()))
        key = (id(asyncio.get_running_loop()), name or headers)
        group = self._gathered.open.get(key)
        if group is None:
            group = _Group(name or f"ge{secrets.token_hex(8)}", time.time(), recovers=bool(name))
            self._gathered.open[key] = group
            task = asyncio.ensure_future(self._close(key, group))
            self._gathered.tasks.add(task)
            task.add_done_callback(self._gathered.tasks.discard)
        return group

    async def _close(self, key: tuple[int, str], group: _Group) -> None:
        """Wait until no more requests should be collected for a batch, then close the group.

        This is the case when the batch is full, when no request has joined for a second, or after 10 seconds.
        """
        deadline = time.monotonic() + LONGEST_SECONDS
        try:
            while time.monotonic() < deadline and len(group.requests) < MOST_REQUESTS:
                group.joined.clear()
                try:
                    async with asyncio.timeout(QUIET_SECONDS):
                        await group.joined.wait()
                except TimeoutError:
                    break
        finally:  # if the event loop ends here, a later event loop with the same id must not find this group
            self._gathered.open.pop(key, None)
        self._gathered.groups[group.name] = group
        group.closed.set()

    async def _submit(self, group: _Group, lost: Ticket | None) -> str:
        """Wait until the tickets of all requests in the group are recorded, then submit the batch and return its id.

        If the tickets were recorded by a process that died (`lost` is one of them), the provider's list is searched
        first, because a batch that is submitted twice is also paid twice.
        """
        while group.requests.keys() - group.ready:
            group.changed.clear()
            await group.changed.wait()
        try:
            found = None if lost is None else await self._batches.find(lost)
            self._gathered.submitted[group.name] = found or await self._batches.submit(group.name, group.requests)
            return self._gathered.submitted[group.name]
        finally:
            self._gathered.groups.pop(group.name, None)


_GATHERED: Final[WeakKeyDictionary[object, _Gathered]] = WeakKeyDictionary()


def collector_of(model: Model, batches: Batches) -> BatchCollector:
    """Return a collector that shares its state with all other collectors of this model object."""
    return BatchCollector(batches, _GATHERED.setdefault(model, _Gathered()))


def _can_be_awaited(future: asyncio.Future[Any]) -> bool:
    """Return whether the running event loop can await this future.

    A future that belongs to another event loop can be awaited only if it is already done.
    """
    return future.done() or future.get_loop() is asyncio.get_running_loop()


def lacks_batches(model: object) -> str:
    """Return what to do instead if an agent with `batch=True` has a model that does not support batches.

    Returns "" if the model supports batches, or if it needs none because it answers at once, as a scripted model does.
    """
    if hasattr(model, "batches"):
        return ""
    return "leave out batch=, or use a model of a provider with batches: anthropic:…, openai:… or openai-chat:…"


def batches_of(model: Model, agent: str) -> Batches | None:
    """Return the object that submits the batches of a model; None for a model that answers at once (a scripted model).

    Raises:
        BadRequest: The model does not support batches.
    """
    if repair := lacks_batches(model):
        text = f"agent {agent!r} has batch=True, but the model {model.name!r} cannot be called in batches"
        raise BadRequest(text, where=f"agent {agent}", repair=repair)
    batches: Batches | None = model.batches  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    return batches


def poll_seconds(ticket: Ticket) -> float:
    """Return for how many seconds to wait before the provider is asked again whether a batch has ended.

    This is a quarter of the time since the batch was made, but at least 30 seconds and at most an hour.
    """
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
