import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import create_model

from graphengine import END, START, Graph, Runner
from graphengine.agents import TextDelta
from graphengine.databases.sqlite import SQLiteStore
from graphengine.errors import InputError, RunExists
from graphengine.records.json_document import RunNow
from graphengine.serve.callers import Caller, acting
from graphengine.serve.inspector.driving import Drivable, Driver, Drives
from graphengine.serve.inspector.live import LiveRun
from graphengine.serve.reads.run_cache import RunCache
from graphengine.serve.requests import Answer, OfGraph, StopRequest, fields_of
from graphengine.worker import Schedule
from tests.kit.runs import SOON
from tests.serve.inspector import driven
from tests.serve.inspector.graphs import counter

GRAPHS = {
    "essay": Drivable(driven.graph, "driven.py", lambda: driven.example),
    "counter": Drivable(counter(5), "counter.py", lambda: None),
}


async def start(driver: Driver, **more: str) -> None:
    """Start the run `r`, as the page does."""
    await driver.acts.begin(driven.graph, {"topic": "tides", **more}, "r")


@asynccontextmanager
async def driver_of(path: Path) -> AsyncIterator[Driver]:
    """Open a driver over a new database, without a server."""
    async with Runner(path):
        pass
    store = SQLiteStore(path, read_only=True)
    await store.open()
    driver = Driver(Drives(GRAPHS, {}), partial(SQLiteStore, path), store, RunCache(store))
    async with driver.opened():
        yield driver
    await store.close()


async def eventually(condition: Callable[[], object]) -> None:
    """Return once the condition holds."""
    while not condition():  # noqa: ASYNC110 - nothing announces it
        await asyncio.sleep(0.01)


async def become(driver: Driver, status: str) -> None:
    """Return once the run `r` has a status."""
    while (await driver.acts.info("r")).status != status:  # noqa: ASYNC110 - nothing announces it
        await asyncio.sleep(0.01)


@asynccontextmanager
async def streaming(folder: Path) -> AsyncIterator[Driver]:
    """Drive the run `r`, whose model has said half of its text and waits for the file `gate`."""
    async with asyncio.timeout(SOON), driver_of(folder / "runs.db") as driver:
        await start(driver, gate=str(folder / "gate"))
        await eventually(lambda: "r" in driver.live and driver.live["r"].texts)
        yield driver


async def test_the_text_of_a_running_call_is_streamed(tmp_path: Path) -> None:
    """While a call runs, its text so far can be read, and pages are woken; once it is recorded, it is gone."""
    async with streaming(tmp_path) as driver:
        live = driver.live["r"]
        (text,) = live.document({}).texts
        assert (text.path, text.agent, text.at) == ("write", "writer", 0)
        assert 0 < len(text.text) < len(driven.TOLD)
        assert [node.path for node in live.document({}).nodes] == ["write"]
        (tmp_path / "gate").touch()
        await eventually(lambda: not live.texts)
        assert any(step.kind == "recorded" for step in await driver.acts.history("r"))


async def test_runs_are_released_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose node is still in flight after the grace is released and named; another process can resume it."""
    monkeypatch.setattr("graphengine.serve.inspector.driving._GRACE_SECONDS", 0.05)
    async with streaming(tmp_path) as driver:
        pass
    assert [info.id for info in driver.released] == ["r"]
    (tmp_path / "gate").touch()
    async with Runner(tmp_path / "runs.db") as runner:
        assert (await runner.resume("r", driven.graph).result()).status == "waiting"


async def test_a_refused_start_does_not_hide_a_driven_run(tmp_path: Path) -> None:
    """A start with the id of a run that is driven here is refused; the text of that run is still live."""
    async with streaming(tmp_path) as driver:
        with pytest.raises(RunExists):
            await start(driver)
        assert driver.live["r"].texts
        (tmp_path / "gate").touch()
        await eventually(lambda: "r" not in driver.live)


async def test_a_driven_run_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop of a run that is driven here is answered at once, and takes effect after the node in flight."""
    monkeypatch.setattr("graphengine.serve.callers_runner._STOP_SECONDS", 0.05)
    async with streaming(tmp_path) as driver:
        await driver.acts.stop_run_asked(StopRequest(run_id="r"), None)
        assert (await driver.acts.info("r")).status == "running"
        (tmp_path / "gate").touch()
        await eventually(lambda: "r" not in driver.live)
        assert (await driver.acts.info("r")).status == "stopped"


async def test_a_driven_run_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `now` the nodes in flight are cancelled, and the stop takes effect at once."""
    monkeypatch.setattr("graphengine.serve.callers_runner._STOP_SECONDS", SOON)
    async with streaming(tmp_path) as driver:
        with pytest.raises(InputError, match="'now' is 'yes': Expected `bool"):
            fields_of({"run_id": "r", "now": "yes"}, StopRequest)
        await driver.acts.stop_run_asked(StopRequest(run_id="r", now=True), None)
        assert (await driver.acts.info("r")).status == "stopped"


async def test_an_answer_on_the_page_drives_the_run_on(tmp_path: Path) -> None:
    """One request answers and resumes: also of a user who may answer, and not resume."""
    (tmp_path / "gate").touch()
    async with asyncio.timeout(SOON), driver_of(tmp_path / "runs.db") as driver:
        await start(driver, gate=str(tmp_path / "gate"))
        await become(driver, "waiting")
        now = await driver.acts.now("r")
        assert isinstance(now, RunNow)
        with acting(Caller("ann", rights=frozenset(("read", "answer")))):
            await driver.acts.answer_asked(Answer(run_id="r", id=now.waits[0].id, value=True), None)
        await become(driver, "finished")


def test_a_long_text_is_sent_in_pieces() -> None:
    """A page gets what it does not have yet; of a very long text only the end is kept."""
    live = LiveRun()
    live.feed(TextDelta("write", "writer", "Once "))
    first = live.document({}).texts[0]
    assert (first.path, first.agent, first.at, first.text) == ("write", "writer", 0, "Once ")
    live.feed(TextDelta("write", "writer", "upon"))
    number = live.document({}).texts[0].number
    assert live.document({number: 5}).texts[0].text == "upon"
    assert live.document({number: 9}).texts[0].text == ""
    live.feed(TextDelta("write", "writer", "x" * 300_000))
    kept = live.document({number: 9}).texts[0]
    assert kept.at + len(kept.text) == 300_009
    assert len(kept.text) == 100_000


async def test_a_schedule_whose_input_no_longer_fits_is_a_problem_of_its_graph(tmp_path: Path) -> None:
    """The page of the graph shows it beside what `check` finds, to callers who see the schedule's tenant."""
    earlier: Graph[Any] = Graph("counter", create_model("Earlier", gone=(int, 0)))
    earlier.add_node("count", lambda: None)
    earlier.add_path(START, "count", END)
    async with driver_of(tmp_path / "runs.db") as driver, Runner(tmp_path / "runs.db") as runner:
        daily = Schedule("daily", "0 7 * * *", "counter", tenant="ann")
        await runner.admin.schedule(daily, earlier, {"gone": 7})
        [problem] = (await driver.problems(OfGraph("counter"))).problems
        assert (problem.code, problem.where) == ("schedule_misfit", "schedule daily")
        assert "the input has the field 'gone'" in problem.message
        with acting(Caller("bob", tenant="bob")):
            assert not (await driver.problems(OfGraph("counter"))).problems
