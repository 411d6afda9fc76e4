"""Topology: agents speak in rounds, and each hears only its neighbours. This one is a star.

The hub speaks first. The other agents hear only the hub and answer in parallel. Then the hub hears all of them and
speaks again.

For another topology, change the edges and `heard_from`, which decides what each agent hears:

- In a chain, each agent hears the agent before it, and `graph.add_path(START, *names)` connects the agents.
- In a mesh, each agent hears all other agents, and a node without a function takes the place of the hub.

Source: Qian et al., "Scaling Large Language Model-based Multi-Agent Collaboration" (2024), compares such networks.
"""

from collections.abc import Callable, Sequence
from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Agent, Failure, Graph, failed, iterations
from graphengine.models import ModelNotReady
from graphengine.reducers import append

MODELS = {"default": {"*": "placeholder"}}
ROUNDS = 2


class Network(BaseModel):
    """The state: the last text of each agent, and the final text."""

    task: str
    said: dict[str, str] = {}
    output: str = ""
    errors: Annotated[list[Failure], append] = []


def heard_from(neighbours: Sequence[str]) -> Callable[..., dict[str, str]]:
    """Return a function that selects the last texts of these agents from all texts."""

    def heard(said: dict[str, str]) -> dict[str, str]:
        return {name: said[name] for name in neighbours if name in said}

    return heard


hub, *others = [Agent(name, prompt="{task}\nYou hear:\n{heard}") for name in ("hub", "north", "south")]

graph = Graph("topology", Network, result="output", collect_errors="errors")
inputs = {"heard": heard_from([agent.name for agent in others])}
graph.add_node("hub", hub, inputs=inputs, writes={"said[hub]": ".", "output": "."})
for agent in others:
    graph.add_node(agent.name, agent, inputs={"heard": heard_from(["hub"])}, writes=f"said[{agent.name}]")
    graph.add_edge(agent.name, "hub", when=failed(Exception) & ~failed(ModelNotReady), label="nothing new")
    graph.add_edge(agent.name, "hub")
graph.add_edge(START, "hub")
graph.add_edge("hub", END, when=iterations("hub") > ROUNDS)
graph.add_fork("hub", [agent.name for agent in others], join="hub")


def example() -> Network:
    """Return the input of an example run."""
    return Network(task="Where is rain?")
