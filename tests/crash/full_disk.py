"""A process whose disk gets full amid many runs: `full_disk.py DATABASE`; what came of it is a JSON document on stdout.

`RLIMIT_FSIZE` stands for the disk: no file may grow beyond it. The runs' results are awaited, some room is made, and
they are resumed by the same Runner.
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

from graphengine import END, START, Context, Graph, Run, Runner, iterations
from graphengine.errors import GraphEngineError

DATABASE: Final = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()
RUNS: Final = 20
VISITS: Final = 12
EARLY: Final = RUNS * VISITS // 3
"""So many visits are done when the disk gets full."""
ROOM_BYTES: Final = 20_000
BEGUN: Final[Counter[str]] = Counter()


class State(BaseModel):
    """What a run leaves."""

    text: str = ""


async def write(ctx: Context) -> str:
    """Write much."""
    BEGUN[ctx.run_id] += 1
    with DATABASE.with_name("effects").open("a") as effects:
        effects.write(f"{os.getpid()} {ctx.idempotency_key} {ctx.attempt} whole\n")
    if sum(BEGUN.values()) == EARLY:
        largest = max(file.stat().st_size for file in DATABASE.parent.iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest + ROOM_BYTES, resource.RLIM_INFINITY))
    return f"{ctx.visit} " + "x" * 3000


def graph() -> Graph[State]:
    """One node, again and again."""
    made = Graph("writer", State)
    made.add_node("write", write, writes="text")
    made.add_edge(START, "write")
    made.add_edge("write", END, when=iterations("write") >= VISITS)
    made.add_edge("write", "write")
    return made


async def outcome(run: Run[State]) -> dict[str, object]:
    """What a run came to, and how many of its nodes had begun by then."""
    told: dict[str, object] = {"run_id": run.id, "code": "", "cause": ""}
    try:
        told["status"] = (await run.result()).status
    except GraphEngineError as error:
        told |= {"code": error.code, "cause": type(error.__cause__).__name__, "repair": error.repair}
    return {**told, "begun": BEGUN[run.id]}


async def main() -> None:
    """Fill the disk, tell, make room, resume, tell."""
    async with Runner(DATABASE) as runner:
        runs = [runner.start(graph(), run_id=f"r{number}") for number in range(RUNS)]
        full = await asyncio.gather(*map(outcome, runs))
        await asyncio.sleep(0.1)
        later = dict(BEGUN)
        seqs = {run.id: [step.seq for step in await runner.history(run.id)] for run in runs}
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        again = await asyncio.gather(*(outcome(runner.resume(graph(), run.id)) for run in runs))
    sys.stdout.write(json.dumps({"full": full, "later": later, "seqs": seqs, "again": again}))


if __name__ == "__main__":
    asyncio.run(main())
