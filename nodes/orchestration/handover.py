"""What an orchestrator and its workers hand to each other: roles, messages, memories, and a verdict.

Plans are lists of `graphengine.patterns.Step`, results are `graphengine.patterns.Outcome`s by the ids of their steps;
an outcome's text is what a worker said, or the JSON of what it gave. All of it can be stored, resumed and read by a
person.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from graphengine.graph.templates import as_text
from graphengine.patterns import Outcome, Step
from nodes.review.article import Findings, Review
from nodes.review.draft import parse

T = TypeVar("T", bound=BaseModel)


class Role(StrEnum):
    """Who there is. A worker of another name is one more entry in a mapping of workers, and changes none of these."""

    ORCHESTRATOR = "orchestrator"
    RESEARCHER = "researcher"
    CODER = "coder"
    WRITER = "writer"
    REVIEWER = "reviewer"
    SUMMARIZER = "summarizer"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TeamMessage(_Frozen):
    """Something that one of the team told another.

    Args:
        id: what other messages call it.
        sender: a Role, or the name of a worker of the caller's own.
        receiver: as the sender.
        attempt: in which attempt at the task, from 1.
        step: the step of the plan that it is about.
        content: what was said; empty where the work failed.
        parents: the ids of the messages that it goes back to.
        failed: why there is no content; "" where there is.
    """

    id: str
    sender: str
    receiver: str
    attempt: int = Field(ge=1)
    step: str
    content: str = ""
    parents: list[str] = []
    failed: str = ""


class Memory(_Frozen):
    """Something that a worker did in an earlier run.

    Args:
        run_id: the run.
        job: what that run was asked.
        step: what the worker was asked in it.
        outcome: what came of that, cut where it is long.
        relevance: how much of the present task its words cover, 0 to 1.
    """

    run_id: str
    job: str
    step: str
    outcome: str
    relevance: float = Field(ge=0, le=1)


class Verdict(_Frozen):
    """Whether the results of an attempt answer the task.

    Args:
        outcome: `accept` them, `retry` with another plan, or `give up`, since no plan for these workers would help.
        score: from 1, of no use, to 10, nothing to mend.
        reasons: what is missing or wrong, a sentence each; or what was accepted all the same.
        redo: the ids of steps whose results do not count any more.
    """

    outcome: Literal["accept", "retry", "give up"]
    score: int = Field(ge=1, le=10)
    reasons: list[str] = []
    redo: list[str] = []


def messages_of(
    plan: Sequence[Step], results: Mapping[str, Outcome], known: Sequence[TeamMessage]
) -> list[TeamMessage]:
    """Return what was said in an attempt: what each step was asked, and what came of it.

    Args:
        plan: the steps of the attempt.
        results: what came of them, and of those of earlier attempts that were kept.
        known: the messages so far; what came of a kept step is not said again.
    """
    attempt = 1 + max((each.attempt for each in known), default=0)
    came_of = {each.step: each.id for each in known if each.receiver == Role.ORCHESTRATOR and not each.failed}
    found: list[TeamMessage] = []
    for step in plan:
        if step.id in came_of or step.id not in results:
            continue
        asked = TeamMessage(
            id=f"{attempt}/{step.id}",
            sender=Role.ORCHESTRATOR,
            receiver=step.role,
            attempt=attempt,
            step=step.id,
            content=step.input,
            parents=[came_of[need] for need in step.needs if need in came_of],
        )
        came = TeamMessage(
            id=f"{asked.id}/done",
            sender=step.role,
            receiver=Role.ORCHESTRATOR,
            attempt=attempt,
            step=step.id,
            content=results[step.id].text,
            parents=[asked.id],
            failed=why_failed(results[step.id]),
        )
        came_of[step.id] = came.id
        found += [asked, came]
    return found


def why_failed(outcome: Outcome) -> str:
    """Return why there is no result, "" where there is one."""
    return f"{outcome.failure.kind}: {outcome.failure.message}" if outcome.failure is not None else ""


def in_words(result: object) -> str:
    """Return what a worker gave as text: a text as it is, anything else as JSON."""
    return as_text(result)


def findings_in(texts: Iterable[str]) -> list[Findings]:
    """Return those of some results that are findings."""
    return [found for text in texts if (found := _read(Findings, text)) is not None]


def reviews_in(texts: Iterable[str]) -> list[Review]:
    """Return those of some results that are reviews."""
    return [found for text in texts if (found := _read(Review, text)) is not None]


def drafts_in(texts: Iterable[str]) -> list[str]:
    """Return those of some results that are texts with a title."""
    return [text for text in texts if parse(text).title]


def _read(form: type[T], text: str) -> T | None:
    try:
        return form.model_validate_json(text) if text.startswith("{") else None
    except ValidationError:
        return None
