"""A process that starts runs of two graphs, reports that, and is killed: `leaver.py DATABASE`."""

import asyncio
import sys
from pathlib import Path

from pydantic import BaseModel

from graphengine import END, START, Graph, Runner, ask

ORPHANS = ("a1", "a2", "b1")


class Work(BaseModel):
    """The results of the nodes."""

    patient: bool = True
    done: int = 0
    answer: str = ""


async def work(*, patient: bool) -> int:
    """Never end on the first attempt."""
    if patient and __name__ == "__main__":
        await asyncio.get_running_loop().create_future()
    return 1


def graph(name: str, *, asks: bool = False, node: str = "work") -> Graph[Work]:
    """Return a graph of one node, and optionally a question."""
    made = Graph(name, Work)
    made.add_node(node, work, writes="done")
    if asks:
        made.add_node("question", ask("What?", str), writes="answer")
        made.add_path(START, node, "question", END)
    else:
        made.add_path(START, node, END)
    return made


async def main() -> None:
    """Start three runs that become orphans, one that ends and one that waits."""
    async with Runner(Path(sys.argv[1])) as runner:
        for run_id in ORPHANS:
            runner.start(graph(run_id[0]), run_id=run_id)
        await runner.start(graph("a"), Work(patient=False), run_id="over").result()
        await runner.start(graph("q", asks=True), Work(patient=False), run_id="asking").result()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main())
