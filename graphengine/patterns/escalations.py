"""Escalation: start with the cheapest, and use a stronger one only if a check rejects its answer."""

from collections.abc import Mapping

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.api.graph import Graph
from graphengine.errors import DefinitionError
from graphengine.kernel.extension import END, START, Condition, Runnable, failed
from graphengine.patterns.parts import part

S = TypeVar("S", bound=BaseModel)


def escalation(
    state: type[S],
    levels: Mapping[str, Runnable],
    check: "Runnable | None" = None,
    *,
    answer: str,
    accept: Condition,
) -> Graph[S]:
    """Return a graph that asks one level after the other until an answer is accepted.

    A level that fails is skipped, as is an answer whose check fails; if the last level fails, so does the run.

    Args:
        state: The state; each runnable reads the fields that it names.
        levels: The runnables by name, the cheapest first.
        check: Judges each answer; its Node names the field for the verdict: `Node(judge, writes="verdict")`. Without
            it `accept` reads the answer itself.
        answer: The field for each answer; it is the result.
        accept: True if the answer is good enough.

    Raises:
        DefinitionError: There are no levels.

    Source: "FrugalGPT", Chen et al. 2023, for the cascade of models.

    Example:
        >>> from graphengine import Node, value
        >>> class Sum(BaseModel):
        ...     numbers: list[int] = []
        ...     total: int = 0
        ...     off_by: int = 0
        >>> levels = {"guess": lambda numbers: numbers[0], "add": lambda numbers: sum(numbers)}
        >>> check = Node(lambda numbers, total: sum(numbers) - total, writes="off_by")
        >>> graph = escalation(Sum, levels, check, answer="total", accept=value("off_by") == 0)
        >>> graph.run_sync({"numbers": [1, 2]}).output
        3
    """
    if not levels:
        raise DefinitionError("escalation has no levels", repair="give it at least one")
    graph = Graph("escalation", state, result=answer)
    names = list(levels)
    graph.add_edge(START, names[0])
    for name, stronger in zip(names, [*names[1:], None], strict=True):
        graph.add_node(name, part(levels[name], state, (answer,)), writes=answer)
        judged = name
        if check is not None:
            judged = f"check_{name}"
            graph.add_node(judged, part(check, state))
            graph.add_edge(name, judged)
        graph.add_edge(judged, END, when=accept, label="accepted")
        if stronger is None:
            graph.add_edge(judged, END, label="not accepted")
            continue
        for failing in dict.fromkeys((name, judged)):
            graph.add_edge(failing, stronger, when=failed(Exception), label="failed")
        graph.add_edge(judged, stronger)
    return graph


__all__ = ["escalation"]
