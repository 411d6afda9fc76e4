"""Stopping runs: the recorded reason, whichever process stops the run."""

import asyncio
import gc
import logging
import threading
import time
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from graphengine import END, START, Graph, Runner, ask
from graphengine.kernel.fake_clock import FakeClock
from graphengine.state.secret import HIDDEN
from tests.kit.facts import said
from tests.kit.runs import alone

pytest.importorskip("cryptography")

CANARY = "hunter2-very-secret-token"
KEY = "a-key-for-tests-0123456789-abcdefghijklmnop"


class Vault(BaseModel):
    token: SecretStr = SecretStr(CANARY)
    n: int = 0


def asking() -> Graph[Vault]:
    """Return a graph with a secret that waits for an answer."""
    return alone(Vault, ask("n?", int), "n", name="asking", node="q", secret_key=KEY)


def bytes_of(folder: Path) -> bytes:
    """Return all bytes stored in a folder."""
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())


async def test_the_reason_of_a_stop_while_waiting_holds_no_secret(tmp_path: Path) -> None:
    """A Runner that drove the graph hides the run's secrets in the reason, as it does while the run is driven."""
    graph = asking()
    async with Runner(tmp_path / "runs.db") as runner:
        waiting = await runner.start(graph, run_id="r").result()
        assert waiting.status == "waiting"
        await runner.stop("r", f"because of {CANARY}")
        assert said((await runner.history("r"))[-1])["ending"]["why"] == f"because of {HIDDEN}"
        assert CANARY.encode() not in bytes_of(tmp_path)


async def test_a_stop_without_the_graph_records_no_reason_of_a_run_with_secrets(tmp_path: Path) -> None:
    """Secrets cannot be found in the reason without the graph's key, so the reason is withheld."""
    async with Runner(tmp_path / "runs.db") as runner:
        await runner.start(asking(), run_id="r").result()
    async with Runner(tmp_path / "runs.db") as other:
        await other.stop("r", f"because of {CANARY}")
        step = (await other.history("r"))[-1]
        assert step.kind == "stopped"
        assert "withheld" in said(step)["ending"]["why"]
        assert CANARY.encode() not in bytes_of(tmp_path)


async def test_the_message_that_stops_a_run_elsewhere_holds_no_secret(tmp_path: Path) -> None:
    """The reason goes to the driving process through the database: it holds no secret there either."""
    entered, leave = asyncio.Event(), asyncio.Event()

    async def work(n: int) -> int:
        entered.set()
        await leave.wait()
        return n + 1

    graph = Graph("working", Vault, secret_key=KEY)
    graph.add_node("a", work, writes="n")
    graph.add_node("b", work, writes="n")
    graph.add_path(START, "a", "b", END)
    async with Runner(tmp_path / "runs.db") as runner, Runner(tmp_path / "runs.db") as other:
        run = runner.start(graph, run_id="r")
        await entered.wait()
        await other.stop("r", f"because of {CANARY}")
        assert CANARY.encode() not in bytes_of(tmp_path)
        runner._shared.driven["r"].deliver(await runner.store.inbox(["r"]))  # noqa: SLF001 - do not wait for the next poll
        leave.set()
        result = await run.result()
        assert result.status == "stopped"
        assert result.ending is not None
        assert "withheld" in result.ending.why


class Plain(BaseModel):
    n: int = 0


class Gate:
    """A node that reports its entry and waits until it is released."""

    def __init__(self) -> None:
        self.entered, self.leave, self.both = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.calls = 0

    def graph(self) -> Graph[Plain]:
        """Return a graph START → a → b → END; a is this node."""

        async def a(n: int) -> int:
            self.calls += 1
            self.entered.set()
            if self.calls == 2:
                self.both.set()
            await self.leave.wait()
            return n + 1

        graph = Graph("gated", Plain)
        graph.add_node("a", a, writes="n")
        graph.add_node("b", lambda n: n + 10, writes="n", thread=False)
        graph.add_path(START, "a", "b", END)
        return graph


async def test_a_runner_that_closes_releases_its_runs(database: Path | str, caplog: pytest.LogCaptureFixture) -> None:
    """It stays `running`, its log names what was cut off, and recover finds it; this does not count as a crash."""
    gate = Gate()
    graph = gate.graph()
    async with Runner(database) as runner:
        run = runner.start(graph, run_id="r")
        await gate.entered.wait()
    result = await run.result()
    assert (result.status, result.cut_off, result.ending) == ("running", ("a",), None)
    assert "run r was in progress when its Runner closed, and is released; cut off: a" in caplog.text
    for _ in range(4):  # more often than a node is allowed to crash
        gate.entered.clear()
        async with Runner(database) as runner:
            assert [info.id for info in await runner.store.due(time.time())] == ["r"]
            [run] = await runner.recover(graph)
            await gate.entered.wait()
    gate.leave.set()
    async with Runner(database) as runner:
        [run] = await runner.recover(graph)
        result = await run.result()
        assert (result.status, result.state.n, result.cut_off) == ("finished", 11, ())
        assert not [step for step in await runner.history("r") if said(step).get("crashed")]


