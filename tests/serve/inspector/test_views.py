import asyncio
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import QueryParams
from starlette.types import ASGIApp

from graphengine import END, START, Agent, Graph, Runner
from graphengine.budgets.left import left_of
from graphengine.databases.sqlite import SQLiteStore
from graphengine.models.scripted import ScriptedModel
from graphengine.records.export import import_run, parse
from graphengine.serve.inspector.documents import Session
from graphengine.serve.inspector.feed import Feed
from graphengine.serve.inspector.queries import Query
from graphengine.serve.inspector.run_cache import RunCache
from graphengine.serve.inspector.views import Views
from graphengine.stores.base import Store
from tests.serve.inspector.client import address, cookie, post, request
from tests.serve.inspector.graphs import State, counter, record, starting


async def read(app: ASGIApp, path: str, /, **parameters: object) -> Any:
    """Return the document of a read that succeeds."""
    answer = await request(app, address(f"/api/{path}", **parameters), headers={"cookie": await cookie(app)})
    assert answer.status == 200, answer.body
    return answer.document


async def test_the_list_has_filters_and_pages(app: ASGIApp) -> None:
    """Runs are found by status, graph, tag and words as they are typed, and page by page."""
    every = [run["run_id"] for run in (await read(app, "runs"))["runs"]]
    assert len(every) == 7
    assert [run["run_id"] for run in (await read(app, "runs", status="failed"))["runs"]] == [
        "hostile-failure",
        "broken",
    ]
    assert [run["run_id"] for run in (await read(app, "runs", tag="nightly"))["runs"]] == ["five"]
    assert [run["run_id"] for run in (await read(app, "runs", text="ITEM"))["runs"]] == ["items"]
    typed = "FLAK since:1h status:failed cost>0"
    assert (await read(app, "runs", text=typed))["runs"] == []
    assert len((await read(app, "runs", text=typed.removesuffix(" cost>0")))["runs"]) == 2
    assert (await read(app, "overview", text="graph:review"))["statuses"]["waiting"] == 2
    refused = await request(app, address("/api/runs", text="status:fialed"), headers={"cookie": await cookie(app)})
    assert (refused.status, refused.document["error"]["repair"]) == (422, "did you mean 'failed'?")
    found: list[str] = []
    before = ""
    while before is not None:
        page = await read(app, "runs", limit=3, before=before)
        found += [run["run_id"] for run in page["runs"]]
        before = page["next"]
    assert found == every


async def test_the_overview_counts_runs(app: ASGIApp) -> None:
    """Statuses, graphs and times add up to the runs."""
    found = await read(app, "overview")
    ended = {"finished": 3, "waiting": 2, "failed": 2}
    assert found["statuses"] == ended | {"running": 0, "interrupted": 0, "queued": 0}
    assert sum(runs for _, _, runs in found["bars"]) == 7
    assert (await read(app, "overview", graph="review"))["statuses"]["waiting"] == 2


async def test_trends_are_the_runs_of_each_interval(app: ASGIApp) -> None:
    """By graph or tag, for the runs that a search finds."""
    found = await read(app, "trends", every=86_400 * 365)
    numbers: dict[str, int] = {}
    for each in found["trends"]:
        numbers[each["name"]] = numbers.get(each["name"], 0) + each["runs"]
    assert numbers == {"counter": 2, "flaky": 2, "mapped": 1, "review": 2}
    assert {each["name"] for each in (await read(app, "trends", by="tag", text="five"))["trends"]} == {"nightly"}


async def test_a_line_has_the_status_of_a_run_and_its_reason(app: ASGIApp) -> None:
    """The list shows the error of a failed run, the question of a waiting one, the label of a finished one."""
    answer = await request(app, "/api/lines?id=five&id=broken&id=asks&id=none", headers={"cookie": await cookie(app)})
    found = answer.document
    assert sorted(found) == ["asks", "broken", "five"]
    reasons = {name: (each["shown"], each["summary"]["reason"]) for name, each in found.items()}
    assert reasons == {
        "five": ("finished", "enough"),
        "broken": ("failed", "boom: RuntimeError: it broke"),
        "asks": ("waiting", "approve: Publish this draft?"),
    }


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


