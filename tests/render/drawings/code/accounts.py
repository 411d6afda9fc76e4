import asyncio

from graphengine import END, FAIL, START, Graph, Migration, Runner, ask, value
from graphengine.history.reasons import load_specs
from graphengine.render.drawing import draw_graph
from tests.kit.facts import altered, made_step, resaid, said
from tests.render.nested import Job, graph_spec_of, waiting_run
from tests.render.samples import done, edge, graph_spec, node, recorded_on, started
from tests.render.shown import shown
from tests.render.timed import paper_run


def drawn(*steps):
    edges = [edge("START", "a"), edge("a", "a", "again"), edge("a", "END")]
    spec = graph_spec([node("a")], edges)
    return shown(draw_graph(spec, recorded_on(spec, [started("a"), *steps])), "a")


def worked(seq, seconds, to, **usage):
    step = done(seq, "a", to, visit=seq - 1, **({"usage": usage} if usage else {}))
    return altered(step, began=step.at - seconds)


def waited(seq, kind, at, **data):
    return made_step(seq, kind, at, "", "a", 1, 1, at - 0.5 if kind != "answered" else 0.0, data=data)


def priced(**options):
    graph, steps = asyncio.run(waiting_run())
    paid = [resaid(step, usage={"calls": 1, "cost_usd": 0.125}) if "usage" in said(step) else step for step in steps]
    names = ("articles", "articles/search", "articles/write")
    return shown(draw_graph(graph_spec_of(graph), paid, **options), *names)


def job(name, wait, migrate=None):
    graph = Graph("g", Job, version=len(migrate or {}) + 1, migrate=migrate)
    graph.add_node(name, lambda task: task, writes="answer", thread=False)
    graph.add_node("wait", ask("Well?", str), writes="second")
    wait(graph)
    return graph


RENAMED = {1: Migration(renamed={"old": "new"})}


def in_row(name, migrate=None):
    return job(name, lambda graph: graph.add_path(START, name, "wait", END), migrate)


def in_arms(name, migrate=None):
    def fork(graph):
        graph.add_fork(START, [name, "wait"], join=END)
        graph.add_edge(name, FAIL, when=value("task") == "")
        graph.add_edge(name, END)
        graph.add_edge("wait", END)

    return job(name, fork, migrate)


def on(graph, run, *names):
    """Return a drawing of a run of earlier versions of a graph, read with the specs of these."""
    steps, specs = asyncio.run(run)
    return shown(draw_graph(graph_spec_of(graph), steps, specs), *names)


async def resumed():
    async with Runner() as runner:
        await runner.start(in_row("old"), run_id="r").result()
        await runner.answer("r", "well")
        await runner.resume("r", in_row("new", RENAMED)).result()
        steps = [altered(step, at=float(step.seq)) for step in await runner.history("r")]
        specs = await load_specs(runner.store, steps)
    return [altered(step, began=step.at - 0.25) if step.node == "old" else step for step in steps], specs


async def branched():
    async with Runner() as runner:
        await runner.start(in_arms("old"), run_id="r").result()
        await runner.branch("r", in_arms("new", RENAMED), 3, run_id="b").result()
        steps = [altered(step, at=float(step.seq), began=float(step.seq)) for step in await runner.history("b")]
        return steps, await load_specs(runner.store, steps)
