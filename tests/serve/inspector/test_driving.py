import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp

from graphengine import Runner
from graphengine.agents import TextDelta
from graphengine.databases.sqlite import SQLiteStore
from graphengine.errors import InputError, RunExists
from graphengine.runner import RunFailed
from graphengine.serve.inspector.commands import Commands
from graphengine.serve.inspector.driving import Drivable, Driver, Drives
from graphengine.serve.inspector.feed import Feed
from graphengine.serve.inspector.live import LiveRun
from graphengine.serve.inspector.run_cache import RunCache
from tests.cli.secret_graph import CANARY, made
from tests.serve.inspector import driven
from tests.serve.inspector.client import cookie, post
from tests.serve.inspector.conftest import opened
from tests.serve.inspector.graphs import counter
from tests.serve.inspector.test_views import read

GRAPHS = {
    "essay": Drivable(driven.graph, "driven.py", lambda: driven.example),
    "counter": Drivable(counter(5), "counter.py", lambda: None),
}


@pytest.fixture
async def driving(tmp_path: Path) -> AsyncIterator[ASGIApp]:
    """An application that drives runs, over a database with a run that was branched, and one that failed."""
    path = tmp_path / "runs.db"
    async with Runner(path) as runner:
        await runner.start(counter(5), run_id="five").result()
        with suppress(RunFailed):
            await runner.start(driven.graph, {"topic": "storms", "gate": str(tmp_path / "gate")}, run_id="bad").result()
    async with opened(path, drives=Drives(GRAPHS, {})) as app:
        yield app


async def act(app: ASGIApp, name: str, status: int = 200, /, **body: object) -> Any:
    """Post an act; return its document."""
    answer = await post(app, f"/api/{name}", body, cookie=await cookie(app))
    assert answer.status == status, answer.body
    return answer.document


@asynccontextmanager
async def driver_of(path: Path) -> AsyncIterator[Driver]:
    """Open a driver over a new database, without a server."""
    async with Runner(path):
        pass
    store = SQLiteStore(path, read_only=True)
    await store.open()
    driver = Driver(Drives(GRAPHS, {}), partial(SQLiteStore, path), store, RunCache(store), Feed(store))
    async with driver.opened():
        yield driver
    await store.close()


async def eventually(condition: Callable[[], object]) -> None:
    """Return once the condition holds."""
    while not condition():  # noqa: ASYNC110 - nothing announces it
        await asyncio.sleep(0.01)


async def until(app: ASGIApp, run_id: str, status: str) -> Mapping[str, Any]:
    """Return a run once it has a status."""
    found: Mapping[str, Any] = {}
    async with asyncio.timeout(60):
        while found.get("shown") != status:
            found = await read(app, "run", id=run_id)
            await asyncio.sleep(0.01)
    return found


async def test_a_run_is_started(driving: ASGIApp, tmp_path: Path) -> None:
    """A run begins with the posted state and tags, is driven until it waits, and is continued once it is answered."""
    found = await act(driving, "start", graph="essay", state={"topic": "tides"}, tags=["by hand"])
    head = await until(driving, found["id"], "waiting")
    assert (head["graph"], head["tags"]) == ("essay", ["by hand"])
    await act(driving, "answer", id=found["id"], wait=head["waits"][0]["name"], value=True)
    await act(driving, "resume", id=found["id"])
    await until(driving, found["id"], "finished")
    assert (await read(driving, "state", id=found["id"]))["state"]["text"] == driven.TOLD


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"graph": "essay", "state": {}}, "topic: Field required"),
        ({"graph": "essay", "state": {"topic": "a", "stars": 9}}, "less than or equal to 5"),
        ({"graph": "essay", "state": {"topic": "a", "speed": 1}}, "unknown field 'speed'"),
        ({"graph": "essay", "state": []}, "state must be a JSON object"),
        ({"graph": "essay", "state": {"topic": "a"}, "id": "five"}, "five"),
        ({"graph": "essai", "state": {}}, "did you mean 'essay'"),
        ({"state": {}}, "graph must be a text"),
    ],
)
async def test_a_start_that_does_not_fit_is_refused(driving: ASGIApp, body: dict[str, Any], words: str) -> None:
    """A state that does not validate, an id that is taken and an unknown graph begin nothing."""
    refused = (await act(driving, "start", 409 if "id" in body else 422, **body))["error"]
    assert words in refused["message"] + refused["repair"]
    assert len((await read(driving, "runs"))["runs"]) == 2


async def test_a_failed_run_is_retried(driving: ASGIApp, tmp_path: Path) -> None:
    """Resuming a failed run runs the failed node again."""
    (tmp_path / "gate").touch()
    await act(driving, "resume", id="bad")
    await until(driving, "bad", "waiting")
    assert (await read(driving, "state", id="bad"))["state"]["notes"] == ["checked storms"]


