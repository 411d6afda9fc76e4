"""The stored input of a schedule over a deployment: it is migrated when it is used, or its schedule says why not."""

import logging
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import create_model

from graphengine import END, START, Graph, Runner
from graphengine.errors import GraphChanged
from graphengine.kernel.fake_clock import FakeClock
from graphengine.worker import Schedule
from graphengine.worker.schedules import Ticker

HOUR = 3600.0
FIRST = {"euros": (int, 0), "note": (str, "old")}
CENTS = {"cents": (int, 0), "note": (str, "new")}
NEEDS = {"euros": (int, 0), "title": (str, ...)}
IN_CENTS = {"version": 2, "migrate": {1: lambda old: {"cents": old["euros"] * 100, "note": old["note"]}}}
WITH_TITLE = {"version": 2, "migrate": {1: lambda old: {"euros": old["euros"], "title": "?"}}}
HOURLY = Schedule("hourly", "0 * * * *", "report", missed="one")


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that only the test moves."""
    return FakeClock(start=0.0, jumps=False)


def report(fields: Mapping[str, Any], **options: Any) -> Graph[Any]:
    """Return one version of the graph that is started."""
    graph: Graph[Any] = Graph("report", create_model("Report", **fields), **options)
    graph.add_node("read", lambda: None)
    graph.add_path(START, "read", END)
    return graph


async def tick(runner: Runner, clock: FakeClock, graph: Graph[Any]) -> object:
    """Let an hour pass, and a worker that has a version of the graph look once; return its trouble."""
    clock.move(HOUR)
    return await Ticker(runner, {"report": graph}).tick()


async def begun(runner: Runner) -> list[dict[str, Any]]:
    """Return what the runs began with, the oldest first."""
    return [dict(await runner.state_at(info.id, 1)) for info in reversed(await runner.runs())]


@pytest.mark.parametrize(
    ("fields", "options", "given", "found"),
    [
        (CENTS, IN_CENTS, {"euros": 7}, {"cents": 700, "note": "new"}),
        (CENTS, IN_CENTS, {"euros": 7, "note": "mine"}, {"cents": 700, "note": "mine"}),
        (CENTS, IN_CENTS, {}, {"cents": 0, "note": "new"}),
        (NEEDS, WITH_TITLE, {"euros": 7}, {"euros": 7, "title": "?"}),
        ({"euros": (int, 0)}, {}, {"euros": 7}, {"euros": 7}),
    ],
)
async def test_an_input_is_migrated_when_it_is_used(  # noqa: PLR0913 - one deployment
    timed: Runner, clock: FakeClock, fields: Any, options: Any, given: object, found: object
) -> None:
    """Each run records the migrated input; the schedule keeps what was recorded, for the next version."""
    await timed.admin.schedule(HOURLY, report(FIRST), given)
    newer = report(fields, **options)
    assert await tick(timed, clock, newer) is None
    assert await tick(timed, clock, newer) is None
    assert await begun(timed) == [found, found]
    [schedule] = await timed.admin.schedules()
    assert schedule.input == given


async def test_an_input_that_is_scheduled_again_is_of_the_new_version(
    timed: Runner, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A program that starts with the new version gives an input of that version, also if it looks the same."""
    fields = {"amount": (int, 0)}
    newer = report(fields, version=2, migrate={1: lambda old: {"amount": old["amount"] * 100}})
    await timed.admin.schedule(HOURLY, report(fields), {"amount": 7})
    await tick(timed, clock, newer)
    with caplog.at_level(logging.INFO, "graphengine.worker"):
        await timed.admin.schedule(HOURLY, newer, {"amount": 7})
    assert "the input is of version 2 of the graph, and was of version 1" in caplog.text
    await tick(timed, clock, newer)
    assert await begun(timed) == [{"amount": 700}, {"amount": 7}]


async def test_an_input_that_no_longer_fits_is_named_and_kept(
    timed: Runner, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Its schedule keeps its next time, and other schedules go on; a version that migrates it starts what is due."""
    broken, repaired = report(NEEDS), report(NEEDS, **WITH_TITLE)
    await timed.admin.schedule(HOURLY, report(FIRST), {"euros": 7})
    await timed.admin.schedule(Schedule("other", "0 * * * *", "report"), broken, {"title": "t"})
    [before, _] = await timed.admin.schedules()
    assert sorted(await timed.admin.misfit_schedules(broken)) == ["hourly"]
    assert "hourly" not in await timed.admin.misfit_schedules(repaired)
    trouble = await tick(timed, clock, broken)
    assert isinstance(trouble, GraphChanged)
    assert trouble.where.startswith("schedule hourly, ")
    assert "schedule hourly starts no run: " in caplog.text
    assert "field 'title' is new and has no default" in caplog.text
    assert await begun(timed) == [{"euros": 0, "title": "t"}]
    [after, _] = await timed.admin.schedules()
    assert after.next_at == before.next_at
    assert await Ticker(timed, {"report": repaired}).tick() is None
    assert sorted(each["title"] for each in await begun(timed)) == ["?", "t"]


async def test_an_input_of_a_newer_version_is_left_to_workers_of_that_version(timed: Runner, clock: FakeClock) -> None:
    """During a deployment, a worker of the old version starts nothing, and the schedule stays due."""
    older, newer = report(FIRST), report(CENTS, **IN_CENTS)
    await timed.admin.schedule(HOURLY, newer, {"cents": 5})
    assert "version 2 of graph 'report', but this process has version 1" in str(await tick(timed, clock, older))
    assert await begun(timed) == []
    assert await Ticker(timed, {"report": newer}).tick() is None
    assert await begun(timed) == [{"cents": 5, "note": "new"}]


async def test_a_given_field_that_is_gone_stops_the_schedule(timed: Runner, clock: FakeClock) -> None:
    """Its value does not vanish without a word."""
    await timed.admin.schedule(HOURLY, report(FIRST), {"note": "kept"})
    assert "the input has the field 'note'" in str(await tick(timed, clock, report({"euros": (int, 0)})))
    assert await begun(timed) == []


async def test_a_schedule_without_a_recorded_version_is_read_as_before(timed: Runner, clock: FakeClock) -> None:
    """One that was kept by earlier code has no version: its input counts as one of the current version."""
    await timed.admin.schedule(HOURLY, report(FIRST), {"euros": 7})
    [kept] = await timed.store.schedules()
    body = {name: fact for name, fact in kept.body.items() if name != "recorded"}
    await timed.store.keep_schedule(kept._replace(body=body))
    assert await tick(timed, clock, report(FIRST)) is None
    assert await begun(timed) == [{"euros": 7, "note": "old"}]
