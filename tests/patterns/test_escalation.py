"""The cheapest level first, a stronger one if its answer is rejected."""

from collections.abc import Sequence
from typing import Literal

import pytest
from pydantic import BaseModel

from graphengine import END, START, Condition, Graph, Node, RunFailed, ended_with, value
from graphengine.errors import DefinitionError
from graphengine.patterns import escalation
from tests.patterns.kits import says
from tests.patterns.scripted import Answers, away, named, play


class Verdict(BaseModel):
    """A judge's verdict."""

    verdict: Literal["good", "bad"]


class Question(BaseModel):
    """A question."""

    task: str = ""
    answer: str = ""
    verdict: Verdict | None = None


NAMES = ("small", "middle", "large")
JUDGE = Node(named("judge", "{task}\n{answer}", Verdict), writes="verdict")
GOOD, BAD = Verdict(verdict="good"), Verdict(verdict="bad")
ACCEPT: Condition = value("verdict.verdict") == "good"


def ladder(count: int = 3) -> Graph[Question]:
    """Return an escalation of this many levels with one judge."""
    levels = {name: named(name, "{task}\n{answer}") for name in NAMES[:count]}
    return escalation(Question, levels, JUDGE, answer="answer", accept=ACCEPT)


def saying(verdicts: Sequence[object]) -> Answers:
    """Each level answers with its name, and the judge with these verdicts."""
    return {**{name: says(name) for name in NAMES}, "judge": verdicts}


@pytest.mark.parametrize(("count", "good_at"), [(1, 1), (2, 1), (3, 2), (3, 3)])
async def test_each_level_that_is_tried_costs_two_calls(count: int, good_at: int) -> None:
    """A level costs its own call and the check's; levels above the first good one cost nothing."""
    played = await play(ladder(count), {"task": "?"}, saying([BAD] * (good_at - 1) + [GOOD]))
    assert played.calls.total() == 2 * good_at
    assert (played.label, played.output) == ("accepted", NAMES[good_at - 1])


async def test_if_nothing_is_accepted_the_last_answer_is_kept() -> None:
    """The label says that it was not accepted."""
    played = await play(ladder(), {"task": "?"}, saying([BAD] * 3))
    assert (played.label, played.output) == ("not accepted", "large")


async def test_a_level_that_fails_is_passed_over_unchecked() -> None:
    """The next level is called at once."""
    played = await play(ladder(), {"task": "?"}, {**saying([GOOD]), "small": away})
    assert (played.calls["judge"], played.output) == (1, "middle")


async def test_an_answer_that_cannot_be_checked_is_not_accepted() -> None:
    """An answer that cannot be checked is not accepted, and a stronger level is called."""
    played = await play(ladder(2), {"task": "?"}, saying([*["NOT good"] * 3, GOOD]))
    assert (played.calls["judge"], played.output) == (4, "middle")


async def test_if_the_last_level_fails_the_run_fails() -> None:
    """If the last level fails the run fails, since there is no other level."""
    with pytest.raises(RunFailed, match="middle is away"):
        await play(ladder(2), {"task": "?"}, {**saying([BAD]), "middle": away})


async def test_without_a_check_the_condition_reads_the_answer() -> None:
    """Each level that is tried costs one call."""
    levels = {name: named(name) for name in NAMES}
    graph = escalation(Question, levels, answer="answer", accept=value("answer").length() > 5)
    played = await play(graph, {"task": "?"}, saying([]))
    assert (played.calls.total(), played.output) == (2, "middle")


def test_an_escalation_needs_a_level() -> None:
    """An escalation without levels is refused when it is built."""
    with pytest.raises(DefinitionError, match="at least one"):
        escalation(Question, {}, answer="answer", accept=ACCEPT)


async def test_a_level_may_be_a_ladder_itself() -> None:
    """The surrounding graph can read how it ended."""
    inner = ladder(2)
    graph = escalation(Question, {"team": inner, "large": named("large")}, JUDGE, answer="answer", accept=ACCEPT)
    around = Graph("around", Question, result="answer")
    around.add_node("ask", graph, inputs={"task": "task"}, writes="answer")
    around.add_edge(START, "ask")
    around.add_edge("ask", END, when=ended_with("accepted"), label="well")
    around.add_edge("ask", END, label="not well")
    played = await play(around, {"task": "?"}, saying([BAD, BAD, BAD, GOOD]))
    assert (played.label, played.output) == ("well", "large")
