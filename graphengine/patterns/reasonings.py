"""ReAct: think, act, observe, and think again; each thought and each action is a step of the graph.

`Agent(tools=…)` does the same within one node. Here a tool can be a graph, a person or anything else that can be a
node, with its own steps in the log.
"""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, model_validator
from typing_extensions import TypeVar

from graphengine.agents.prompts import as_text
from graphengine.api.graph import Graph
from graphengine.kernel.extension import END, START, Failure, Runnable, iterations, value
from graphengine.kernel.inside import UNSET
from graphengine.patterns.parts import checked, part
from graphengine.reducers import append


class Thought(BaseModel):
    """The next move: use a tool, or answer.

    Attributes:
        thought: The reason.
        tool: The tool to use, by name.
        task: What the tool should do.
        answer: The answer, if no more tools are needed.
    """

    thought: str = ""
    tool: str | None = None
    task: str = ""
    answer: str | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.tool is None) == (self.answer is None):
            message = "give either a tool and its task, or an answer"
            raise ValueError(message)
        return self


class Observation(BaseModel):
    """The outcome of an action.

    Attributes:
        thought: The reason for the action.
        tool: The tool that was used.
        task: What the tool should do.
        result: Its result, or what went wrong.
        failed: Whether it failed.
    """

    thought: str
    tool: str
    task: str
    result: str
    failed: bool = False


class Reasoning(BaseModel):
    """A task, and the actions taken to answer it.

    Attributes:
        task: The task.
        thought: The last thought.
        trail: All actions and their outcomes, in order.
        errors: The failures of tools.
    """

    task: str
    thought: Thought | None = None
    trail: Annotated[list[Observation], append] = []
    errors: Annotated[list[Failure], append] = []


S = TypeVar("S", bound=Reasoning, default=Reasoning)
_OWN = Reasoning.model_fields.keys() - {"task"}


def react(
    think: Runnable,
    tools: Mapping[str, Runnable],
    *,
    thoughts: int = 8,
    state: type[S] = Reasoning,  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
) -> Graph[S]:
    """Return a graph that alternates between thinking and tools until there is an answer.

    If a tool fails, its error is an observation for the agent. If an `Agent` names a tool that does not exist, it gets
    an error message and tries again. For other kinds of nodes, the unknown name is an observation too.

    Args:
        think: Returns a Thought; can read `task`, `trail`, `tools` (their names) and the caller's own fields.
        tools: The tools by name. Each reads its instruction as `task`, and returns a text or anything else that JSON
            can represent.
        thoughts: After this many thoughts without an answer the graph ends, and the output is None.
        state: `Reasoning`, or a subclass with more fields for the runnables to read.

    Source: "ReAct: Synergizing Reasoning and Acting in Language Models", Yao et al. 2022.

    Example:
        >>> def think(task: str, trail: list[Observation]) -> Thought:
        ...     return Thought(answer=trail[-1].result) if trail else Thought(tool="shout", task=task)
        >>> react(think, {"shout": lambda task: task.upper()}).run_sync({"task": "ho"}).output
        'HO'
    """

    def known(thought: Thought) -> None:
        if thought.tool is not None and thought.tool not in tools:
            message = f"tool must be one of {', '.join(tools)}"
            raise ValueError(message)

    def names() -> list[str]:
        return list(tools)

    shared = {field: field for field in state.model_fields if field not in _OWN}
    graph = Graph("react", state, result="thought.answer", collect_errors="errors")
    graph.add_node("think", part(checked(think, known), state, _OWN, {**shared, "tools": names}), writes="thought")
    graph.add_edge(START, "think")
    graph.add_edge("think", END, when=value("thought.tool").is_none(), label="answered")
    graph.add_edge("think", END, when=iterations("think") >= thoughts, label="out of thoughts")
    graph.add_switch("think", "thought.tool", {name: name for name in tools}, otherwise="no_such_tool")
    graph.add_node("no_such_tool", no_such_tool, writes="trail", thread=False)
    graph.add_edge("no_such_tool", "think")
    for name, tool in tools.items():
        node = part(tool, state, _OWN, {**shared, "task": "thought.task"})
        fallback = what_went_wrong if node.fallback is UNSET else node.fallback
        graph.add_node(name, node, writes={"trail": observed}, fallback=fallback)
        graph.add_edge(name, "think")
    return graph


def observed(result: object, thought: Thought) -> Observation:
    """Return a tool's result as an observation."""
    if isinstance(result, Observation):
        return result
    return Observation(thought=thought.thought, tool=thought.tool or "", task=thought.task, result=as_text(result))


def what_went_wrong(thought: Thought, error: Failure) -> Observation:
    """Return a tool's failure as an observation."""
    tool = thought.tool or ""
    return Observation(thought=thought.thought, tool=tool, task=thought.task, result=error.message, failed=True)


def no_such_tool(thought: Thought) -> Observation:
    """Return the observation for a tool that does not exist."""
    message = f"there is no tool {thought.tool!r}"
    return Observation(thought=thought.thought, tool=thought.tool or "", task=thought.task, result=message, failed=True)


__all__ = ["Observation", "Reasoning", "Thought", "react"]
