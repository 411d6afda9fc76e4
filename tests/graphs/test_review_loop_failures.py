"""Typical failures of agent loops, each provoked here: the review loop ends with a useful result."""

import pytest

from graphengine import RunFailed, Runner, ScriptedModel
from graphengine.briefs.article import Doubts, Findings, Review
from graphengine.briefs.draft import CAVEATS_TITLE
from graphengine.briefs.researcher import research
from graphengine.briefs.reviewer import review
from graphengine.briefs.writer import write
from graphengine.errors import AnswerRefused, ContextFull, ModelUnavailable
from graphengine.models import Response
from graphengine.models.scripted import Script
from graphs.review_loop import Article, example, review_loop
from nodes.review.agents import EARLIER_REVIEWS, SHOWN_CHARACTERS, SHOWN_POINTS
from tests.graphs.review_kit import AGAINST, FOUND, GARBAGE, MOON, TIDES, judged, says
from tests.kit.review_team import cut
from tests.patterns.scripted import Played, play

GIVEN = {"task": TIDES.task, "sources": TIDES.sources}
NEVER = 11  # a threshold that no score reaches


def scored(*scores: int) -> dict[str, Script]:
    """Return a writer with numbered drafts, and a reviewer with these scores."""
    drafts = [f"# Draft {number}" for number in range(1, len(scores) + 1)]
    return says(writer=drafts, reviewer=[judged(score) for score in scores])


# -- the loop that never ends


@pytest.mark.parametrize(
    ("scores", "label", "best"),
    [
        ((2, 3, 4), "out of iterations", 3),  # always a little better, never good enough
        ((5, 5), "no longer improving", 2),  # no change: the revised draft counts
        ((6, 3), "no longer improving", 1),  # worse: the better draft counts, not the last
        ((2, 6, 4), "no longer improving", 2),
        ((1, 1), "no longer improving", 2),
    ],
)
async def test_if_the_reviewer_never_approves_the_best_draft_is_kept(
    scores: tuple[int, ...], label: str, best: int
) -> None:
    """It ends at the limit, or when the score no longer rises; the history has every score."""
    played = await play(review_loop(threshold=NEVER), GIVEN, scored(*scores))
    assert played.label == label
    assert played.result.output == f"# Draft {best}"
    assert played.state.final_score == max(scores)
    assert [review.score for review in played.state.history] == list(scores)
    assert played.calls == {"researcher": 1, "sceptic": 1, "writer": len(scores), "reviewer": len(scores)}


async def test_a_cap_far_away_is_no_loop_without_end() -> None:
    """With a hundred drafts allowed it still stops when nothing improves."""
    played = await play(review_loop(threshold=NEVER, drafts=100), GIVEN, scored(1, 2, 3, 4, 4))
    assert (played.label, len(played.state.history)) == ("no longer improving", 5)


async def test_between_equal_scores_the_points_of_the_rules_decide() -> None:
    """A measuring reviewer can distinguish two drafts of one score."""
    reviews = [judged(5).model_copy(update={"points": 58}), judged(5).model_copy(update={"points": 51})]
    played = await play(review_loop(), GIVEN, says(writer=["# Draft 1", "# Draft 2"], reviewer=reviews))
    assert played.result.output == "# Draft 1"


# -- the context that explodes

ROUNDS = 6  # of scores below 7, so that each review is as long as the others
LONG = 100  # repetitions in a text, so that it is longer than its shown part


def text(kind: str, number: int) -> str:
    """Return a long text with its kind and number, always of the same length."""
    return f"{kind} {number} " * LONG


async def rounds() -> Played[Article]:
    """Run six rounds of long drafts and long reviews, each a little better."""
    reviews = [
        Review(
            score=number,
            approved=number >= 7,
            issues=[text("issue", number)] * (SHOWN_POINTS + 4),
            suggestions=[text("wish", number)] * (SHOWN_POINTS + 4),
        )
        for number in range(1, ROUNDS + 1)
    ]
    drafts = [f"{text('draft', number)}.\n\n{MOON.text} [tides.md:{MOON.line}]" for number in range(1, ROUNDS + 1)]
    loop = review_loop(threshold=NEVER, drafts=ROUNDS)
    return await play(loop, GIVEN, says(writer=drafts, reviewer=reviews))


async def test_the_writer_sees_the_last_draft_and_review_and_none_before() -> None:
    """Its question is as long in the sixth round as in the second."""
    questions = (await rounds()).asked("writer")
    assert len({len(question) for question in questions[1:]}) == 1
    for number, question in enumerate(questions, start=1):
        for other in range(1, ROUNDS + 1):
            assert (f"draft {other} " in question) == (other == number - 1)
            assert (f"issue {other} " in question) == (other == number - 1)


async def test_the_reviewer_sees_earlier_reviews_cut_short_and_no_earlier_draft() -> None:
    """From the fourth round on its question does not grow."""
    questions = (await rounds()).asked("reviewer")
    sizes = [len(question) for question in questions]
    assert sizes[:4] == sorted(set(sizes[:4]))
    assert len(set(sizes[EARLIER_REVIEWS:])) == 1
    assert sizes[-1] - sizes[0] < EARLIER_REVIEWS * 2 * SHOWN_POINTS * (SHOWN_CHARACTERS + 40)
    for number, question in enumerate(questions, start=1):
        for other in range(1, ROUNDS + 1):
            assert (f"draft {other} " in question) == (other == number)
            assert (f"issue {other} " in question) == (number - EARLIER_REVIEWS <= other < number)


