import pytest

from graphengine import TextFile
from graphengine.patterns import Outcome, Step
from graphengine.patterns.orchestrators import problems_of
from nodes.orchestration.handover import Role, Verdict
from nodes.orchestration.planning import MAX_QUESTIONS, check_plan, make_plan, questions, topic_of

ALL = [role for role in Role if role != Role.ORCHESTRATOR]
ONE = [TextFile(path="a.md", text="A.")]
DONE = Outcome(text="done")


def plan(task: str, paths: str = "a.md", workers: list[str] | None = None) -> list[Step]:
    """Return a first plan."""
    sources = [TextFile(path=path, text="A.") for path in paths.split()]
    return make_plan(task, sources, ALL if workers is None else workers, [], {}, [])


def again(before: list[Step], done: list[str], *redo: str) -> list[Step]:
    """Return the plan after one whose steps `done` have results that count."""
    verdict = Verdict(outcome="retry", score=3, reasons=["no"], redo=list(redo))
    return make_plan("How tides come", ONE, ALL, before, dict.fromkeys(done, DONE), [verdict])


def ids(steps: list[Step]) -> list[str]:
    """Return the ids in order."""
    return [step.id for step in steps]


def test_one_question_is_looked_up_written_and_reviewed() -> None:
    """Each step needs those before it."""
    steps = plan("How tides come")
    assert [(step.id, step.role, step.needs) for step in steps] == [
        ("facts_1", "researcher", []),
        ("text", "writer", ["facts_1"]),
        ("review", "reviewer", ["facts_1", "text"]),
    ]


def test_each_question_of_a_task_is_a_step_that_waits_for_nothing() -> None:
    """Sentences and list items are questions; those that only ask for a form are not."""
    task = "How do tides come?\n- What are neap tides?\n2. Who measured them first?\nEnd with a summary."
    steps = plan(task, "a.md b.md")
    assert [step.input for step in steps if step.role == Role.RESEARCHER] == [
        "How do tides come?",
        "What are neap tides?",
        "Who measured them first?",
    ]
    assert all(not step.needs for step in steps if step.role == Role.RESEARCHER)


def test_one_question_is_shared_out_over_the_sources() -> None:
    """Each step names its sources."""
    steps = plan("How tides come", "a.md b.md c.md")
    assert [step.input.splitlines()[-1] for step in steps[:3]] == [f"In these sources: {name}.md" for name in "abc"]


def test_many_sources_and_questions_are_taken_together() -> None:
    """The number of research steps is limited; nothing is left out or asked twice."""
    sources = [TextFile(path=f"{number}.md", text="A.") for number in range(10)]
    asked = questions("How tides come", sources)
    assert len(asked) == MAX_QUESTIONS
    assert all(sum(f"{number}.md" in text for text in asked) == 1 for number in range(10))
    many = questions(" ".join(f"What about tide{number}?" for number in range(9)), sources)
    assert len(many) == MAX_QUESTIONS
    assert "tide8" in many[-1]
    assert questions("What are tides? " * 50 + "What are winds?", []) == ["What are tides?", "What are winds?"]


@pytest.mark.parametrize(
    ("task", "roles"),
    [("Show code for a parser", {"coder"}), ("A short summary of tides", {"summarizer"}), ("How tides come", set())],
)
def test_code_and_a_summary_are_planned_if_requested(task: str, roles: set[str]) -> None:
    """They are recognised by the task's words, in any inflection."""
    assert {step.role for step in plan(task)} - {"researcher", "writer", "reviewer"} == roles


def test_it_plans_for_the_workers_that_there_are() -> None:
    """An unknown worker gets the task and the text; if there are only unknown ones, each gets the task."""
    assert [step.role for step in plan("How tides come", workers=["researcher"])] == ["researcher"]
    steps = plan("How tides come", workers=["researcher", "writer", "translator"])
    assert (steps[-1].role, steps[-1].input, steps[-1].needs) == ("translator", "How tides come", ["text"])
    assert [step.role for step in plan("How tides come", workers=["coder"])] == ["coder"]


@pytest.mark.parametrize(
    "task", ["?", "x", "How tides come. " * 400, "日志 怎么 恢复\uff1f", "Wie die Hefe hebt", "code", "- \n- "]
)
def test_whatever_is_asked_the_plan_is_sound(task: str) -> None:
    """This also holds after any number of attempts that were not accepted."""
    steps = plan(task, "a.md b.md")
    for _ in range(5):
        assert problems_of(steps, ALL, 24) == []
        check_plan(steps, [], {})
        done = ids(steps)
        steps = again(steps, done)
        check_plan(steps, [step for step in steps if step.id in done], dict.fromkeys(done, DONE))


def test_a_text_that_was_not_accepted_is_written_again_from_its_review() -> None:
    """It is also reviewed again; the other steps are repeated unchanged."""
    first = plan("How tides come")
    second = again(first, ids(first))
    assert second[:3] == first
    assert [(step.id, step.needs) for step in second[3:]] == [
        ("text_2", ["facts_1", "text", "review"]),
        ("review_2", ["facts_1", "review", "text_2"]),
    ]
    assert ids(again(second, ids(second)))[5:] == ["text_3", "review_3"]


def test_a_summary_is_of_the_newest_text() -> None:
    """A rewritten text is summed up again."""
    first = plan("A summary of tides")
    assert again(first, ids(first))[-1].needs == ["text_2"]


def test_what_failed_by_itself_is_left_out() -> None:
    """Rules would fail again; steps that needed it are planned without it."""
    first = plan("How do tides come? What are neap tides?")
    second = again(first, ["facts_2"])
    assert ids(second) == ["facts_2", "text", "review"]
    assert second[1].needs == ["facts_2"]


def test_what_does_not_count_any_more_is_done_again() -> None:
    """A result that no longer counts is done again, as the verdict names it."""
    first = plan("How tides come")
    assert again(first, ["text", "review"], "facts_1") == first


def test_a_plan_without_a_text_has_its_last_step_done_again() -> None:
    """It gets another id, since the first result exists."""
    first = plan("How tides come", workers=["researcher"])
    assert ids(make_plan("t", ONE, ["researcher"], first, {"facts_1": DONE}, [])) == ["facts_1", "researcher_2"]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([Step(id="a", role="r", input=" \n")], "a: its input is empty"),
        (
            [Step(id="a", role="r", input="go"), Step(id="done", role="r", input="other")],
            "done: it has a result already",
        ),
        ([Step(id="done", role="r", input="was")], "every step has a result already"),
    ],
)
def test_a_plan_by_which_nothing_sensible_is_done_is_refused(steps: list[Step], message: str) -> None:
    """The error says what to do."""
    before = [Step(id="done", role="r", input="was")]
    with pytest.raises(ValueError, match=message):
        check_plan(steps, before, {"done": DONE})
    check_plan([*before, Step(id="b", role="r", input="go")], before, {"done": DONE})


def test_a_task_is_about_its_questions() -> None:
    """Sentences about the form of the answer are left out; a task without others stays unchanged."""
    assert topic_of("How do tides come? Write a short text, and end with an example.") == "How do tides come?"
    assert topic_of("Summary, please.") == "Summary, please."
