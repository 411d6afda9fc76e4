"""A cheap worker that can ask a strong advisor."""

from typing import Any

import pytest
from pydantic import ValidationError

from graphengine import END, START, Graph, Node
from graphengine.patterns import Advised, Attempt, advisor
from tests.patterns.scripted import away, named, play

WORKER = named("worker", "{task}\n{advice}\n{left}", Attempt)
EXPERT = named("expert", "{task}\n{question}")
DONE = Attempt(answer="42")


def ask(question: str = "How?") -> Attempt:
    """Return a question to the advisor."""
    return Attempt(question=question)


def pair(questions: int = 3) -> Graph[Advised]:
    """Return a worker and an expert."""
    return advisor(WORKER, EXPERT, questions=questions)


@pytest.mark.parametrize("asked", [0, 1, 3])
async def test_each_question_costs_two_calls(asked: int) -> None:
    """A question costs one call of the worker and one of the expert; the answer costs one more."""
    answers = {"worker": [ask()] * asked + [DONE], "expert": ["so"] * asked}
    played = await play(pair(), {"task": "?"}, answers)
    assert played.calls.total() == 2 * asked + 1
    assert (played.label, played.output, len(played.state.advice)) == ("answered", "42", asked)


@pytest.mark.parametrize("questions", [0, 1, 2])
async def test_one_question_too_many_goes_back_to_the_worker(questions: int) -> None:
    """The worker's model gets an error message and can still answer."""
    answers = {"worker": [ask()] * (questions + 1) + [DONE], "expert": ["so"] * questions}
    played = await play(pair(questions), {"task": "?"}, answers)
    assert (played.calls["expert"], played.output) == (questions, "42")
    assert "give the answer" in played.asked("worker")[-1]


async def test_a_function_that_asks_too_often_has_no_answer() -> None:
    """The expert is called no more often than allowed."""
    played = await play(advisor(lambda task: ask(), EXPERT, questions=2), {"task": "?"}, {"expert": ["so", "so"]})
    assert (played.label, played.output, played.calls["expert"]) == ("out of questions", None, 2)


async def test_the_advice_and_how_much_is_left_reach_the_worker() -> None:
    """The question reaches the expert."""
    played = await play(pair(2), {"task": "?"}, {"worker": [ask("Why so?"), DONE], "expert": ["because"]})
    first, second = played.asked("worker")
    assert ("because" in first, "because" in second) == (False, True)
    assert (first.endswith("2"), second.endswith("1")) == (True, True)
    assert "Why so?" in played.asked("expert")[0]


async def test_an_expert_that_fails_is_reported_to_the_worker() -> None:
    """The worker continues without advice, and the failure is kept."""
    played = await play(pair(), {"task": "?"}, {"worker": [ask(), DONE], "expert": away})
    (advice,) = played.state.advice
    assert (advice.failed, "expert is away" in advice.text) == (True, True)
    assert "expert is away" in played.asked("worker")[1]
    assert [failure.path for failure in played.state.errors] == ["advise"]


@pytest.mark.parametrize("given", [{}, {"question": "How?", "answer": "42"}])
def test_an_attempt_is_one_of_two_things(given: dict[str, str]) -> None:
    """An attempt is a question or an answer, not both."""
    with pytest.raises(ValidationError, match="either a question"):
        Attempt(**given)


async def test_a_check_of_the_workers_own_counts_too() -> None:
    """The worker's own check runs in addition to the pattern's."""

    def short(attempt: Attempt, task: str) -> None:
        if attempt.answer and len(attempt.answer) > len(task):
            message = "too long"
            raise ValueError(message)

    graph = advisor(WORKER.but(check=short), EXPERT, questions=0)
    played = await play(graph, {"task": "a task"}, {"worker": [Attempt(answer="x" * 9), ask(), DONE]})
    assert ("too long" in played.asked("worker")[1], "give the answer" in played.asked("worker")[2]) == (True, True)
    assert played.output == "42"


async def test_an_advisor_can_be_nested() -> None:
    """The inner pair gets the outer question as its task, and no advice."""
    inner: Any = advisor(named("inner", "{task}\n{advice}", Attempt), named("deep", "{question}"))
    graph = advisor(WORKER, Node(inner, inputs={"task": "attempt.question"}))
    answers = {
        "worker": [ask("first?"), ask("second?"), DONE],
        "inner": [Attempt(answer="yes"), ask("deeper?"), Attempt(answer="no")],
        "deep": ["hm"],
    }
    around = Graph("around", Advised, result="task")
    around.add_node("ask", graph, inputs={"task": "task"}, writes="task")
    around.add_path(START, "ask", END)
    played = await play(around, {"task": "?"}, answers)
    assert played.output == "42"
    assert "first?" in played.asked("inner")[0]
    assert "yes" not in played.asked("inner")[1]
