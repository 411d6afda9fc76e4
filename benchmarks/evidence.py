"""How long what-if, suite, bounds, forecast and preflight take on recorded runs of a review loop.

The answers are those of a seeded fake model. What the bounds say is compared with what the runs took.

python -m benchmarks.evidence [RUNS]
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Runner, ScriptedModel, iterations, value
from graphengine.models import Request, Response
from graphengine.testing import bounds, forecast, preflight, suite
from graphengine.testing.evaluation import what_if

RUNS = 1_000
TOGETHER = 200
GOOD, MOST = 0.8, 4


class Draft(BaseModel):
    """The state of the review loop."""

    task: str = ""
    draft: str = ""
    score: float = 0.0


def score(draft: str) -> float:
    """Return a score that grows with the length of the draft."""
    return len(draft) / 200


def model(seed: str) -> ScriptedModel:
    """Return a model whose answers depend only on the seed and the question."""

    def answered(request: Request) -> Response:
        chance = random.Random(f"{seed} {request.messages[-1].text}")  # noqa: S311 - the same each time
        return Response("word " * chance.randint(5, 40), cost_usd=0.001, input_tokens=10, output_tokens=10)

    made = ScriptedModel(answered)
    made.name = f"fake-{seed}"
    return made


def loop() -> Graph[Draft]:
    """Return a loop that writes drafts until a draft is good, or until there are four."""
    graph = Graph("loop", Draft, result="draft")
    graph.add_node("write", Agent("writer", prompt="On {task}, after {draft}"), writes="draft")
    graph.add_node("score", score, writes="score", thread=False)
    graph.add_path(START, "write", "score")
    graph.add_edge("score", END, when=value("score") >= GOOD, label="good")
    graph.add_edge("score", END, when=iterations("write") >= MOST, label="out of drafts")
    graph.add_edge("score", "write")
    return graph


async def measure(runs: int) -> None:
    """Measure each tool on recorded runs. Print its CPU time and its elapsed time in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        database, graph, names = Path(folder) / "runs.db", loop(), [f"run-{number}" for number in range(runs)]
        async with Runner(database, models=model("a")) as runner:
            for first in range(0, runs, TOGETHER):
                some = names[first : first + TOGETHER]
                await asyncio.gather(*(runner.start(graph, {"task": n}, run_id=n).result() for n in some))
        began, cpu = time.perf_counter(), time.process_time()
        found = await what_if(graph, names, database, name="b", models=model("b"))
        _print(f"what if: {len(found.runs):,} runs branched", began, cpu)
        began, cpu = time.perf_counter(), time.process_time()
        chosen = await suite(graph, names, database)
        _print(f"suite: {len(chosen.runs)} of {chosen.looked_at:,} runs", began, cpu)
        began, cpu = time.perf_counter(), time.process_time()
        most = await bounds(graph)
        _print(f"bounds: at most {most.visits} visits, {most.calls} calls", began, cpu)
        began, cpu = time.perf_counter(), time.process_time()
        took = await forecast(graph, database)
        _print(f"forecast: {took.runs:,} runs, {took.endings}, {took.cost_usd} USD, {took.seconds} s", began, cpu)
        async with Runner(database) as runner:
            listed = await runner.runs(limit=10 * runs)
        visits = max(run.summary.visits for run in listed if run.summary is not None)
        print(f"the longest run took {visits} visits")
        began, cpu = time.perf_counter(), time.process_time()
        checked = await preflight([graph], database)
        _print(f"preflight: {checked.runs:,} runs that have not ended", began, cpu)


def _print(what: str, began: float, cpu: float) -> None:
    print(f"{what}, {time.process_time() - cpu:.1f} s of CPU time, {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS))
