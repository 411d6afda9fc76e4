"""The data that an orchestrator and its workers pass to each other: roles, messages, memories, and a verdict.

Plans are lists of `graphengine.patterns.Step`, results are `graphengine.patterns.Outcome`s by the ids of their steps;
an outcome's text is a worker's text, or the JSON of its result. All of it can be stored, resumed and read by a person.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from graphengine.agents.prompts import as_text
from graphengine.briefs.article import Findings, Review
from graphengine.briefs.draft import parse
from graphengine.patterns import Outcome, Step

T = TypeVar("T", bound=BaseModel)


class Role(StrEnum):
    """The roles. A worker with another name is one more entry in a mapping of workers, and changes none of these."""

    ORCHESTRATOR = "orchestrator"
    RESEARCHER = "researcher"
    CODER = "coder"
    WRITER = "writer"
    REVIEWER = "reviewer"
    SUMMARIZER = "summarizer"
    ANALYST = "analyst"
    FACT_CHECKER = "fact_checker"
    SEO = "seo"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TeamMessage(_Frozen):
    """A message from one member of the team to another.

    Args:
        id: The name by which other messages refer to it.
        sender: A Role, or the name of a custom worker.
        receiver: Like the sender.
        attempt: The attempt at the task, from 1.
        step: The step of the plan that it is about.
        content: The message; empty if the work failed.
        parents: The ids of the messages that it answers or builds on.
        failed: Why there is no content; otherwise "".
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
    """A worker's work in an earlier run.

    Args:
        run_id: The run.
        job: The task of that run.
        step: The worker's task in it.
        outcome: Its outcome, shortened if it is long.
        relevance: How much of the present task its words cover, 0 to 1.
    """

    run_id: str
    job: str
    step: str
    outcome: str
    relevance: float = Field(ge=0, le=1)


class Verdict(_Frozen):
    """Whether the results of an attempt answer the task.

    Args:
        outcome: `accept` them, `retry` with another plan, or `give up`, because no plan for these workers would help.
        score: From 1, useless, to 10, nothing to fix.
        reasons: What is missing or wrong, a sentence each; or the flaws of an accepted attempt.
        redo: The ids of steps whose results no longer count.
    """

    outcome: Literal["accept", "retry", "give up"]
    score: int = Field(ge=1, le=10)
    reasons: list[str] = []
    redo: list[str] = []


def messages_of(
    plan: Sequence[Step], results: Mapping[str, Outcome], known: Sequence[TeamMessage]
) -> list[TeamMessage]:
    """Return the messages of an attempt: what each step was asked, and its outcome.

    Args:
        plan: The steps of the attempt.
        results: Their outcomes, and those of kept steps of earlier attempts.
        known: The messages so far; the outcome of a kept step is not repeated.
    """
    attempt = 1 + max((each.attempt for each in known), default=0)
    answers = {each.step: each.id for each in known if each.receiver == Role.ORCHESTRATOR and not each.failed}
    found: list[TeamMessage] = []
    for step in plan:
        if step.id in answers or step.id not in results:
            continue
        asked = TeamMessage(
            id=f"{attempt}/{step.id}",
            sender=Role.ORCHESTRATOR,
            receiver=step.role,
            attempt=attempt,
            step=step.id,
            content=step.input,
            parents=[answers[need] for need in step.needs if need in answers],
        )
        answer = TeamMessage(
            id=f"{asked.id}/done",
            sender=step.role,
            receiver=Role.ORCHESTRATOR,
            attempt=attempt,
            step=step.id,
            content=results[step.id].text,
            parents=[asked.id],
            failed=why_failed(results[step.id]),
        )
        answers[step.id] = answer.id
        found += [asked, answer]
    return found


def why_failed(outcome: Outcome) -> str:
    """Return why there is no result, or "" if there is one."""
    return f"{outcome.failure.kind}: {outcome.failure.message}" if outcome.failure is not None else ""


def in_words(result: object) -> str:
    """Return a worker's result as text: a text unchanged, anything else as JSON."""
    return as_text(result)


def findings_in(texts: Iterable[str]) -> list[Findings]:
    """Return the findings among some results."""
    return [found for text in texts if (found := _read(Findings, text)) is not None]


def reviews_in(texts: Iterable[str]) -> list[Review]:
    """Return the reviews among some results."""
    return [found for text in texts if (found := _read(Review, text)) is not None]


def drafts_in(texts: Iterable[str]) -> list[str]:
    """Return the texts with a title among some results."""
    return [text for text in texts if parse(text).title]


def _read(form: type[T], text: str) -> T | None:
    try:
        return form.model_validate_json(text) if text.startswith("{") else None
    except ValidationError:
        return None
