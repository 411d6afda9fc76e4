"""Follow a run until it rests, answer its questions and send messages to it. All doors use these functions.

A run *rests* when it needs something from outside or is done: it has ended, or it waits for a person or a message, and
its inbox contains nothing that the run would still read.
"""

from __future__ import annotations

from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.agents.chats import TurnFailed, is_chat, turn_in
from graphengine.errors import GraphEngineError, RunCancelled
from graphengine.kernel.extension import RunEnded, RunFailed, StepRecorded, compiled, result_of
from graphengine.kernel.inside import StepReasons, find_posted, wait_of
from graphengine.kernel.reader import OVER, load_snapshot
from graphengine.records.now import answer_all
from graphengine.serve.requests import RunStopped

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
    from typing import Any

    from graphengine.api.graph import Graph
    from graphengine.errors import InputError
    from graphengine.kernel.extension import Event
    from graphengine.kernel.reader import Frame, Snapshot, Wait, WaitRecord
    from graphengine.kernel.store import InboxMessage, RunInfo
    from graphengine.serve.service.app import Service


_RESTS: Final = 16
"""The number of runs whose snapshots are kept: the runs that were shown last."""


class Open(NamedTuple):
    """Something that a run still waits for: an answer to a question, or a message.

    Attributes:
        frame: The part of the run that waits: the run itself, or one of its inner graphs, arms or items.
        record: The wait as the run's state contains it.
        wait: The same wait in the form that readers see.
    """

    frame: Frame
    record: WaitRecord
    wait: Wait


def open_in(snapshot: Snapshot, topics: Collection[str | None] | None = None) -> Iterator[Open]:
    """Yield the waits of a run that a person or a client can end.

    These are unanswered questions, and waits for a message.

    Args:
        snapshot: The run, including the answers in its inbox.
        topics: Include only waits for messages of these topics; None includes all topics.
    """
    for frame in snapshot.frames.values():
        for name, record in frame.waits.items():
            wait = wait_of(name, record)
            if record.id in snapshot.posted:
                continue
            if wait.answerable or (wait.kind == "receive" and (topics is None or wait.topic in topics)):
                yield Open(frame, record, wait)


def waits(snapshot: Snapshot, topics: Collection[str | None] | None = None) -> Mapping[str, Wait]:
    """Return the unanswered questions of a run and its waits for messages, by their ids: see `open_in`."""
    return {each.record.id: each.wait for each in open_in(snapshot, topics)}


class Rest(NamedTuple):
    """The snapshot of a run that has ended or waits, kept in memory so that the next request need not load the run.

    Attributes:
        run: The snapshot.
        after: The step after which the run was shown to the client; -1 if that does not matter.
        answers: The number of answers that the run has used since `after`.
    """

    run: Snapshot
    after: int = -1
    answers: int = 0