async def test_a_preview_is_what_the_branch_records(driving: ASGIApp) -> None:
    """The changed fields of a preview are those of the branch; the preview itself records and runs nothing."""
    body = {"id": "five", "at": 4, "update": {"n": 3, "text": "branched"}}
    preview = await act(driving, "preview", **body)
    assert preview["changes"] == [
        {"path": "n", "before": 2, "after": 3},
        {"path": "text", "before": "", "after": "branched"},
    ]
    assert len((await read(driving, "runs"))["runs"]) == 2
    found = await act(driving, "branch", **body, new="other")
    assert found == {"id": "other"}
    head = await until(driving, "other", "finished")
    assert head["parent"] == {"run_id": "five", "seq": 4}
    changes = (await read(driving, "step", id="other", seq=5))["changes"]
    assert changes == preview["changes"]


async def test_a_preview_goes_through_the_reducers(driving: ASGIApp) -> None:
    """A field with a reducer gets what the reducer makes of the update."""
    found = await act(driving, "preview", id="bad", at=1, update={"notes": "seen"})
    assert found["changes"] == [{"path": "notes[0]", "before": None, "after": "seen"}]
    state = (await read(driving, "fields", id="bad", at=1))["states"][0]
    assert state["fields"]["notes"] == {"operation": "append"}
    assert (state["path"], state["values"]["topic"]) == ("", "storms")


@pytest.mark.parametrize("body", [{"at": 0}, {"at": 99}, {"at": True}, {"at": "2"}, {"at": 2, "update": {"speed": 1}}])
async def test_a_branch_that_does_not_fit_is_refused(driving: ASGIApp, body: dict[str, Any]) -> None:
    """A step that does not exist and a field that does not exist are refused, in the preview as in the branch."""
    for name in ("preview", "branch"):
        assert (await act(driving, name, 422, id="five", **body))["error"]["repair"] is not None
    assert len((await read(driving, "runs"))["runs"]) == 2


async def test_a_graph_has_a_form_and_problems(driving: ASGIApp) -> None:
    """The form has the type of the state and the example of the graph's file; `check` lists the problems."""
    form = await read(driving, "form", graph="essay")
    assert form["example"] == {"topic": "tides"}
    assert form["schema"]["properties"]["stars"]["maximum"] == 5
    problems = (await read(driving, "problems", graph="counter"))["problems"]
    assert [each["code"] for each in problems] == [each.code for each in GRAPHS["counter"].graph.check()]


async def test_the_text_of_a_running_call_is_streamed(tmp_path: Path) -> None:
    """While a call runs, its text so far can be read, and pages are woken; once it is recorded, it is gone."""
    async with asyncio.timeout(60), driver_of(tmp_path / "runs.db") as driver:
        state = {"topic": "tides", "gate": str(tmp_path / "gate")}
        run = (await driver.start({"graph": "essay", "state": state}))["id"]
        await eventually(lambda: run in driver.live and driver.live[run].texts)
        live = driver.live[run]
        (text,) = live.document({})["texts"]
        assert (text["path"], text["agent"], text["at"]) == ("write", "writer", 0)
        assert 0 < len(text["text"]) < len(driven.TOLD)
        assert [node["path"] for node in live.document({})["nodes"]] == ["write"]
        (tmp_path / "gate").touch()
        await eventually(lambda: not live.texts)
        assert any(step.kind == "recorded" for step in await driver.runner.history(run))


