"""Planning by rules: which worker does what, from the words of a task and the sources that there are.

A question of the task, or a source where the task asks only one thing, is a research step of its own; these wait for
nothing, so they run side by side. A text is written from what they find, then reviewed. Code and a summary are planned
where the task asks for them. After an attempt that was not accepted, what has a result is kept, what could not be done
is planned without what failed before it, and a text that its review does not approve is written again.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from graphengine import TextFile
from graphengine.patterns import Outcome, Step
from nodes.orchestration.handover import Role, Verdict
from nodes.text.sentences import split
from nodes.text.words import stems, subject_words

MAX_QUESTIONS = 4  # more research steps than this repeat each other

_CODE = frozenset(stems("code snippet script program command query"))
_SUMMARY = frozenset(stems("summary summarise summarize abstract conclusion tldr"))
_FORM = _CODE | _SUMMARY | frozenset(stems("example text add end finish finally begin short sentence paragraph"))
_BULLET = re.compile(r"^\s*(?:[-*+\u2022]|\d+[.)])\s+")


def make_plan(  # noqa: PLR0913 - what a planner can know
    task: str,
    sources: Sequence[TextFile],
    workers: Sequence[str],
    plan: Sequence[Step],
    results: Mapping[str, Outcome],
    verdicts: Sequence[Verdict],
) -> list[Step]:
    """Plan a task for some workers.

    Args:
        task: what was asked.
        sources: the texts to work from.
        workers: the names of the workers that there are; those that are no Role get the task as it is.
        plan: the last attempt's plan, empty before the first.
        results: what of that still counts.
        verdicts: what was said of the attempts before.
    """
    return _again(plan, results, verdicts[-1].redo if verdicts else []) if plan else _first(task, sources, workers)


def check_plan(steps: Sequence[Step], plan: Sequence[Step], results: Mapping[str, Outcome]) -> None:
    """See that every step says what to do, that there is something new, and that what was done stays what it was.

    Which workers there are, what needs what, circles and length are looked at by `orchestrator_workers`.

    Args:
        steps: the plan that was made.
        plan: the one before it.
        results: what of that one still counts.

    Raises:
        ValueError: something is not so.
    """
    before = {step.id: step for step in plan}
    problems = [
        f"{step.id}: its input is empty, so it does not say what to do" for step in steps if not step.input.strip()
    ]
    problems += [
        f"{step.id}: it has a result already, so repeat it unchanged, or give the new step another id"
        for step in steps
        if step.id in results and before.get(step.id) != step
    ]
    if steps and all(step.id in results for step in steps):
        problems.append("every step has a result already, so nothing would be done: add what is missing")
    if problems:
        raise ValueError("; ".join(problems))


def topic_of(task: str) -> str:
    """Return what a task is about, without its sentences that only ask for a form ("End with a summary.")."""
    return " ".join(_subjects(task)) or task


def questions(task: str, sources: Sequence[TextFile]) -> list[str]:
    """Return what is to be found out: each question of a task, or where it has one only, that of each source.

    Args:
        task: what was asked.
        sources: the texts to look in; a question names the sources that it is for by their paths.
    """
    asked = _subjects(task)
    if len(asked) > 1:
        return _at_most(asked)
    paths = [source.path for source in sources]
    if len(paths) < 2:  # noqa: PLR2004 - nothing to share out
        return [task]
    return [f"{topic_of(task)}\nIn these sources: {paths}" for paths in _at_most(paths, ", ")]


def _subjects(task: str) -> list[str]:
    parts = [part for line in task.splitlines() for _, part in split(_BULLET.sub("", line))]
    return [part for part in dict.fromkeys(parts) if not frozenset(stems(" ".join(subject_words(part)))) <= _FORM]


def _at_most(items: Sequence[str], joint: str = " ") -> list[str]:
    """Return so many shares of some items as there may be questions, as equal as can be, in order."""
    count = min(MAX_QUESTIONS, len(items))
    edges = [len(items) * number // count for number in range(count + 1)]
    return [joint.join(items[start:end]) for start, end in pairwise(edges)]


def _first(task: str, sources: Sequence[TextFile], workers: Sequence[str]) -> list[Step]:
    steps: list[Step] = []
    words = frozenset(stems(task))

    def add(role: str, id_: str, text: str, needs: Sequence[str]) -> list[str]:
        """Add a step if there is somebody to do it; return the ids that it adds."""
        if role not in workers:
            return []
        steps.append(Step(id=id_, role=role, input=text, needs=list(needs)))
        return [id_]

    facts = [
        id_
        for number, question in enumerate(questions(task, sources), start=1)
        for id_ in add(Role.RESEARCHER, f"facts_{number}", question, [])
    ]
    if words & _CODE:
        add(Role.CODER, "code", task, [])
    text = add(Role.WRITER, "text", f"Write the text on this: {topic_of(task)}", facts)
    if text:
        add(Role.REVIEWER, "review", "Review the text.", [*facts, *text])
    if words & _SUMMARY:
        add(Role.SUMMARIZER, "summary", "Sum up what was found.", text or facts)
    for role in workers:
        if role not in set(Role):
            add(role, role, task, text or facts)
    return steps or [Step(id=role, role=role, input=task) for role in workers]


def _again(plan: Sequence[Step], results: Mapping[str, Outcome], redo: Sequence[str]) -> list[Step]:
    """Keep what has a result and plan anew what has none; where that is nothing, have the last work done again."""
    hopeless = {step.id for step in plan if step.id not in {*results, *redo} and not step.needs}  # it failed by itself
    steps = [
        step if step.id in results else step.model_copy(update={"needs": [n for n in step.needs if n not in hopeless]})
        for step in plan
        if step.id not in hopeless
    ]
    if any(step.id not in results for step in steps):
        return steps
    if not steps:
        message = "every step failed by itself, and rules know no other way to do the task"
        raise ValueError(message)
    by_role = {step.role: step for step in steps}  # the last one of each role
    facts = [step.id for step in steps if step.role == Role.RESEARCHER]
    text, review, summary = (by_role.get(role) for role in (Role.WRITER, Role.REVIEWER, Role.SUMMARIZER))
    last = text or steps[-1]
    number = 1 + sum(step.role == last.role for step in steps)
    if text is None:
        return [*steps, last.model_copy(update={"id": f"{last.role}_{number}"})]
    before = [step.id for step in (text, review) if step is not None]
    new, told = f"text_{number}", "Write the text again, and mend what its review asks for."
    steps.append(Step(id=new, role=Role.WRITER, input=told, needs=[*facts, *before]))
    if review is not None:
        needs = [*facts, review.id, new]
        steps.append(Step(id=f"review_{number}", role=Role.REVIEWER, input=review.input, needs=needs))
    if summary is not None:
        steps.append(summary.model_copy(update={"id": f"summary_{number}", "needs": [new]}))
    return steps
