from pydantic import BaseModel

from graphengine import END, FAIL, START, Context, Graph, ask, value


class State(BaseModel):
    score: int = 0
    other: int = 0
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
