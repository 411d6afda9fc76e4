"""A small database of real runs that use the language of graphs, for tests that damage it.

Runs: `done` (finished), `asks` (waits for an answer, with a message in its inbox), `branch` (of `done`, finished),
`failed`, `left` (running, without a driver). `facts_of` reads everything in a database that can be read.
"""

import contextlib
from collections.abc import Awaitable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import pytest
from msgspec.structs import replace
from pydantic import BaseModel
from pydantic_core import from_json, to_json

from graphengine import END, START, Context, Graph, Retry, RunFailed, Runner, ask
from graphengine.databases import long_texts, snapshots
from graphengine.databases.sqlite import SQLiteStore
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.step_json import encode_step
from graphengine.engine.stored import to_record
from graphengine.errors import GraphEngineError
from graphengine.history.load import load_snapshot
from graphengine.reducers import add, append
from graphengine.stores.base import RunInfo
from tests.kit.facts import resaid

RUNS = ("done", "asks", "branch", "failed", "left")


class Part(BaseModel):
    """The state of one item's graph."""

    topic: str = ""
    text: str = ""


class State(BaseModel):
    """The state of the runs."""

    topics: list[str] = ["a", "b", "c"]
    texts: list[str] = []
    total: Annotated[int, add] = 0
    log: Annotated[list[str], append] = []
    heard: str = ""
    ok: bool | None = None
    fails: bool = False
    asks: bool = False
    rounds: int = 4


def part() -> Graph[Part]:
    """Return a graph for the items of a map."""
    graph = Graph("part", Part, result="text")
    graph.add_node("write", lambda topic: f"on {topic}", writes="text", thread=False)
    graph.add_path(START, "write", END)
    return graph


async def left_arm(ctx: Context) -> int:
    """Do recorded work, and send a message to another node."""
    number = await ctx.call(lambda: 1, key="one")
    ctx.send("news", f"visit {ctx.visit}")
    return number


async def right_arm(ctx: Context) -> str:
    """Wait for that message."""
    return await ctx.receive("news", str)


def shaky(ctx: Context) -> str:
    """Fail at first."""
    if ctx.attempt == 1:
        message = "not yet"
        raise OSError(message)
    return f"round {ctx.visit} " + "x" * 300


def last(*, fails: bool) -> int:
    """Fail permanently if the state says so."""
    if fails:
        message = "as it was to be"
        raise ValueError(message)
    return 1


def everything() -> Graph[State]:
    """Return a map of graphs, a loop with retries, a fork with recorded work and messages, a question, a failure."""
    graph = Graph("everything", State)
    graph.add_node("texts", part(), each={"topic": "topics"}, inputs={"topic": "topic"}, writes="texts")
    graph.add_node("shaky", shaky, writes="log", retry=Retry(attempts=2, initial_seconds=0), thread=False)
    graph.add_node("left", left_arm, writes="total")
    graph.add_node("right", right_arm, writes="heard")
    graph.add_node("join")
    graph.add_node("agree", ask("All right?", bool), writes="ok")
    graph.add_node("last", last, writes="total", thread=False)
    graph.add_path(START, "texts", "shaky")
    graph.add_fork("shaky", ["left", "right"], join="join", when=lambda log, rounds: len(log) >= rounds)
    graph.add_edge("shaky", "shaky")
    graph.add_edge("left", "join")
    graph.add_edge("right", "join")
    graph.add_edge("join", "agree", when=lambda asks: asks)
    graph.add_edge("join", "last")
    graph.add_path("agree", "last", END)
    return graph


@contextlib.contextmanager
def small_snapshots(rows: int = 6) -> Iterator[None]:
    """Make stores write a snapshot every few steps and share short texts, so that a small database has some."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshots, "MIN_ROWS", rows)
        patch.setattr(snapshots, "MIN_RATIO", 0)
        patch.setattr(long_texts, "LEAST_BYTES", 12)
        yield


async def record(path: Path, **options: Any) -> None:
    """Record the database."""
    graph = everything()
    with small_snapshots():
        store = SQLiteStore(path, **{"synchronous": "NORMAL", **options})
        async with Runner(store) as runner:
            await runner.start(graph, run_id="done").result()
            await runner.start(graph, State(asks=True), run_id="asks").result()
            await runner.branch("done", graph, 12, update={"total": 5}, run_id="branch").result()
            with pytest.raises(RunFailed):
                await runner.start(graph, State(fails=True), run_id="failed").result()
            await store.post("asks", "message", {"topic": "t", "payload": 1}, "k")
            await _left_running(store, graph)


async def _left_running(store: SQLiteStore, graph: Graph[State]) -> None:
    """Repeat the beginning of `done`, as a process leaves it that releases the run."""
    first, *others = (await store.steps("done"))[:20]
    first = resaid(first, run_id="left")
    info = replace(await store.info("done"), id="left", status="running", created_at=first.at, code="")
    fence = await store.create(info, [first, *others], graph.compile().graph_spec)
    await store.release("left", fence)


async def finish(path: Path, run_id: str) -> dict[str, Any]:
    """Resume a run until it is finished, and answer its questions. Return its state."""
    graph = everything()
    async with Runner(SQLiteStore(path, synchronous="NORMAL")) as runner:
        result = await runner.resume(run_id, graph).result()
        while result.status == "waiting":
            await runner.answer(run_id, value=True)
            result = await runner.resume(run_id, graph).result()
        return dict(await runner.state_at(run_id))


Facts = dict[str, Any]
"""For each read, the result as JSON, or the error."""


def _proved(info: RunInfo) -> RunInfo:
    """Return the facts that a checksum or the log proves: the queue, and what lists show of a run, are not."""
    return replace(info, queue="", priority=0, tenant=None, queued=False, summary=None)


async def _one(reading: Awaitable[RunInfo]) -> RunInfo:
    return _proved(await reading)


async def _listed(reading: Awaitable[Sequence[RunInfo]]) -> list[RunInfo]:
    return [_proved(info) for info in await reading]


async def facts_of(path: Path) -> Facts:
    """Return the result of every read of every run: JSON, or the error."""
    found: Facts = {}
    store = SQLiteStore(path, read_only=True)

    async def ask_for(name: str, reading: Any) -> None:
        try:
            found[name] = await reading
        except GraphEngineError as error:
            found[name] = error

    async def steps(run_id: str) -> list[bytes]:
        return [encode_step(step) for step in await store.steps(run_id)]

    async def state(run_id: str) -> Any:
        return _plain(await load_snapshot(store, run_id, None))

    async def middle(run_id: str) -> Any:
        return _plain(await load_snapshot(store, run_id, 8))

    async def messages() -> Any:
        return [message[1:] for message in await store.inbox(RUNS)]

    try:
        await store.open()
    except GraphEngineError as error:
        return {"open": error}
    try:
        await ask_for("list", _listed(store.runs()))
        for run_id in RUNS:
            await ask_for(f"steps {run_id}", steps(run_id))
            await ask_for(f"state {run_id}", state(run_id))
            await ask_for(f"middle {run_id}", middle(run_id))
            await ask_for(f"info {run_id}", _one(store.info(run_id)))
        await ask_for("inbox", messages())
        await ask_for("due", _listed(store.due(1e12)))
        await ask_for("graph_spec", store.graph_spec(_fingerprint()))
    finally:
        await store.close()
    return found


@cache
def _fingerprint() -> str:
    """Return the fingerprint of the runs' graph."""
    return everything().compile().fingerprint


def _plain(snapshot: Snapshot) -> Any:
    return from_json(to_json(to_record(snapshot)))
