"""Planning by rules: which worker does what, from the words of a task and its sources.

Each question of the task is a research step; if it asks only one thing, each source is. These steps need nothing, so
they run in parallel. A text is written from their findings, then reviewed. Code, a summary, an analysis of figures, a
check of the facts and a listing for search engines are planned if the task asks for them. After an attempt that was not
accepted, results are kept, steps without a result are planned again without those that failed before them, and a text
that its review does not approve is written again.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from graphengine import TextFile
from graphengine.briefs.text.sentences import split
from graphengine.briefs.text.words import stems, subject_words
from graphengine.patterns import Outcome, Step
from nodes.orchestration.handover import Role, Verdict

MAX_QUESTIONS = 4  # more research steps repeat each other

_CODE = frozenset(stems("code snippet script program command query"))
_SUMMARY = frozenset(stems("summary summarise summarize abstract conclusion tldr"))
_ANALYSIS = frozenset(stems("calculate compute percentage analyse analyze"))
_CHECKING = frozenset(stems("verify factcheck fact-check"))
_SEARCH = frozenset(["seo"])
_OTHER_FORMS = frozenset(stems("example text add end finish finally begin short sentence paragraph"))
_FORM = _CODE | _SUMMARY | _ANALYSIS | _CHECKING | _SEARCH | _OTHER_FORMS
_BULLET = re.compile(r"^\s*(?:[-*+\u2022]|\d+[.)])\s+")


def make_plan(  # noqa: PLR0913 - all that a planner can use
    task: str,
    sources: Sequence[TextFile],
    workers: Sequence[str],
    plan: Sequence[Step],
    results: Mapping[str, Outcome],
    verdicts: Sequence[Verdict],
) -> list[Step]:
    """Plan a task for some workers.

    Args:
        task: The task.
        sources: The texts to work from.
        workers: The names of the workers; those without a Role get the task unchanged.
        plan: The last attempt's plan; empty before the first.
        results: The results of that plan that still count.
        verdicts: The verdicts on the previous attempts.
    """
    return _again(plan, results, verdicts[-1].redo if verdicts else []) if plan else _first(task, sources, workers)


def check_plan(steps: Sequence[Step], plan: Sequence[Step], results: Mapping[str, Outcome]) -> None:
    """Check that every step says what to do, that at least one is new, and that finished steps are unchanged.

    `orchestrator_workers` checks the workers, the needs, cycles and the length.

    Args:
        steps: The new plan.
        plan: The plan before it.
        results: The results of that one that still count.

    Raises:
        ValueError: A check fails.
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
    """Return the subject of a task, without its sentences that only ask for a form ("End with a summary.")."""
    return " ".join(_subjects(task)) or task


def questions(task: str, sources: Sequence[TextFile]) -> list[str]:
    """Return the questions of a task, or if it has only one, that question for each source.

    Args:
        task: The task.
        sources: The texts to search; a question names its sources by their paths.
    """
    asked = _subjects(task)
    if len(asked) > 1:
        return _at_most(asked)
    paths = [source.path for source in sources]
    if len(paths) < 2:  # noqa: PLR2004 - nothing to split
        return [task]
    return [f"{topic_of(task)}\nIn these sources: {paths}" for paths in _at_most(paths, ", ")]


def _subjects(task: str) -> list[str]:
    parts = [part for line in task.splitlines() for _, part in split(_BULLET.sub("", line))]
    return [part for part in dict.fromkeys(parts) if not frozenset(stems(" ".join(subject_words(part)))) <= _FORM]


def _at_most(items: Sequence[str], joint: str = " ") -> list[str]:
    """Split items into at most MAX_QUESTIONS groups of almost equal size, in order."""
    count = min(MAX_QUESTIONS, len(items))
    edges = [len(items) * number // count for number in range(count + 1)]
    return [joint.join(items[start:end]) for start, end in pairwise(edges)]


def _first(task: str, sources: Sequence[TextFile], workers: Sequence[str]) -> list[Step]:
    steps: list[Step] = []
    words = frozenset(stems(task))

    def add(role: str, id_: str, text: str, needs: Sequence[str]) -> list[str]:
        """Add a step if there is a worker for it; return the ids that it adds."""
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
    checked = [*facts, *text]
    for wanted, role, id_, instruction, needs in (
        (_ANALYSIS, Role.ANALYST, "analysis", task, facts),
        (_CHECKING, Role.FACT_CHECKER, "check", "Check each claim of the text.", checked),
        (_SEARCH, Role.SEO, "seo", "Give the text a title, a description and tags.", checked),
        (_SUMMARY, Role.SUMMARIZER, "summary", "Sum up what was found.", text or facts),
    ):
        if words & wanted:
            add(role, id_, instruction, needs)
    for name in workers:
        if name not in set(Role):
            add(name, name, task, text or facts)
    return steps or [Step(id=role, role=role, input=task) for role in workers]


def _again(plan: Sequence[Step], results: Mapping[str, Outcome], redo: Sequence[str]) -> list[Step]:
    """Keep steps with a result and plan the others again; if there are none, have the last work done again."""
    hopeless = {step.id for step in plan if step.id not in {*results, *redo} and not step.needs}  # on their own
    steps = [
        step if step.id in results else step.model_copy(update={"needs": [n for n in step.needs if n not in hopeless]})
        for step in plan
        if step.id not in hopeless
    ]
    if any(step.id not in results for step in steps):
        return steps
    if not steps:
        message = "every step failed on its own, and the rules have no other plan for the task"
        raise ValueError(message)
    by_role = {step.role: step for step in steps}  # the last one of each role
    facts = [step.id for step in steps if step.role == Role.RESEARCHER]
    text, review, summary = (by_role.get(role) for role in (Role.WRITER, Role.REVIEWER, Role.SUMMARIZER))
    last = text or steps[-1]
    number = 1 + sum(step.role == last.role for step in steps)
    if text is None:
        return [*steps, last.model_copy(update={"id": f"{last.role}_{number}"})]
    before = [step.id for step in (text, review) if step is not None]
    new, instruction = f"text_{number}", "Write the text again, and fix what its review asks for."
    steps.append(Step(id=new, role=Role.WRITER, input=instruction, needs=[*facts, *before]))
    if review is not None:
        needs = [*facts, review.id, new]
        steps.append(Step(id=f"review_{number}", role=Role.REVIEWER, input=review.input, needs=needs))
    if summary is not None:
        steps.append(summary.model_copy(update={"id": f"summary_{number}", "needs": [new]}))
    return steps