async def test_the_researchers_see_task_and_sources_alone() -> None:
    """Each is called once, however many rounds there are."""
    played = await rounds()
    for name in ("researcher", "sceptic"):
        (question,) = played.asked(name)
        assert "draft" not in question
        assert TIDES.sources[0].text.splitlines()[2] in question


# -- the failure that is passed on


async def test_garbage_is_sent_back_with_what_is_wrong_about_it() -> None:
    """A researcher that corrects its answer costs one more call, and no later agent sees the garbage."""
    played = await play(review_loop(), GIVEN, says(researcher=[GARBAGE, FOUND]))
    assert played.calls["researcher"] == 2
    assert "cannot be used" in played.asked("researcher")[1]
    assert played.state.errors == []
    assert all("Certainly!" not in question for name in ("writer", "reviewer") for question in played.asked(name))


async def test_what_the_sceptic_invents_goes_back_to_it() -> None:
    """The error names a plausible limit that is in no source, and it is not in the findings."""
    made_up = Doubts(limits=[AGAINST.limits[0].model_copy(update={"text": "A tide table is never printed."})])
    played = await play(review_loop(), GIVEN, says(sceptic=[made_up, AGAINST]))
    assert "is nowhere in 'tides.md'" in played.asked("sceptic")[1]
    assert played.state.doubts == AGAINST


async def test_persistent_garbage_leaves_typed_empty_findings() -> None:
    """If both sides fail, the run fails with its own label, before a writer costs anything."""
    script = {"researcher": [GARBAGE] * 3, "sceptic": [GARBAGE] * 3}
    with pytest.raises(RunFailed, match="nothing found") as failed:
        await play(review_loop(), GIVEN, script)
    state = failed.value.result.state
    assert state.findings == Findings(notes=state.findings.notes)
    assert state.doubts == Doubts()
    assert state.article.startswith(f"# {TIDES.task}\n\n> **Warning:** there is no brief")
    assert "doubt gave no usable result (bad_answer)" in state.article
    assert [error.kind for error in state.errors] == ["bad_answer", "bad_answer"]


async def test_sources_that_no_model_can_hold_fail_the_run() -> None:
    """The label and the result say so: this is not the same as sources without content."""
    full = ContextFull("209,000 tokens")
    with pytest.raises(RunFailed, match="sources too long") as failed:
        await play(review_loop(), GIVEN, {"researcher": [full], "sceptic": [full]})
    assert "research gave no usable result (context_full): 209,000 tokens" in str(failed.value.result.output)


@pytest.mark.parametrize("agent", ["researcher", "sceptic"])
@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (ContextFull("too long"), "context_full"),
        (AnswerRefused("no"), "answer_refused"),
        (Response("{", stop="cut", output_tokens=9), "answer_cut"),
    ],
)
async def test_without_a_researcher_nothing_is_approved(agent: str, bad: object, kind: str) -> None:
    """However good the score is, the label says that the research is incomplete, and the result warns of it."""
    script = says(writer=["# One", "# Two"], reviewer=[judged(5), judged(9)], **{agent: [bad]})
    played = await play(review_loop(), GIVEN, script)
    assert (played.label, played.state.final_score) == ("incomplete research", 9)
    assert f"gave no usable result ({kind})" in played.state.article
    assert played.state.article.startswith("# Two\n\n> **Warning:**")


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        ([GARBAGE] * 3, "bad_answer"),
        ([AnswerRefused("no")], "answer_refused"),
        ([Response("{", stop="cut", output_tokens=9)], "answer_cut"),
        (["NOT APPROVED"] * 3, "bad_answer"),
    ],
)
async def test_a_reviewer_that_fails_leaves_the_draft_accepted_unreviewed(bad: list[object], kind: str) -> None:
    """The draft is the result, without a score, and the failure is kept."""
    played = await play(review_loop(), GIVEN, says(reviewer=bad))
    assert (played.label, played.result.output, played.state.final_score) == ("accepted unreviewed", "# Tides", None)
    assert [(error.path, error.kind) for error in played.state.errors] == [("review", kind)]


async def test_an_unreviewed_revision_has_no_score() -> None:
    """The reviewer fails in the second round: the revision is accepted, unreviewed."""
    script = says(writer=["# One", "# Two"], reviewer=[judged(5), *[GARBAGE] * 3])
    played = await play(review_loop(), GIVEN, script)
    assert (played.label, played.result.output, played.state.final_score) == ("accepted unreviewed", "# Two", None)


async def test_a_writer_that_fails_at_a_revision_leaves_the_draft_before() -> None:
    """It refuses in the second round: the first draft is the result, with its score."""
    script = says(writer=["# One", AnswerRefused("enough")], reviewer=[judged(5)])
    played = await play(review_loop(), GIVEN, script)
    assert (played.label, played.result.output, played.state.final_score) == ("revision failed", "# One", 5)


