"""Runs that begin in a queue: a worker drives them, each once, and limits and keys decide when."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import Graph, Runner, ask
from graphengine.databases.postgres.doctor import examine
from graphengine.databases.sqlite import doctor as sqlite_doctor
from graphengine.errors import InputError
from graphengine.records.export import BadExport, export_run, import_run, parse, to_json_text
from graphengine.serve import health
from graphengine.serve.health import serving_health
from graphengine.stores.base import QueueLimits, status_of
from graphengine.testing import FakeClock
from graphengine.worker import Schedule
from graphengine.worker.worker import RunOutcome, Took, Worker, WorkerEvent
from tests.kit.runs import SOON, alone


class State(BaseModel):
    n: int = 0
    ok: bool = False


def counting(order: list[int] | None = None) -> Graph[State]:
    """Return a graph of one node, which notes the order in which runs begin."""

    def more(n: int) -> int:
        if order is not None:
            order.append(n)
        return n + 1

    return alone(State, more, "n", name="counting", node="more")


def asking() -> Graph[State]:
    """Return a graph with a question."""
    return alone(State, ask("Continue?", bool), "ok", name="asking", node="approve")


async def work(runner: Runner, ends: int, *graphs: Graph[State], **options: Any) -> Sequence[WorkerEvent]:
    """Let a worker work until so many runs have ended or wait, and return its events."""
    events: list[WorkerEvent] = []

    def note(event: WorkerEvent) -> None:
        events.append(event)
        if sum(isinstance(each, RunOutcome) for each in events) >= ends:
            worker.stop()

    worker = Worker(runner, *graphs, on_event=note, **options)
    await asyncio.wait_for(worker.run(), 30)
    return events


async def test_a_queued_run_is_recorded_and_driven_by_a_worker(runner: Runner) -> None:
    """Its handle returns once it is recorded; a handle that `get` returns waits for its end."""
    graph = counting()
    result = await runner.start(graph, {"n": 4}, run_id="r", queue="mail", priority=2, tenant="ann").result()
    assert (result.status, result.state.n) == ("queued", 4)
    info = await runner.info("r")
    assert info.status == "queued"
    assert (status_of(info), info.queue, info.priority, info.tenant) == ("queued", "mail", 2, "ann")
    assert [each.id for each in await runner.runs(status="queued")] == ["r"]
    assert await runner.runs(status="interrupted") == []
    waiting = asyncio.ensure_future(runner.get("r", graph).result())
    took, ended = await work(runner, 1, graph)
    assert isinstance(took, Took)
    assert (took.why, took.info.id) == ("queued", "r")
    assert isinstance(ended, RunOutcome)
    assert (ended.result.status, (await waiting).state.n) == ("finished", 5)
    assert [step.kind for step in await runner.history("r")] == ["started", "resumed", "node"]


async def test_a_run_that_waited_returns_to_its_queue(runner: Runner) -> None:
    """A worker of its queue continues it after the answer, one of another queue does not."""
    graph = asking()
    await runner.start(graph, run_id="r", queue="mail").result()
    await work(runner, 1, graph)
    assert (await runner.info("r")).status == "waiting"
    await runner.answer("r", value=True)
    other = Worker(runner, graph, queues=["reports"])
    working = asyncio.create_task(other.run())
    await asyncio.sleep(0.05)
    other.stop()
    await working
    assert (await runner.info("r")).status == "waiting"
    took, _ = await work(runner, 1, graph, queues=["mail"])
    assert isinstance(took, Took)
    assert took.why == "sent"
    assert (await runner.info("r")).status == "finished"


async def test_a_queued_run_can_be_stopped_and_resumed(runner: Runner) -> None:
    """A stop takes effect at once; a resume drives it here."""
    graph = counting()
    await runner.start(graph, run_id="r", queue="mail").result()
    await runner.stop("r", "not needed")
    info = await runner.info("r")
    assert (info.status, info.summary is not None and "not needed" in info.summary.reason) == ("stopped", True)
    assert (await runner.resume("r", graph).result()).state.n == 1
    await runner.start(graph, run_id="s", queue="mail").result()
    assert (await runner.resume("s", graph).result()).state.n == 1


async def test_keys_take_turns(runner: Runner) -> None:
    """A tenant that queued many runs does not hold up another one."""
    order: list[int] = []
    graph = counting(order)
    for number in range(6):
        await runner.start(graph, {"n": number}, queue="mail", tenant="ann").result()
    await runner.start(graph, {"n": 100}, queue="mail", tenant="bob").result()
    await work(runner, 7, graph, concurrency=1)
    assert order == [0, 100, 1, 2, 3, 4, 5]


async def test_a_rate_by_the_clock(timed: Runner, clock: FakeClock) -> None:
    """Runs begin as fast as the rate allows."""
    graph = counting()
    await timed.limit_queue("mail", QueueLimits(rate=(1, 60.0)))
    for number in range(3):
        await timed.start(graph, run_id=f"r{number}", queue="mail").result()
    await work(timed, 3, graph)
    began = sorted([(await timed.history(f"r{number}"))[1].at for number in range(3)])
    assert all(60.0 <= later - earlier < 63.0 for earlier, later in pairwise(began))
    assert clock.now() < 1200.0


@pytest.mark.parametrize(
    "given",
    [
        {"priority": 1},
        {"tenant": ""},
        {"queue": ""},
        {"queue": "a\nb"},
        {"queue": "a", "priority": 1.5},
        {"queue": "a", "tenant": " "},
    ],
)
async def test_invalid_places_are_refused(given: dict[str, Any]) -> None:
    """Invalid places in a queue are refused at once, with the repair."""
    async with Runner() as runner:
        with pytest.raises(InputError) as caught:
            runner.start(counting(), **given)
        assert caught.value.repair


@pytest.mark.parametrize(
    "limits", [{"concurrency": 0}, {"rate": (0, 1.0)}, {"tenant_rate": (1, 0.0)}, {"rate": (1, 2, 3)}]
)
async def test_invalid_limits_are_refused(limits: dict[str, Any]) -> None:
    """Invalid limits are refused before anything is changed."""
    async with Runner() as runner:
        with pytest.raises(InputError) as caught:
            await runner.limit_queue("mail", QueueLimits(**limits))
        assert caught.value.repair
        assert await runner.store.queue_limits() == {}


async def test_the_doctor_finds_no_fault_in_queued_runs(tmp_path: Path, postgres: str) -> None:
    """The doctor finds no fault in queued runs, limits and schedules."""
    for place in (tmp_path / "runs.db", postgres):
        async with Runner(place) as runner:
            await runner.start(counting(), run_id="r", queue="mail", tenant="ann").result()
            await runner.limit_queue("mail", QueueLimits(concurrency=1, rate=(1, 9.0)))
            await runner.schedule(Schedule("daily", "0 7 * * *", "counting"), counting())
            await work(runner, 1, counting())
            await runner.start(counting(), queue="mail").result()
        assert (sqlite_doctor.examine(place) if isinstance(place, Path) else examine(place)).is_sound


async def test_the_health_of_a_worker(runner: Runner) -> None:
    """200 while it works; 503 once it stops."""
    worker = Worker(runner)
    working = asyncio.create_task(worker.run())
    while worker.standing.polled_at is None:  # noqa: ASYNC110 - nothing announces a poll
        await asyncio.sleep(0.01)
    async with serving_health(worker, "127.0.0.1", 0) as port:
        status, found = await ask_health(port)
        assert (status, found) == (200, {"status": "working", "error": None})
        assert (await ask_health(port, "POST"))[0] == 405
        worker.stop()
        assert (await ask_health(port))[0] == 503
    await working


async def test_clients_that_send_no_request_keep_nobody_from_the_health(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that has waited longest is closed, so they take few file descriptors from the runs."""
    monkeypatch.setattr(health, "_REQUEST_SECONDS", 3600.0)
    async with AsyncExitStack() as stack, asyncio.timeout(SOON):
        port = await stack.enter_async_context(serving_health(Worker(runner), "127.0.0.1", 0))
        clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        for _, writer in clients:
            stack.callback(writer.close)
        assert await clients[0][0].read() == b""
        assert (await ask_health(port))[1]["status"] == "working"


