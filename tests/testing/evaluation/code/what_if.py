from itertools import groupby

from pydantic import BaseModel, SecretStr

from graphengine import END, START, Agent, Context, Graph, Runner, ScriptedModel, ask, tool, value
from graphengine.models import Response
from graphengine.models.scripted import calls
from graphengine.stores.memory import InMemoryStore
from graphengine.testing.evaluation.report import difference_of, student_t
from graphengine.testing.evaluation.what_if import what_if

CALLED = []


class Desk(BaseModel):
    task: str = ""
    facts: str = ""
    draft: str = ""
    score: float = 0.0
    ok: bool | None = None
    final: str = ""


class Locked(BaseModel):
    task: str = ""
    key: SecretStr = SecretStr("")
    final: str = ""


def look(city: str) -> str:
    """Look at the sky of a city."""
    CALLED.append(f"look {city}")
    return f"sun over {city}"


@tool(effect="once")
def post(text: str) -> str:
    """Post a text."""
    CALLED.append(f"post {text}")
    return "posted"


async def price(city: str) -> dict[str, int]:
    """Return a price."""
    CALLED.append(f"price {city}")
    return {"eur": len(city)}


async def gather(ctx: Context, task: str) -> str:
    """Return a price, from a recorded call."""
    return str((await ctx.call(price, task))["eur"])


async def close(ctx: Context, draft: str, task: str) -> str:
    """Return the draft with a price, from another recorded call."""
    found = await ctx.call(price, f"{task}, again")
    return f"{draft} {found['eur']}"


def writing(request):
    """Look once, then answer with the instructions."""
    if request.messages[-1].role == "tool":
        return Response(f"{request.system} {request.messages[-1].text}", cost_usd=0.5, input_tokens=3)
    return calls(("look", {"city": "Bonn" if "short" in request.system else "Köln"}))


def posting(request):
    """Post the instructions, then end."""
    return Response("done") if request.messages[-1].role == "tool" else calls(("post", {"text": request.system}))


def desk(model=writing, system="short", tools=(look,), question="Post it?"):
    """Return a graph with recorded calls, an agent with a tool, and a question."""
    graph = Graph("desk", Desk, result="final")
    writer = Agent("writer", system=system, prompt="go", tools=tools, model=ScriptedModel(model))
    graph.add_node("gather", gather, writes="facts")
    graph.add_node("write", writer, writes="draft")
    graph.add_node("ok", ask(question, bool), writes="ok")
    graph.add_node("close", close, writes="final")
    graph.add_path(START, "gather", "write", "ok", "close", END)
    return graph


def graded(least, prompt="go"):
    """Return a graph without calls, whose edge has a threshold and whose agent has a prompt."""
    graph = Graph("graded", Desk, result="final")
    writer = Agent("writer", prompt=prompt, model=ScriptedModel(lambda request: request.messages[0].text))
    graph.add_node("grade", lambda task: len(task) / 10, writes="score")
    graph.add_node("write", writer, writes="draft")
    graph.add_node("close", lambda draft: draft, writes="final")
    graph.add_edge(START, "grade")
    graph.add_edge("grade", "close", when=value("score") >= least)
    graph.add_edge("grade", "write")
    graph.add_path("write", "close", END)
    return graph


def twice():
    """Return a graph of two agents; the cost of the second one is unknown."""
    graph = Graph("twice", Desk, result="final")
    first = Agent("first", prompt="go", model=ScriptedModel(lambda _: Response("facts", cost_usd=0.5)))
    writer = Agent("writer", system="short", prompt="go", model=ScriptedModel(lambda _: Response("draft")))
    graph.add_node("look", first, writes="facts")
    graph.add_node("write", writer, writes="final")
    graph.add_path(START, "look", "write", END)
    return graph


async def recorded(names, graph=None):
    """Record runs, each answered by a person; then forget what was called."""
    store, graph = InMemoryStore(), graph or desk()
    async with Runner(store) as runner:
        for name in names:
            result = await runner.start(graph, {"task": name}, run_id=name).result()
            if result.status == "waiting":
                await runner.answer(name, value=True, by="ada")
                await runner.resume(name, graph).result()
    CALLED.clear()
    return store


def long(final):
    """Score a text by its length."""
    return min(1.0, len(final) / 200)


def end(found):
    """Return how a run ended."""
    return f"{found.ending} {found.result!r} {found.cost_usd} USD, {found.visits} visits {found.scores}"


def shown(pair):
    """Return how a run ended, and how its branch did."""
    first = f"from step {pair.at}, {pair.node or 'the beginning'}"
    return f"{first}\n  was: {end(pair.before)}\n  would be: {end(pair.after)}\n  {pair.after.why}"


async def asked(graph, names, store, name="x", **change):
    """Return what a change would have made of recorded runs, and what was called."""
    found = await what_if(graph, names, store, name=name, **change)
    lines = [f"change: {line}" for line in found.change]
    for pair, same in groupby(found.runs, key=shown):
        lines.append(f"{', '.join(each.run_id for each in same)} {pair}")
    lines += [f"untouched: {', '.join(found.untouched)}"] if found.untouched else []
    lines += [f"left {run_id}: {why}" for run_id, why in found.left.items()]
    lines += [f"{ending}: {count}" for ending, count in found.endings.items()]
    for name, each in found.differences.items():
        if name != "seconds" and (each is None or each.more or each.less):
            lines.append(f"{name}: {each and each.text(3)}")
    called, _ = CALLED[:], CALLED.clear()
    return "\n".join([*lines, f"spent: {found.spent_usd} USD", f"called: {called}"])