async def test_every_step_has_a_row(app: ASGIApp) -> None:
    """A row has the position, the edge with the explanation, and what it adds to the picture's counts."""
    rows = await read(app, "rows", id="five")
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    detour = next(row for row in rows if row.get("edge") == "high enough")
    why = "n 2 >= 5: no; score 7 >= 7: yes"
    assert (detour["path"], detour["targets"], detour["why"]) == ("work", ["boost"], why)
    picture = await read(app, "picture", fingerprint=(await read(app, "run", id="five"))["fingerprint"])
    nodes = {int(number): path for number, path in picture["nodes"].items()}
    assert [nodes[spot] for spot in detour["spots"]] == ["work"]
    arrows = {edge: part for part, about in picture["arrows"].items() for edge in about["edges"]}
    assert f'id="{arrows[detour["edges"][0]]}"' in picture["svg"]


async def test_a_step_has_its_edges_and_changes(app: ASGIApp) -> None:
    """A step has each edge that was tried with what its condition said, and the fields that it changed."""
    found = await read(app, "step", id="five", seq=3)
    tried = [(each["label"], each["why"], each["taken"]) for each in found["tried"]]
    assert tried == [
        ("enough", "n 2 >= 5: no", False),
        ("high enough", "score 7 >= 7: yes", True),
        ("again", "", False),
    ]
    assert found["changes"] == [{"path": "n", "before": 1, "after": 2}, {"path": "score", "before": 0, "after": 7}]
    assert found["commands"]["branch"] == "graphengine branch five --at 3 finished"


async def test_a_step_has_its_attempts(app: ASGIApp) -> None:
    """A visit that was tried three times has each attempt with its error and traceback."""
    found = await read(app, "step", id="broken", seq=4)
    assert [(each["number"], each["error"] and each["error"]["message"]) for each in found["attempts"]] == [
        (1, "503 at try 1"),
        (2, "503 at try 2"),
        (3, None),
    ]
    assert "ConnectionError" in found["attempts"][0]["error"]["traceback"]


async def test_a_run_stands_where_it_stood_at_a_step(app: ASGIApp) -> None:
    """With `at`, the picture shows where the run was after that step; without, where it is."""
    picture = await read(app, "picture", fingerprint=(await read(app, "run", id="broken"))["fingerprint"])

    async def places(**more: object) -> dict[str, str]:
        found = (await read(app, "run", id="broken", **more))["standings"]
        return {picture["nodes"][number]: each["how"] for number, each in found.items()}

    assert await places(at=2) == {"shaky": "here"}
    assert await places() == {"boom": "failed"}
    assert (await read(app, "state", id="broken", at=2))["state"]["n"] == 0
    assert (await read(app, "state", id="broken"))["state"]["n"] == 1


async def test_all_open_questions_are_read_at_once(app: ASGIApp) -> None:
    """Each waiting run is there with what it asks and the form of its answer."""
    found = {run["run_id"]: run["waits"] for run in (await read(app, "questions"))["runs"]}
    assert len(found) == 2
    (wait,) = found["asks"]
    assert (wait["question"], wait["schema"]["title"]) == ("Publish this draft?", "Verdict")


def views_of(store: Store) -> Views:
    """Return the reads of a store."""
    return Views(store, RunCache(store), lambda *_: "", Session("", "", False, None), partial(left_of, (), store))  # noqa: FBT003


async def test_a_run_and_the_one_that_started_it_name_each_other() -> None:
    """The row of the recorded start has the child; the head of the child has the run of the node."""
    async with Runner() as runner:
        await record(runner, starting(), "parent")
        views = views_of(runner.store)
        rows = await views.rows(Query(QueryParams({"id": "parent"})))
        child, parent = [await views.run(Query(QueryParams({"id": name}))) for name in ("below", "parent")]
    assert [(row.text, row.child) for row in rows if row.child] == [("start", "below")]
    assert (child.starter, parent.starter) == ("parent", None)


async def test_a_line_has_the_first_of_the_input() -> None:
    """The title of a run is the first line of the first text of its input; a run without one has none."""
    async with Runner() as runner:
        await runner.start(counter(1), State(text="How tides work\nin two lines"), run_id="titled").result()
        await record(runner, counter(1), "bare")
        views = views_of(runner.store)
        found = await views.lines(Query(QueryParams([("id", "titled"), ("id", "bare")])))
    titles = {name: line.summary.title for name, line in found.items() if line.summary is not None}
    assert titles == {"titled": "How tides work", "bare": ""}


