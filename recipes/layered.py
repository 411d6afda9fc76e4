"""Layers: the agents of a layer work in parallel on the answers of the layer below, and a last agent concludes.

Source: Wang et al., "Mixture-of-Agents Enhances Large Language Model Capabilities" (2024).
"""

from typing import Annotated

from pydantic import BaseModel

from graphengine import END, FAIL, START, Agent, Failure, Graph, failed, value
from graphengine.models import ModelNotReady
from graphengine.reducers import append

MODELS = {"default": {"*": "placeholder"}}  # cheap models for the layers, a strong one at the end: --model last=…


class Layers(BaseModel):
    """The state: the answers of the layer below by agent, and those of the current layer so far."""

    task: str
    below: dict[str, str] = {}
    said: dict[str, str] = {}
    output: str = ""
    errors: Annotated[list[Failure], append] = []


def lift(said: dict[str, str]) -> dict[str, dict[str, str]]:
    """Make the answers of this layer the input of the next one."""
    return {"below": said, "said": {}}


layers = [
    [Agent(name, prompt="Answer this.\n{task}") for name in ("ann", "bob", "cid")],
    [Agent(name, prompt="Improve on these.\n{task}\n{below}") for name in ("dee", "eve")],
]
last = Agent("last", prompt="Make one answer of these.\n{task}\n{below}")

graph = Graph("layered", Layers, result="output", collect_errors="errors")
previous = START
for number, layer in enumerate(layers, 1):
    join = f"layer_{number}"
    graph.add_node(join, lift, writes=("below", "said"), title=f"what layer {number} said")
    for agent in layer:
        graph.add_node(agent.name, agent, writes=f"said[{agent.name}]")
        graph.add_edge(agent.name, join, when=failed(Exception) & ~failed(ModelNotReady), label="left out")
        graph.add_edge(agent.name, join)
    graph.add_fork(previous, [agent.name for agent in layer], join=join)
    graph.add_edge(join, FAIL, when=value("below").length() == 0, label="a layer said nothing")
    previous = join
graph.add_node("conclude", last, writes="output")
graph.add_path(previous, "conclude", END)


def example() -> Layers:
    """Return the input of an example run."""
    return Layers(task="Why are there tides?")
