"""Pipeline: one stage after the other, each working on what those before it made."""

from collections.abc import Mapping

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.errors import DefinitionError
from graphengine.graph.graph import END, START, Graph, Runnable
from graphengine.patterns.parts import writing


class Passage(BaseModel):
    """What goes through a pipeline of texts.

    Attributes:
        task: What was asked.
        text: What the last stage made of it; empty before the first.
    """

    task: str = ""
    text: str = ""


S = TypeVar("S", bound=BaseModel, default=Passage)


def pipeline(
    stages: Mapping[str, Runnable],
    *,
    state: type[S] = Passage,  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
    result: str = "text",
) -> Graph[S]:
    """A graph that runs its stages one after the other.

    Args:
        stages: What each does, by name, in order. It reads the state's fields by their names: `{task}` and `{text}` of
            a `Passage`. A graph does too; `Node(graph, inputs={"task": "text"})` lets it work on the text so far.
        state: The state, for stages that hand on more than a text; each then says with `Node(stage, writes=…)` where
            its result goes.
        result: The field that a stage writes that says nothing of it, and that the whole comes to.

    Raises:
        DefinitionError: There is no stage.

    Example:
        >>> graph = pipeline({"shorten": lambda task: task[:5], "shout": lambda text: text.upper()})
        >>> graph.run_sync({"task": "hello there"}).output
        'HELLO'
    """
    if not stages:
        raise DefinitionError("pipeline({}) has no stage", repair="name one at least")
    graph = Graph("pipeline", state, result=result)
    for name, stage in stages.items():
        graph.add_node(name, writing(stage, result))
    graph.add_path(START, *stages, END)
    return graph
