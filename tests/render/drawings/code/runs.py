import asyncio

from graphengine import END, START, Graph, Runner
from graphengine.records.export import read_file
from graphengine.render.drawing import draw_graph
from tests.kit.facts import altered, made_step
from tests.kit.gallery import GALLERY
from tests.render.samples import (
    LOOP,
    Article,
    done,
    edge,
    graph_spec,
    help_desk,
    node,
    recorded_on,
    review_loop,
    started,
)
from tests.render.shown import shown


def drawn(spec, steps, *names):
    return shown(draw_graph(spec, recorded_on(spec, steps)), *names)


def recorded(name, *names):
    run = read_file(GALLERY / f"{name}.json")
    return drawn(run.graph_specs[run.info.fingerprint], run.steps, *names)


def tested(*tests):
    """Return the facts of a step that took the last edge that it tried: each edge by its place, with what it found."""
    return {"tests": tests, "way": tests[-1][0]}


def failure(message):
    error = {"path": "a", "kind": "ValueError", "message": message, "attempt": 1}
    stop = {"reason": "failed", "label": "", "condition": "", "why": message}
    return {"error": error, "status": "failed", "ending": stop}


def loop(*edges):
    return graph_spec([node("a")], [edge("START", "a"), *edges, edge("a", "END")])


async def ran(graph):
    async with Runner() as runner:
        await runner.start(graph, Article(), run_id="r").result()
        return [altered(step, at=float(step.seq), began=float(step.seq)) for step in await runner.history("r")]


def arms():
    graph = Graph("arms", Article)
    for name in "abcde":
        graph.add_node(name, lambda draft: draft, writes=f"findings[{name}]", thread=False)
        graph.add_edge(name, END)
    graph.add_fork(START, [*"abcde"], join=END)
    return graph


def drafts():
    graph = Graph("drafts", Article)
    graph.add_node("write", lambda draft: draft + "x", writes="draft", thread=False)
    graph.add_edge(START, "write")
    graph.add_edge("write", END, when=lambda draft: len(draft) > 3, label="long enough")
    graph.add_edge("write", "write", when=lambda draft: len(draft) > 2)
    graph.add_edge("write", "write")
    return graph
