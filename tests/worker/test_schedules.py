"""The times of schedules: few are looked at, and they follow the clocks of a zone. `sessions` has what they start."""

import asyncio
from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, time
from functools import cache
from itertools import takewhile
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from graphengine import Graph, Runner
from graphengine.errors import InputError
from graphengine.kernel.fake_clock import FakeClock
from graphengine.worker import Schedule, Worker, schedules
from graphengine.worker.schedules import Ticker, next_tick, ticks, ticks_around
from tests.kit.runs import alone

HOUR = 3600.0
DAY = 24 * HOUR
NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC).timestamp()


class State(BaseModel):
    topic: str = "none"


def report() -> Graph[State]:
    """Return a graph of one node."""
    return alone(State, lambda topic: topic.upper(), "topic", name="report")


@pytest.fixture
def noon() -> FakeClock:
    """Return a clock at noon, which moves by itself only if asked to."""
    return FakeClock(start=NOON + 60, jumps=False)


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
        await runner.admin.schedule(Schedule("often", "* * * * * *", "report", missed=missed), report())
        ticking = Ticker(runner, {"report": report()})
        for seconds in (30 * DAY, 60.0):
            noon.move(seconds)
            looked_at = 0
            await ticking.tick()
            assert looked_at < 150
        runs = await runner.runs(limit=1000)
        assert (len(runs), min(info.id[-5:] for info in runs)) == (count, f"{first}Z")


async def test_a_worker_that_is_woken_looks_for_schedules_no_later(
    noon: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A poll begins with its last look, not when it was woken."""
    looked: list[float] = []

    async def tick(_: Ticker) -> None:
        looked.append(noon.now())

    monkeypatch.setattr(Ticker, "tick", tick)
    async with Runner(clock=noon) as runner:
        worker, began = Worker(runner, report(), poll_seconds=60), noon.now()
        working = asyncio.create_task(worker.run())
        for seconds in (0.0, 25.0, 35.0):
            noon.move(seconds)
            if seconds < 30:
                worker.look_now()
            for _ in range(50):
                await asyncio.sleep(0)
        worker.stop()
        await working
    assert looked == [began, began + 60]


def test_a_system_without_time_zones_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no time zone is known, as on Alpine, the repair is the package; UTC needs none."""
    monkeypatch.setattr("zoneinfo.available_timezones", set)
    monkeypatch.setattr("zoneinfo.ZoneInfo", {}.__getitem__)
    with pytest.raises(InputError, match="pip install tzdata") as caught:
        next(ticks(Schedule("a", "0 7 * * *", "report", zone="Europe/Berlin"), NOON))
    assert "'Europe/Berlin' is unknown" in str(caught.value)
    assert next(ticks(Schedule("a", "0 7 * * *", "report"), NOON)) > NOON


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


def upto(found: Iterable[float], end: float) -> list[float]:
    """Return the ticks up to a time."""
    return list(takewhile(lambda tick: tick <= end, found))


@pytest.mark.parametrize("zone", [*ZONES, "Australia/Lord_Howe"])
def test_a_named_hour_comes_once_a_day(zone: str) -> None:
    """Each time of it at the first minute of the day at which the clocks show that, or more: as a walk by minutes."""
    for near in changes(zone) or [NOON]:
        place = ZoneInfo(zone)
        date = datetime.fromtimestamp(near, place).date()
        minutes = [near + minute * 60 for minute in range(-48 * 60, 48 * 60)]
        day = [at for at in minutes if datetime.fromtimestamp(at, place).date() == date]
        for hour in (0, 1, 2, 3):
            schedule = Schedule("drawn", f"*/15 {hour} * * *", "report", zone)
            shown = [(datetime.fromtimestamp(at, place).time(), at) for at in day]
            wanted = [next(at for clock, at in shown if clock >= time(hour, minute)) for minute in (0, 15, 30, 45)]
            found = upto(ticks(schedule, day[0] - 1), day[-1])
            assert found == sorted(set(wanted)), (zone, date, hour)


def test_an_hour_that_is_a_star_follows_the_clock() -> None:
    """Every quarter of an hour, also while an hour is repeated, and none while one is skipped."""
    often = Schedule("often", "*/15 * * * *", "report", zone="Europe/Berlin")
    for near in changes("Europe/Berlin"):
        found = upto(ticks(often, near - 3 * HOUR), near + 3 * HOUR)
        assert found == [near - 3 * HOUR + 900 * number for number in range(1, 25)]


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
