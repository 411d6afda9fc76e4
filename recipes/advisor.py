"""Advisor: a cheap worker that can ask a strong expert a limited number of questions before it answers."""

from typing import Annotated, Literal

from pydantic import BaseModel

from graphengine import END, START, Agent, Failure, Graph, iterations, value
from graphengine.reducers import append

MODELS = {"default": {"*": "placeholder"}}  # --model worker=… --model expert=…
QUESTIONS = 2


class Attempt(BaseModel):
    """The worker's output: a question to the expert, or the answer."""

    kind: Literal["question", "answer"]
    text: str


class Advice(BaseModel):
    """A question and the expert's advice, or why there is none."""

    question: str
    text: str


class Advised(BaseModel):
    """The state."""

    task: str
    attempt: Attempt | None = None
    advice: Annotated[list[Advice], append] = []
    output: str | None = None


def left(advice: list[Advice]) -> int:
    """Return how many questions the worker may still ask."""
    return QUESTIONS - len(advice)


def may_ask(attempt: Attempt, advice: list[Advice]) -> None:
    """Send a question too many back to the worker."""
    if attempt.kind == "question" and left(advice) <= 0:
        message = f"all {QUESTIONS} questions were asked; give the answer"
        raise ValueError(message)


def answer_of(result: Attempt) -> str | None:
    """Return the worker's answer, if it gave one."""
    return result.text if result.kind == "answer" else None


def advised(result: str, attempt: Attempt) -> Advice:
    """Keep the expert's advice with the question."""
    return Advice(question=attempt.text, text=result)


def no_advice(error: Failure) -> str:
    """Tell the worker that the expert failed."""
    return f"no advice: {error.message}"


worker = Agent(
    "worker",
    prompt="{task}\nAdvice so far:\n{advice}\nQuestions left: {left}\nAsk a question, or give the answer.",
    output=Attempt,
    check=may_ask,
)
expert = Agent("expert", system="You advise in two sentences.", prompt="{task}\n{attempt.text}")

graph = Graph("advisor", Advised, result="output")
graph.add_node("work", worker, inputs={"left": left}, writes={"attempt": ".", "output": answer_of})
graph.add_node("advise", expert, writes={"advice": advised}, fallback=no_advice)
graph.add_edge(START, "work")
graph.add_edge("work", END, when=value("attempt.kind") == "answer", label="answered")
graph.add_edge("work", END, when=iterations("work") > QUESTIONS, label="out of questions")
graph.add_path("work", "advise", "work")


def example() -> Advised:
    """Return the input of an example run."""
    return Advised(task="Why are there tides?")
