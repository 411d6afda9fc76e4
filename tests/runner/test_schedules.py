"""Schedules: a tick starts one run, over all workers, crashes and clocks that jump."""

import asyncio
from bisect import bisect
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from graphengine import Graph, Runner
from graphengine.errors import InputError
from graphengine.history.load import load_snapshot
from graphengine.testing import FakeClock
from graphengine.worker import Schedule, schedules
from graphengine.worker.schedules import Ticker, next_tick, ticks, ticks_around
from graphengine.worker.worker import Worker
from tests.kit.runs import alone

HOUR = 3600.0
DAY = 24 * HOUR
NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC).timestamp()


class State(BaseModel):
    topic: str = "none"
    day: int = 0


def write(topic: str) -> str:
    """Return the topic in capitals."""
    return topic.upper()


def passed(must: int) -> int:
    """Return the number."""
    return must


def report(name: str = "report") -> Graph[State]:
    """Return a graph of one node."""
    return alone(State, write, "topic", name=name, node="write")


def hourly(**more: Any) -> Schedule:
    """Return a schedule at every full hour."""
    return Schedule("hourly", "0 * * * *", "report", **more)


@pytest.fixture
def noon() -> FakeClock:
    """Return a clock at noon, which moves by itself only if asked to."""
    return FakeClock(start=NOON + 60, jumps=False)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def still(request: pytest.FixtureRequest, tmp_path: Path, noon: FakeClock) -> AsyncIterator[Runner]:
    """Yield a Runner on that clock, over each store."""
    place: Any = {"memory": None, "sqlite": tmp_path / "runs.db"}.get(request.param)
    if request.param == "postgres":
        place = request.getfixturevalue("postgres")
    async with Runner(place, clock=noon) as runner:
        yield runner


async def started(runner: Runner) -> Sequence[str]:
    """Return the ids of all runs, the oldest first."""
    return sorted([info.id for info in await runner.runs()])


def ticker(runner: Runner) -> Ticker:
    """Return what a worker ticks with."""
    return Ticker(runner, {"report": report()})


async def test_a_tick_starts_a_queued_run(still: Runner, noon: FakeClock) -> None:
    """A tick starts a queued run with the schedule's input, queue and tags, at its time and once."""
    made = await still.schedule(hourly(queue="mail", priority=2, tenant="ann", tags=("nightly",)), report(), {"day": 3})
    assert made.next_at == NOON + HOUR
    assert await still.schedules() == [made]
    ticking = ticker(still)
    await ticking.tick()
    assert await started(still) == []
    noon.move(HOUR)
    await ticking.tick()
    await ticking.tick()
    (info,) = await still.runs()
    assert (info.id, info.queued, info.queue, info.priority, info.tenant) == (
        "hourly@20260601T130000Z",
        True,
        "mail",
        2,
        "ann",
    )
    assert info.tags == ("nightly",)
    assert (await load_snapshot(still.store, info.id, None)).root.values["day"] == 3
    assert (await still.schedules())[0].next_at == NOON + 2 * HOUR


async def test_a_tick_fires_once_with_two_workers(still: Runner, noon: FakeClock) -> None:
    """A tick fires once, also if two workers see it together, or one died before the schedule was moved."""
    await still.schedule(hourly(), report())
    noon.move(HOUR)
    kept = (await still.store.schedules())[0]
    await asyncio.gather(*(ticker(still).tick() for _ in range(4)))
    assert await started(still) == ["hourly@20260601T130000Z"]
    await still.store.keep_schedule(kept)  # as if it had not been moved
    await ticker(still).tick()
    assert await started(still) == ["hourly@20260601T130000Z"]


@pytest.mark.parametrize(("missed", "hours"), [("skip", []), ("one", [16]), ("all", [13, 14, 15, 16])])
async def test_missed_ticks(still: Runner, noon: FakeClock, missed: Any, hours: list[int]) -> None:
    """They are skipped, or the last one or all are started, as the schedule says; later times follow as usual."""
    await still.schedule(hourly(missed=missed), report())
    noon.move(4.5 * HOUR)
    ticking = ticker(still)
    await ticking.tick()
    assert await started(still) == [f"hourly@20260601T{hour}0000Z" for hour in hours]
    noon.move(0.5 * HOUR)
    await ticking.tick()
    assert (await started(still))[-1] == "hourly@20260601T170000Z"


async def test_many_missed_ticks_are_started_in_parts(still: Runner, noon: FakeClock) -> None:
    """None is lost, and none started twice."""
    await still.schedule(Schedule("often", "* * * * *", "report", missed="all"), report())
    noon.move(150 * 60)
    ticking = ticker(still)
    await ticking.tick()
    await ticking.tick()
    assert len(await still.runs(limit=1000)) == 150


