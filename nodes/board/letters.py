"""Letters between agents: events for whoever has subscribed to them, and messages to one agent.

An agent has one inbox. What it says of an event goes into the inbox of each subscriber, a message into that of the one
it is for. A letter carries what it tells, so that an agent needs to see nothing of another's desk.
"""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from nodes.review.article import Findings, Review

CLOSED = "closed"  # the event that everybody hears, and ends with
MOST_DRAFTS = 3  # more are not worth their price


class Letter(BaseModel):
    """Something that happened, told by an agent.

    Args:
        event: what happened, as `draft_ready`.
        sender: who tells it.
        to: whom it is for; "" for all who have subscribed to the event.
        findings, draft, review: what is enclosed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: str
    sender: str = ""
    to: str = ""
    findings: Findings | None = None
    draft: str = ""
    review: Review | None = None

    def enclosed(self) -> dict[str, object]:
        """What is enclosed, by the fields of a desk that it belongs on."""
        found = {"findings": self.findings, "draft": self.draft or None, "history": self.review}
        return {name: value for name, value in found.items() if value is not None}


def inboxes(letter: Letter, subscribers: Mapping[str, Sequence[str]]) -> list[str]:
    """Whose inboxes a letter goes to.

    Args:
        letter: the letter.
        subscribers: by event, who wants to hear of it.
    """
    return [letter.to] if letter.to else list(subscribers.get(letter.event, ()))


def found(findings: Findings, event: str) -> Letter:
    """What a researcher tells: its findings; `closed` where there are none, so that nobody writes from nothing.

    Args:
        findings: what it found.
        event: what it calls that.
    """
    return Letter(event=event, findings=findings) if findings.key_areas else Letter(event=CLOSED)


def verdict(history: Sequence[Review]) -> Letter:
    """What a reviewer tells: `closed`, or to the writer alone that there is something to mend.

    Args:
        history: its reviews, oldest first. One that approves ends the work, as does one that is no better than an
            earlier one, or one of many.
    """
    *before, last = history
    stuck = bool(before) and last.score <= max(review.score for review in before)
    if last.approved or stuck or len(history) >= MOST_DRAFTS:
        return Letter(event=CLOSED)
    return Letter(event="please_mend", to="writer", review=last)
