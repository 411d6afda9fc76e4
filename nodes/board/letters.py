"""Letters between agents: events for all subscribers, and messages to one agent.

Each agent has one inbox. A letter about an event goes into the inbox of each subscriber, a message into the inbox of
its recipient. A letter carries its data, so that no agent needs to see the state of another.
"""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from graphengine.briefs.article import Findings, Review

CLOSED = "closed"  # the event that everyone gets, and that ends their work
MOST_DRAFTS = 3  # more do not improve enough for their price


class Letter(BaseModel):
    """An event or a message from an agent.

    Args:
        event: What happened, for example `draft_ready`.
        sender: The agent that sends it.
        to: The recipient; "" for all subscribers of the event.
        findings, draft, review: The enclosed data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: str
    sender: str = ""
    to: str = ""
    findings: Findings | None = None
    draft: str = ""
    review: Review | None = None

    def enclosed(self) -> dict[str, object]:
        """Return the enclosed data, by the field of the receiving agent's state."""
        found = {"findings": self.findings, "draft": self.draft or None, "history": self.review}
        return {name: value for name, value in found.items() if value is not None}


def inboxes(letter: Letter, subscribers: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the inboxes that a letter goes to.

    Args:
        letter: The letter.
        subscribers: The subscribers of each event.
    """
    return [letter.to] if letter.to else list(subscribers.get(letter.event, ()))


def found(findings: Findings, event: str) -> Letter:
    """Return a researcher's letter: its findings, or `closed` if there are none, so that the writer does not start.

    Args:
        findings: Its findings.
        event: The event of its letter.
    """
    return Letter(event=event, findings=findings) if findings.key_areas else Letter(event=CLOSED)


def verdict(history: Sequence[Review]) -> Letter:
    """Return a reviewer's letter: `closed`, or a request to the writer alone to revise the draft.

    Args:
        history: Its reviews, oldest first. The work ends with a review that approves, with one that is no better than
            an earlier one, or after MOST_DRAFTS.
    """
    *before, last = history
    stuck = bool(before) and last.score <= max(review.score for review in before)
    if last.approved or stuck or len(history) >= MOST_DRAFTS:
        return Letter(event=CLOSED)
    return Letter(event="please_mend", to="writer", review=last)