async def ask_health(port: int, method: str = "GET") -> tuple[int, dict[str, Any]]:
    """Return the status and the body of an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} / HTTP/1.1\r\nHost: here\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), json.loads(body)


async def test_a_queued_run_is_exported_with_its_queue(runner: Runner) -> None:
    """A worker of another database takes it, as one here would; its place in the queue is kept."""
    for name, more in (("a", {"priority": 3, "tenant": "acme"}), ("b", {}), ("c", {"priority": 9})):
        await runner.start(counting(), run_id=name, queue="mail", **more).result()
    texts = [to_json_text(await export_run(runner.store, name), "1") for name in "abc"]
    async with Runner() as other:
        for text in texts:
            assert await import_run(other.store, parse(text.encode(), "file"))
            assert not await import_run(other.store, parse(text.encode(), "file"))
        info = await other.info("a")
        assert (info.queue, info.priority, info.tenant, info.queued) == ("mail", 3, "acme", True)
        events = await work(other, 3, counting(), concurrency=1, queues=["mail"])
    assert [event.info.id for event in events if isinstance(event, Took)] == ["c", "a", "b"]


async def test_a_file_has_a_queue_only_if_it_is_another_than_the_default(runner: Runner) -> None:
    """A file of a run without a queue does not name one, and no file has a queue that no run can have."""
    await runner.start(counting(), run_id="a", queue="mail").result()
    run = await export_run(runner.store, "a")
    assert '"queue"' not in to_json_text(replace(run, info=replace(run.info, queue="default", queued=False)), "1")
    bad = to_json_text(replace(run, info=replace(run.info, queue="a\nb")), "1")
    with pytest.raises(BadExport, match="queue"):
        parse(bad.encode(), "file")


async def test_a_run_and_its_branches_are_for_a_tenant(runner: Runner) -> None:
    """Also a run that is driven at once, in no queue; lists, searches, counts and trends select it by that."""
    await runner.start(counting(), run_id="a", tenant="acme").result()
    await runner.start(counting(), run_id="b").result()
    await runner.branch("a", counting(), 1, run_id="a2").result()
    await runner.branch("b", counting(), 1, run_id="b2").result()
    assert [(await runner.info(each)).tenant for each in ("a", "b", "a2", "b2")] == ["acme", None, "acme", None]
    assert {info.id for info in await runner.runs(tenant="acme")} == {"a", "a2"}
    assert {info.id for info in await runner.runs("counting tenant:acme", limit=1)} == {"a2"}
    assert await runner.runs("tenant:acme", tenant="acme", tag="x") == await runner.runs(tenant="globex") == []
    assert [each.runs for each in (await runner.trends("tenant:acme")).trends] == [2]
    with pytest.raises(InputError, match="tenant is given twice: acme and globex"):
        await runner.runs("tenant:globex", tenant="acme")


@pytest.mark.parametrize("paused", ["graph:counting", "tenant:acme"])
async def test_a_paused_graph_or_tenant_waits(runner: Runner, paused: str) -> None:
    """Its runs stay queued in every queue while others are driven, and are driven once the pause ends."""
    for number, queue in enumerate(("mail", "reports")):
        await runner.start(counting(), run_id=f"held{number}", queue=queue, tenant="acme").result()
    await runner.start(asking(), run_id="free", queue="mail", tenant="zeta").result()
    await runner.limit_queue(paused, QueueLimits(paused=True))
    await work(runner, 1, counting(), asking())
    statuses = {info.id: info.status for info in await runner.runs()}
    assert statuses == {"held0": "queued", "held1": "queued", "free": "waiting"}
    worker = Worker(runner, counting(), asking(), poll_seconds=0.01)
    working = asyncio.create_task(worker.run())
    await runner.limit_queue(paused, None)
    async with asyncio.timeout(SOON):
        for number in range(2):
            assert (await runner.get(f"held{number}", counting()).result()).state.n == 1
    worker.stop()
    await working


@pytest.mark.parametrize("name", ["graph:counting", "tenant:acme"])
async def test_a_graph_and_a_tenant_have_no_other_limits(runner: Runner, name: str) -> None:
    """The error says where limits are set."""
    with pytest.raises(InputError, match=f"{name} can only be paused") as caught:
        await runner.limit_queue(name, QueueLimits(concurrency=3))
    assert caught.value.repair == "limit the queue of its runs"
