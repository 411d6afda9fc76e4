"""Consumers with queues: in parallel, in order, through failures and stops, from inside and outside."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from graphengine import Runner, ScriptedModel, Worker
from graphengine.errors import InputError
from graphengine.models import Request
from graphengine.models.errors import BadRequest, QuotaExceeded
from graphs.content_queue import Parcel, Queue, content_queue, graph
from nodes.citing import Quotations
from tests.graphs.press_kit import ANSWERS, EDITED, LISTED, MOON, SOURCE, TASK, TEXT, TWO


def orders(*tasks: str) -> Queue:
    """Return one order for each task, after which the queues close."""
    return Queue(orders=[Parcel(task=task, sources=[SOURCE]) for task in tasks])


def always() -> ScriptedModel:
    """Return models that always give the same answers."""
    return ScriptedModel(lambda request: ANSWERS[request.agent][0])


async def test_each_order_goes_through_all_hands() -> None:
    """They come out in the order of arrival, with the result of each stage."""
    with always() as model:
        async with Runner(models={"*": model}) as runner:
            result = await runner.start(graph, orders("Ebb", "Flood")).result()
    done = result.state.parcels
    assert [parcel.task for parcel in done] == ["Ebb", "Flood"]
    for parcel in done:
        assert (parcel.findings, parcel.draft, parcel.failure) == ([MOON, TWO], EDITED.text, None)
        assert parcel.post is not None
        assert parcel.post.title == LISTED.title
    assert (result.output, len(model.requests)) == ([EDITED.text] * 2, 8)


async def test_one_piece_is_written_while_the_next_is_researched() -> None:
    """The writer's model waits for the second call of the researcher, and that one for the writer's call."""
    writing, researching = asyncio.Event(), asyncio.Event()

    async def answer(request: Request) -> object:
        if request.agent == "writer":
            writing.set()
            async with asyncio.timeout(20):
                await researching.wait()
        elif request.agent == "researcher" and "Flood" in request.prompt:
            researching.set()
            async with asyncio.timeout(20):
                await writing.wait()
        return ANSWERS[request.agent][0]

    async with Runner(models={"*": ScriptedModel(answer)}) as runner:
        result = await runner.start(graph, orders("Ebb", "Flood")).result()
    assert [parcel.failure for parcel in result.state.parcels] == [None, None]


@pytest.mark.parametrize(
    ("agent", "text", "fails"),
    [
        ("researcher", "Ebb: no", True),
        ("writer", "Ebb: no", True),
        ("editor", TEXT, False),
        ("publisher", EDITED.text, False),
    ],
)
async def test_a_piece_that_fails_stops_no_other(agent: str, text: str, fails: bool) -> None:  # noqa: FBT001
    """It travels on with the reason; without an editor the draft is kept, without a publisher the text."""
    asked: list[str] = []

    def answer(request: Request) -> object:
        first = request.agent == agent and agent not in asked
        asked.append(request.agent)
        return BadRequest("no") if first else ANSWERS[request.agent][0]

    async with Runner(models={"*": ScriptedModel(answer)}) as runner:
        result = await runner.start(graph, orders("Ebb", "Flood")).result()
    bad, good = result.state.parcels
    assert (bad.failure is not None) is fails
    assert result.state.texts == [text, EDITED.text]
    assert (good.task, good.failure, good.post is not None) == ("Flood", None, True)


async def test_sources_without_the_task_cost_no_writer() -> None:
    """The piece says so, and the next consumers pass it on."""
    async with Runner(models={"*": ScriptedModel({"researcher": [Quotations(quotations=[])]})}) as runner:
        result = await runner.start(graph, orders("Ebb")).result()
    assert result.output == ["Ebb: nothing was found"]


async def test_a_queue_that_stays_open_shows_each_piece_at_once(tmp_path: Path) -> None:
    """While it waits for more: live, in the log, and as a file; what was shown is not shown again."""
    given = {"stays_open": True, "folder": str(tmp_path / "pieces")}
    async with Runner(tmp_path / "runs.db", models={"*": always()}) as runner:
        assert (await runner.start(graph, given, run_id="r").result()).status == "waiting"
        await runner.send("r", "research", Parcel(task="Ebb", sources=[SOURCE]))
        assert (await runner.resume("r", graph).result()).status == "waiting"
        (file,) = (tmp_path / "pieces").iterdir()
        assert "Most coasts see two tides[^1]" in file.read_text("utf-8")
        assert str(file) in str([step.data for step in await runner.history("r") if step.node == "collect"])
        await runner.send("r", "research", "close")
        result = await runner.resume("r", graph).result()
    assert (result.status, result.output) == ("finished", [EDITED.text])
    assert list((tmp_path / "pieces").iterdir()) == [file]


async def test_without_an_account_a_piece_stays_where_it_is(tmp_path: Path) -> None:
    """A resume with another model continues with it, and asks nothing again that was answered."""

    def empty(request: Request) -> object:
        return QuotaExceeded("empty") if request.agent == "writer" else ANSWERS[request.agent][0]

    async with Runner(tmp_path / "runs.db", models={"*": ScriptedModel(empty)}) as runner:
        found = await runner.start(graph, orders("Ebb"), run_id="r").result()
        assert (found.status, found.error and found.error.kind) == ("waiting", "quota_exceeded")
    with always() as model:
        async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
            result = await runner.resume("r", graph).result()
    assert result.output == [EDITED.text]
    assert [request.agent for request in model.requests] == ["writer", "editor", "publisher"]


async def test_a_worker_processes_orders_of_any_process(tmp_path: Path) -> None:
    """The consumers wait in the database; messages of another process are processed without the starter of the run."""
    async with Runner(tmp_path / "runs.db", models={"*": always()}) as runner:
        assert (await runner.start(graph, Queue(stays_open=True), run_id="r").result()).status == "waiting"
    async with Runner(tmp_path / "runs.db") as other:
        for task in ("Ebb", "Flood"):
            await other.send("r", "research", {"task": task, "sources": [SOURCE.model_dump()]})
        await other.send("r", "research", "close")
    async with Runner(tmp_path / "runs.db", models={"*": always()}) as runner:
        worker = Worker(runner, graph, poll_seconds=0.01, on_event=lambda _: worker.stop())
        async with asyncio.timeout(30):
            await worker.run()
            result = await runner.resume("r", graph).result()
    assert (result.status, [parcel.task for parcel in result.state.parcels]) == ("finished", ["Ebb", "Flood"])


async def test_an_order_that_is_none_is_refused() -> None:
    """An invalid order is refused when it is sent, or by the run if it came before others; the next one is taken."""
    async with Runner(models={"*": always()}) as runner:
        await runner.start(graph, Queue(stays_open=True), run_id="r").result()
        for message in ({"task": ""}, "shut", 7):
            with pytest.raises(InputError, match="not a message on 'research'"):
                await runner.send("r", "research", message)
        later: Sequence[object] = (
            {"task": TASK, "sources": [SOURCE.model_dump()]},
            {"task": ""},
            "shut",
            7,
            "close",
        )
        for each in later:
            await runner.send("r", "research", each)
        result = await runner.resume("r", graph).result()
        refused = [step for step in await runner.history("r") if step.kind == "refused"]
    assert ([parcel.task for parcel in result.state.parcels], len(refused)) == ([TASK], 3)


async def test_a_run_takes_so_many_pieces_and_no_more() -> None:
    """Each consumer ends by itself; the third order stays in the queue."""
    async with Runner(models={"*": always()}) as runner:
        result = await runner.start(content_queue(pieces=2), orders("Ebb", "Flood", "Neap")).result()
    assert (result.status, len(result.state.parcels)) == ("finished", 2)
