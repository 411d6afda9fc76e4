"""Cross-reflection: several critics, other agents or other models, look at a draft side by side; its author revises it.

Source: Liu et al., "Agent Design Pattern Catalogue" (2024).
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.errors import DefinitionError
from graphengine.graph.conditions import iterations, value
from graphengine.graph.graph import END, START, Graph, Runnable
from graphengine.patterns.critiques import Critique
from graphengine.patterns.outcomes import SURVIVED
from graphengine.patterns.parts import part
from graphengine.reducers import append
from graphengine.state.failure import Failure

_NODES = {"write", "round", "weigh", "revise"}


class CrossReflection(BaseModel):
    """The state of a cross-reflection.

    Attributes:
        task: What was asked.
        draft: What there is.
        critiques: What each critic said of the draft in the last round; one that failed is not in it.
        errors: Why critics failed.
    """

    task: str
    draft: str = ""
    critiques: dict[str, Critique] = {}
    errors: Annotated[list[Failure], append] = []


S = TypeVar("S", bound=CrossReflection, default=CrossReflection)
_OWN = CrossReflection.model_fields.keys() - {"task"}


def cross_reflection(
    write: Runnable,
    critics: Mapping[str, Runnable],
    *,
    revise: "Runnable | None" = None,
    rounds: int = 1,
    state: type[S] = CrossReflection,  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
) -> Graph[S]:
    """A graph that drafts, lets critics look at the draft, and revises it, for some rounds.

    Args:
        write: Writes the draft; reads `task`.
        critics: Each gives a `Critique` of `draft`. One that fails leaves the others; where all fail, the draft stands
            as it is, `unreviewed`.
        revise: Writes the draft anew; reads `task`, `draft` and `critiques`. `write` if not given.
        rounds: How often it is looked at, and revised, at most. The last revision is not looked at again.
        state: `CrossReflection`, or a subclass with fields that the agents read besides.

    Raises:
        DefinitionError: There is no critic, or one has the name of a node of the pattern.

    Example:
        >>> long = lambda draft: Critique(verdict="accept" if len(draft) > 9 else "revise", flaws=["too short"])
        >>> graph = cross_reflection(lambda task: task, {"long": long}, revise=lambda draft: draft * 2)
        >>> graph.run_sync({"task": "Rain. "}).output
        'Rain. Rain. '
    """
    if not critics or _NODES & critics.keys():
        told = f"cross_reflection(critics={sorted(critics)})"
        raise DefinitionError(told, repair=f"name one at least, and none of them {', '.join(sorted(_NODES))}")
    graph = Graph("cross_reflection", state, result="draft", errors="errors")
    graph.add_node("write", part(write, state, _OWN), writes="draft")
    graph.add_node("round", _anew, writes="critiques", thread=False)
    for name, critic in critics.items():
        graph.add_node(name, part(critic, state, _OWN), writes=f"critiques[{name}]")
        graph.add_edge(name, "weigh", when=SURVIVED, label="without")
        graph.add_edge(name, "weigh")
    graph.add_node("weigh")
    graph.add_node("revise", part(revise or write, state, _OWN), writes="draft")
    graph.add_path(START, "write", "round")
    graph.add_fork("round", list(critics), join="weigh")
    graph.add_edge("weigh", END, when=value("critiques").length() == 0, label="unreviewed")
    graph.add_edge("weigh", END, when=value(all_accept).is_true(), label="accepted")
    graph.add_edge("weigh", "revise")
    graph.add_edge("revise", END, when=iterations("revise") >= rounds, label="out of rounds")
    graph.add_edge("revise", "round")
    return graph


def all_accept(critiques: dict[str, Critique]) -> bool:
    """Whether every critic who said something accepts the draft."""
    return all(critique.verdict == "accept" for critique in critiques.values())


def _anew() -> dict[str, Critique]:
    return {}
