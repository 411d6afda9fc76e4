import pytest

from graphengine.briefs.article import Findings, Review
from nodes.board.letters import CLOSED, MOST_DRAFTS, Letter, inboxes, verdict

SUBSCRIBERS = {"draft_ready": ["reviewer", "archive"]}


def review(score: int, *, approved: bool = False) -> Review:
    """Return a review."""
    return Review(score=score, approved=approved)


def test_an_event_goes_to_all_who_subscribed() -> None:
    """They are in the order of subscription."""
    assert inboxes(Letter(event="draft_ready"), SUBSCRIBERS) == ["reviewer", "archive"]


def test_an_event_without_subscribers_goes_nowhere() -> None:
    """The sender need not know."""
    assert inboxes(Letter(event="sun_rose"), SUBSCRIBERS) == []


def test_a_message_goes_to_the_one_it_is_for() -> None:
    """Subscribers to its event do not get it."""
    assert inboxes(Letter(event="draft_ready", to="writer"), SUBSCRIBERS) == ["writer"]


def test_only_what_is_enclosed_comes_on_the_desk() -> None:
    """A letter without a draft keeps the present draft."""
    assert Letter(event="closed").enclosed() == {}
    full = Letter(event="x", findings=Findings(notes=["n"]), draft="d", review=review(3))
    assert full.enclosed() == {"findings": Findings(notes=["n"]), "draft": "d", "history": review(3)}


def test_a_review_that_wants_more_is_a_message_to_the_writer() -> None:
    """A review that wants more is a message to the writer that has the review."""
    assert verdict([review(4)]) == Letter(event="please_mend", to="writer", review=review(4))
    assert verdict([review(4), review(5)]).to == "writer"


@pytest.mark.parametrize(
    "history",
    [
        [review(8, approved=True)],
        [review(4), review(4)],
        [review(4), review(3)],
        [review(score) for score in range(1, MOST_DRAFTS + 1)],
    ],
    ids=["approved", "no better", "worse", "often enough"],
)
def test_the_last_review_ends_the_run_for_all_agents(history: list[Review]) -> None:
    """It is an event for all."""
    assert verdict(history) == Letter(event=CLOSED)