class Rests:
    """A small cache of the snapshots of runs that were just shown to a client, because a message may follow soon.

    With a cached snapshot, the run need not be loaded for this message. The code that takes a snapshot changes it by
    applying the next steps of the run. Therefore each snapshot is given to one user only.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Rest] = {}

    def keep(self, run_id: str, rest: Rest) -> None:
        """Put the snapshot of a run into the cache. After that, the caller must not use the snapshot any more.

        If the cache is full, the oldest snapshot is removed.
        """
        self._kept.pop(run_id, None)
        self._kept[run_id] = rest
        if len(self._kept) > _RESTS:
            del self._kept[next(iter(self._kept))]

    def of(self, run_id: str) -> Rest | None:
        """Return the cached snapshot of a run without removing it; None if there is none."""
        return self._kept.get(run_id)

    def take(self, info: RunInfo) -> Snapshot | None:
        """Remove the cached snapshot of a run, and return it if it is still current; None otherwise."""
        kept = self._kept.pop(info.id, None)
        is_now = kept is not None and (kept.run.nonce, kept.run.seq) == (info.nonce, info.seq)
        return kept.run if kept is not None and is_now else None


async def rest_of(service: Service, run_id: str, topics: Collection[str | None] | None = None) -> Snapshot | None:
    """Return the snapshot of a run if the run has ended, or waits for a person or a message; None while it works.

    Args:
        service: The service that has the run.
        run_id: The id of the run.
        topics: The topics of the messages that this caller can send: see `look_at`.
    """
    return (await look_at(service, run_id, topics))[1]


async def look_at(
    service: Service,
    run: str | RunInfo,
    topics: Collection[str | None] | None = None,
    now: Snapshot | None = None,
) -> tuple[RunInfo, Snapshot | None]:
    """Return a run's entry in the store, and its snapshot if the run *rests*.

    A run rests when it has ended, or waits for a person or a message.

    The snapshot is None while the run works, or while its inbox contains something that it will read. The entry and
    the snapshot describe the same moment.

    The order of reading matters, because a message can be moved between two reads:

    1. A message is posted to a run that waits.
    2. The entry of the run is read: the run waits.
    3. A process takes the message out of the inbox, and records it.
    4. The inbox is read: it is empty, so the run would wrongly seem to rest.

    Therefore the inbox is read before the entry, and the entry must agree with the steps: an earlier message is
    then found in one of the two. For the same reason, a message found in the inbox is sufficient to know that the run
    does not rest.

    Args:
        service: The service that has the run.
        run: The id of the run, or its entry in the store if the entry was read before.
        topics: The topics of the messages that this caller can send. A run that waits for a message of another topic
            does not rest. None for all topics.
        now: A snapshot with all steps that the caller has read. If the run has more steps, it does not rest yet. None
            to load the run.
    """
    runner, run_id = service.runner, run if isinstance(run, str) else run.id
    if not isinstance(run, str) and run.status not in (*OVER, "waiting"):
        return run, None
    inbox = await runner.store.inbox([run_id])
    if not isinstance(run, str) and now is not None and now.seq == run.seq and _gets(now, inbox, topics):
        return run, None
    info = await runner.info(run_id)
    if now is None and info.status in (*OVER, "waiting"):
        now = service.rests.take(info)
        if now is None:
            now = await load_snapshot(runner.store, run_id, info.seq)
    if now is None or now.seq != info.seq or info.status not in (*OVER, "waiting"):
        return info, None
    is_rest = now.status in OVER or (waits(now, topics) and not _gets(now, inbox, topics))
    return info, now if is_rest else None


def _gets(now: Snapshot, inbox: Sequence[InboxMessage], topics: Collection[str | None] | None) -> bool:
    """Return whether an inbox contains an answer or a message that ends one of the run's waits."""
    posted = find_posted(inbox, now.run_id)
    unread = {each.payload.get("topic") for each in inbox if each.kind == "message"}
    return any(key in posted or (wait.topic in unread and wait.topic) for key, wait in waits(now, topics).items())


async def follow_run(  # noqa: PLR0913 - what to follow, and from where
    service: Service,
    run: RunInfo,
    after: int,
    topics: Collection[str | None] | None = None,
    now: Snapshot | None = None,
    *,
    live: bool = True,
) -> AsyncGenerator[Event | Snapshot, None]:
    """Yield all events of a run after a step, until the run has ended or waits for a person or a message.

    The last value is the snapshot of the run. While this process drives the run, live events are included if `live` is
    set. Otherwise only recorded steps are yielded.

    Args:
        service: The service that has the run.
        run: The run's entry in the store.
        after: The number of the step.
        topics: The topics of the messages that this caller can send: see `look_at`.
        now: The snapshot of the run after this step. The caller applies each step to the snapshot as soon as it gets
            the step. None to load the run at the end.
        live: Whether live events are wanted.
    """
    runner = service.runner
    reasons = StepReasons(runner.store, run.id)
    rest: Snapshot | None = None
    while rest is None or rest.seq > after:
        if runner.lives(run.id):
            async with aclosing(_live(service, run, after, live=live)) as events:
                async for event in events:
                    after = event.seq if isinstance(event, StepRecorded) else after
                    yield event
            run, rest = await look_at(service, run.id, topics, now)
        if rest is None or rest.seq > after:
            async with aclosing(runner.changes(run, after)) as rows:
                async for row, steps in rows:
                    for step in steps:
                        after = step.seq
                        yield StepRecorded(step.seq, step, await reasons.why(step))
                    if runner.lives(row.id):
                        break
                    run, rest = await look_at(service, row, topics, now)
                    if rest is not None and rest.seq <= after:
                        break
    if rest.status in OVER:
        yield RunEnded(await service.runner.result_under(service.graphs[run.graph], rest))
    yield rest