@pytest.mark.parametrize(("missed", "count", "first"), [("skip", 2, "0100"), ("one", 2, "0100"), ("all", 200, "0101")])
async def test_a_month_of_missed_seconds_is_not_walked(
    noon: FakeClock, missed: Any, count: int, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ticks that one call of a worker looks at do not depend on how many were missed, so it holds no loop."""
    looked_at = 0

    def counted(*given: Any) -> Iterator[float]:
        nonlocal looked_at
        for tick in ticks(*given):
            looked_at += 1
            yield tick

    monkeypatch.setattr(schedules, "ticks", counted)
    async with Runner(clock=noon) as runner:
        await runner.schedule(Schedule("often", "* * * * * *", "report", missed=missed), report())
        ticking = ticker(runner)
        for seconds in (30 * DAY, 60.0):
            noon.move(seconds)
            looked_at = 0
            await ticking.tick()
            assert looked_at < 150
        runs = await runner.runs(limit=1000)
        assert (len(runs), min(info.id[-5:] for info in runs)) == (count, f"{first}Z")


async def test_a_clock_that_jumps(still: Runner, noon: FakeClock) -> None:
    """After a clock jumps ahead and back, nothing is started again, and the schedule continues."""
    await still.schedule(hourly(missed="one"), report())
    ticking = ticker(still)
    await ticking.tick()
    noon.move(1000 * HOUR)
    await ticking.tick()
    assert len(await started(still)) == 1
    noon._set(noon.now() - 1000 * HOUR)  # noqa: SLF001 - `move` refuses it, and a machine's clock does not
    await ticking.tick()
    assert (await still.schedules())[0].next_at == NOON + HOUR
    noon.move(HOUR)
    await ticking.tick()
    assert (await started(still))[0] == "hourly@20260601T130000Z"


async def test_a_paused_schedule_starts_nothing(still: Runner, noon: FakeClock) -> None:
    """What it missed is not started when it is resumed; a removed one is gone."""
    await still.schedule(hourly(missed="all"), report())
    assert (await still.pause_schedule("hourly")).next_at is None
    noon.move(5 * HOUR)
    await ticker(still).tick()
    assert await started(still) == []
    assert (await still.pause_schedule("hourly", paused=False)).next_at == NOON + 6 * HOUR
    await still.unschedule("hourly")
    noon.move(5 * HOUR)
    await ticker(still).tick()
    assert await started(still) == []
    with pytest.raises(InputError):
        await still.unschedule("hourly")


async def test_schedules_of_other_graphs_are_left_alone(still: Runner, noon: FakeClock) -> None:
    """A worker that has the graph starts them."""
    await still.schedule(hourly(), report())
    noon.move(HOUR)
    await Ticker(still, {"other": report("other")}).tick()
    assert await started(still) == []


async def test_an_input_that_no_longer_fits_is_reported(still: Runner, noon: FakeClock) -> None:
    """The schedule stays, and is tried again later; others are started."""

    class Other(BaseModel):
        must: int

    changed = alone(Other, passed, "must", name="report", node="write")
    await still.schedule(hourly(), report())
    noon.move(HOUR)
    ticking = Ticker(still, {"report": changed})
    assert isinstance(await ticking.tick(), InputError)
    assert await ticking.tick() is None
    assert await started(still) == []
    await ticker(still).tick()
    assert len(await started(still)) == 1


async def test_a_worker_starts_and_drives_them(timed: Runner) -> None:
    """A worker alone starts and drives scheduled runs."""
    await timed.schedule(Schedule("often", "* * * * *", "report"), report(), {"topic": "tides"})
    events: list[object] = []

    def note(event: object) -> None:
        events.append(event)
        if len(events) >= 4:
            worker.stop()

    worker = Worker(timed, report(), on_event=note)
    await asyncio.wait_for(worker.run(), 30)
    ended = [info for info in await timed.runs() if info.status == "finished"]
    assert len(ended) >= 2
    assert all(info.id.startswith("often@") for info in ended)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"cron": "every day"}, "minute"),
        ({"cron": "0 0 30 2 *"}, "minute"),
        ({"zone": "Mars/Phobos"}, "IANA"),
        ({"missed": "some"}, "skip"),
        ({"name": "a b"}, "word"),
    ],
)
async def test_invalid_schedules_are_refused(given: dict[str, Any], word: str) -> None:
    """Invalid schedules are refused with the repair, and nothing is kept."""
    async with Runner() as runner:
        with pytest.raises(InputError) as caught:
            await runner.schedule(Schedule(**{"name": "a", "cron": "* * * * *", "graph": "report", **given}), report())
        assert word in str(caught.value)
        assert await runner.schedules() == []


def test_a_system_without_time_zones_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no time zone is known, as on Alpine, the repair is the package; UTC needs none."""
    monkeypatch.setattr("zoneinfo.available_timezones", set)
    monkeypatch.setattr("zoneinfo.ZoneInfo", {}.__getitem__)
    with pytest.raises(InputError, match="pip install tzdata") as caught:
        next(ticks(Schedule("a", "0 7 * * *", "report", zone="Europe/Berlin"), NOON))
    assert "'Europe/Berlin' is unknown" in str(caught.value)
    assert next(ticks(Schedule("a", "0 7 * * *", "report"), NOON)) > NOON


async def test_an_input_is_checked() -> None:
    """An input is checked when the schedule is added, while a person is there."""
    async with Runner() as runner:
        with pytest.raises(InputError):
            await runner.schedule(hourly(), report(), {"day": "many"})
        with pytest.raises(InputError):
            await runner.schedule(hourly(), report(), {"unknown": 1})


# Not Australia/Lord_Howe, whose clocks change by half an hour: what CronSim returns after that depends on its start.
ZONES = (
    *("UTC", "Europe/Berlin", "America/New_York", "Australia/Sydney", "Africa/Cairo", "Africa/Casablanca"),
    *("America/Havana", "America/Santiago", "America/St_Johns", "Antarctica/Troll", "Asia/Beirut", "Asia/Gaza"),
)


@cache
def changes(zone: str) -> Sequence[float]:
    """Return the hours of two years at which the clocks of a zone change."""
    begin = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    hours = [begin + hour * HOUR for hour in range(2 * 8760)]
    offsets = [datetime.fromtimestamp(hour, ZoneInfo(zone)).utcoffset() for hour in hours]
    return [hour for hour, before, then in zip(hours[1:], offsets, offsets[1:], strict=False) if before != then]


@st.composite
def moments(draw: st.DrawFn) -> tuple[Schedule, float, float]:
    """Draw a schedule, and two times, between which the clocks often change."""

    def numbers(low: int, high: int) -> st.SearchStrategy[str]:
        one = st.integers(low, high).map(str)
        every = st.sampled_from((2, 5, 7, 15)).map("*/{}".format)
        return st.one_of(st.just("*"), one, every, st.lists(one, min_size=2, max_size=3).map(",".join))

    fields = [draw(numbers(0, 59)), draw(numbers(0, 23)), draw(st.sampled_from(("*", "1", "*/2"))), "*"]
    fields.append(draw(st.sampled_from(("*", "*", "0", "1-5"))))
    seconds = draw(st.sampled_from(([], [], [], ["0"], ["*/20"])))
    zone = draw(st.sampled_from(ZONES))
    near = draw(st.sampled_from(changes(zone) or [NOON]))
    begin = near + draw(st.sampled_from((0, 1800, HOUR, 3 * HOUR, DAY))) * draw(st.floats(-1, 1))
    span = draw(st.sampled_from((1.0, 60.0, HOUR, 3 * HOUR, 2 * DAY))) * draw(st.floats(0, 1))
    return Schedule("drawn", " ".join([*seconds, *fields]), "report", zone), begin, span


@given(moments())
@example((Schedule("drawn", "10,50 1-2 * * *", "report", "Europe/Berlin"), changes("Europe/Berlin")[1] - DAY, 2 * DAY))
def test_the_last_tick_is_that_of_a_walk(drawn: tuple[Schedule, float, float]) -> None:
    """The last tick up to a time, and the next one, are those of a walk over all of them, when clocks change too."""
    schedule, begin, span = drawn
    walked = [next_tick(schedule, begin)]
    walked += takewhile(lambda tick: tick <= walked[0] + span, ticks(schedule, walked[0]))
    for part in range(20):
        now = walked[0] + part / 20 * span
        last = walked[bisect(walked, now) - 1]
        assert ticks_around(schedule, walked[0], now) == (last, next_tick(schedule, last))
        assert next_tick(schedule, now) == next_tick(schedule, last)


def test_ticks_follow_the_clocks_of_the_zone() -> None:
    """A daily time stays the same on the wall when the clocks change, and is not doubled."""
    daily = Schedule("daily", "30 2 * * *", "report", zone="Europe/Berlin")
    before = datetime(2026, 3, 27, 12, 0, tzinfo=UTC).timestamp()
    found = [datetime.fromtimestamp(at, UTC) for at, _ in zip(ticks(daily, before), range(4), strict=False)]
    assert [each.strftime("%m-%d %H:%M") for each in found] == [
        "03-28 01:30",
        "03-29 01:00",
        "03-30 00:30",
        "03-31 00:30",
    ]
    before = datetime(2026, 10, 24, 12, 0, tzinfo=UTC).timestamp()
    found = [datetime.fromtimestamp(at, UTC) for at, _ in zip(ticks(daily, before), range(2), strict=False)]
    assert [each.strftime("%m-%d %H:%M") for each in found] == ["10-25 00:30", "10-26 01:30"]
    for minute in range(0, 60, 10):  # of the hour that comes a second time
        planned = datetime(2026, 10, 25, 1, minute, tzinfo=UTC).timestamp()
        assert next_tick(daily, planned) == found[1].timestamp()
