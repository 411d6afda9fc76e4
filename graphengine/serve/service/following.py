"""Follow a run until it rests, answer its questions and send it messages. All doors use these functions.

A run *rests* in two cases: it has ended, or it waits for a person or a message while its inbox contains nothing that
the run would still read.
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
    """A wait of a frame.

    Attributes:
        frame: The frame that waits.
        record: The wait in its recorded form.
        wait: The same wait in the form that is shown.
    """

    frame: Frame
    record: WaitRecord
    wait: Wait


def open_in(snapshot: Snapshot, topics: Collection[str | None] | None = None) -> Iterator[Open]:
    """Yield the waits of a run that people or clients can end: unanswered questions, and waits for messages.

    Args:
        snapshot: The run, with the answers that have been posted.
        topics: Include only messages of these topics; None includes all messages.
    """
    for frame in snapshot.frames.values():
        for name, record in frame.waits.items():
            wait = wait_of(name, record)
            if record.id in snapshot.posted:
                continue
            if wait.answerable or (wait.kind == "receive" and (topics is None or wait.topic in topics)):
                yield Open(frame, record, wait)


def waits(snapshot: Snapshot, topics: Collection[str | None] | None = None) -> Mapping[str, Wait]:
    """Return the waits that `open_in` yields, by their ids."""
    return {each.record.id: each.wait for each in open_in(snapshot, topics)}


class Rest(NamedTuple):
    """A run at rest, as a door has shown it.

    Attributes:
        run: The snapshot of the run.
        after: The seq after which the run was shown; -1 if the seq does not matter.
        answers: The number of answers that the run has used since `after`.
    """

    run: Snapshot
    after: int = -1
    answers: int = 0


class Rests:
    """The snapshots of resting runs that doors have just shown, so that the next turn need not load the run.

    The steps of the next turn are applied to the snapshot. Therefore a snapshot is handed to only one caller.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Rest] = {}

    def keep(self, run_id: str, rest: Rest) -> None:
        """Keep a run at rest. The caller must not use the snapshot any more."""
        self._kept.pop(run_id, None)
        self._kept[run_id] = rest
        if len(self._kept) > _RESTS:
            del self._kept[next(iter(self._kept))]

    def of(self, run_id: str) -> Rest | None:
        """Return the kept snapshot of a run; None if no snapshot is kept."""
        return self._kept.get(run_id)

    def take(self, info: RunInfo) -> Snapshot | None:
        """Return the kept snapshot of a run and forget it.

        None is returned if no snapshot is kept, or if the run has changed since.
        """
        kept = self._kept.pop(info.id, None)
        is_now = kept is not None and (kept.run.nonce, kept.run.seq) == (info.nonce, info.seq)
        return kept.run if kept is not None and is_now else None


async def rest_of(service: Service, run_id: str, topics: Collection[str | None] | None = None) -> Snapshot | None:
    """Return a run if it rests; None otherwise. If `topics` is given, waits for other topics do not count as rest."""
    return (await look_at(service, run_id, topics))[1]


async def look_at(
    service: Service,
    run: str | RunInfo,
    topics: Collection[str | None] | None = None,
    now: Snapshot | None = None,
) -> tuple[RunInfo, Snapshot | None]:
    """Return the row of a run, and the run if it rests. Both describe the same moment in this case.

    The order of reading matters, because a message can be moved between two reads:

    1. A message is posted to a run that waits.
    2. The row of the run is read: the run waits.
    3. A process takes the message out of the inbox, and records it.
    4. The inbox is read: it is empty, so the run would wrongly seem to rest.

    Therefore the inbox is read before the row, and the row must agree with the steps: an earlier message is then found
    in one of the two. For the same reason, a message found in the inbox is sufficient to know that the run does not
    rest.

    Args:
        service: The service that has the run.
        run: The id of the run, or its row if the row was read before.
        topics: As for `rest_of`.
        now: The run with all steps that the caller has read. If the run has more steps, it does not rest yet. None to
            load the run.
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
    """Return whether an inbox contains something that a waiting run will read."""
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
    """Yield all events after a seq, and finally the run when it rests.

    While the run is driven in this process, its live events are yielded too, if they are wanted. Otherwise only
    recorded steps are yielded.

    Args:
        service: The service that has the run.
        run: The row of the run.
        after: The seq after which events are yielded.
        topics: As for `rest_of`.
        now: The run after this seq, to which the caller applies the steps that it gets; None to load the run at the
            end.
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
    """Yield the events of a run as long as the run is driven in this process."""
    with suppress(GraphEngineError):  # an error of this process, such as a lost claim: the run continues elsewhere
        async with aclosing(service.runner.watch(run, after=after, wait_out=False, live=live)) as events:
            async for event in events:
                if not isinstance(event, RunEnded):
                    yield event


async def answer(service: Service, run_id: str, given: Mapping[str, object]) -> Mapping[str, InputError]:
    """Record answers by the ids of their waits; see `answer_all`.

    Returns:
        The error of each answer that was not recorded, by the id of its wait.
    """

    async def send(key: str, value: object) -> None:
        await service.runner.answer(run_id, value, wait=key)
        service.wake_worker()

    async def until_rest(seq: int) -> None:
        service.wake_worker()
        await _waits_again(service, await service.runner.info(run_id), seq)

    return await answer_all(service.runner.store, run_id, given, send, until_rest)


async def _waits_again(service: Service, run: RunInfo, after: int) -> None:
    """Return as soon as a run waits again after a seq, or rests."""
    async with aclosing(follow_run(service, run, after, (), live=False)) as events:
        async for event in events:
            if isinstance(event, StepRecorded) and event.step.kind == "waiting":
                return


async def say(  # noqa: PLR0913 - what a message is
    service: Service, info: RunInfo, topic: str, payload: object, key: str, alone: str = ""
) -> bool:
    """Send a message to a run, once for each key of its inbox. A failed or stopped run is continued with the message.

    Return False if the run already has a message with this key, or with another key that begins with `alone`.
    """
    is_new = await service.runner.send_alone(info, topic, payload, key=key, alone=alone)
    service.wake_worker()
    if info.status in ("failed", "stopped"):
        await service.runner.revive(info.id)
    return is_new


def failure_of(graph: Graph[Any], end: Snapshot) -> GraphEngineError | None:
    """Return the error of a failed, stopped or cancelled run, or of a chat's failed newest turn; None otherwise."""
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
