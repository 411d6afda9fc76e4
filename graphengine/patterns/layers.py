"""Layers of agents: those of a layer work side by side on what the layer below it said, and one makes the end of it."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.graph.conditions import value
from graphengine.graph.graph import END, FAIL, START, Graph, Runnable
from graphengine.patterns.outcomes import SURVIVED
from graphengine.patterns.parts import part
from graphengine.reducers import append
from graphengine.state.failure import Failure


class Layers(BaseModel):
    """What goes up from layer to layer.

    Attributes:
        task: What it is about.
        below: What each of the layer below said, by its name; empty for the first layer.
        said: What those of the layer at work said so far.
        output: What was made of the last layer.
        errors: Why some said nothing.
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
    """Let each layer work on what the one below it said, and one make the output of the last.

    One that fails is missing in what its layer says; a layer in which nobody says anything fails the run.

    Args:
        layers: The lowest first; who is in each, by name. Each reads what it wants of `task`, `below` and the caller's
            own fields, and gives a text.
        conclude: Makes the output of what the last layer said, which it reads as `below`.
        state: A subclass of Layers, where they read more than it has.

    Source: "Mixture-of-Agents Enhances Large Language Model Capabilities", Wang et al. 2024.

    Example:
        >>> two = {"a": lambda task: task + "!", "b": lambda task: task + "?"}
        >>> layered([two], lambda below: " ".join(below.values())).run_sync({"task": "ho"}).output
        'ho! ho?'
    """
    graph = Graph("layered", state, result="output", errors="errors")
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
    """What this layer said is what the next one reads."""
    return {"below": said, "said": {}}


__all__ = ["Layers", "layered"]