async def _live(service: Service, run: RunInfo, after: int, *, live: bool) -> AsyncGenerator[Event, None]:
    """Yield the events of a run as long as this process drives the run.

    An error of this process ends the events, because another process continues the run.
    """
    with suppress(GraphEngineError):  # an error of this process, such as a lost claim: the run continues elsewhere
        async with aclosing(service.runner.watch(run, after=after, wait_out=False, live=live)) as events:
            async for event in events:
                if not isinstance(event, RunEnded):
                    yield event


async def answer(service: Service, run_id: str, given: Mapping[str, object]) -> Mapping[str, InputError]:
    """Record the answers to several questions of a run; see `answer_all`.

    Args:
        service: The service that has the run.
        run_id: The id of the run.
        given: The answers, by the ids of their waits.

    Returns:
        The error of each answer that was not recorded, by the id of its wait.
    """

    async def send(key: str, value: object) -> None:
        await service.runner.answer(run_id, value, wait=key)
        service.wake_worker()

    async def until_rest(seq: int) -> None:
        service.wake_worker()
        info = await service.runner.info(run_id)
        async with aclosing(follow_run(service, info, seq, (), live=False)) as events:
            async for event in events:
                if isinstance(event, StepRecorded) and event.step.kind == "waiting":
                    return

    return await answer_all(service.runner.store, run_id, given, send, until_rest)


async def say(  # noqa: PLR0913 - what a message is
    service: Service, info: RunInfo, topic: str, payload: object, key: str, alone: str = ""
) -> bool:
    """Send a message to a run, unless the run has already received a message with the same key.

    If the run has failed or was stopped, and this process drives runs, the run is resumed.

    Args:
        service: The service that has the run.
        info: The run's entry in the store.
        topic: The topic of the message.
        payload: The content of the message.
        key: The idempotency key of the message.
        alone: The common beginning of the keys of messages that exclude each other, such as all messages of one turn.
            If the run has received such a message, this message is not sent. "" if no other message excludes this
            message.

    Returns:
        Whether the message was sent.
    """
    is_new = await service.runner.send_alone(info, topic, payload, key=key, alone=alone)
    service.wake_worker()
    if info.status in ("failed", "stopped"):
        await service.runner.revive(info.id)
    return is_new


def failure_of(graph: Graph[Any], end: Snapshot) -> GraphEngineError | None:
    """Return the error that a client must get for a run that was not successful; None if the client gets a result.

    The run failed, or was stopped or cancelled, or the newest turn of its chat failed.
    """
    plan = compiled(graph)
    if end.status == "cancelled":
        return RunCancelled(end.run_id, end.ending.why if end.ending is not None else "")
    if end.status not in ("failed", "stopped"):
        turn = turn_in(end.root.values) if is_chat(plan) else None
        return TurnFailed(end.run_id, turn) if turn is not None and turn.has_failed else None
    result = result_of(plan, end)
    if result.status == "failed":
        return RunFailed(result)
    why = result.ending.why if result.ending is not None else ""
    repair = f"resume the run: graphengine resume {result.run_id}"
    return RunStopped(f"run {result.run_id} was stopped: {why}", where=f"run {result.run_id}", repair=repair)


__all__ = [
    "Open",
    "Rest",
    "Rests",
    "answer",
    "failure_of",
    "follow_run",
    "look_at",
    "open_in",
    "rest_of",
    "say",
    "waits",
]