async def test_a_writer_that_fails_at_once_fails_the_run_which_can_be_resumed() -> None:
    """There is no result; the findings are kept, and only the writer is called again."""
    script = says(writer=[AnswerRefused("no"), "# Tides"])
    with ScriptedModel(script) as model:
        async with Runner(models={"*": model}) as runner:
            with pytest.raises(RunFailed):
                await runner.start(review_loop(), GIVEN, run_id="r").result()
            result = await runner.resume(review_loop(), "r").result()
    assert result.output == "# Tides"


@pytest.mark.parametrize("agent", ["researcher", "sceptic", "writer", "reviewer"])
async def test_a_model_that_cannot_be_asked_fails_the_run_and_hides_nothing(agent: str) -> None:
    """A missing key is not an agent's failure: the run stops there, and a resume calls only that agent."""
    answer = {"researcher": FOUND, "sceptic": AGAINST, "writer": "# Tides", "reviewer": judged(8)}[agent]
    with ScriptedModel(says(**{agent: [ModelUnavailable("no key"), answer]})) as model:
        async with Runner(models={"*": model}) as runner:
            with pytest.raises(RunFailed, match="no key"):
                await runner.start(review_loop(), GIVEN, run_id="r").result()
            result = await runner.resume(review_loop(), "r").result()
    assert result.output == "# Tides"
    assert result.state.errors == []


# -- the disagreement without end


async def test_the_reviewer_reads_its_earlier_points_and_their_fixes() -> None:
    """It need not raise a point again; its own verdict on that is typed."""
    first = judged(4, "The wind is missing.", "The title is dull.")
    second = judged(6, "The title is dull.", mended=["The wind is missing."])
    script = says(writer=["# One", "# Two", "# Three"], reviewer=[first, second, judged(8)])
    played = await play(review_loop(), GIVEN, script)
    questions = played.asked("reviewer")
    assert "The wind is missing." not in questions[0]
    assert "The wind is missing." in questions[1]
    assert '"mended": [\n      "The wind is missing."' in questions[2]
    instructions = next(request for request in played.model.requests if request.agent == "reviewer").system
    assert "Do not raise again what has been fixed" in instructions


async def test_a_point_cannot_be_fixed_and_raised_in_one_review() -> None:
    """Such a review goes back to the reviewer."""
    torn = judged(6, "The wind is missing!", mended=["the wind is missing"])
    played = await play(review_loop(), GIVEN, says(reviewer=[torn, judged(8)]))
    assert played.label == "approved"
    assert "it belongs in one of them" in played.asked("reviewer")[1]


async def test_a_reviewer_that_only_rewords_its_points_ends_the_loop() -> None:
    """The writer revises, the reviewer rewords, the score stays: the second such round is the last."""
    words = [judged(5, "Too vague."), judged(5, "Lacks precision."), judged(5, "Not concrete enough.")]
    script = says(writer=["# One", "# Two"], reviewer=words[:2])
    played = await play(review_loop(), GIVEN, script)
    assert (played.label, played.result.output) == ("no longer improving", "# Two")


def test_the_reviewer_by_rules_marks_repeated_and_fixed_points() -> None:
    """The reviewer by rules compares its remarks item by item with its earlier ones."""
    task = f"{example().task}, and penguins"
    findings = research(task, example().sources)
    poor = cut(write(task, findings, 350, [], ""))
    first = review(task, poor, findings, [])
    second = review(task, write(task, findings, 350, [first], poor), findings, [first])
    again = [issue for issue in second.issues if issue.endswith("(as before).")]
    assert "The task's word \u201cpenguins\u201d is not used (as before)." in again
    assert all(issue.removesuffix(" (as before).") + "." in first.issues for issue in again)
    assert "the task's word \u201ccrash\u201d is not used" in second.mended
    assert not any("crash" in issue for issue in second.issues)


async def test_without_facts_a_brief_of_doubts_is_marked_as_such() -> None:
    """The area is labelled, and no other area is invented."""
    played = await play(review_loop(), GIVEN, says(researcher=[GARBAGE] * 3))
    assert played.state.findings.key_areas == [CAVEATS_TITLE]
    assert played.state.findings.sources == ["tides.md"]


async def test_a_brief_of_invented_citations_is_never_reviewed() -> None:
    """Nine hundred words that cite a missing file go back, and fail the run if they come again."""
    invented = "# Tides\n\n## Brest\n\n" + "".join(
        f"In the year {1800 + year} the harbour of Brest counted its tides once more [brest.md:{year}].\n"
        for year in range(1, 75)
    )
    with pytest.raises(RunFailed, match=r"there is no finding at brest\.md:1") as caught:
        await play(review_loop(), GIVEN, {**says(writer=[invented] * 3), "reviewer": [judged(9)]})
    assert caught.value.result.state.history == []
    played = await play(review_loop(), GIVEN, says(writer=[invented, "# Tides"]))
    assert played.label == "approved"
    assert "there is no finding at brest.md:1" in played.asked("writer")[1]
