"""Evaluator and optimiser: one makes attempts, the other judges them, until one is accepted or they stop improving.

Source: the pattern of this name in Anthropic, "Building effective agents" (2024).
"""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, Field
from typing_extensions import TypeVar

from graphengine.api.graph import Graph
from graphengine.kernel.extension import END, START, Condition, Runnable, iterations, plateau, value
from graphengine.patterns.outcomes import SURVIVED
from graphengine.patterns.parts import writing
from graphengine.reducers import append

if TYPE_CHECKING:
    from graphengine.kernel.extension import Writes


class Evaluation(BaseModel):
    """An evaluator's judgement of an attempt.

    Attributes:
        verdict: `accept` the attempt unchanged, or `revise` it.
        score: From 1, useless, to 10, nothing to fix.
        feedback: What to change.
    """

    verdict: Literal["accept", "revise"]
    score: int = Field(ge=1, le=10)
    feedback: str = ""


class Attempts(BaseModel):
    """The state of attempts at a text.

    Attributes:
        task: The task.
        draft: The last attempt.
        best: The accepted attempt, else the one with the best score; the first, if none was judged.
        evaluations: The judgement of each attempt, in order.
    """

    task: str
    draft: str = ""
    best: str = ""
    evaluations: Annotated[list[Evaluation], append] = []


S = TypeVar("S", bound=BaseModel, default=Attempts)


def _first(result: str, best: str) -> str:
    """Begin with the first attempt."""
    return best or result


def _better(result: Evaluation, evaluations: list[Evaluation], draft: str, best: str) -> str:
    """Keep this attempt if it is accepted or no earlier one scored better."""
    is_best = all(result.score >= earlier.score for earlier in evaluations)
    return draft if result.verdict == "accept" or is_best else best


ACCEPTED: Condition = value("evaluations[-1].verdict") == "accept"


def evaluator_optimizer(  # noqa: PLR0913 - the runnables, and when to stop
    generate: Runnable,
    evaluate: Runnable,
    *,
    accept: Condition = ACCEPTED,
    score: str | None = None,
    tries: int = 3,
    state: type[S] = Attempts,  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
    result: str = "draft",
) -> Graph[S]:
    """Return a graph that makes attempts and has each judged.

    Args:
        generate: Makes an attempt; reads `task`, the last `draft` and `evaluations[-1]`.
        evaluate: Returns an `Evaluation` of `draft`. If it fails, the attempt is kept unchanged, as `unevaluated`; a
            model that cannot be called fails the run.
        accept: When an attempt is good enough.
        score: The path of a number that should rise, for example `"evaluations[-1].score"`; if it does not, the graph
            ends as `no longer improving`.
        tries: The maximum number of attempts.
        state: `Attempts`, or any state of the caller's: then `accept` reads that state, and `Node(…, writes=…)` names
            the fields for the results of `generate` and `evaluate`.
        result: The field of the attempt: where `generate` writes unless its own Node names another field. With
            `Attempts` the output is the `best` attempt, with a state of the caller's the last one.

    Example:
        >>> judge = lambda draft: Evaluation(verdict="accept" if len(draft) > 4 else "revise", score=len(draft))
        >>> graph = evaluator_optimizer(lambda draft: draft + "ho", judge)
        >>> graph.run_sync({"task": "Laugh"}).output
        'hohoho'
    """
    keeps_best = issubclass(state, Attempts) and result == "draft"
    graph = Graph("evaluator_optimizer", state, result="best" if keeps_best else result)
    made: Writes = {"draft": ".", "best": _first} if keeps_best else result
    judged: Writes = {"evaluations": ".", "best": _better} if keeps_best else "evaluations"
    graph.add_node("generate", writing(generate, made))
    graph.add_node("evaluate", writing(evaluate, judged))
    graph.add_path(START, "generate", "evaluate")
    graph.add_edge("evaluate", END, when=SURVIVED, label="unevaluated")
    graph.add_edge("evaluate", END, when=accept, label="accepted")
    if score is not None:
        graph.add_edge("evaluate", END, when=plateau(score), label="no longer improving")
    graph.add_edge("evaluate", END, when=iterations("evaluate") >= tries, label="out of tries")
    graph.add_edge("evaluate", "generate")
    return graph
