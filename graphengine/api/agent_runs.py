"""Runs of one agent: a graph of one node, made from what the agent reads and the type of its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, NotRequired, TypeVar, cast

from typing_extensions import TypedDict

from graphengine.agents.agent import reads_of
from graphengine.agents.live_events import AGENT_EVENTS
from graphengine.api.graph import Graph
from graphengine.errors import DefinitionError
from graphengine.graph.options import END, START
from graphengine.models.base import Message
from graphengine.reducers import extend
from graphengine.state.injection import NO_DEFAULT
from graphengine.state.path import parse

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from graphengine.agents.agent import Agent
    from graphengine.agents.live_events import AgentEvent
    from graphengine.api.runner import Runner
    from graphengine.runner.result import Result

T = TypeVar("T")

ANSWER: Final = "answer"
"""The field of the answer."""
QUESTION: Final = "question"
"""What an agent without a prompt reads."""


def graph_of_agent(agent: Agent[Any]) -> Graph[Any]:
    """Return the graph that runs one agent. Its state has what the agent reads, and `answer`.

    It is the same for the same agent in every process, so its runs can be resumed.

    Raises:
        DefinitionError: The agent reads a field of the name `answer`.
    """
    fields: dict[str, Any] = {} if agent.prompt else {QUESTION: Any}
    for each in reads_of(agent):
        root = parse(each.name).root
        known = each.annotation if root == each.name else Any
        fields[root] = known if each.default is NO_DEFAULT else NotRequired[known]
    inputs = None if agent.prompt else {name: name for name in fields}
    if agent.memory:
        fields[agent.memory] = NotRequired[Annotated[list[Message], extend]]
    if ANSWER in fields:
        repair = "give its input another name"
        raise DefinitionError(f"{agent.name} reads {ANSWER}", where=f"agent {agent.name}", repair=repair)
    fields[ANSWER] = NotRequired[cast("Any", agent.output)]
    graph: Graph[Any] = Graph(agent.name, TypedDict("State", fields), result=ANSWER)  # type: ignore[operator]
    node = agent.name if agent.name.isidentifier() else "agent"
    graph.add_node(node, agent, inputs=inputs, writes=ANSWER)
    graph.add_path(START, node, END)
    return graph


async def answer_of(runner: Runner, agent: Agent[T], inputs: Mapping[str, object]) -> T:
    """Run an agent and return its answer. Raises: as `Runner.run`."""
    graph = graph_of_agent(agent)
    return cast("T", _answer(await runner.start(graph, inputs).result()))


async def streamed(
    runner: Runner, agent: Agent[T], inputs: Mapping[str, object]
) -> AsyncGenerator[AgentEvent | T, None]:
    """Run an agent, and yield what it shows, then its answer. Raises: as `Runner.run`."""
    run = runner.start(graph_of_agent(agent), inputs)
    async for event in run.events():
        if isinstance(event, AGENT_EVENTS):
            yield event
    yield cast("T", _answer(await run.result()))


def _answer(result: Result[Any]) -> object:
    """Return the answer of a run that has finished.

    Raises:
        DefinitionError: It waits for a person.
    """
    if result.status == "finished":
        return result.output
    waits = ", ".join(wait.question for wait in result.waits)
    text = f"run {result.run_id} is {result.status}" + (f": it asks {waits}" if waits else "")
    repair = f"answer it and resume it: runner.answer({result.run_id!r}, …), runner.resume(…, Graph.of(agent))"
    raise DefinitionError(text, where="runner.run", repair=repair)


__all__ = ["answer_of", "graph_of_agent", "streamed"]
