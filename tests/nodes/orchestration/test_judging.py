from collections.abc import Callable

import pytest

from graphengine import Failure, Replace, TextFile
from graphengine.briefs.researcher import research
from graphengine.briefs.reviewer import review
from graphengine.briefs.writer import write
from graphengine.patterns import Outcome, Step
from nodes.orchestration.handover import Verdict, in_words
from nodes.orchestration.judging import check_verdict, judge, no_further, put_together, take_stock
from tests.kit.review_team import cut

TASK = "How bicycle gears work and how to care for them"
FACTS = Step(id="facts", role="researcher", input=TASK)
TEXT = Step(id="text", role="writer", input=TASK, needs=["facts"])
LOST = Outcome(failure=Failure(path="coder", kind="ValueError", message="no code", attempt=1))
RETRY = Verdict(outcome="retry", score=4, reasons=["Too thin."], redo=["text"])


@pytest.fixture(name="drafts")
def drafts_fixture(text: Callable[[str], TextFile]) -> list[dict[str, Outcome]]:
    """Return the results of a first attempt, and of one that revises its text."""
    findings = research(TASK, [text("gears.md")])
    first = cut(write(TASK, findings, 350, [], ""))
    second = write(TASK, findings, 350, [review(TASK, first, findings, [])], first)
    return [{"facts": Outcome(text=in_words(findings)), "text": Outcome(text=draft)} for draft in (first, second)]


def test_a_text_is_judged_by_the_findings(drafts: list[dict[str, Outcome]]) -> None:
    """The first text needs a revision, with reasons; the revised one is an answer."""
    first, second = (judge(TASK, [FACTS, TEXT], results, []) for results in drafts)
    assert (first.outcome, second.outcome) == ("retry", "accept")
    assert first.reasons
    check_verdict(first, drafts[0])


def test_what_gets_no_better_is_accepted_if_it_answers(drafts: list[dict[str, Outcome]]) -> None:
    """A result that gets no better is accepted if it answers, and the verdict says so."""
    first = judge("How gears slip", [FACTS, TEXT], drafts[0], [])
    assert first.outcome == "retry"
    again = judge("How gears slip", [FACTS, TEXT], drafts[0], [first])
    assert (again.outcome, again.reasons[0]) == ("accept", "Accepted, since it gets no better.")


def test_a_text_about_something_else_is_no_answer(drafts: list[dict[str, Outcome]]) -> None:
    """However good the text is, it has none of the task's words."""
    task = "Quantum chromodynamics of vineyards"
    first = judge(task, [FACTS, TEXT], drafts[1], [])
    assert first.outcome == "retry"
    assert "Quantum, chromodynamics, vineyards" in first.reasons[0]
    assert judge(task, [FACTS, TEXT], drafts[1], [first]).outcome == "give up"


def test_a_plan_whose_text_is_missing_is_no_answer() -> None:
    """Facts alone are not an answer if a text was planned."""
    verdict = judge(TASK, [FACTS, TEXT], {"facts": Outcome(text="gears"), "text": LOST}, [])
    assert (verdict.outcome, verdict.reasons) == ("retry", ["There is no text."])


def test_other_results_are_judged_by_the_words_they_take_up() -> None:
    """This is for workers without rules of their own."""
    step = Step(id="a", role="translator", input="x")
    given = [{"a": Outcome(text=text)} for text in ("gears, chains", "no")]
    good, poor = (judge("Gears and chains", [step], results, []) for results in given)
    assert (good.outcome, good.score) == ("accept", 10)
    assert (poor.outcome, poor.score) == ("retry", 1)


@pytest.mark.parametrize(
    ("verdict", "message"),
    [
        (Verdict(outcome="retry", score=3), "there are no reasons"),
        (Verdict(outcome="give up", score=3), "there are no reasons"),
        (Verdict(outcome="accept", score=9, redo=["a"]), "accepted are not done again"),
        (Verdict(outcome="retry", score=3, reasons=["x"], redo=["b"]), "redo names 'b', but the steps are a"),
    ],
)
def test_a_verdict_that_cannot_be_acted_on_is_refused(verdict: Verdict, message: str) -> None:
    """The error says what is wrong."""
    with pytest.raises(ValueError, match=message):
        check_verdict(verdict, {"a": Outcome(text="x")})


def test_what_was_made_is_put_together(drafts: list[dict[str, Outcome]]) -> None:
    """The newest text comes first, then other results; research is left out, and missing parts are listed last."""
    more = [Step(id=role, role=role, input="x") for role in ("coder", "summarizer", "translator")]
    newer = Step(id="text_2", role="writer", input=TASK)
    results = {**drafts[0], "text_2": Outcome(text="# New\n"), "summarizer": Outcome(text="- Short.")}
    results |= {"coder": LOST, "translator": Outcome(text="Neu.")}
    assert put_together(TASK, [FACTS, TEXT, *more, newer], results) == (
        "# New\n\n## In short\n\n- Short.\n\n## translator\n\nNeu.\n\n"
        "## What could not be done\n\n- coder (coder): ValueError: no code\n"
    )


def test_without_a_text_the_results_are_under_the_topic() -> None:
    """Each result is under its role."""
    assert (
        put_together("Tides.", [FACTS], {"facts": Outcome(text="A fact.")}) == "# Tides.\n\n## researcher\n\nA fact.\n"
    )


class Visit:
    """The parts of a context that are used."""

    def __init__(self, visit: int) -> None:
        self.visit = visit
        self.shown: list[object] = []

    def emit(self, data: object) -> None:
        self.shown.append(data)


def stock(results: dict[str, Outcome], verdicts: list[Verdict], error: Failure | None = None) -> tuple[object, object]:
    """Return the kept results and the reasons after the second attempt."""
    ctx = Visit(2)
    found = take_stock(results, verdicts, ["attempt 1: no"], error, ctx)  # type: ignore[arg-type]
    assert len(ctx.shown) == 1
    return found["results"], found["reasons"]


def test_what_counts_is_kept_and_the_reasons_are_noted() -> None:
    """Failed results are dropped, and those that the verdict wants to redo."""
    results = {"facts": Outcome(text="f"), "text": Outcome(text="t"), "code": LOST}
    kept, reasons = stock(results, [RETRY])
    assert isinstance(kept, Replace)
    assert kept.value == {"facts": Outcome(text="f")}
    assert reasons == ["attempt 1: no", "attempt 2: Too thin.", "attempt 2: code failed: ValueError: no code"]


def test_after_a_failure_the_verdict_of_another_attempt_does_not_count() -> None:
    """The failure is the reason, and all results are kept."""
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
    """Unjudged attempts that fail alike are hopeless; judged ones are not, since a later attempt can fix the fault."""
    assert no_further(reasons, verdicts) is hopeless
