"""Self-reflection: an author reviews its own draft, and revises it until there is nothing left to fix.

Source: Madaan et al., "Self-Refine: Iterative Refinement with Self-Feedback" (2023).
"""

from typing import Annotated

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.api.graph import Graph
from graphengine.kernel.extension import END, START, Failure, Runnable, iterations, value
from graphengine.patterns.critiques import Critique
from graphengine.patterns.outcomes import SURVIVED
from graphengine.patterns.parts import part
from graphengine.reducers import append


class SelfReflection(BaseModel):
    """The state of a self-reflection.

    Attributes:
        task: The task.
        draft: The current draft.
        critiques: The author's verdict on each reviewed draft.
        errors: The failures of reviews.
    """

    task: str
    draft: str = ""
    critiques: Annotated[list[Critique], append] = []
    errors: Annotated[list[Failure], append] = []


S = TypeVar("S", bound=SelfReflection, default=SelfReflection)
_OWN = SelfReflection.model_fields.keys() - {"task"}


def self_reflection(
    write: Runnable,
    reflect: Runnable,
    *,
    revise: "Runnable | None" = None,
    rounds: int = 2,
    state: type[S] = SelfReflection,  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
) -> Graph[S]:
    """Return a graph that drafts, reviews the draft and revises it, for some rounds.

    Args:
        write: Writes the draft; reads `task`.
        reflect: Returns a `Critique` of `draft`. Usually the author once more: `author.but(prompt=…, output=Critique)`.
            If it fails, the draft is kept unchanged, as `unreviewed`. A model that cannot be called fails the run.
        revise: Rewrites the draft; reads `task`, `draft` and `critiques[-1]`. Default: `write`.
        rounds: The maximum number of reviews and revisions. The last revision is not reviewed.
        state: `SelfReflection`, or a subclass with more fields for the agents to read.

    Example:
        >>> look = lambda draft: Critique(verdict="accept" if draft.endswith(".") else "revise", flaws=["no full stop"])
        >>> graph = self_reflection(lambda task: task, look, revise=lambda draft: draft + ".")
        >>> graph.run_sync({"task": "It rains"}).output
        'It rains.'
    """
    graph = Graph("self_reflection", state, result="draft", collect_errors="errors")
    graph.add_node("write", part(write, state, _OWN), writes="draft")
    graph.add_node("reflect", part(reflect, state, _OWN), writes="critiques")
    graph.add_node("revise", part(revise or write, state, _OWN), writes="draft")
    graph.add_path(START, "write", "reflect")
    graph.add_edge("reflect", END, when=SURVIVED, label="unreviewed")
    graph.add_edge("reflect", END, when=value("critiques[-1].verdict") == "accept", label="accepted")
    graph.add_edge("reflect", "revise")
    graph.add_edge("revise", END, when=iterations("revise") >= rounds, label="out of rounds")
    graph.add_edge("revise", "reflect")
    return graph
