from collections.abc import Callable

import pytest

from graphengine import Failure, Replace, TextFile
from graphengine.patterns import Outcome, Step
from nodes.orchestration.handover import Verdict, in_words
from nodes.orchestration.judging import check_verdict, judge, no_further, put_together, take_stock
from nodes.review.researcher import research
from nodes.review.reviewer import review
from nodes.review.writer import write

TASK = "How bicycle gears work and how to care for them"
FACTS = Step(id="facts", role="researcher", input=TASK)
TEXT = Step(id="text", role="writer", input=TASK, needs=["facts"])
LOST = Outcome(failure=Failure(path="coder", kind="ValueError", message="no code", attempt=1))
RETRY = Verdict(outcome="retry", score=4, reasons=["Too thin."], redo=["text"])


@pytest.fixture(name="drafts")
def drafts_fixture(text: Callable[[str], TextFile]) -> list[dict[str, Outcome]]:
    """The results of a first attempt and of one that mends its text."""
    findings = research(TASK, [text("gears.md")])
    first = write(TASK, findings, 350, [], "")
    second = write(TASK, findings, 350, [review(TASK, first, findings, [])], first)
    return [{"facts": Outcome(text=in_words(findings)), "text": Outcome(text=draft)} for draft in (first, second)]


def test_a_text_is_judged_by_the_findings(drafts: list[dict[str, Outcome]]) -> None:
    """A first one is to be mended, with reasons; the mended one is an answer."""
    first, second = (judge(TASK, [FACTS, TEXT], results, []) for results in drafts)
    assert (first.outcome, second.outcome) == ("retry", "accept")
    assert first.reasons
    check_verdict(first, drafts[0])


def test_what_gets_no_better_is_accepted_if_it_answers(drafts: list[dict[str, Outcome]]) -> None:
    """And says so."""
    first = judge("How gears slip", [FACTS, TEXT], drafts[0], [])
    assert first.outcome == "retry"
    again = judge("How gears slip", [FACTS, TEXT], drafts[0], [first])
    assert (again.outcome, again.reasons[0]) == ("accept", "Accepted, since it gets no better.")


def test_a_text_about_something_else_is_no_answer(drafts: list[dict[str, Outcome]]) -> None:
    """However good it is: it says nothing of the words of the task."""
    task = "Quantum chromodynamics of vineyards"
    first = judge(task, [FACTS, TEXT], drafts[1], [])
    assert first.outcome == "retry"
    assert "Quantum, chromodynamics, vineyards" in first.reasons[0]
    assert judge(task, [FACTS, TEXT], drafts[1], [first]).outcome == "give up"


def test_a_plan_whose_text_is_missing_is_no_answer() -> None:
    """The facts alone are none where a text was planned."""
    verdict = judge(TASK, [FACTS, TEXT], {"facts": Outcome(text="gears"), "text": LOST}, [])
    assert (verdict.outcome, verdict.reasons) == ("retry", ["There is no text."])


def test_other_results_are_judged_by_the_words_they_take_up() -> None:
    """For workers that rules know nothing of."""
    step = Step(id="a", role="translator", input="x")
    given = [{"a": Outcome(text=text)} for text in ("gears, chains", "no")]
    good, poor = (judge("Gears and chains", [step], results, []) for results in given)
    assert (good.outcome, good.score) == ("accept", 10)
    assert (poor.outcome, poor.score) == ("retry", 1)


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        (Verdict(outcome="retry", score=3), "reasons say nothing"),
        (Verdict(outcome="give up", score=3), "reasons say nothing"),
        (Verdict(outcome="accept", score=9, redo=["a"]), "accepted are not done again"),
        (Verdict(outcome="retry", score=3, reasons=["x"], redo=["b"]), "redo names 'b', and the steps are a"),
    ],
)
def test_a_verdict_that_cannot_be_acted_on_is_refused(verdict: Verdict, told: str) -> None:
    """With what is wrong about it."""
    with pytest.raises(ValueError, match=told):
        check_verdict(verdict, {"a": Outcome(text="x")})


def test_what_was_made_is_put_together(drafts: list[dict[str, Outcome]]) -> None:
    """The newest text, then what others made; research went into it; what is missing is told at the end."""
    more = [Step(id=role, role=role, input="x") for role in ("coder", "summarizer", "translator")]
    newer = Step(id="text_2", role="writer", input=TASK)
    results = {**drafts[0], "text_2": Outcome(text="# New\n"), "summarizer": Outcome(text="- Short.")}
    results |= {"coder": LOST, "translator": Outcome(text="Neu.")}
    assert put_together(TASK, [FACTS, TEXT, *more, newer], results) == (
        "# New\n\n## In short\n\n- Short.\n\n## translator\n\nNeu.\n\n"
        "## What could not be done\n\n- coder (coder): ValueError: no code\n"
    )


def test_without_a_text_the_results_stand_under_the_topic() -> None:
    """Each under its role."""
    assert (
        put_together("Tides.", [FACTS], {"facts": Outcome(text="A fact.")}) == "# Tides.\n\n## researcher\n\nA fact.\n"
    )


class Visit:
    """What is asked of a context."""

    def __init__(self, visit: int) -> None:
        self.visit = visit
        self.shown: list[object] = []

    def emit(self, data: object) -> None:
        self.shown.append(data)


def stock(results: dict[str, Outcome], verdicts: list[Verdict], error: Failure | None = None) -> tuple[object, object]:
    """What is kept after the second attempt, and the reasons."""
    ctx = Visit(2)
    found = take_stock(results, verdicts, ["attempt 1: no"], error, ctx)  # type: ignore[arg-type]
    assert len(ctx.shown) == 1
    return found["results"], found["reasons"]


def test_what_counts_is_kept_and_the_reasons_are_noted() -> None:
    """Not what failed, and not what the verdict wants again."""
    results = {"facts": Outcome(text="f"), "text": Outcome(text="t"), "code": LOST}
    kept, reasons = stock(results, [RETRY])
    assert isinstance(kept, Replace)
    assert kept.value == {"facts": Outcome(text="f")}
    assert reasons == ["attempt 1: no", "attempt 2: Too thin.", "attempt 2: code failed: ValueError: no code"]


def test_after_a_failure_the_verdict_of_another_attempt_does_not_count() -> None:
    """The failure is the reason, and everything that was made is kept."""
    error = Failure(path="attempt", kind="fail", message="every step failed", attempt=1)
    kept, reasons = stock({"text": Outcome(text="t")}, [RETRY], error)
    assert isinstance(kept, Replace)
    assert kept.value == {"text": Outcome(text="t")}
    assert reasons == ["attempt 1: no", "attempt 2: every step failed"]


@pytest.mark.parametrize(
    ("reasons", "verdicts", "hopeless"),
    [
        ([], [], False),
        (["attempt 1: a failed"], [], False),
        (["attempt 1: a failed", "attempt 2: a failed"], [], True),
        (["attempt 1: a failed", "attempt 1: b failed", "attempt 2: a failed"], [], False),
        (["attempt 1: no", "attempt 2: a failed", "attempt 3: a failed"], [RETRY], True),
        (["attempt 1: Too thin.", "attempt 2: Too thin."], [RETRY, RETRY], False),
    ],
)
def test_attempts_that_fail_alike_are_hopeless(reasons: list[str], verdicts: list[Verdict], *, hopeless: bool) -> None:
    """Not those that were judged: what a model finds wanting twice it may find mended the third time."""
    assert no_further(reasons, verdicts) is hopeless
