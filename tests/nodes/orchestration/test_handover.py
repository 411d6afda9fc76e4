from graphengine import Failure
from graphengine.briefs.article import Findings, Review
from graphengine.patterns import Outcome, Step
from nodes.orchestration.handover import drafts_in, findings_in, in_words, messages_of, reviews_in

A = Step(id="a", role="researcher", input="Look.")
B = Step(id="b", role="writer", input="Write.", needs=["a"])
LOST = Outcome(failure=Failure(path="x", kind="ValueError", message="no ink", attempt=1))


def test_an_assignment_goes_back_to_the_results_it_needs() -> None:
    """An assignment refers to the results it needs, and a result to its assignment; a failure has its reason."""
    first = messages_of([A, B], {"a": Outcome(text="facts"), "b": LOST}, [])
    assert [(one.id, one.sender, one.receiver, one.content, one.parents, one.failed) for one in first] == [
        ("1/a", "orchestrator", "researcher", "Look.", [], ""),
        ("1/a/done", "researcher", "orchestrator", "facts", ["1/a"], ""),
        ("1/b", "orchestrator", "writer", "Write.", ["1/a/done"], ""),
        ("1/b/done", "writer", "orchestrator", "", ["1/b"], "ValueError: no ink"),
    ]


def test_a_further_attempt_adds_what_is_new() -> None:
    """Kept results are not repeated, failed steps are; ids can have any characters."""
    odd = Step(id="c/d", role="writer", input="More.", needs=["a", "b"])
    results = {"a": Outcome(text="facts"), "b": Outcome(text="text"), "c/d": Outcome(text="more")}
    first = messages_of([A, B], {**results, "b": LOST}, [])
    second = messages_of([A, B, odd], results, first)
    assert [one.id for one in second] == ["2/b", "2/b/done", "2/c/d", "2/c/d/done"]
    assert second[2].parents == ["1/a/done", "2/b/done"]


def test_a_step_that_was_not_done_has_no_result() -> None:
    """A step that was not done has no result."""
    assert messages_of([A], {}, []) == []


def test_results_are_distinguished_by_their_type() -> None:
    """Findings, reviews, and texts with a title are distinguished by type; other texts are none of these."""
    review = Review(score=3, approved=False)
    texts = [in_words(Findings(key_areas=["x"])), in_words(review), "# Tides\n\nA text.", "a remark", "{", "[]", ""]
    assert findings_in(texts) == [Findings(key_areas=["x"])]
    assert reviews_in(texts) == [review]
    assert drafts_in(texts) == ["# Tides\n\nA text."]
