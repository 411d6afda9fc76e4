"""One rule for what a tool's parameter is, over all ways to run an agent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, CompileError, Graph, Runner, ScriptedModel, Worker, tool
from graphengine.agents import Approval
from graphengine.models import calls
from tests.kit.workers import let_work


class Deps:
    """A class that JSON Schema does not have."""

    def __init__(self, name: str) -> None:
        self.name = name


class Asked(BaseModel):
    """The state of a graph of one's own."""

    question: str = "x"
    said: str = ""


SEEN: list[str] = []


def by_class(order: str, tenant: Deps) -> str:
    """Look an order up."""
    SEEN.append(tenant.name)
    return order


def by_text(order: str, tenant: str) -> str:
    """Look an order up."""
    SEEN.append(tenant)
    return order


def asks_whose(order: str, tenant: Any) -> bool:
    """Ask nobody."""
    SEEN.append(f"{order} {getattr(tenant, 'name', tenant)}")
    return False


async def run(runner: Runner, clerk: Agent[str]) -> object:
    """Run it alone."""
    return await runner.run(clerk, question="x")


async def chat(runner: Runner, clerk: Agent[str]) -> object:
    """Run a turn of a conversation."""
    return await runner.run(clerk, chat="c", question="x")


async def graph_of(runner: Runner, clerk: Agent[str]) -> object:
    """Start its graph."""
    return await runner.start(Graph.of(clerk), {"question": "x"}).result()


async def graph_chat(runner: Runner, clerk: Agent[str]) -> object:
    """Start the graph of its conversations."""
    run = await runner.start_or_send(Graph.chat(clerk), "c", "turn", {"id": "1", "given": {"question": "x"}})
    return await run.result()


def graph_with(clerk: Agent[str]) -> Graph[Asked]:
    """Return a graph of one's own with the agent as a node."""
    graph = Graph("own", Asked, result="said")
    graph.add_node("ask", clerk.but(prompt="{question}"), writes="said")
    graph.add_path(START, "ask", END)
    return graph


async def node(runner: Runner, clerk: Agent[str]) -> object:
    """Run it as a node."""
    return await runner.start(graph_with(clerk)).result()


async def inner_graph(runner: Runner, clerk: Agent[str]) -> object:
    """Run it as a node of a graph inside another one."""
    outer = Graph("outer", Asked, result="said")
    outer.add_node("inner", graph_with(clerk), writes="said")
    outer.add_path(START, "inner", END)
    return await runner.start(outer).result()


async def function(runner: Runner, clerk: Agent[str]) -> object:
    """Run it in a function of a node."""

    async def ask(question: str) -> str:
        return await clerk.run(question=question)

    graph = Graph("own", Asked, result="said")
    graph.add_node("ask", ask, writes="said")
    graph.add_path(START, "ask", END)
    return await runner.start(graph).result()


async def worker(runner: Runner, clerk: Agent[str]) -> object:
    """Let a worker take a queued run of its graph."""
    graph = Graph.of(clerk)
    run = runner.start(graph, {"question": "x"}, queue="q")
    await let_work(runner, 1, graph, queues=["q"])
    return run


Way = Callable[[Runner, Agent[str]], Awaitable[object]]
WAYS: list[Way] = [run, chat, graph_of, graph_chat, node, inner_graph, function, worker]
GIVEN = [pytest.param(by_class, Deps("acme"), id="class"), pytest.param(by_text, "acme", id="text")]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize(("look", "tenant"), GIVEN)
async def test_a_resource_of_the_runner_is_never_the_models(way: Way, look: Callable[..., str], tenant: object) -> None:
    """However an agent is run, no model is shown a resource of the Runner, nor can it name another."""
    SEEN.clear()
    clerk = Agent("clerk", tools=[tool(look, name="look", approve=Approval(when=asks_whose))])
    wrong, right = calls(("look", {"order": "7", "tenant": "globex"})), calls(("look", {"order": "7"}))
    model = ScriptedModel([wrong, right, "Done."])
    async with Runner(models=model, resources={"tenant": tenant}) as runner:
        await way(runner, clerk)
    assert [request.tools[0].schema["required"] for request in model.requests] == [["order"]] * 3
    assert "tenant" not in str(model.requests[0].tools)
    assert SEEN == ["7 acme", "acme"]


@pytest.mark.parametrize("way", [way for way in WAYS if way not in (function, worker)], ids=lambda way: way.__name__)
async def test_a_tool_without_its_resource_is_refused_before_a_call(way: Way) -> None:
    """What no model can write and no resource gives is refused at the start, which names the tool and the parameter."""
    model = ScriptedModel([calls(("by_class", {"order": "7"}))])
    async with Runner(models=model) as runner:
        with pytest.raises(CompileError, match=r"bad_tool .* tool 'by_class' .* the type of parameter 'tenant' has"):
            await way(runner, Agent("clerk", tools=[by_class]))
    assert not model.requests


async def test_a_misspelt_resource_of_the_runner_is_named() -> None:
    """What a tool lacks is looked for among the names of the Runner."""
    async with Runner(models=ScriptedModel([]), resources={"tennant": Deps("acme")}) as runner:
        with pytest.raises(CompileError, match="did you mean 'tennant'"):
            await graph_of(runner, Agent("clerk", tools=[by_class]))


async def test_a_worker_without_a_resource_of_a_tool_does_not_begin() -> None:
    """A worker refuses a graph whose tools lack a resource, before it takes a run of it."""
    async with Runner() as runner:
        with pytest.raises(CompileError, match="the type of parameter 'tenant' has no JSON Schema"):
            await Worker(runner, Graph.of(Agent("clerk", model="rules", tools=[by_class]))).run()


def test_a_graph_that_a_runner_may_complete_compiles_with_a_warning() -> None:
    """A compiler knows no Runner, so what may be a resource of one is a warning; resources= of the graph gives it."""
    clerk = Agent("clerk", tools=[by_class])
    assert [problem.code for problem in Graph.of(clerk).check()] == ["needs_resource"]
    given = {"tenant": lambda: Deps("acme")}
    assert not Graph.of(clerk, resources=given).check()
    assert not Graph.chat(clerk, resources=given).check()
