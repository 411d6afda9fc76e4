"""Runs of one agent: a graph of one node, made from what the agent reads and the type of its answers."""

from __future__ import annotations

from copy import copy
from dataclasses import field, make_dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, Optional, TypeVar, cast

from graphengine.agents.agent import reads_of
from graphengine.agents.live_events import AGENT_EVENTS
from graphengine.errors import DefinitionError
from graphengine.graph.definition import GraphDefinition
from graphengine.graph.options import END, START
from graphengine.models.base import Message
from graphengine.reducers import extend
from graphengine.state.injection import NO_DEFAULT
from graphengine.state.path import parse

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from graphengine.agents.agent import Agent
    from graphengine.agents.live_events import AgentEvent
    from graphengine.runner.run import Run
    from graphengine.runner.runner import Runner

G = TypeVar("G", bound="GraphDefinition[Any]")
T = TypeVar("T")

ANSWER: Final = "answer"
"""The field of the answer."""
QUESTION: Final = "question"
"""What an agent without a prompt reads."""


def graph_of_agent(agent: Agent[Any], kind: Callable[..., G]) -> G:
    """Return the graph that runs one agent. Its state has what the agent reads, and `answer`.

    It is the same for the same agent in every process, so its runs can be resumed.

    Args:
        agent: The agent.
        kind: The class of the graph.

    Raises:
        DefinitionError: It is no agent but a graph, or reads a field of the name `answer`.
    """
    if isinstance(agent, GraphDefinition):
        raise DefinitionError(f"{agent!r} is not an Agent", repair="await runner.start(graph, state).result()")
    fields: dict[str, tuple[str, Any, Any]] = {} if agent.prompt else {QUESTION: (QUESTION, Any, field())}
    for each in reads_of(agent):
        root = parse(each.name).root
        default = field() if each.default is NO_DEFAULT else field(default_factory=partial(copy, each.default))
        fields[root] = (root, each.annotation if root == each.name else Any, default)
    inputs = None if agent.prompt else {name: name for name in fields}
    if agent.memory:
        fields[agent.memory] = (agent.memory, Annotated[list[Message], extend], field(default_factory=list))
    if ANSWER in fields:
        repair = "give its input another name"
        raise DefinitionError(f"{agent.name} reads {ANSWER}", where=f"agent {agent.name}", repair=repair)
    fields[ANSWER] = (ANSWER, Optional[cast("Any", agent.output)], field(default=None))  # noqa: UP045 - of a value
    graph = kind(agent.name, make_dataclass(agent.name, fields.values(), kw_only=True), result=ANSWER)
    node = agent.name if agent.name.isidentifier() else "agent"
    graph.add_node(node, agent, inputs=inputs, writes=ANSWER)
    graph.add_path(START, node, END)
    return graph


async def answer_of(runner: Runner, agent: Agent[T], inputs: Mapping[str, object]) -> T:
    """Run an agent and return its answer. Raises: as `Runner.run`."""
    return await _answer(agent, runner.start(graph_of_agent(agent, GraphDefinition), inputs))


async def streamed(
    runner: Runner, agent: Agent[T], inputs: Mapping[str, object]
) -> AsyncGenerator[AgentEvent | T, None]:
    """Run an agent, and yield what it shows, then its answer. Raises: as `Runner.run`."""
    run = runner.start(graph_of_agent(agent, GraphDefinition), inputs)
    async for event in run.events():
        if isinstance(event, AGENT_EVENTS):
            yield event
    answer: T = await _answer(agent, run)
    yield answer


async def _answer(agent: Agent[T], run: Run[Any]) -> T:
    """Return the answer of a run.

    Raises:
        DefinitionError: The run waits for a person, or was stopped or released.
    """
    result = await run.result()
    if result.status == "finished":
        return cast("T", result.output)
    waits = ", ".join(wait.question for wait in result.waits)
    text = f"run {run.id} is {result.status}" + (f": it asks {waits}" if waits else "")
    first = f"answer it, runner.answer({run.id!r}, …), and " if waits else ""
    repair = f"{first}resume it with the graph Graph.of({agent.name})"
    raise DefinitionError(text, where=f"agent {agent.name}", repair=repair)


__all__ = ["answer_of", "graph_of_agent", "streamed"]
