"""Evaluator and optimiser: one makes attempts, another judges them, until one is accepted or they no longer improve.

Source: the pattern of this name in Anthropic, "Building effective agents" (2024).
"""

from typing import Annotated, Literal

from pydantic import BaseModel, Field
from typing_extensions import TypeVar

from graphengine.errors import ModelError
from graphengine.graph.conditions import Condition, failed, iterations, plateau, value
from graphengine.graph.graph import END, START, Graph, Runnable
from graphengine.patterns.parts import writing
from graphengine.reducers import append


class Evaluation(BaseModel):
    """What an evaluator says of an attempt.

    Attributes:
        verdict: `accept` as it stands, or `revise`.
        score: From 1, of no use, to 10, nothing to mend.
        feedback: What to do about it.
    """

    verdict: Literal["accept", "revise"]
    score: int = Field(ge=1, le=10)
    feedback: str = ""


class Attempts(BaseModel):
    """The state of attempts at a text.

    Attributes:
        task: What was asked.
        draft: The last attempt.
        evaluations: What was said of each.
    """

    task: str
    draft: str = ""
    evaluations: Annotated[list[Evaluation], append] = []


S = TypeVar("S", bound=BaseModel, default=Attempts)
ACCEPTED: Condition = value("evaluations[-1].verdict") == "accept"


def evaluator_optimizer(  # noqa: PLR0913 - who works, and when it is enough
    generate: Runnable,
    evaluate: Runnable,
    *,
    accept: Condition = ACCEPTED,
    score: str | None = None,
    tries: int = 3,
    state: type[S] = Attempts,  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
    result: str = "draft",
) -> Graph[S]:
    """A graph that makes attempts and has each judged.

    Args:
        generate: Makes an attempt; reads `task`, the last `draft` and `evaluations[-1]`.
        evaluate: Judges it: an `Evaluation` of `draft`. Where it fails, the attempt stands as it is, `unevaluated`; a
            model that cannot be asked fails the run.
        accept: When an attempt is good enough.
        score: A path to a number that is to rise, as `"evaluations[-1].score"`; where it does not, attempts end as
            `no longer improving`.
        tries: How many attempts there are at most.
        state: `Attempts`, or any state of the caller's: then `accept` says what it holds, and `Node(…, writes=…)` where
            what is generated and evaluated goes.
        result: The field that has the attempt: what `generate` writes unless it says otherwise.

    Example:
        >>> judge = lambda draft: Evaluation(verdict="accept" if len(draft) > 4 else "revise", score=len(draft))
        >>> graph = evaluator_optimizer(lambda draft: draft + "ho", judge)
        >>> graph.run_sync({"task": "Laugh"}).output
        'hohoho'
    """
    graph = Graph("evaluator_optimizer", state, result=result)
    graph.add_node("generate", writing(generate, result))
    graph.add_node("evaluate", writing(evaluate, "evaluations"))
    graph.add_path(START, "generate", "evaluate")
    graph.add_edge("evaluate", END, when=failed(Exception) & ~failed(ModelError), label="unevaluated")
    graph.add_edge("evaluate", END, when=accept, label="accepted")
    if score is not None:
        graph.add_edge("evaluate", END, when=plateau(score), label="no longer improving")
    graph.add_edge("evaluate", END, when=iterations("evaluate") >= tries, label="out of tries")
    graph.add_edge("evaluate", "generate")
    return graph