async def test_nodes_in_flight_finish_in_the_grace_period_of_a_runner(database: Path | str) -> None:
    """What finishes in time is recorded, and nothing more begins."""
    gate, clock = Gate(), FakeClock()
    async with Runner(database, grace_seconds=60, clock=clock) as runner:
        run = runner.start(gate.graph(), run_id="r")
        await gate.entered.wait()
        asyncio.get_running_loop().call_soon(gate.leave.set)
    result = await run.result()
    assert (result.status, result.state.n, result.cut_off) == ("running", 1, ())
    async with Runner(database) as runner:
        [run] = await runner.recover(gate.graph())
        assert (await run.result()).state.n == 11
    assert gate.calls == 1


async def test_a_node_that_exceeds_the_grace_period_is_cut_off(database: Path | str) -> None:
    """The time is that of the Runner's clock, which jumps here when nothing else is to be done."""
    gate, clock = Gate(), FakeClock(start=1000.0)
    async with Runner(database, grace_seconds=60, clock=clock) as runner:
        run = runner.start(gate.graph(), run_id="r")
        await gate.entered.wait()
    assert (await run.result()).cut_off == ("a",)
    assert clock.now() == 1060.0


@pytest.mark.parametrize(("how", "beside"), [("close", False), ("release", False), ("release", True)])
async def test_the_result_of_a_plain_function_is_kept(database: Path | str, how: str, *, beside: bool) -> None:
    """Nothing can end it in its thread, so its end is waited for; then a resume must not call it again."""
    entered, leave, calls = threading.Event(), threading.Event(), list[int]()

    def add(n: int) -> int:
        calls.append(n)
        entered.set()
        assert leave.wait(20)
        return n + 1

    graph = Graph("plain", Plain)
    graph.add_node("add", add, writes="n")
    graph.add_node("more", lambda n: n + 10, writes="n", thread=False)
    if beside:
        graph.add_node("idle", lambda: None, writes=(), thread=False)
        graph.add_fork(START, ["add", "idle"], join="more")
        graph.add_path("idle", "more")
        graph.add_path("add", "more", END)
    else:
        graph.add_path(START, "add", "more", END)
    runner = Runner(database)
    run = runner.start(graph, run_id="r")
    await asyncio.to_thread(entered.wait, 20)
    ending = asyncio.create_task(runner.close() if how == "close" else runner.release("r", now=True))
    while not run._lives.shared.driven["r"].claim.released and not run._lives.shared.closed:  # noqa: ASYNC110, SLF001
        await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(leave.set)
    await ending
    await runner.close()
    assert ((await run.result()).status, calls) == ("running", [0])
    async with Runner(database) as other:
        [run] = await other.recover(graph)
        assert (await run.result()).state.n == 11
    assert calls == [0]


async def test_a_grace_period_that_runs_out_is_no_error_of_its_own(
    database: Path | str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the warning that names the run, and no traceback of asyncio."""
    gate = Gate()
    async with Runner(database, grace_seconds=60, clock=FakeClock()) as runner:
        for run_id in ("r", "s"):
            runner.start(gate.graph(), run_id=run_id)
        await gate.both.wait()
    gc.collect()
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert sorted(text.partition(" was in progress")[0] for text in warnings) == ["run r", "run s"]


@pytest.mark.parametrize("is_begun", [False, True])
async def test_leaving_a_runner_right_after_start_is_reported(
    database: Path | str, caplog: pytest.LogCaptureFixture, *, is_begun: bool
) -> None:
    """The caller forgot to await the result: a warning names the run, whether or not it is recorded already."""
    gate = Gate()
    async with Runner(database) as runner:
        run = runner.start(gate.graph(), run_id="r")
        if is_begun:
            await run.begun()
    assert ("in progress" if is_begun else "just being started") in caplog.text
    assert "run r was" in caplog.text
    assert "repair: await run.result()" in caplog.text


async def test_a_node_whose_task_is_cancelled_by_code_fails_alone() -> None:
    """Code that cancels the task of another arm's node fails that node alone; the run continues."""
    tasks: list[asyncio.Task[object] | None] = []
    entered = asyncio.Event()

    async def victim(n: int) -> int:
        tasks.append(asyncio.current_task())
        entered.set()
        await asyncio.Event().wait()
        return n

    async def killer(n: int) -> int:
        await entered.wait()
        assert tasks[0] is not None
        tasks[0].cancel()
        return n + 1

    class Two(BaseModel):
        n: int = 0
        m: int = 0

    graph = Graph("fork", Two)
    graph.add_node("victim", victim, writes="n", fallback=5)
    graph.add_node("killer", killer, writes="m")
    graph.add_node("join")
    graph.add_fork(START, ["victim", "killer"], join="join")
    graph.add_edge("victim", "join")
    graph.add_edge("killer", "join")
    graph.add_edge("join", END)
    result = await graph.run()
    assert (result.state.n, result.state.m) == (5, 1)
