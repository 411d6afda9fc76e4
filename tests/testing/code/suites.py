from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

from pydantic import BaseModel

from graphengine import END, START, Graph, RunFailed, Runner, failed, value
from graphengine.stores.memory import InMemoryStore
from graphengine.testing.suites import suite


class Work(BaseModel):
    n: int = 0
    kind: str = ""
    done: str = ""


def act(n, kind):
    """Fail as asked."""
    if kind == "bad":
        raise ValueError("bad")
    return kind * n


def one(**options):
    """Return a graph of one node."""
    graph = Graph("one", Work)
    graph.add_node("work", act, writes="done", **options)
    graph.add_path(START, "work", END)
    return graph


def steps():
    """Return a graph with an edge by size, one after a failure, and an edge that no run takes."""
    graph = Graph("steps", Work)
    graph.add_node("work", act, writes="done")
    graph.add_node("mend", lambda: "mended", writes="done")
    graph.add_edge(START, "work")
    graph.add_edge("work", END, when=value("n") >= 5, label="large")
    graph.add_edge("work", END, when=value("kind") == "never", label="never")
    graph.add_edge("work", END, label="small")
    graph.add_edge("work", "mend", when=failed(ValueError))
    graph.add_edge("mend", END, label="mended")
    return graph


def counting(least=3, name="steps"):
    """Return a graph that counts to a number."""
    graph = Graph(name, Work)
    graph.add_node("more", lambda n: n + 1, writes="n")
    graph.add_edge(START, "more")
    graph.add_edge("more", END, when=value("n") >= least, label="enough")
    graph.add_edge("more", "more")
    return graph


def files(folder):
    """Return the names of the files of a folder."""
    return ", ".join(sorted(file.name for file in folder.iterdir()))


async def chosen(graph, *looked_at, **runs):
    """Return the suite of runs with these inputs."""
    store = InMemoryStore()
    async with Runner(store) as runner:
        for name, (n, kind) in runs.items():
            with suppress(RunFailed):
                await runner.start(graph, {"n": n, "kind": kind}, run_id=name).result()
    found = await suite(graph, [*runs, *looked_at], store)
    lines = [f"of {found.looked_at} runs"]
    for each in found.runs:
        lines += [f"{each.run_id} adds", *(f"  {mark}" for mark in each.adds)]
    lines += [f"missing: {line}" for line in found.missing]
    return "\n".join([*lines, *(f"cannot be read: {name}: {why}" for name, why in found.unread.items())])
