"""Agents in every place where nodes can be: choices, fallbacks, inner graphs, items and arms."""

from __future__ import annotations

from graphengine import END, START, Agent, Graph, Limits, Retry, Runner, ScriptedModel, choose
from graphengine.models.errors import ModelTransient
from tests.agents.run_kits import Work, one, paid, within


async def test_agents_can_be_used_wherever_nodes_can() -> None:
    """Agents run in a choose, as a fallback, in a graph with limits of its own, and as items of a map."""
    model = ScriptedModel(lambda request: f"{request.agent}")
    cheap, strong, spare = (Agent(name, prompt="{task}", model=model) for name in ("cheap", "strong", "spare"))
    broken = Agent("broken", prompt="{task}", model=ScriptedModel([ModelTransient("no")]))
    inner = Graph("inner", Work, limits=Limits(cost_usd=1))
    inner.add_node("write", cheap, writes="draft")
    inner.add_path(START, "write", END)
    graph = Graph("g", Work)
    graph.add_node("pick", choose(lambda task: "strong", {"cheap": cheap, "strong": strong}), writes="draft")
    graph.add_node("fall", broken, writes="other", fallback=spare, retry=Retry(attempts=1))
    graph.add_node("graph", inner, writes={"task": "draft"}, inputs={"task": "task"})
    graph.add_node("each", strong, writes="drafts", each={"item": "items"})
    graph.add_path(START, "pick", "fall", "graph", "each", END)
    async with Runner() as runner:
        state = (await within(runner.start(graph))).state
    assert (state.draft, state.other, state.task, state.drafts) == ("strong", "spare", "cheap", ["strong"] * 3)


async def test_arms_that_remember_in_one_field_keep_all_messages() -> None:
    """Messages of arms are kept in the declared order of the arms, each after the existing messages."""
    model = ScriptedModel(lambda request: paid(f"{request.agent} {len(request.messages)}"))
    graph = Graph("g", Work)
    graph.add_node("first", Agent("first", prompt="{task}", memory="messages", model=model), writes="task")
    for name, field in (("left", "draft"), ("right", "other")):
        graph.add_node(name, Agent(name, prompt="{task}", memory="messages", model=model), writes=field)
        graph.add_edge(name, "last")
    graph.add_edge(START, "first")
    graph.add_fork("first", ["left", "right"], join="last")
    graph.add_node("last", Agent("last", prompt="{task}", memory="messages", model=model), writes="task")
    graph.add_edge("last", END)
    async with Runner() as runner:
        state = (await within(runner.start(graph))).state
    texts = [message.text for message in state.messages if message.role == "assistant"]
    assert texts == ["first 1", "left 3", "right 3", "last 7"]


async def test_items_that_remember_in_one_field_keep_all_messages() -> None:
    """Messages of items are kept in the order of the items."""
    model = ScriptedModel(lambda request: paid(request.prompt))
    agent = Agent("writer", prompt="{item}", memory="messages", model=model)
    async with Runner() as runner:
        state = (await within(runner.start(one(agent, "drafts", each={"item": "items"})))).state
    texts = [message.text for message in state.messages if message.role == "assistant"]
    assert texts == state.drafts
    assert len(state.messages) == 6
