"""Consumers with queues: in parallel, in order, through failures and kills, from inside and outside."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from graphengine import Limits, Runner, ScriptedModel, Worker
from graphengine.errors import BadRequest
from graphengine.models import Request
from graphs.content_queue import Queue, content_queue, example, graph
from nodes.press.stages import Parcel
from tests.graphs.press_kit import ANSWERS, EDITED, FOUND, LISTED, SOURCE, TOPIC, WRITTEN, by_role
from tests.models.edge_server import EdgeServer

HANDLED = {"research": 2, "write": 2, "edit": 2, "list": 2}


def orders(*topics: str) -> Queue:
    """Return one order for each topic, after which the queues close."""
    return Queue(orders=[Parcel(topic=topic, sources=[SOURCE]) for topic in topics])


def always() -> ScriptedModel:
    """Return models that always give the same answers."""
    return ScriptedModel(lambda request: ANSWERS[request.agent][0])


async def test_each_order_goes_through_all_hands() -> None:
    """They come out in the order of arrival, with the result of each stage."""
    with always() as model:
        async with Runner(models={"*": model}) as runner:
            result = await runner.start(graph, orders("Ebb", "Flood")).result()
    done = result.state.parcels
    assert [parcel.topic for parcel in done] == ["Ebb", "Flood"]
    for parcel in done:
        made = (parcel.findings, parcel.manuscript, parcel.edited, parcel.listing, parcel.failure)
        assert made == (FOUND, WRITTEN, EDITED, LISTED, None)
    assert (result.state.handled, result.output) == (HANDLED, [EDITED.text] * 2)
    assert len(model.requests) == 8


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
    ("agent", "made"),
    [("researcher", []), ("writer", ["findings"]), ("publisher", ["findings", "manuscript", "edited"])],
)
async def test_a_piece_that_fails_stops_no_other(agent: str, made: Sequence[str]) -> None:
    """It travels on with the reason and the earlier results; later stages skip it."""

    def answer(request: Request) -> object:
        return BadRequest("no") if request.agent == agent and failing else ANSWERS[request.agent][0]

    failing = True
    async with Runner(models={"*": ScriptedModel(answer)}) as runner:
        run = runner.start(graph, Queue(orders=orders("Ebb").orders, stays_open=True), run_id="r")
        assert (await run.result()).status == "waiting"
        failing = False
        await runner.send("r", "research", Parcel(topic="Flood", sources=[SOURCE]))
        await runner.send("r", "research", "close")
        result = await runner.resume(graph, "r").result()
    bad, good = result.state.parcels
    assert bad.failure is not None
    assert (bad.topic, bad.failure.kind, bad.failure.message) == ("Ebb", "bad_request", "no")
    assert result.state.texts[0] == (bad.edited.text if bad.edited else "Ebb: no")
    assert [name for name in ("manuscript", "edited", "listing") if getattr(bad, name)] == list(made)[1:]
    assert bool(bad.findings.key_areas) is bool(made)
    assert (good.topic, good.listing, result.state.handled) == ("Flood", LISTED, HANDLED)


async def test_a_worker_processes_orders_of_any_process(tmp_path: Path) -> None:
    """The consumers wait in the database; messages of another process are processed without the starter of the run."""
    async with Runner(tmp_path / "runs.db", models={"*": always()}) as runner:
        assert (await runner.start(graph, Queue(stays_open=True), run_id="r").result()).status == "waiting"
    async with Runner(tmp_path / "runs.db") as other:
        for topic in ("Ebb", "Flood"):
            await other.send("r", "research", {"topic": topic, "sources": [SOURCE.model_dump()]})
        await other.send("r", "research", "close")
    async with Runner(tmp_path / "runs.db", models={"*": always()}) as runner:
        worker = Worker(runner, {graph.name: graph}, poll_seconds=0.01, on_event=lambda _: worker.stop())
        async with asyncio.timeout(30):
            await worker.run()
            result = await runner.resume(graph, "r").result()
    assert (result.status, [parcel.topic for parcel in result.state.parcels]) == ("finished", ["Ebb", "Flood"])


async def test_an_order_that_is_none_is_refused() -> None:
    """An invalid order is refused, and the next one is taken."""
    async with Runner(models={"*": always()}) as runner:
        await runner.start(graph, Queue(stays_open=True), run_id="r").result()
        for message in ({"topic": ""}, "shut", 7, {"topic": TOPIC, "sources": [SOURCE.model_dump()]}, "close"):
            await runner.send("r", "research", message)
        result = await runner.resume(graph, "r").result()
        refused = [step for step in await runner.history("r") if step.kind == "refused"]
    assert ([parcel.topic for parcel in result.state.parcels], len(refused)) == ([TOPIC], 3)


@pytest.mark.parametrize("steps", [3, 7, 12, 20])
async def test_stopped_queues_continue_without_loss(tmp_path: Path, steps: int) -> None:
    """No call is repeated, and nothing is passed on twice."""
    with always() as model:
        async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
            run = runner.start(graph, orders("Ebb", "Flood"), limits=Limits(steps=steps))
            assert (await run.result()).status == "stopped"
            result = await runner.resume(graph, run.id, limits=Limits(steps=999)).result()
    assert (result.state.handled, len(model.requests)) == (HANDLED, 8)


async def test_a_run_takes_so_many_pieces_and_no_more() -> None:
    """Each consumer ends by itself; the third order stays in the queue."""
    async with Runner(models={"*": always()}) as runner:
        result = await runner.start(content_queue(pieces=2), orders("Ebb", "Flood", "Neap")).result()
    assert (result.status, result.state.handled) == ("finished", HANDLED)


async def test_rules_do_the_work_without_a_model() -> None:
    """Rules run the example without a model."""
    result = await graph.run(example())
    assert [parcel.failure for parcel in result.state.parcels] == [None, None]
    assert all("No language model wrote this text" in text for text in result.state.texts)


async def test_through_a_server(provider: EdgeServer) -> None:
    """The usage and cost include all parallel calls."""
    provider.answer(by_role)
    async with Runner(models={"*": "anthropic:claude-haiku-4-5"}) as runner:
        result = await runner.start(graph, orders("Ebb", "Flood")).result()
    assert (result.state.handled, result.usage.calls) == (HANDLED, 8)
    assert result.usage.cost_usd == pytest.approx(8 * (500 * 1e-6 + 500 * 0.1e-6 + 50 * 5e-6))


def test_the_graph_has_no_problems_and_a_picture(tmp_path: Path) -> None:
    """The check reports no problems."""
    assert graph.check() == []
    graph.render(tmp_path / "queue.mmd")
    assert "hand_on" in (tmp_path / "queue.mmd").read_text(encoding="utf-8")
