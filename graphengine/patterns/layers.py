"""Layers of agents: the agents of a layer work in parallel on the outputs of the layer below; a last one concludes."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.api.graph import Graph
from graphengine.kernel.extension import END, FAIL, START, Failure, Runnable, value
from graphengine.patterns.outcomes import SURVIVED
from graphengine.patterns.parts import part
from graphengine.reducers import append


class Layers(BaseModel):
    """The state of a stack of layers.

    Attributes:
        task: The task.
        below: The outputs of the layer below, by agent; empty for the first layer.
        said: The outputs of the current layer so far.
        output: The result.
        errors: The failures of agents.
    """

    task: str
    below: dict[str, str] = {}
    said: dict[str, str] = {}
    output: str = ""
    errors: Annotated[list[Failure], append] = []


S = TypeVar("S", bound=Layers, default=Layers)
_OWN = Layers.model_fields.keys() - {"task"}


def layered(
    layers: Sequence[Mapping[str, Runnable]],
    conclude: Runnable,
    *,
    state: type[S] = Layers,  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
) -> Graph[S]:
    """Return a graph in which each layer works on the outputs of the layer below, and a last node concludes.

    An agent that fails is missing from its layer's outputs; a layer without any output fails the run.

    Args:
        layers: The agents of each layer by name, the lowest layer first. Each can read `task`, `below` and the caller's
            own fields, and returns a text.
        conclude: Makes the result from the outputs of the last layer, which it reads as `below`.
        state: `Layers`, or a subclass with more fields for the agents to read.

    Source: "Mixture-of-Agents Enhances Large Language Model Capabilities", Wang et al. 2024.

    Example:
        >>> two = {"a": lambda task: task + "!", "b": lambda task: task + "?"}
        >>> layered([two], lambda below: " ".join(below.values())).run_sync({"task": "ho"}).output
        'ho! ho?'
    """
    graph = Graph("layered", state, result="output", collect_errors="errors")
    previous = START
    for number, layer in enumerate(layers, 1):
        join = f"layer_{number}"
        members = {f"{name}_{number}": name for name in layer}
        graph.add_node(join, lift, writes=("below", "said"), title=f"what layer {number} said")
        for node, name in members.items():
            graph.add_node(node, part(layer[name], state, _OWN), writes=f"said[{name}]")
            graph.add_edge(node, join, when=SURVIVED, label="left out")
            graph.add_edge(node, join)
        if previous != START:
            graph.add_edge(previous, FAIL, when=value("below").length() == 0, label="a layer said nothing")
        graph.add_fork(previous, list(members), join=join)
        previous = join
    graph.add_node("conclude", part(conclude, state, _OWN), writes="output")
    if previous != START:
        graph.add_edge(previous, FAIL, when=value("below").length() == 0, label="a layer said nothing")
    graph.add_path(previous, "conclude", END)
    return graph


def lift(said: dict[str, str]) -> dict[str, dict[str, str]]:
    """Make this layer's outputs the input of the next."""
    return {"below": said, "said": {}}


__all__ = ["Layers", "layered"]
