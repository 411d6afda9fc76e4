from typing import Annotated

from pydantic import BaseModel, Field

from graphengine import END, FAIL, START, Context, Graph, ask, plateau, value

Bounded = Annotated[int, Field(ge=0, le=10)]


class State(BaseModel):
    score: Bounded = 0
    other: Bounded = 0
    risen: int = 0
    share: Annotated[float, Field(le=1)] = 0.0
    missing: Bounded | None = None
    word: str = ""


def scored() -> int:
    return 0


async def received(ctx: Context) -> int:
    return await ctx.receive("scores", int)


async def slept(ctx: Context) -> int:
    await ctx.sleep(1)
    return 0


UNCERTAIN = value("score") >= 7


def loop(*edges, limits=None, **runnables):
    graph = Graph("g", State, limits=limits)
    for name in dict.fromkeys(name for source, target, *_ in edges for name in (source, target)):
        if name not in (START, END, FAIL):
            graph.add_node(name, runnables.get(name, scored), writes="score")
    graph.add_edge(START, edges[0][0])
    for source, target, *condition in edges:
        graph.add_edge(source, target, when=condition[0] if condition else None)
    return graph


def rising(field, **options):
    graph = Graph("g", State)
    graph.add_node("a", lambda: 0, writes=field)
    graph.add_edge(START, "a")
    graph.add_edge("a", END, when=plateau(options.pop("of", field), **options))
    graph.add_edge("a", "a")
    return graph


def waiting(node):
    return loop(("a", "b"), ("b", "a", UNCERTAIN), ("b", END), b=node)


def asks_always():
    graph = Graph("asks", State, result="score")
    graph.add_node("first", ask("First?", int), writes="score")
    graph.add_node("second", ask("Second?", int), writes="score")
    graph.add_edge(START, "first", when=UNCERTAIN)
    graph.add_edge(START, "second")
    graph.add_edge("first", END)
    graph.add_edge("second", END)
    return graph


def asks_sometimes():
    graph = asks_always()
    graph.edges.clear()
    graph.add_switch(START, "score", {0: "first", 1: "second"}, otherwise=END)
    graph.add_edge("first", END)
    graph.add_edge("second", END)
    return graph