async def test_runs_are_released_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose node is still in flight after the grace is released and named; another process can resume it."""
    monkeypatch.setattr("graphengine.serve.inspector.driving._GRACE_SECONDS", 0.05)
    async with asyncio.timeout(60), driver_of(tmp_path / "runs.db") as driver:
        state = {"topic": "tides", "gate": str(tmp_path / "gate")}
        await driver.start({"graph": "essay", "state": state, "id": "cut"})
        await eventually(lambda: "cut" in driver.live)
    assert [info.id for info in driver.released] == ["cut"]
    (tmp_path / "gate").touch()
    async with Runner(tmp_path / "runs.db") as runner:
        assert (await runner.resume("cut", driven.graph).result()).status == "waiting"


async def test_a_refused_start_does_not_hide_a_driven_run(tmp_path: Path) -> None:
    """A start with the id of a run that is driven here is refused; the text of that run is still live."""
    async with asyncio.timeout(60), driver_of(tmp_path / "runs.db") as driver:
        body = {"graph": "essay", "state": {"topic": "tides", "gate": str(tmp_path / "gate")}, "id": "one"}
        await driver.start(body)
        await eventually(lambda: "one" in driver.live and driver.live["one"].texts)
        with pytest.raises(RunExists):
            await driver.start(body)
        assert driver.live["one"].texts
        (tmp_path / "gate").touch()
        await eventually(lambda: "one" not in driver.live)


def test_a_long_text_is_sent_in_pieces() -> None:
    """A page gets what it does not have yet; of a very long text only the end is kept."""
    live = LiveRun()
    live.feed(TextDelta("write", "writer", "Once "))
    assert live.document({})["texts"][0] | {"number": 0} == {
        "number": 0,
        "path": "write",
        "agent": "writer",
        "at": 0,
        "text": "Once ",
    }
    live.feed(TextDelta("write", "writer", "upon"))
    number = live.document({})["texts"][0]["number"]
    assert live.document({number: 5})["texts"][0]["text"] == "upon"
    assert live.document({number: 9})["texts"][0]["text"] == ""
    live.feed(TextDelta("write", "writer", "x" * 300_000))
    kept = live.document({number: 9})["texts"][0]
    assert kept["at"] + len(kept["text"]) == 300_009
    assert len(kept["text"]) == 200_000


async def test_without_drive_nothing_is_driven(app: ASGIApp) -> None:
    """The routes that drive runs exist only with --drive."""
    for name in ("start", "resume", "branch", "preview"):
        assert (await post(app, f"/api/{name}", {"id": "five"}, cookie=await cookie(app))).status == 404


async def test_secrets_stay_hidden(tmp_path: Path) -> None:
    """Forms, previews and branches take secrets, and no document shows one: neither the example's nor a run's."""
    example = {"token": CANARY, "word": CANARY, "done": "not yet"}
    vault = Drivable(made(), "vault.py", lambda: example)
    async with Runner(tmp_path / "runs.db"):
        pass
    async with opened(tmp_path / "runs.db", drives=Drives({"vault": vault}, {})) as app:
        form = await read(app, "form", graph="vault")
        assert form["example"] == {"done": "not yet"}
        run = (await act(app, "start", graph="vault", state={"token": CANARY, "word": CANARY}))["id"]
        await until(app, run, "waiting")
        preview = await act(app, "preview", id=run, at=2, update={"word": CANARY + "!"})
        assert [each["path"].partition(".")[0] for each in preview["changes"]] == ["word"]
        seen = [form, preview, await read(app, "fields", id=run, at=2), await read(app, "state", id=run)]
        seen += [await read(app, "find", id=run, text="token"), await read(app, "step", id=run, seq=2)]
        assert CANARY not in json.dumps(seen, ensure_ascii=False)
        assert await read(app, "find", id=run, text=CANARY) == []
        refused = await act(app, "start", 422, graph="vault", state={"word": "bad" + CANARY})
        assert CANARY not in json.dumps(refused, ensure_ascii=False)


async def test_a_driven_run_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop of a run that is driven here is answered at once, and takes effect after the node in flight."""
    monkeypatch.setattr("graphengine.serve.inspector.commands._STOP_SECONDS", 0.05)
    async with asyncio.timeout(60), driver_of(tmp_path / "runs.db") as driver:
        state = {"topic": "tides", "gate": str(tmp_path / "gate")}
        run = (await driver.start({"graph": "essay", "state": state}))["id"]
        await eventually(lambda: run in driver.live and driver.live[run].texts)
        await Commands(partial(SQLiteStore, tmp_path / "runs.db"), driver.runner.store, lambda: driver.runner).stop(
            {"id": run}
        )
        assert (await driver.runner.info(run)).status == "running"
        (tmp_path / "gate").touch()
        await eventually(lambda: run not in driver.live)
        assert (await driver.runner.info(run)).status == "stopped"


async def test_a_driven_run_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `now` the nodes in flight are cancelled, and the stop takes effect at once."""
    monkeypatch.setattr("graphengine.serve.inspector.commands._STOP_SECONDS", 60)
    async with asyncio.timeout(60), driver_of(tmp_path / "runs.db") as driver:
        state = {"topic": "tides", "gate": str(tmp_path / "gate")}
        run = (await driver.start({"graph": "essay", "state": state}))["id"]
        await eventually(lambda: run in driver.live and driver.live[run].texts)
        acts = Commands(partial(SQLiteStore, tmp_path / "runs.db"), driver.runner.store, lambda: driver.runner)
        with pytest.raises(InputError, match="now must be true or false"):
            await acts.stop({"id": run, "now": "yes"})
        await acts.stop({"id": run, "now": True})
        assert (await driver.runner.info(run)).status == "stopped"
