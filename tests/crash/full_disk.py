"""A process whose disk fills up while it drives many runs: `full_disk.py DATABASE`; prints a JSON document.

`RLIMIT_FSIZE` simulates the disk: no file can grow beyond it. The runs' results are awaited, some space is freed, and
the same Runner resumes them.
"""

import asyncio
import json
import os
import resource
import sys
from collections import Counter
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from graphengine import Context, Graph, Run, Runner, iterations
from graphengine.errors import GraphEngineError
from tests.kit.runs import repeated

DATABASE: Final = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()
RUNS: Final = 20
VISITS: Final = 12
EARLY: Final = RUNS * VISITS // 3
"""How many visits are done when the disk is full."""
ROOM_BYTES: Final = 20_000
BEGUN: Final[Counter[str]] = Counter()


class State(BaseModel):
    """The results of a run."""

    text: str = ""


async def write(ctx: Context) -> str:
    """Write a long text."""
    BEGUN[ctx.run_id] += 1
    with DATABASE.with_name("effects").open("a") as effects:
        effects.write(f"{os.getpid()} {ctx.idempotency_key} {ctx.attempt} whole\n")
    if sum(BEGUN.values()) == EARLY:
        largest = max(file.stat().st_size for file in DATABASE.parent.iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest + ROOM_BYTES, resource.RLIM_INFINITY))
    return f"{ctx.visit} " + "x" * 3000


def graph() -> Graph[State]:
    """Return a graph of one node, visited repeatedly."""
    return repeated(State, write, "text", iterations("write") >= VISITS, name="writer", node="write")


async def outcome(run: Run[State]) -> dict[str, object]:
    """Return the outcome of a run, and how many of its nodes had begun by then."""
    report: dict[str, object] = {"run_id": run.id, "code": "", "cause": ""}
    try:
        report["status"] = (await run.result()).status
    except GraphEngineError as error:
        report |= {"code": error.code, "cause": type(error.__cause__).__name__, "repair": error.repair}
    return {**report, "begun": BEGUN[run.id]}


async def main() -> None:
    """Fill the disk, report, free space, resume, report."""
    async with Runner(DATABASE) as runner:
        runs = [runner.start(graph(), run_id=f"r{number}") for number in range(RUNS)]
        full = await asyncio.gather(*map(outcome, runs))
        await asyncio.sleep(0.1)
        later = dict(BEGUN)
        seqs = {run.id: [step.seq for step in await runner.history(run.id)] for run in runs}
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        again = await asyncio.gather(*(outcome(runner.resume(run.id, graph())) for run in runs))
    sys.stdout.write(json.dumps({"full": full, "later": later, "seqs": seqs, "again": again}))


if __name__ == "__main__":
    asyncio.run(main())
