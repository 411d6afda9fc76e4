"""A cheap worker who may ask a strong advisor, a bounded number of times, before it answers."""

from typing import Annotated, Self

from pydantic import BaseModel, model_validator
from typing_extensions import TypeVar

from graphengine.graph.conditions import iterations, value
from graphengine.graph.graph import END, START, Graph, Runnable
from graphengine.patterns.parts import checked, part
from graphengine.reducers import append
from graphengine.state.failure import Failure


class Attempt(BaseModel):
    """What the worker says: a question to the advisor, or the answer.

    Attributes:
        question: What it wants to know.
        answer: The answer, where it needs to know no more.
    """

    question: str | None = None
    answer: str | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.question is None) == (self.answer is None):
            message = "give either a question, or an answer"
            raise ValueError(message)
        return self


class Advice(BaseModel):
    """A question and what the advisor said.

    Attributes:
        question: What was asked.
        text: What was said, or why nothing was.
        failed: Whether nothing was said.
    """

    question: str
    text: str
    failed: bool = False


class Advised(BaseModel):
    """A task, and the advice on it.

    Attributes:
        task: What it is about.
        attempt: What the worker said last.
        advice: What was asked and said, in order.
        errors: Why the advisor said nothing.
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
    """Let a worker ask an expert before it answers.

    A worker that asks once too often is told so, if it is an Agent; else that is the end, and the output is None. An
    expert that fails is told as no advice, and the worker goes on.

    Args:
        worker: Gives an Attempt; reads what it wants of `task`, `advice`, `left` (how many questions it has left) and
            the caller's own fields.
        expert: Gives advice as text; reads `question` and the same.
        questions: How many may be asked.
        state: A subclass of Advised, where there is more to read than it has.

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
    graph = Graph("advisor", state, result="attempt.answer", errors="errors")
    graph.add_node("work", part(checked(worker, may_ask), state, _OWN, {**shared, "left": left}), writes="attempt")
    asked = {**shared, "question": "attempt.question"}
    graph.add_node("advise", part(expert, state, _OWN, asked), writes={"advice": advised}, fallback=no_advice)
    graph.add_edge(START, "work")
    graph.add_edge("work", END, when=value("attempt.question").is_none(), label="answered")
    graph.add_edge("work", END, when=iterations("work") > questions, label="out of questions")
    graph.add_path("work", "advise", "work")
    return graph


def advised(result: object, attempt: Attempt) -> Advice:
    """What the expert said, with what was asked."""
    return result if isinstance(result, Advice) else Advice(question=attempt.question or "", text=str(result))


def no_advice(attempt: Attempt, error: Failure) -> Advice:
    """What stands for the advice of an expert that failed."""
    return Advice(question=attempt.question or "", text=f"no advice: {error.message}", failed=True)


__all__ = ["Advice", "Advised", "Attempt", "advisor"]
