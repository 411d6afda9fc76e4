"""Recall: the work of each role in earlier runs that is relevant to a task.

The database of runs is the memory: the tasks and results of all workers are recorded there anyway. From the finished
runs that `Context.runs` finds, `remembered` takes for each role the steps whose words cover most of the task.
"""

from collections.abc import Sequence

from pydantic import BaseModel, ValidationError

from graphengine import PastRun
from graphengine.briefs.text.words import share_within, stems, subject_words
from graphengine.patterns import Outcome, Step
from nodes.orchestration.handover import Memory, Role, Verdict

MOST = 3  # memories per role; more would crowd out the task
LEAST_RELEVANCE = 0.3  # with a smaller share of the task's words it is about something else
MAX_CHARACTERS = 600  # of an outcome; enough to recognise it


class _Past(BaseModel):
    """The fields that are read of an earlier run's state."""

    task: str
    plan: list[Step] = []
    results: dict[str, Outcome] = {}
    verdicts: list[Verdict] = []


LOOKED_AT = tuple(_Past.model_fields)  # the fields to request from `Context.runs`


def remembered(task: str, runs: Sequence[PastRun]) -> dict[str, list[Memory]]:
    """Return similar work of each role, the most relevant first, and among equals the newest.

    Args:
        task: The present task.
        runs: Earlier runs, the newest first; runs with a state of another form are skipped.
    """
    wanted = stems(" ".join(subject_words(task)))
    found: dict[str, list[Memory]] = {}
    for run in runs:
        try:
            past = _Past.model_validate(run.state)
        except ValidationError:
            continue
        for role, step, outcome in _work_of(past):
            share = round(share_within(wanted, stems(f"{past.task} {step} {outcome}")), 2)
            if share >= LEAST_RELEVANCE:
                cut = outcome if len(outcome) <= MAX_CHARACTERS else outcome[: MAX_CHARACTERS - 1] + "\u2026"
                memory = Memory(run_id=run.run_id, job=past.task, step=step, outcome=cut, relevance=share)
                found.setdefault(role, []).append(memory)
    return {role: sorted(memories, key=lambda one: -one.relevance)[:MOST] for role, memories in found.items()}


def _work_of(past: _Past) -> list[tuple[str, str, str]]:
    """Return the work of a run: for each piece the role, its task and its outcome."""
    plan = "; ".join(f"{step.id}: {step.role}" for step in past.plan)
    judged = [f"{verdict.outcome}: {' '.join(verdict.reasons)}".strip(": ") for verdict in past.verdicts]
    done = [
        (step.role, step.input, past.results[step.id].text)
        for step in past.plan
        if step.id in past.results and past.results[step.id].failure is None
    ]
    return [(Role.ORCHESTRATOR, f"plan: {plan}", "; ".join(judged)), *done]
