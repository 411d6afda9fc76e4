"""Queued runs in the doctor, in exports, and the health of the worker that drives them."""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from pydantic import BaseModel

from graphengine import Graph, Runner
from graphengine.databases.postgres.doctor import examine
from graphengine.databases.sqlite import doctor as sqlite_doctor
from graphengine.records.export import BadExport, export_run, import_run, parse, to_json_text
from graphengine.serve import health
from graphengine.serve.health import serving_health
from graphengine.stores.base import QueueLimits
from graphengine.worker import Schedule
from graphengine.worker.worker import Took, Worker
from tests.kit.runs import SOON, alone
from tests.kit.workers import let_work


class State(BaseModel):
    n: int = 0


def counting() -> Graph[State]:
    """Return a graph of one node."""
    return alone(State, lambda n: n + 1, "n", name="counting", thread=False)


async def test_the_doctor_finds_no_fault_in_queued_runs(tmp_path: Path, postgres: str) -> None:
    """The doctor finds no fault in queued runs, limits and schedules."""
    for place in (tmp_path / "runs.db", postgres):
        async with Runner(place) as runner:
            await runner.start(counting(), run_id="r", queue="mail", tenant="ann").result()
            await runner.admin.limit_queue("mail", QueueLimits(concurrency=1, rate=(1, 9.0)))
            await runner.admin.schedule(Schedule("daily", "0 7 * * *", "counting"), counting())
            await let_work(runner, 1, counting())
            await runner.start(counting(), queue="mail").result()
        assert (sqlite_doctor.examine(place) if isinstance(place, Path) else examine(place)).is_sound


async def test_a_worker_with_one_slot_takes_from_its_queues_in_turn(runner: Runner) -> None:
    """A queue with many runs does not keep a worker from the runs of another queue."""
    for name in ["a0", "a1", "a2", "a3", "b0", "b1"]:
        await runner.start(counting(), run_id=name, queue=name[0]).begun()
    events = await let_work(runner, 6, counting(), concurrency=1)
    taken = [event.info.id for event in events if isinstance(event, Took)]
    assert taken == ["a0", "b0", "a1", "b1", "a2", "a3"]


async def test_the_health_of_a_worker(runner: Runner) -> None:
    """200 while it works; 503 once it stops."""
    worker = Worker(runner, counting())
    working = asyncio.create_task(worker.run())
    while worker.state.polled_at is None:  # noqa: ASYNC110 - nothing announces a poll
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
        port = await stack.enter_async_context(serving_health(Worker(runner, counting()), "127.0.0.1", 0))
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
        events = await let_work(other, 3, counting(), concurrency=1, queues=["mail"])
    assert [event.info.id for event in events if isinstance(event, Took)] == ["c", "a", "b"]


async def test_a_file_has_a_queue_only_if_it_is_another_than_the_default(runner: Runner) -> None:
    """A file of a run without a queue does not name one, and no file has a queue that no run can have."""
    await runner.start(counting(), run_id="a", queue="mail").result()
    run = await export_run(runner.store, "a")
    assert '"queue"' not in to_json_text(
        replace(run, info=structs.replace(run.info, queue="default", queued=False)), "1"
    )
    bad = to_json_text(replace(run, info=structs.replace(run.info, queue="a\nb")), "1")
    with pytest.raises(BadExport, match="queue"):
        parse(bad.encode(), "file")
