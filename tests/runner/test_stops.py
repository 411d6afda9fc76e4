"""Stopping runs: what is recorded of the reason, whoever stops the run."""

import asyncio
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from graphengine import END, START, Graph, Runner, ask
from graphengine.secret import HIDDEN

pytest.importorskip("cryptography")

CANARY = "hunter2-very-secret-token"
KEY = "a-key-for-tests-0123456789-abcdefghijklmnop"


class Vault(BaseModel):
    token: SecretStr = SecretStr(CANARY)
    n: int = 0


def asking() -> Graph[Vault]:
    """A graph with a secret that waits for an answer."""
    graph = Graph("asking", Vault, secret_key=KEY)
    graph.add_node("q", ask("n?", int), writes="n")
    graph.add_path(START, "q", END)
    return graph


def bytes_of(folder: Path) -> bytes:
    """All that is stored in a folder."""
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())


async def test_the_reason_of_a_stop_while_waiting_holds_no_secret(tmp_path: Path) -> None:
    """A Runner that drove the graph hides the run's secrets in the reason, as it does while the run is driven."""
    graph = asking()
    async with Runner(tmp_path / "runs.db") as runner:
        waiting = await runner.start(graph, run_id="r").result()
        assert waiting.status == "waiting"
        await runner.stop("r", f"because of {CANARY}")
        assert (await runner.history("r"))[-1].data["stop"]["explanation"] == f"because of {HIDDEN}"
        assert CANARY.encode() not in bytes_of(tmp_path)


async def test_a_stop_without_the_graph_records_no_reason_of_a_run_with_secrets(tmp_path: Path) -> None:
    """Secrets cannot be found in the reason without the graph's key, so the reason is withheld."""
    async with Runner(tmp_path / "runs.db") as runner:
        await runner.start(asking(), run_id="r").result()
    async with Runner(tmp_path / "runs.db") as other:
        await other.stop("r", f"because of {CANARY}")
        step = (await other.history("r"))[-1]
        assert step.kind == "stopped"
        assert "withheld" in step.data["stop"]["explanation"]
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
        runner._tending.drivers["r"].deliver(await runner.store.inbox(["r"]))  # noqa: SLF001 - no wait for the next look
        leave.set()
        result = await run.result()
        assert result.status == "stopped"
        assert result.stop is not None
        assert "withheld" in result.stop.explanation


async def test_the_reason_of_a_stop_without_secrets_is_kept(runner: Runner) -> None:
    """A run without secrets is stopped with the caller's words, whoever stops it."""

    class Plain(BaseModel):
        n: int = 0

    graph = Graph("plain", Plain)
    graph.add_node("q", ask("n?", int), writes="n")
    graph.add_path(START, "q", END)
    run = await runner.start(graph).result()
    del graph
    await runner.stop(run.run_id, "not needed any more")
    assert (await runner.history(run.run_id))[-1].data["stop"]["explanation"] == "not needed any more"
