"""ReAct: think, act, observe, and think again; each thought and each action is a step of the graph.

`Agent(tools=…)` does the same within one node. Here a tool is a node with its own steps in the log: an agent, a
function, a graph, or a question to a person.

Source: Yao et al., "ReAct: Synergizing Reasoning and Acting in Language Models" (2022).
"""

from typing import Annotated, Literal

from pydantic import BaseModel

from graphengine import END, START, Agent, Failure, Graph, Node, Retry, Runnable, iterations, value
from graphengine.reducers import append

MODELS = {"default": {"*": "placeholder"}}
THOUGHTS = 8


class Thought(BaseModel):
    """The next move: a tool and its task, or `answer` and the answer."""

    thought: str = ""
    move: Literal["search", "reader", "answer"]
    text: str


class Observation(BaseModel):
    """An action, and its result or what went wrong."""

    thought: Thought
    result: object = None
    failure: str = ""


class Reasoning(BaseModel):
    """The state: the last thought, and all actions in order."""

    task: str
    thought: Thought | None = None
    trail: Annotated[list[Observation], append] = []
    output: str | None = None


def answer_of(result: Thought) -> str | None:
    """Return the answer, if the thought is one."""
    return result.text if result.move == "answer" else None


def observed(result: object, thought: Thought) -> Observation:
    """Return the result of a tool, or its failure, as an observation."""
    if isinstance(result, Failure):
        return Observation(thought=thought, failure=result.message)
    return Observation(thought=thought, result=result)


def keep_failure(error: Failure) -> Failure:
    """Let the agent read why a tool failed."""
    return error


async def search(task: str) -> list[str]:
    """Stand in for a search."""
    return [f"{task}: about 384,400 km"]


think = Agent("think", prompt="{task}\nYour tools: search, reader\nWhat was found:\n{trail}", output=Thought)
tools: dict[str, Runnable] = {
    "search": Node(search, retry=Retry(attempts=3)),
    "reader": Agent("reader", prompt="Sum this up.\n{task}"),
}

graph = Graph("react", Reasoning, result="output")
graph.add_node("think", think, writes={"thought": ".", "output": answer_of})
graph.add_edge(START, "think")
graph.add_edge("think", END, when=value("thought.move") == "answer", label="answered")
graph.add_edge("think", END, when=iterations("think") >= THOUGHTS, label="out of thoughts")
graph.add_switch("think", "thought.move", {name: name for name in tools}, otherwise=END)
for name, tool in tools.items():
    graph.add_node(name, tool, inputs={"task": "thought.text"}, writes={"trail": observed}, fallback=keep_failure)
    graph.add_edge(name, "think")


def example() -> Reasoning:
    """Return the input of an example run."""
    return Reasoning(task="How far is the moon?")
