"""Advisor: a cheap worker that can ask a strong expert a bounded number of questions before it answers."""

from typing import Annotated, Self

from pydantic import BaseModel, model_validator
from typing_extensions import TypeVar

from graphengine.api.graph import Graph
from graphengine.kernel.extension import END, START, Failure, Runnable, iterations, value
from graphengine.patterns.parts import checked, part
from graphengine.reducers import append


class Attempt(BaseModel):
    """The worker's output: a question to the expert, or the answer.

    Attributes:
        question: The question.
        answer: The answer, if the worker has no more questions.
    """

    question: str | None = None
    answer: str | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.question is None) == (self.answer is None):
            message = "give either a question or an answer"
            raise ValueError(message)
        return self


class Advice(BaseModel):
    """A question and the expert's advice.

    Attributes:
        question: The question.
        text: The advice, or why there is none.
        failed: Whether the expert failed.
    """

    question: str
    text: str
    failed: bool = False


class Advised(BaseModel):
    """A task and the advice on it.

    Attributes:
        task: The task.
        attempt: The worker's last output.
        advice: All questions and advice, in order.
        errors: The expert's failures.
    """

    task: str
    attempt: Attempt | None = None
    advice: Annotated[list[Advice], append] = []
    errors: Annotated[list[Failure], append] = []


S = TypeVar("S", bound=Advised, default=Advised)
_OWN = Advised.model_fields.keys() - {"task"}


def advisor(
    worker: Runnable,
    expert: Runnable,
    *,
    questions: int = 3,
    state: type[S] = Advised,  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
) -> Graph[S]:
    """Return a graph whose worker can ask an expert before it answers.

    If an `Agent` asks one question too many, it gets an error message and tries again. If the worker is of another
    kind, the graph ends, and the output is None. If the expert fails, the worker gets an advice with `failed`, and
    continues.

    Args:
        worker: Returns an Attempt; can read `task`, `advice`, `left` (how many questions remain) and the caller's own
            fields.
        expert: Returns advice as text; can read `question` and the same fields.
        questions: The maximum number of questions.
        state: `Advised`, or a subclass with more fields for the runnables to read.

    Example:
        >>> def work(advice: list[Advice]) -> Attempt:
        ...     return Attempt(answer=advice[-1].text) if advice else Attempt(question="How?")
        >>> advisor(work, lambda question: f"{question} Slowly.").run_sync({"task": "walk"}).output
        'How? Slowly.'
    """

    def left(advice: list[Advice]) -> int:
        return max(0, questions - len(advice))

    def may_ask(attempt: Attempt, advice: list[Advice]) -> None:
        if attempt.question is not None and not left(advice):
            message = f"all {questions} questions were asked; give the answer"
            raise ValueError(message)

    shared = {field: field for field in state.model_fields if field not in _OWN}
    graph = Graph("advisor", state, result="attempt.answer", collect_errors="errors")
    graph.add_node("work", part(checked(worker, may_ask), state, _OWN, {**shared, "left": left}), writes="attempt")
    asked = {**shared, "question": "attempt.question"}
    graph.add_node("advise", part(expert, state, _OWN, asked), writes={"advice": advised}, fallback=no_advice)
    graph.add_edge(START, "work")
    graph.add_edge("work", END, when=value("attempt.question").is_none(), label="answered")
    graph.add_edge("work", END, when=iterations("work") > questions, label="out of questions")
    graph.add_path("work", "advise", "work")
    return graph


def advised(result: object, attempt: Attempt) -> Advice:
    """Return the expert's advice with the question."""
    return result if isinstance(result, Advice) else Advice(question=attempt.question or "", text=str(result))


def no_advice(attempt: Attempt, error: Failure) -> Advice:
    """Return the entry for an expert that failed."""
    return Advice(question=attempt.question or "", text=f"no advice: {error.message}", failed=True)


__all__ = ["Advice", "Advised", "Attempt", "advisor"]
