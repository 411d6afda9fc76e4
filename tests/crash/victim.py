"""A program that is killed: `victim.py DATABASE LOG KILL_AT [resume]`.

It drives a run whose nodes write a line to LOG when they work, and kills its own process with SIGKILL during the
KILL_ATth work (counted over LOG's lines), before that work is recorded.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Graph, Retry, Runner, iterations, plateau, value
from graphengine.reducers import append

DATABASE, LOG, KILL_AT = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])


class State(BaseModel):
    """Scores that rise, then stall."""

    score: int = 0
    history: Annotated[list[int], append] = []


def worked() -> list[str]:
    """Return the work done so far, by this process and those before it."""
    return LOG.read_text(encoding="utf-8").splitlines() if LOG.exists() else []


def work(what: str) -> None:
    """Write a line, and die if it is time."""
    with LOG.open("a", encoding="utf-8") as log:
        log.write(what + "\n")
    if len(worked()) == KILL_AT:
        os.kill(os.getpid(), signal.SIGKILL)


async def write(score: int) -> int:
    """Return a better score, up to 3; the second visit fails at first."""
    visit = f"write {score}"
    first = visit not in worked()
    work(visit)
    if score == 1 and first:
        message = "not at the first try"
        raise ValueError(message)
    return min(score + 1, 3)


def review(score: int) -> int:
    """Note the score, in a thread."""
    work(f"review {score}")
    return score


graph = Graph("victim", State)
graph.add_node("write", write, writes="score", retry=Retry(attempts=3, initial_seconds=0))
graph.add_node("review", review, writes="history")
graph.add_path(START, "write", "review")
graph.add_edge("review", END, when=value("history[-1]") >= 7, label="good")
graph.add_edge("review", END, when=plateau("history[-1]"), label="stalled")
graph.add_edge("review", END, when=iterations("review") >= 9, label="worn out")
graph.add_edge("review", "write")


async def main() -> None:
    """Start or resume the run, and print its result."""
    async with Runner(DATABASE) as runner:
        resume = len(sys.argv) > 4
        run = runner.resume(graph, "r") if resume else runner.start(graph, State(), run_id="r")
        result = await run.result()
        label = result.label
        sys.stdout.write(f"{result.state.model_dump_json()} {label} {result.steps}\n")


asyncio.run(main())
