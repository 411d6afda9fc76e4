"""What returns is on disk: each call that acknowledges something, over a store that fails at each of its writes."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

import pytest

from graphengine import END, START, Context, Graph, QueueLimits, Runner, Schedule, ask
from graphengine.errors import StoreError
from graphengine.runner.runner import lives_of
from graphengine.stores.memory import InMemoryStore
from tests.kit.waiting import State

RUN: Final = "r"
WRITES: Final = (
    "create",
    "claim",
    "append",
    "post",
    "mark_stop",
    "tag",
    "keep_schedule",
    "drop_schedule",
    "limit_queue",
)


class Full(InMemoryStore):
    """A store whose writes fail once it has made so many.

    Attributes:
        room: How many more it makes; None for any number.
        refused: How many it did not make.
    """

    def __init__(self) -> None:
        super().__init__()
        self.room: int | None = None
        self.refused = 0

    def write(self) -> None:
        """Count a write. Raises: StoreError: There is no room for it."""
        if self.room is None:
            return
        if not self.room:
            self.refused += 1
            raise StoreError("no room", where="the store")
        self.room -= 1


def _counted(name: str) -> Callable[..., Any]:
    plain = getattr(InMemoryStore, name)

    def write(self: Full, *given: Any, **named: Any) -> Any:
        self.write()
        return plain(self, *given, **named)

    async def awaited(self: Full, *given: Any, **named: Any) -> Any:
        self.write()
        return await plain(self, *given, **named)

    return write if name == "append" else awaited


for _name in WRITES:
    setattr(Full, _name, _counted(_name))


def asking() -> Graph[State]:
    """Return a graph that asks a person, then waits for a message."""
    graph = Graph("asks", State)

    async def hear(ctx: Context) -> str:
        return str(await ctx.receive("news", str))

    graph.add_node("word", ask("Which word?", str), writes="word")
    graph.add_node("hear", hear, writes="word")
    graph.add_path(START, "word", "hear", END)
    return graph


GRAPH: Final = asking()
EVERY_DAY: Final = Schedule("daily", "0 7 * * *", GRAPH.name)


class Act(NamedTuple):
    """A call that acknowledges something.

    Attributes:
        act: The call.
        there: Whether it was done, as another Runner finds it.
        before: What comes before it.
    """

    act: Callable[[Runner], Awaitable[object]]
    there: Callable[[Runner], Awaitable[object]]
    before: Callable[[Runner], Awaitable[object]] | None = None


async def waits(runner: Runner) -> None:
    """Let a run ask."""
    await runner.start(GRAPH, run_id=RUN).result()


async def kinds(runner: Runner) -> list[str]:
    """Return the kinds of the steps of the run; none if it is not recorded."""
    return [step.kind for step in await runner.history(RUN)] if await runner.store.infos([RUN]) else []


async def mail(runner: Runner) -> list[str]:
    """Return what is in the inbox of the run, and was taken out of it."""
    kept = lives_of(runner).shared
    return [*(each.kind for each in await kept.store.inbox([RUN])), *await kinds(runner)]


def has(found: Callable[[Runner], Awaitable[list[str]]], *wanted: str) -> Callable[[Runner], Awaitable[object]]:
    """Return whether any of these words is found."""

    async def there(runner: Runner) -> bool:
        return bool(set(wanted) & set(await found(runner)))

    return there


async def tags(runner: Runner) -> list[str]:
    """Return the tags of the run."""
    return [*(await runner.info(RUN)).tags]


async def schedules(runner: Runner) -> list[str]:
    """Return the names of the schedules, and whether each is paused."""
    found = await runner.admin.schedules()
    return [f"{each.name} {'paused' if each.paused else 'runs'}" for each in found] or ["none"]


async def limits(runner: Runner) -> list[str]:
    """Return the names of what has limits."""
    return [*await runner.store.queue_limits()]


async def scheduled(runner: Runner) -> None:
    """Keep a schedule."""
    await runner.admin.schedule(EVERY_DAY, GRAPH)


ACTS: Final = {
    "begun": Act(lambda r: r.start(GRAPH, run_id=RUN).begun(), has(kinds, "started")),
    "begun in a queue": Act(lambda r: r.start(GRAPH, run_id=RUN, queue="q").begun(), has(kinds, "started")),
    "begun by a resume": Act(
        lambda r: r.resume(RUN, GRAPH, pause_before=["hear"]).begun(), has(kinds, "resumed"), waits
    ),
    "begun as a branch": Act(
        lambda r: r.branch(RUN, GRAPH, at=1, run_id="b").begun(),
        lambda r: r.store.infos(["b"]),
        waits,
    ),
    "result": Act(lambda r: r.start(GRAPH, run_id=RUN).result(), has(kinds, "waiting")),
    "send": Act(lambda r: r.send(RUN, "news", "all is well"), has(mail, "message"), waits),
    "start_or_send": Act(lambda r: r.start_or_send(GRAPH, RUN, "news", "all is well"), has(mail, "message")),
    "answer": Act(lambda r: r.answer(RUN, "yes"), has(mail, "answer"), waits),
    "answer and go on": Act(lambda r: r.answer(RUN, "yes", GRAPH), has(mail, "answer", "answered"), waits),
    "stop": Act(lambda r: r.stop(RUN), has(mail, "stopped"), waits),
    "stop for good": Act(lambda r: r.stop(RUN, final=True), has(mail, "stopped"), waits),
    "tag": Act(lambda r: r.tag(RUN, add=["urgent"]), has(tags, "urgent"), waits),
    "schedule": Act(scheduled, has(schedules, "daily runs")),
    "pause_schedule": Act(lambda r: r.admin.pause_schedule("daily"), has(schedules, "daily paused"), scheduled),
    "unschedule": Act(lambda r: r.admin.unschedule("daily"), has(schedules, "none"), scheduled),
    "limit_queue": Act(lambda r: r.admin.limit_queue("q", QueueLimits(concurrency=1)), has(limits, "q")),
}


@pytest.mark.parametrize("name", ACTS)
async def test_what_is_acknowledged_is_on_disk(name: str) -> None:
    """Whichever write fails, the call raises the store's error, or what it acknowledges can be read by another."""
    one, writes = ACTS[name], 0
    while True:
        store = Full()
        async with Runner(store) as runner:
            if one.before is not None:
                await one.before(runner)
            store.room, error = writes, None
            try:
                await one.act(runner)
            except StoreError as failed:
                error = failed
            store.room = None
            assert error is not None or await one.there(runner), f"acknowledged after {writes} writes"
            if not store.refused:
                break
        writes += 1
    assert writes, "nothing was written"
