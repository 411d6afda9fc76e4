"""Cross-reflection: several critics, other agents or other models, review a draft in parallel; its author revises it.

Source: Liu et al., "Agent Design Pattern Catalogue" (2024).
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.api.graph import Graph
from graphengine.kernel.extension import END, START, Failure, Runnable, iterations, value
from graphengine.patterns.critiques import Critique
from graphengine.patterns.outcomes import SURVIVED
from graphengine.patterns.parts import check_names, part
from graphengine.reducers import append


class CrossReflection(BaseModel):
    """The state of a cross-reflection.

    Attributes:
        task: The task.
        draft: The current draft.
        critiques: Each critic's verdict in the last round; a critic that failed is missing.
        errors: The failures of critics.
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
    """Return a graph that drafts, has critics review the draft, and revises it, for some rounds.

    Args:
        write: Writes the draft; reads `task`.
        critics: Each returns a `Critique` of `draft`. If one fails, the others still count; if all fail, the draft is
            kept unchanged, as `unreviewed`.
        revise: Rewrites the draft; reads `task`, `draft` and `critiques`. Default: `write`.
        rounds: The maximum number of reviews and revisions. The last revision is not reviewed.
        state: `CrossReflection`, or a subclass with more fields for the agents to read.

    Raises:
        DefinitionError: There is no critic, or one has the name of one of the pattern's own nodes.

    Example:
        >>> long = lambda draft: Critique(verdict="accept" if len(draft) > 9 else "revise", flaws=["too short"])
        >>> graph = cross_reflection(lambda task: task, {"long": long}, revise=lambda draft: draft * 2)
        >>> graph.run_sync({"task": "Rain. "}).output
        'Rain. Rain. '
    """
    check_names("cross_reflection(critics", critics, {"write", "round", "weigh", "revise"})
    graph = Graph("cross_reflection", state, result="draft", collect_errors="errors")
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
    """Return whether every critic that did not fail accepts the draft."""
    return all(critique.verdict == "accept" for critique in critiques.values())


def _anew() -> dict[str, Critique]:
    return {}