async def test_a_chart_is_as_wide_as_the_page_wants(app: ASGIApp) -> None:
    """Within limits; and it has no style of its own, which the policy forbids."""
    widths = []
    for column in (1, 800, 1e300):
        svg = (await read(app, "scores", id="five", column=column))["svg"]
        assert "<style" not in svg
        widths.append(int(svg.partition('width="')[2].partition('"')[0]))
    assert widths[0] < widths[1] < widths[2] <= 20_000


async def test_runs_are_compared(app: ASGIApp) -> None:
    """A comparison has where both part, both sides, and whether one picture shows both."""
    found = await read(app, "compare", a="five", b="other")
    assert found["diff"]["shared"] == {"run_id": "five", "seq": 4}
    assert found["same"] is True
    assert (await read(app, "compare", a="five", b="asks"))["same"] is False


async def test_a_graph_shows_what_its_runs_took(app: ASGIApp) -> None:
    """The edges that the newest runs of a graph took are counted."""
    found = await read(app, "graph", graph="counter")
    assert found["counted"] == 2
    assert sum(found["edges"].values()) > 10


async def test_an_answer_is_recorded(app: ASGIApp, database: Path) -> None:
    """An answer that fits is recorded for the process that continues the run; one that does not is refused."""
    known = await cookie(app)
    wrong = {"id": "asks", "wait": "approve", "value": {"decision": "publish", "stars": 9}}
    refused = await post(app, "/api/answer", wrong, cookie=known)
    assert refused.status == 422
    assert "5" in refused.document["error"]["message"]
    right = {**wrong, "value": {"decision": "publish", "stars": 4, "remarks": "good"}}
    assert (await post(app, "/api/answer", right, cookie=known)).status == 200
    assert (await post(app, "/api/answer", right, cookie=known)).status == 422  # answered already
    async with Runner(database) as runner:
        assert [message.kind for message in await runner.store.inbox(["asks"])] == ["answer"]


async def test_a_run_is_stopped_and_tagged_and_gets_a_message(app: ASGIApp, database: Path) -> None:
    """Stopping a waiting run takes effect at once; tags are changed; a message is sent once for one key."""
    known = await cookie(app)
    message = {"id": "asks", "topic": "news", "payload": {"a": 1}, "idempotency_key": "k"}
    for _ in range(2):
        assert (await post(app, "/api/send", message, cookie=known)).status == 200
    assert (
        await post(app, "/api/tag", {"id": "five", "add": ["x"], "remove": ["nightly"]}, cookie=known)
    ).status == 200
    assert (await read(app, "run", id="five"))["tags"] == ["x"]
    async with Runner(database) as runner:
        assert len(await runner.store.inbox(["asks"])) == 1
    assert (await post(app, "/api/stop", {"id": "asks"}, cookie=known)).status == 200
    assert (await read(app, "run", id="asks"))["shown"] == "stopped"
    assert (await post(app, "/api/stop", {"id": "asks"}, cookie=known)).status == 422


