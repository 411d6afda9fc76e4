"""How every door follows a run until it rests, answers it, and sends it messages.

A run rests once it is over, or waits for a person or a message and has got nothing that no process has taken yet.
"""

from __future__ import annotations

from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, NamedTuple

from graphengine.agents.chats import TurnFailed, is_chat, turn_in
from graphengine.kernel import (
    OVER,
    AnsweredAlready,
    AsksNothing,
    GraphEngineError,
    InputError,
    RunCancelled,
    RunEnded,
    RunFailed,
    StatusChanged,
    StepRecorded,
    load_now,
    load_snapshot,
    posted_in,
    result_of,
    wait_of,
)
from graphengine.kernel.definitions import compiled
from graphengine.serve.service.requests import RunStopped

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Iterator, Mapping
    from typing import Any

    from graphengine.api.graph import Graph
    from graphengine.kernel import Event, Frame, RunInfo, Snapshot, Wait, WaitRecord
    from graphengine.serve.service.app import Service


class Open(NamedTuple):
    """What a frame waits for.

    Attributes:
        frame: The frame.
        record: As it is recorded.
        wait: The same, as it is shown.
    """

    frame: Frame
    record: WaitRecord
    wait: Wait


def open_in(snapshot: Snapshot, topics: Collection[str | None] | None = None) -> Iterator[Open]:
    """Yield what a run waits for of people and clients: questions without an answer, and messages.

    Args:
        snapshot: The run, with the answers that are posted.
        topics: Only messages of these topics; None for all.
    """
    for frame in snapshot.frames.values():
        for name, record in frame.waits.items():
            wait = wait_of(name, record)
            if record.id in snapshot.posted:
                continue
            if wait.answerable or (wait.kind == "receive" and (topics is None or wait.topic in topics)):
                yield Open(frame, record, wait)


def waits(snapshot: Snapshot, topics: Collection[str | None] | None = None) -> Mapping[str, Wait]:
    """Return the same by id."""
    return {each.record.id: each.wait for each in open_in(snapshot, topics)}


async def rest_of(service: Service, run_id: str, topics: Collection[str | None] | None = None) -> Snapshot | None:
    """Return a run if it rests; messages of other topics than these are no rest.

    What a process takes out of the inbox, it records in the same transaction. So the inbox is read between the row and
    the steps, which must agree: what came before is in one of them.
    """
    store, info = service.runner.store, await service.info_of(run_id)
    if info.status not in (*OVER, "waiting"):
        return None
    inbox = await store.inbox([run_id])
    snapshot = await load_snapshot(store, run_id, None)
    if snapshot.seq != info.seq:
        return None
    found, posted = waits(snapshot, topics), posted_in(inbox, run_id)
    unread = {each.payload.get("topic") for each in inbox if each.kind == "message"}
    is_quiet = not any(key in posted or (wait.topic in unread and wait.topic) for key, wait in found.items())
    return snapshot if snapshot.status in OVER or (found and is_quiet) else None


async def followed(
    service: Service, run_id: str, after: int, topics: Collection[str | None] | None = None
) -> AsyncGenerator[Event | Snapshot, None]:
    """Yield all that happens after a seq, and at last the run when it rests."""
    graph = service.graphs[(await service.info_of(run_id)).graph]
    while True:
        async with aclosing(service.runner.watch(run_id, graph, after=after)) as events:
            async for event in events:
                yield event
                if isinstance(event, StepRecorded):
                    after = event.seq
                elif isinstance(event, RunEnded) or (isinstance(event, StatusChanged) and event.status == "waiting"):
                    rest = await rest_of(service, run_id, topics)
                    if rest is not None and rest.seq <= after:
                        yield rest
                        return


async def answer(service: Service, run_id: str, given: Mapping[str, object]) -> Mapping[str, InputError]:
    """Record answers by the ids of their waits; return why some were not recorded, by id.

    Waits that are over are left out: the request was sent again, or somebody else was faster. Several waits can have
    one name, under which the first of them is answered: so what follows one that is left open is left open.
    """
    refused: dict[str, InputError] = {}
    left: set[str] = set()
    snapshot = await load_now(service.runner.store, run_id)
    for key, wait in waits(snapshot, ()).items():
        if key in given and wait.name in left:
            text = f"several questions are called {wait.name!r}, and an earlier one of them is open"
            refused[key] = InputError(text, where=f"question {key!r}", repair="answer them in their order")
        elif key in given:
            try:
                with suppress(AnsweredAlready, AsksNothing):
                    await service.runner.answer(run_id, given[key], wait=wait.name)
            except InputError as error:
                refused[key] = error
        if key not in given or key in refused:
            left.add(wait.name)
    service.look()
    return refused


async def say(service: Service, info: RunInfo, topic: str, payload: object, key: str) -> None:
    """Send a message to a run, once for each key of its inbox; a run that failed or was stopped takes it up, too."""
    await service.runner.send(info.id, topic, payload, idempotency_key=key)
    service.look()
    if info.status in ("failed", "stopped"):
        await service.runner.revive(info.id)


def failure_of(graph: Graph[Any], end: Snapshot) -> GraphEngineError | None:
    """Return the error of a run that failed or was stopped, or of a chat whose newest turn failed; None for others."""
    plan = compiled(graph)
    if end.status == "cancelled":
        return RunCancelled(end.run_id, end.ending.why if end.ending is not None else "")
    if end.status not in ("failed", "stopped"):
        turn = turn_in(end.root.values) if is_chat(plan) else None
        return TurnFailed(end.run_id, turn) if turn is not None and turn.has_failed else None
    result = result_of(plan, end)
    if result.status == "failed":
        return RunFailed(result)
    why, repair = result.ending.why if result.ending is not None else "", f"graphengine resume {result.run_id}"
    return RunStopped(f"run {result.run_id} was stopped: {why}", where=f"run {result.run_id}", repair=repair)


__all__ = ["Open", "answer", "failure_of", "followed", "open_in", "rest_of", "say", "waits"]
