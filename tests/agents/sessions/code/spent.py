import asyncio

from graphengine import END, START, Agent, Graph, Limits, Retry, Runner, ScriptedModel, tool
from graphengine.models import Response, Router, calls
from graphengine.models.errors import ModelTimeout, ModelUnreachable, RateLimited
from graphengine.stores.memory import InMemoryStore
from tests.agents.run_kits import Work, forked, one, paid

MANY = [str(number) for number in range(20)]
NOW = Retry(initial_seconds=0, jitter=0)


class Server:
    """A model that takes some turns of the event loop, and counts its calls in flight."""

    name = "server"

    def __init__(self, cost_usd=lambda number: 0.04, estimate=None):
        self.cost_usd, self.estimate = cost_usd, estimate
        self.calls = self.inside = self.most = 0

    async def answer(self, request):
        self.calls += 1
        self.inside += 1
        self.most = max(self.most, self.inside)
        cost_usd = self.cost_usd(self.calls)
        for _ in range(200):
            await asyncio.sleep(0)
        self.inside -= 1
        return Response("ok", input_tokens=8, output_tokens=2, cost_usd=cost_usd)

    async def price_of(self, input_tokens, output_tokens):
        return self.estimate


def mapped(concurrency=20):
    """Return a graph that calls an agent for each item."""
    return one(Agent("writer", prompt="{item}"), "drafts", each={"item": "items"}, concurrency=concurrency)


def told(result):
    usage = result.usage
    cost = "an unknown cost" if usage.cost_usd is None else f"{usage.cost_usd:.2f} USD"
    return f"{result.status}: {usage.calls} calls, {usage.input_tokens + usage.output_tokens} tokens, {cost}"


STORE = InMemoryStore()  # which takes no turns of the event loop
USED = []


async def spends(graph, server, items=MANY, **limits):
    """Return what a run with these limits spends, and how many calls are in flight at most."""
    USED.append(server)
    async with Runner(STORE, models=server) as here:
        result = await here.start(graph, {"items": items}, run_id="r", limits=Limits(**limits)).result()
    return f"{told(result)}, {server.most} in flight" if isinstance(server, Server) else told(result)


async def stops_at_most(graph, server, most_usd, items=MANY, **limits):
    """Return whether a limit stops a run before it has spent more than this, in whatever order its calls end."""
    async with Runner(models=server) as here:
        result = await here.start(graph, {"items": items}, limits=Limits(**limits)).result()
    return result.status == "stopped" and result.usage.cost_usd <= most_usd


async def spends_more(graph, **limits):
    async with Runner(STORE, models=USED[-1]) as here:
        return told(await here.resume("r", graph, limits=Limits(**limits)).result())


def arms():
    """Return a graph of three agents in parallel."""
    one_, two, three = (Agent(name, prompt="{task}") for name in ("one", "two", "three"))
    return forked(draft=one_, other=two, task=three)


def around():
    """Return a graph with a map in a graph of its own limits, next to another agent."""
    graph = Graph("g", Work)
    inner = mapped().but(name="inner", result="drafts", limits=Limits(cost_usd=0.08))
    graph.add_node("inner", inner, writes="drafts", fallback=[])
    graph.add_node("other", Agent("other", prompt="{task}"), writes="other")
    graph.add_edge("inner", END)
    graph.add_edge("other", END)
    graph.add_fork(START, ["inner", "other"], join=END)
    return graph


INNER = Agent("inner", prompt="{text}", model=ScriptedModel([paid("yes")] * 2))


async def consult(text: str) -> str:
    """Ask a colleague."""
    return await INNER.run(text=text)


class Asks:
    """A model that asks another agent."""

    name = "asks"

    async def answer(self, request):
        return Response(await INNER.run(text=request.prompt), cost_usd=0.0)


def used(error, tokens, cost_usd):
    """Return a failure of a call of which its provider had reported this much."""
    error.usage = {"calls": 1, "offline_calls": 0, "input_tokens": tokens, "output_tokens": 0, "cost_usd": cost_usd}
    return error


def torn(tokens):
    return used(ModelTimeout("late"), tokens, 0.5)


BROKEN = ScriptedModel(lambda request: used(ModelUnreachable("broken"), 1, 0.05))
ANSWER = Response("so", input_tokens=10, output_tokens=10, cost_usd=0.25, model="acme:big")
WRITER = Agent("writer", prompt="{task}")
