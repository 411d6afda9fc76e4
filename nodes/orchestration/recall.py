"""Recall: what each worker did in earlier runs that has to do with a task.

The database of runs is the memory: what workers were asked and gave is recorded there anyway. Of the finished runs that
`Context.runs` finds, `remembered` takes for each role the steps whose words cover most of the task.
"""

from collections.abc import Sequence

from pydantic import BaseModel, ValidationError

from graphengine import PastRun
from graphengine.patterns import Outcome, Step
from nodes.orchestration.handover import Memory, Role, Verdict
from nodes.text.words import share_within, stems, subject_words

MOST = 3  # memories of one role: more would crowd out the task
LEAST_RELEVANCE = 0.3  # with fewer of the task's words in common it is about something else
MAX_CHARACTERS = 600  # of an outcome; enough to know it again


class _Past(BaseModel):
    """What is looked at of an earlier run's state."""

    task: str
    plan: list[Step] = []
    results: dict[str, Outcome] = {}
    verdicts: list[Verdict] = []


LOOKED_AT = tuple(_Past.model_fields)  # the fields of a run's state that `Context.runs` has to find


def remembered(task: str, runs: Sequence[PastRun]) -> dict[str, list[Memory]]:
    """Return for each role what it did on the like, most relevant first, and of equals the newest.

    Args:
        task: what is asked now.
        runs: earlier runs, the newest first; those whose state is of another form are left out.
    """
    wanted = stems(" ".join(subject_words(task)))
    found: dict[str, list[Memory]] = {}
    for run in runs:
        try:
            past = _Past.model_validate(run.state)
        except ValidationError:
            continue
        for role, step, outcome in _deeds(past):
            share = round(share_within(wanted, stems(f"{past.task} {step} {outcome}")), 2)
            if share >= LEAST_RELEVANCE:
                cut = outcome if len(outcome) <= MAX_CHARACTERS else outcome[: MAX_CHARACTERS - 1] + "\u2026"
                memory = Memory(run_id=run.run_id, job=past.task, step=step, outcome=cut, relevance=share)
                found.setdefault(role, []).append(memory)
    return {role: sorted(deeds, key=lambda one: -one.relevance)[:MOST] for role, deeds in found.items()}


def _deeds(past: _Past) -> list[tuple[str, str, str]]:
    """Return what was done in a run: by which role, what it was asked, what came of it."""
    plan = "; ".join(f"{step.id}: {step.role}" for step in past.plan)
    judged = [f"{verdict.outcome}: {' '.join(verdict.reasons)}".strip(": ") for verdict in past.verdicts]
    done = [
        (step.role, step.input, past.results[step.id].text)
        for step in past.plan
        if step.id in past.results and past.results[step.id].failure is None
    ]
    return [(Role.ORCHESTRATOR, f"plan: {plan}", "; ".join(judged)), *done]
