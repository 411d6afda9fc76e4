"""Fan-out and fan-in: the same work on many items in parallel, and one result made from all outcomes."""

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.api.graph import Graph
from graphengine.kernel.extension import END, FAIL, START, Runnable, value
from graphengine.patterns.outcomes import Outcome, outcome, surviving
from graphengine.patterns.parts import part, writing


class FanOut(BaseModel):
    """The state of a graph that `fan_out` makes, which works on many items in parallel.

    Attributes:
        task: The task.
        items: The items to work on.
        outcomes: The outcome of each item, in the order of the items.
        output: The result.
    """

    task: str = ""
    items: list[str] = []
    outcomes: list[Outcome] = []
    output: str = ""


S = TypeVar("S", bound=FanOut, default=FanOut)
_OWN = FanOut.model_fields.keys() - {"task"}


def fan_out_fan_in(  # noqa: PLR0913 - the runnables, and how many at a time
    work: Runnable,
    gather: Runnable,
    *,
    split: "Runnable | None" = None,
    over: str = "items",
    concurrency: int = 8,
    need: int = 1,
    state: type[S] = FanOut,  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
) -> Graph[S]:
    """Make a graph that does the same work on many items in parallel, and then makes one result of all outcomes.

    Without items, the run ends without output.

    Args:
        work: The runnable that works on one `item`. It can also read `task`. `choose("item", {…})` picks one of several
            workers per item. A failing item does not stop the others; `gather` reads its failure.
        gather: The runnable that makes the result from `outcomes`, which are in the order of the items. It can also
            read the items and `task`.
        split: The runnable that makes the items from the task. By default, the items are part of the input. As a `Node`
            it can write more fields.
        over: The field of the state that contains the items, if they are not texts.
        concurrency: How many items are worked on at a time.
        need: How many items have to succeed. If fewer succeed, the run fails with the label `too few succeeded`, and
            `gather` is not called.
        state: `FanOut`, or a subclass with more fields.

    Example:
        >>> graph = fan_out_fan_in(lambda item: len(item), lambda outcomes: "+".join(each.text for each in outcomes))
        >>> graph.run_sync({"items": ["one", "three"]}).output
        '3+5'
    """
    graph = Graph("fan_out_fan_in", state, result="output")
    doer = surviving(part(work, state, _OWN, {"item": "item"}))
    graph.add_node("work", doer, each={"item": over}, concurrency=concurrency, writes={"outcomes": outcome})
    graph.add_node("gather", part(gather, state, _OWN), writes="output")
    if split is not None:
        graph.add_node("split", writing(part(split, state, _OWN), over))
        graph.add_edge("split", "work")
    graph.add_edge(START, "work" if split is None else "split")
    graph.add_edge("work", END, when=value(over).length() == 0, label="no items")
    graph.add_edge("work", FAIL, when=value(successes) < need, label="too few succeeded")
    graph.add_path("work", "gather", END)
    return graph


def successes(outcomes: list[Outcome]) -> int:
    return sum(each.failure is None for each in outcomes)
