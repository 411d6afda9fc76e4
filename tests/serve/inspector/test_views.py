import asyncio
import hashlib
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp

from graphengine import END, START, Agent, Graph, Retry, RunFailed, Runner
from graphengine.databases.sqlite import SQLiteStore
from graphengine.history.changes import follow
from graphengine.history.load import load_snapshot
from graphengine.models.errors import ContextFull, ModelTimeout
from graphengine.models.scripted import ScriptedModel
from graphengine.records.export import import_run, parse
from graphengine.runner import StepRecorded
from graphengine.serve.read_documents import Session
from graphengine.serve.reads import views
from graphengine.serve.reads.run_cache import RunCache
from graphengine.serve.reads.views import Views
from graphengine.serve.requests import AtStep, OfStep, RowsParameters, ScoresParameters
from graphengine.serve.routes import DOWNLOADS, READS
from graphengine.stores.base import Store
from tests.kit.runs import SOON
from tests.serve.inspector.client import act, read, request
from tests.serve.inspector.conftest import opened
from tests.serve.inspector.graphs import State, counter, record, starting


async def test_runs_are_selected_by_cost(app: ASGIApp, database: Path) -> None:
    """Only runs whose models cost more are listed, page by page; an unknown cost is not more."""
    with closing(sqlite3.connect(database)) as connection, connection:
        for run, cost in (("five", 0.5), ("items", 0.25), ("broken", None)):
            connection.execute("UPDATE runs SET summary = json_set(summary, '$.cost_usd', ?) WHERE id = ?", (cost, run))
    for least, wanted in ((0.1, ["items", "five"]), (0.25, ["five"]), (1, [])):
        assert [run["run_id"] for run in (await read(app, "runs", cost_above=least))["runs"]] == wanted
    first = await read(app, "runs", cost_above=0.1, limit=1)
    rest = await read(app, "runs", cost_above=0.1, before=first["next"])
    assert [run["run_id"] for run in (*first["runs"], *rest["runs"])] == ["items", "five"]


async def test_the_arrows_of_a_picture_are_parts_of_it(app: ASGIApp) -> None:
    """So the page can show what the rows of steps count."""
    rows = await read(app, "rows", run_id="five")
    detour = next(row for row in rows if row["account"].get("edge") == "high enough")
    picture = await read(app, "picture", fingerprint=(await read(app, "run", run_id="five"))["fingerprint"])
    assert [picture["nodes"][str(spot)] for spot in detour["spots"]] == ["work"]
    arrows = {edge: part for part, about in picture["arrows"].items() for edge in about["edges"]}
    assert f'id="{arrows[detour["edges"][0]]}"' in picture["svg"]


