"""Evaluator and optimiser: one agent makes attempts, another judges them, until one is accepted or none is better.

Source: the pattern of this name in Anthropic, "Building effective agents" (2024).
"""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from graphengine import END, START, Agent, Graph, failed, iterations, plateau, value
from graphengine.models import ModelNotReady
from graphengine.reducers import append

MODELS = {"default": {"*": "placeholder"}}  # the judge should be better than the writer: --model judge=…
TRIES = 4


class Evaluation(BaseModel):
    """A judgement of an attempt; the score is from 1, useless, to 10, nothing to fix."""

    verdict: Literal["accept", "revise"]
    score: int = Field(ge=1, le=10)
    feedback: str = ""


class Attempts(BaseModel):
    """The state: the last attempt, the best one, and the judgement of each."""

    task: str
    draft: str = ""
    best: str = ""
    evaluations: Annotated[list[Evaluation], append] = []


def first(result: str, best: str) -> str:
    """Begin with the first attempt, in case it cannot be judged."""
    return best or result


def better(result: Evaluation, evaluations: list[Evaluation], draft: str, best: str) -> str:
    """Keep this attempt if it is accepted or no earlier one scored better."""
    is_best = all(result.score >= earlier.score for earlier in evaluations)
    return draft if result.verdict == "accept" or is_best else best


writer = Agent("writer", prompt="{task}\nYour last attempt:\n{draft}\nWhat was said:\n{evaluations[-1].feedback}")
judge = Agent("judge", prompt="How well does this do it?\n{task}\n{draft}", output=Evaluation)

graph = Graph("evaluator_optimizer", Attempts, result="best")
graph.add_node("generate", writer, writes={"draft": ".", "best": first})
graph.add_node("evaluate", judge, writes={"evaluations": ".", "best": better})
graph.add_path(START, "generate", "evaluate")
graph.add_edge("evaluate", END, when=failed(Exception) & ~failed(ModelNotReady), label="unevaluated")
graph.add_edge("evaluate", END, when=value("evaluations[-1].verdict") == "accept", label="accepted")
graph.add_edge("evaluate", END, when=plateau("evaluations[-1].score"), label="no longer improving")
graph.add_edge("evaluate", END, when=iterations("evaluate") >= TRIES, label="out of tries")
graph.add_edge("evaluate", "generate")


def example() -> Attempts:
    """Return the input of an example run."""
    return Attempts(task="Explain tides.")
