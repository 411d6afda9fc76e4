"""A watcher that does not read: what waits for it is bounded, and it loses no recorded step."""

import asyncio

import pytest

from graphengine import Context, Runner, iterations
from graphengine.agents import AnswerReset, PartialAnswer, TextDelta
from graphengine.agents.live_events import MOST_KEPT
from graphengine.errors import WatcherTooSlow
from graphengine.runner import Emitted, RunEnded, StepRecorded
from graphengine.runner.run_events import JOINED_FROM, MOST_WAITING, Watcher
from tests.kit.runs import repeated
from tests.runner.test_watchers import State, one

PIECES = 50_000


def delta(text: str, turn: int = 1) -> TextDelta:
    """Return a piece of the text of a turn."""
    return TextDelta("write", "writer", text, turn=turn)


def taken(watcher: Watcher) -> list[object]:
    """Return all that waits."""
    return [watcher.get_nowait() for _ in range(watcher.qsize())]


def test_many_pieces_wait_as_one_text() -> None:
    """Two turns that are streamed at once keep their own ends; what was left out of each is counted."""
    watcher = Watcher()
    for _ in range(PIECES):
        watcher.put_nowait(delta("0123456789"))
        watcher.put_nowait(delta("é" * 10, turn=2))
    assert watcher.qsize() == JOINED_FROM + 2
    *first, one_text, other = taken(watcher)
    assert all(isinstance(event, TextDelta) and not event.skipped for event in first)
    assert isinstance(one_text, TextDelta)
    assert isinstance(other, TextDelta)
    length = 10 * (PIECES - JOINED_FROM // 2)
    assert (len(one_text.text), one_text.skipped, one_text.text[-3:]) == (MOST_KEPT, length - MOST_KEPT, "789")
    assert (other.turn, set(other.text), other.skipped) == (2, {"é"}, length - MOST_KEPT)
    watcher.put_nowait(delta("next"))
    assert taken(watcher) == [delta("next")]


def test_what_does_not_count_is_not_joined() -> None:
    """Pieces after a reset stay apart from those before it, and only the newest partial answer waits."""
    watcher = Watcher()
    for _ in range(JOINED_FROM):
        watcher.put_nowait(Emitted("write", 1))
    reset = AnswerReset("write", "writer", "torn")
    for event in (delta("a"), delta("b"), reset, delta("c"), delta("d")):
        watcher.put_nowait(event)
    for number in range(5):
        watcher.put_nowait(PartialAnswer("write", "writer", number))
    assert taken(watcher)[JOINED_FROM:] == [delta("ab"), reset, delta("cd"), PartialAnswer("write", "writer", 4)]


async def test_no_recorded_step_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that were left out are read from the store, before the next one and before the end."""
    monkeypatch.setattr("graphengine.runner.run_events.MOST_WAITING", 50)

    async def count(n: int) -> int:
        await asyncio.sleep(0)
        return n + 1

    graph = repeated(State, count, "n", iterations("count") >= 130, name="counting", node="count")
    async with Runner() as runner:
        run = runner.start(graph)
        events = run.events()
        seen = [await anext(events)]
        await asyncio.sleep(0.01)
        result = await run.result()
        seen += [event async for event in events]
    assert [event.seq for event in seen if isinstance(event, StepRecorded)] == list(range(1, result.seq + 1))
    assert isinstance(seen[-1], RunEnded)


async def test_too_many_other_events_are_an_error() -> None:
    """The run continues; the watcher, and `watch`, get an error that says how to continue."""

    async def emit(ctx: Context) -> int:
        for number in range(MOST_WAITING + 1):
            ctx.emit(number)
        return 1

    async with Runner() as runner:
        run = runner.start(one(emit), run_id="r")
        events, watched = run.events(), runner.watch("r")
        assert (await run.result()).status == "finished"
        for each in (events, watched):
            with pytest.raises(WatcherTooSlow, match="10,000 live events") as caught:
                _ = [event async for event in each]
            assert "after=" in caught.value.repair
