import asyncio

from graphengine import END, START, Context, Graph, RunFailed, Runner
from graphengine.render.drawing import draw_graph, signs_of
from graphengine.render.parts import Box, Drawing
from tests.kit.facts import altered, made_step
from tests.render.nested import Job, Paper, asking_run, company, graph_spec_of, newsroom, tree, waiting_run
from tests.render.samples import edge, graph_spec, node, recorded_on
from tests.render.shown import shown


def drawn(graph, *names, **options):
    return shown(draw_graph(graph_spec_of(graph), **options), *names)


def around(inner, *edges):
    whole = [edge("START", "n"), *(edges or [edge("n", "END")])]
    return shown(draw_graph(graph_spec([node("n", "graph", graphs={"": inner})], whole)))


def ending(*edges):
    return around(graph_spec([node("a")] if len(edges) > 1 else [], [*edges], "inner"))


def legend(*shapes):
    boxes = tuple(Box(shape, shape, (), "", "plain") for shape in shapes)
    return list(signs_of(Drawing("", (), "", boxes, ())))


def run_of(made, *names, **options):
    graph, steps = asyncio.run(made)
    untimed = [altered(step, at=float(step.seq), began=float(step.seq) if step.began else 0.0) for step in steps]
    return shown(draw_graph(graph_spec_of(graph), untimed, **options), *names)


async def ran(graph, state):
    async with Runner(models="placeholder") as runner:
        run = runner.start(graph, state, run_id="r")
        try:
            await run.result()
        except RunFailed:
            pass
        return graph, await runner.history("r")


def failing():
    def check(task: str) -> str:
        if task == "b":
            raise ValueError("no b")
        return task

    inner = Graph("inner", Job, result="answer")
    inner.add_node("check", check, writes="answer", thread=False)
    inner.add_path(START, "check", END)
    graph = Graph("outer", Paper)
    graph.add_node("all", inner, each={"item": "topics"}, inputs={"task": "item"}, writes="articles")
    graph.add_path(START, "all", END)
    return graph


def arms():
    async def asked(ctx: Context) -> str:
        return await ctx.ask("Well?")

    graph = Graph("arms", Job)
    graph.add_node("ask", asked, writes="first")
    graph.add_node("do", lambda task: task, writes="second", thread=False)
    graph.add_node("join", lambda first, second: first + second, writes="answer", thread=False)
    graph.add_fork(START, ["ask", "do"], join="join")
    graph.add_path("ask", "join")
    graph.add_path("do", "join", END)
    return graph


def waits(**wait):
    data = {"run_id": "r", "graph": "g", "fingerprint": "f", "limits": {}, "to": ["a"]}
    asked = {"waits": {"a": {"id": "1", **wait}}}
    steps = [made_step(1, "started", 1.0, data=data), made_step(2, "waiting", 2.0, "", "a", 1, 1, data=asked)]
    spec = graph_spec([node("a")], [edge("START", "a"), edge("a", "END")])
    return shown(draw_graph(spec, recorded_on(spec, steps)), "a")