async def test_the_rows_of_a_long_run_come_in_parts(app: ASGIApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest rows come first, and what is before the first of them is asked for by its step."""
    every = await read(app, "rows", run_id="five")
    monkeypatch.setattr(views, "MOST_ROWS", 4)
    found: list[dict[str, Any]] = []
    before = 0
    while not found or found[0]["account"]["seq"] > 1:
        part = await read(app, "rows", run_id="five", before=before)
        assert 0 < len(part) <= 4
        found, before = [*part, *found], part[0]["account"]["seq"]
    assert found == every


async def test_two_runs_are_compared_without_their_rows(app: ASGIApp) -> None:
    """The answer has what the page compares: how often each node and edge was taken, and where the ways part."""
    found = await read(app, "compare", run_id="five", other="other")
    for name, side, part in zip(("five", "other"), found["sides"], ("first", "second"), strict=True):
        rows = await read(app, "rows", run_id=name)
        visits = Counter(str(spot) for row in rows for spot in row.get("spots", ()))
        edges = Counter(str(edge) for row in rows for edge in row.get("edges", ()))
        assert (side["visits"], side["edges"]) == (visits, edges)
        parted_at = found["diff"][part]["parted_at"]
        assert side["parted"] == (rows[parted_at - 1] if parted_at else None)


def views_of(store: Store) -> Views:
    """Return the reads of a store."""
    return Views(store, RunCache(store), lambda *_: "", Session("", "", False, None))  # noqa: FBT003


async def test_a_run_and_the_one_that_started_it_name_each_other() -> None:
    """The row of the recorded start has the child; the head of the child has the run of the node."""
    async with Runner() as runner:
        await record(runner, starting(), "parent")
        views = views_of(runner.store)
        rows = await views.rows(RowsParameters(run_id="parent"))
        child, parent = [await views.run(AtStep(run_id=name)) for name in ("below", "parent")]
    told = [(row.account.kind, row.account.text) for row in rows if row.account.child == "below"]
    assert told[0] == ("recorded", "started run below")
    assert told[-1] == ("recorded", "run below finished")
    assert (child.starter, parent.starter) == ("parent", None)


async def test_a_run_has_the_first_line_of_its_input() -> None:
    """The title of a run is the first line of the first text of its input; a run without one has none."""
    async with Runner() as runner:
        await runner.start(counter(1), State(text="How tides work\nin two lines"), run_id="titled").result()
        await record(runner, counter(1), "bare")
        found = [await runner.info("titled"), await runner.info("bare")]
    titles = {info.id: info.title for info in found}
    assert titles == {"titled": "How tides work", "bare": ""}


async def test_a_graph_words_the_titles_of_its_runs() -> None:
    """The title is that of the state as the run begins, on one line; it stays when the graph words it otherwise."""
    graph = counter(1)
    graph.title = "{text}: {n} of {{10}}"
    async with Runner() as runner:
        await runner.start(graph, State(text="A  long\tname", n=0), run_id="titled").result()
        again = counter(1)
        again.title = "another"
        await runner.start(again, State(text="x"), run_id="later", after="titled").result()
        found = [(await runner.info(name)).title for name in ("titled", "later")]
        snapshot = await load_snapshot(runner.store, "titled", None)
    assert found == ["A long name: 0 of {10}", "another"]
    assert snapshot.title == found[0]


async def test_a_chart_is_as_wide_as_the_page_wants(app: ASGIApp) -> None:
    """Within limits; and it has no style of its own, which the policy forbids."""
    widths = []
    for column in (1, 800, 1e300):
        svg = (await read(app, "scores", run_id="five", column=column))["svg"]
        assert "<style" not in svg
        widths.append(int(svg.partition('width="')[2].partition('"')[0]))
    assert widths[0] < widths[1] < widths[2] <= 20_000


async def test_a_chart_of_a_run_that_nobody_drives_says_so(tmp_path: Path) -> None:
    """Its last step goes on; only the store knows that its process has ended."""
    async with Runner(tmp_path / "runs.db") as runner:
        run = runner.start(counter(1_000_000), State(text="x"), run_id="cut")
        async for event in run.events():
            if isinstance(event, StepRecorded) and event.seq > 5:
                break
    async with Runner(tmp_path / "runs.db") as runner:
        chart = await views_of(runner.store).scores(ScoresParameters(run_id="cut"))
    assert "run cut: interrupted after" in chart.svg


async def test_a_stop_that_takes_long_is_not_withdrawn(app: ASGIApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the database is: only the wait for the nodes in flight of a run that is driven here is limited."""
    monkeypatch.setattr("graphengine.serve.callers_runner._STOP_SECONDS", 0.0)
    await act(app, "runs/asks/stop", 202)
    assert (await read(app, "run", run_id="asks"))["shown"] == "stopped"


async def test_a_run_is_cancelled_for_good_also_after_it_was_stopped(app: ASGIApp) -> None:
    """`final` ends it as cancelled; its last step says so."""
    await act(app, "runs/asks/stop", 202)
    await act(app, "runs/asks/stop", 202, final=True)
    assert (await read(app, "run", run_id="asks"))["shown"] == "cancelled"


async def test_a_call_has_what_the_model_was_asked() -> None:
    """The instructions and the question as they were sent; then why the answer was sent back, as its step says."""

    def loud(text: str) -> None:
        if not text.isupper():
            raise ValueError("too quiet")

    graph = Graph("shouts", State)
    model = ScriptedModel(["hello", "HELLO"])
    shout = Agent("shout", system="Be loud.", prompt="Shout: {text}", model=model, check=loud)
    graph.add_node("shout", shout, writes="text")
    graph.add_path(START, "shout", END)
    async with Runner() as runner:
        await runner.start(graph, State(text="hello"), run_id="r").result()
        views = views_of(runner.store)
        found = await views.step_details(OfStep(run_id="r", seq=4))
        rows = await views.rows(RowsParameters(run_id="r"))
    first, second = found.calls
    assert [each.role for each in first.asked] == ["system", "user"]
    assert first.asked[0].text.startswith("Be loud.")
    assert first.asked[1].text == "Shout: hello"
    assert "too quiet" in second.asked[0].text
    assert found.agents[""]["system"] == "Be loud."
    assert [row.account.tone for row in rows if row.account.agent == "shout"] == ["call", "rejected"]


async def test_a_call_that_failed_has_what_the_model_was_asked() -> None:
    """Each attempt has the calls that failed in it, also the one that is tried again."""
    graph = Graph("shouts", State)
    model = ScriptedModel([ModelTimeout("late"), ContextFull("prompt is too long")])
    shout = Agent("shout", system="Be loud.", prompt="Shout: {text}", model=model)
    graph.add_node("shout", shout, writes="text", retry=Retry(attempts=2, initial_seconds=0, jitter=0))
    graph.add_path(START, "shout", END)
    async with Runner() as runner:
        with pytest.raises(RunFailed):
            await runner.start(graph, State(text="hello"), run_id="r").result()
        found = await views_of(runner.store).step_details(OfStep(run_id="r", seq=3))
    for attempt in found.attempts:
        (lost,) = attempt.lost
        assert (lost.agent, lost.model) == ("shout", "scripted")
        assert [each.role for each in lost.asked] == ["system", "user"]
        assert lost.asked[1].text == "Shout: hello"
    assert len(found.attempts) == 2


async def test_a_book_continues_where_it_ended() -> None:
    """A run that continues is folded from its next step, and one that took its id from its first."""
    async with Runner() as runner:
        await record(runner, counter(3), "r")
        books = RunCache(runner.store)
        info = await runner.info("r")
        book = await books.book(info)
        assert await books.book(info) is book
        assert len(book.rows) == info.seq
        whole = [row.account for row in book.rows]
        recent = await books.recent(info, info.seq)
        assert [row.account for row in recent.rows] == whole
        await runner.store.remove([info])
        await record(runner, counter(3), "r")
        assert await books.book(await runner.info("r")) is not book


async def test_a_write_wakes_the_pages_that_it_concerns(tmp_path: Path) -> None:
    """What is no step, such as a tag, wakes the page of that run and the list, and no other page."""
    async with asyncio.timeout(SOON), Runner(tmp_path / "runs.db") as runner:
        await record(runner, counter(3), "a")
        await record(runner, counter(3), "b")
        store = SQLiteStore(tmp_path / "runs.db", read_only=True)
        await store.open()
        rows = {name: await store.info(name) for name in "ab"}
        with follow(store, "a", rows["a"]) as first, follow(store, "b", rows["b"]) as second, follow(store) as listed:
            for each in (first, second, listed, listed):  # a list is woken again once the loop looks
                await each.woken()
            await runner.tag("a", add=["x"])
            await first.woken()
            assert first.info is not None
            assert first.info.tags == ("x",)
            await listed.woken()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(second.woken(), 0.01)
        await store.close()


async def test_a_page_can_wait_for_a_run(tmp_path: Path) -> None:
    """A follower of a run that is not recorded yet is told that there is none, and then has its row."""
    async with asyncio.timeout(SOON), Runner(tmp_path / "runs.db") as runner:
        await record(runner, counter(3), "other")
        store = SQLiteStore(tmp_path / "runs.db", read_only=True)
        await store.open()
        with follow(store, "later") as follower:
            while not follower.is_lost:
                await follower.woken()
            await record(runner, counter(3), "later")
            while follower.info is None:
                await follower.woken()
            assert follower.info.id == "later"
        await store.close()


async def test_a_run_is_exported(app: ASGIApp, tmp_path: Path) -> None:
    """The download is the file of `graphengine export`, which another database can import."""
    exported = await request(app, "GET", "/api/export?run_id=five", b"", {})
    async with Runner(tmp_path / "other.db") as runner:
        assert await import_run(runner.store, parse(exported.text.encode(), "the download"))
        assert (await runner.info("five")).status == "finished"


async def test_a_page_that_does_not_drive_reads_and_holds_nothing(database: Path) -> None:
    """The file stays as it is, whatever is read, and no process is known to use it; a change leaves none either."""
    before = hashlib.sha256(database.read_bytes()).digest()
    reader = SQLiteStore(database, read_only=True)
    await reader.open()
    async with opened(database) as app:
        for row in (*READS, *DOWNLOADS):
            path = row.path.replace("{run_id}", "five").replace("{seq}", "2")
            given = {"run_id": "five", "graph": "counter", "text": "n", "fingerprint": "x", "other": "other"}
            asked = "&".join(f"{name}={text}" for name, text in given.items() if f"{{{name}}}" not in row.path)
            answer = await request(app, "GET", f"{path}?{asked if 'story' not in path else ''}", b"", {})
            assert answer.status == 200, (row.path, answer.text)
        assert hashlib.sha256(database.read_bytes()).digest() == before
        assert await reader.owners() == []
        await act(app, "runs/five/tags", 202, add=["seen"])
        assert await reader.owners() == []
        assert (await reader.info("five")).driver is None
    await reader.close()
