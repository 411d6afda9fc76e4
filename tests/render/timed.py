"""Runs whose nodes take their time by a fake clock, for charts of runs: the same times on every machine."""

from typing import Annotated, Any

from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Retry, Runner, ask, plateau, value
from graphengine.engine.steps import Step
from graphengine.reducers import append
from graphengine.testing import FakeClock

BEGAN = 1_800_000_000.0
HOURS = 3600.0


class Round(BaseModel):
    """A reviewer's verdict on a draft."""

    score: float = 0
    issues: list[str] = []


class Paper(BaseModel):
    """A paper that is researched, written, reviewed and approved."""

    topics: list[str] = ["tides", "ebb", "flow"]
    findings: list[str] = []
    sources: str = ""
    counter: str = ""
    draft: str = ""
    history: Annotated[list[Round], append] = []
    ok: bool | None = None


SCORES = (4.0, 5.5, 7.5)


def paper(clock: FakeClock) -> Graph[Paper]:
    """Return a graph with a map, a fork with a node that is tried again, a loop with scores, and a question."""

    async def busy(seconds: float) -> None:
        await clock.sleep_until(clock.now() + seconds)

    async def find(topic: str) -> str:
        await busy(1.0 + len(topic) / 4)
        return topic

    async def gather() -> str:
        await busy(2.0)
        return "library"

    async def doubt(ctx: Context) -> str:
        await busy(0.8)
        if not await ctx.call(_tried, clock.now()):
            raise TimeoutError("the library did not answer")
        return "no tides at all"

    async def _tried(at: float) -> bool:
        return at > BEGAN + 5

    async def write(history: list[Round]) -> str:
        await busy(3.0 - len(history))
        return "draft " * (len(history) + 1)

    async def review(draft: str, history: list[Round]) -> Round:
        await busy(1.2)
        return Round(score=SCORES[len(history)] if draft.startswith("draft") else 9.0)

    graph = Graph("paper", Paper)
    graph.add_node("find", find, writes="findings", each={"topic": "topics"}, concurrency=2)
    graph.add_node("gather", gather, writes="sources")
    graph.add_node("doubt", doubt, writes="counter", retry=Retry(attempts=3, initial_seconds=1.5, jitter=0))
    graph.add_node("write", write, writes="draft")
    graph.add_node("review", review, writes="history")
    graph.add_node("approve", ask("Publish it?", bool), writes="ok")
    graph.add_path(START, "find")
    graph.add_fork("find", ["gather", "doubt"], join="write")
    graph.add_edge("gather", "write")
    graph.add_edge("doubt", "write")
    graph.add_edge("write", "review")
    graph.add_edge("review", "approve", when=value("history[-1].score") >= 7, label="approved")
    graph.add_edge("review", END, when=plateau("history[-1].score"), label="no longer improving")
    graph.add_edge("review", "write")
    graph.add_edge("approve", END)
    return graph


async def paper_run() -> tuple[Graph[Paper], list[Step]]:
    """Return a whole run of the paper; the person answers two hours later."""
    clock = FakeClock(BEGAN)
    graph = paper(clock)
    async with Runner(clock=clock) as runner:
        run = runner.start(graph, Paper(), run_id="tides")
        await run.result()
        clock.move(2 * HOURS)
        await runner.answer(run.id, value=True)
        await runner.resume(run.id, graph).result()
        return graph, list(await runner.history(run.id))


class Count(BaseModel):
    """Many numbers."""

    numbers: list[int] = []
    done: list[int] = []


async def wide_run(items: int) -> tuple[Graph[Count], list[Step]]:
    """Run a map over many items, eight at a time."""
    clock = FakeClock(BEGAN)

    async def count(number: int) -> int:
        await clock.sleep_until(clock.now() + 0.2 + (number * 7 % 10) / 10)
        return number

    graph = Graph("wide", Count)
    graph.add_node("count", count, writes="done", each={"number": "numbers"}, concurrency=8)
    graph.add_path(START, "count", END)
    return graph, await history_of(graph, Count(numbers=list(range(items))), clock)


async def history_of(graph: Graph[Any], state: BaseModel, clock: FakeClock) -> list[Step]:
    """Return the steps of a run to its end."""
    async with Runner(clock=clock) as runner:
        run = runner.start(graph, state, run_id="r")
        await run.result()
        return list(await runner.history(run.id))