async def test_a_stop_that_takes_long_is_not_withdrawn(app: ASGIApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the database is: only the wait for the nodes in flight of a run that is driven here is limited."""
    monkeypatch.setattr("graphengine.serve.inspector.commands._STOP_SECONDS", 0.0)
    assert (await post(app, "/api/stop", {"id": "asks"}, cookie=await cookie(app))).status == 200
    assert (await read(app, "run", id="asks"))["shown"] == "stopped"


async def test_a_queued_run_is_stopped(app: ASGIApp, database: Path) -> None:
    """No process drives it, so it ends at once, as with `graphengine stop`."""
    async with Runner(database) as runner:
        await runner.start(counter(5), run_id="lined-up", queue="night").result()
    assert (await read(app, "run", id="lined-up"))["shown"] == "queued"
    assert (await post(app, "/api/stop", {"id": "lined-up"}, cookie=await cookie(app))).status == 200
    assert (await read(app, "run", id="lined-up"))["shown"] == "stopped"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"id": 5},
        {"id": ""},
        {"id": "five", "add": "x"},
        {"id": "five", "add": [1]},
        {"id": "five", "add": ["x"] * 51},
        [],
    ],
)
async def test_a_write_is_checked(app: ASGIApp, body: object) -> None:
    """A body of another shape is refused."""
    assert (await post(app, "/api/tag", body, cookie=await cookie(app))).status == 422


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
        found = await views.step(Query(QueryParams({"id": "r", "seq": "4"})))
        rows = await views.rows(Query(QueryParams({"id": "r"})))
    first, second = found.calls
    assert [each.role for each in first.asked] == ["system", "user"]
    assert first.asked[0].text.startswith("Be loud.")
    assert first.asked[1].text == "Shout: <text>hello</text>"
    assert "too quiet" in second.asked[0].text
    assert found.agents[""]["system"] == "Be loud."
    assert [row.tone for row in rows if row.agent == "shout"] == ["call", "rejected"]


async def test_a_book_continues_where_it_ended() -> None:
    """A run that continues is folded from its next step, and one that took its id from its first."""
    async with Runner() as runner:
        await record(runner, counter(3), "r")
        books = RunCache(runner.store)
        info = await runner.info("r")
        book = await books.book(info)
        assert await books.book(info) is book
        assert len(book.rows) == info.seq
        whole = [(row.seq, row.kind, row.path) for row in book.rows]
        recent = await books.recent(info, info.seq)
        assert [(row.seq, row.kind, row.path) for row in recent.rows] == whole
        await runner.store.remove([info])
        await record(runner, counter(3), "r")
        assert await books.book(await runner.info("r")) is not book


async def test_a_feed_wakes_the_pages_that_a_write_concerns(tmp_path: Path) -> None:
    """A step of a run wakes the page of that run and the list, and no other page."""
    async with Runner(tmp_path / "runs.db") as runner:
        await record(runner, counter(3), "a")
        await record(runner, counter(3), "b")
        store = SQLiteStore(tmp_path / "runs.db", read_only=True)
        await store.open()
        feed = Feed(store)
        watching = asyncio.create_task(feed.watch())
        with feed.listener("a") as first, feed.listener("b") as second, feed.listener(None) as listed:
            for each in (first, second, listed):
                assert await each.changed(60)
            await runner.tag("a", add=["x"])
            assert await first.changed(60)
            assert first.info is not None
            assert first.info.tags == ("x",)
            assert await listed.changed(60)
            assert not await second.changed(0.01)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await store.close()


async def test_a_text_is_found_in_whole_steps(app: ASGIApp) -> None:
    """A search finds what the rows of the list leave out, such as tracebacks, in any case."""
    found = await read(app, "find", id="broken", text="raise connectionerror")
    assert found == [2, 3]
    assert (await read(app, "find", id="broken", text="no such text")) == []


async def test_scores_are_read_from_the_conditions(app: ASGIApp) -> None:
    """The numbers that conditions compare are there with their thresholds; a path can be named; others are refused."""
    words = (await read(app, "scores", id="five"))["words"]
    assert "score >= 7: high enough" in words
    assert "n: work 1: 1, work 2: 2, work 3: 3, work 4: 4, work 5: 5" in words
    assert "score" not in (await read(app, "scores", id="five", path="n"))["words"].partition("\n")[2]
    refused = await request(app, address("/api/scores", id="asks"), headers={"cookie": await cookie(app)})
    assert (refused.status, refused.document["error"]["repair"][:4]) == (422, "name")


async def test_a_run_is_exported(app: ASGIApp, tmp_path: Path) -> None:
    """The download is the file of `graphengine export`, which another database can import."""
    answer = await request(app, address("/api/export", id="five"), headers={"cookie": await cookie(app)})
    assert answer.headers["content-disposition"] == "attachment"
    async with Runner(tmp_path / "other.db") as runner:
        assert await import_run(runner.store, parse(answer.body, "the download"))
        assert (await runner.info("five")).status == "finished"


async def test_a_graph_lists_the_edges_that_no_run_took(app: ASGIApp) -> None:
    """Edges without a visit in the newest runs are listed with their conditions."""
    found = await read(app, "graph", graph="flaky")
    assert [(each["from"], each["to"]) for each in found["unused"]] == [("boom", "END")]
    assert found["command"] == "graphengine check flaky"
    assert list(await read(app, "all_graphs")) == ["counter", "flaky", "mapped", "review"]
