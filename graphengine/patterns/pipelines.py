"""Pipeline: one stage after the other, each working on the results of those before it."""

from collections.abc import Mapping

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.api.graph import Graph
from graphengine.errors import DefinitionError
from graphengine.kernel.extension import END, START, Runnable
from graphengine.patterns.parts import writing


class Passage(BaseModel):
    """The state of a graph that `pipeline` makes: a text that one stage after the other changes.

    Attributes:
        task: The task.
        text: The last stage's result; empty before the first stage.
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
    """Make a graph that runs its stages one after the other, each on the results of the stages before.

    Args:
        stages: The stages by name, in order. Each reads the state's fields by their names: `task` and `text` of a
            `Passage`. So does a graph; with `Node(graph, inputs={"task": "text"})` it works on the text so far.
        state: The state, for stages that pass on more than a text; each then names the field for its result with
            `Node(stage, writes=…)`.
        result: The field of the pipeline's result, and of each stage that does not name another.

    Raises:
        DefinitionError: There are no stages.

    Example:
        >>> graph = pipeline({"shorten": lambda task: task[:5], "shout": lambda text: text.upper()})
        >>> graph.run_sync({"task": "hello there"}).output
        'HELLO'
    """
    if not stages:
        raise DefinitionError("pipeline({}) has no stage", repair="give at least one stage: pipeline({'draft': write})")
    graph = Graph("pipeline", state, result=result)
    for name, stage in stages.items():
        graph.add_node(name, writing(stage, result))
    graph.add_path(START, *stages, END)
    return graph
