"""Judging results by rules: whether they answer a task, and putting together what does."""

from collections.abc import Mapping, Sequence

from graphengine import Context, Failure, Replace
from graphengine.patterns import Outcome, Step
from nodes.orchestration.handover import Role, Verdict, findings_in, why_failed
from nodes.orchestration.planning import topic_of
from nodes.review import rubric
from nodes.review.merging import merged
from nodes.review.reviewer import review
from nodes.text.words import share_within, stems, subject_words

MIN_SHARE = 0.5  # of the words of a task that have to be taken up, and of the claims that have to be supported
MAX_REASONS = 5  # who plans again acts on the first ones


def judge(task: str, plan: Sequence[Step], results: Mapping[str, Outcome], verdicts: Sequence[Verdict]) -> Verdict:
    """Say whether some results answer a task.

    A text is judged by the findings, as the review loop does it, other results by the words of the task that they take
    up. What says nothing of most of the task is no answer, however good a text it is. What is no better than the
    attempt before it is accepted if it answers in the main, and given up if not.

    Args:
        task: what was asked.
        plan: the steps, in order.
        results: what came of each.
        verdicts: those on the attempts before.
    """
    score, answers, reasons = _measured(task, plan, results)
    if score >= rubric.APPROVED_FROM and answers:
        return Verdict(outcome="accept", score=score)
    stuck = bool(verdicts) and score <= verdicts[-1].score
    if stuck and answers:
        return Verdict(outcome="accept", score=score, reasons=["Accepted, since it gets no better.", *reasons])
    return Verdict(outcome="give up" if stuck else "retry", score=score, reasons=reasons)


def check_verdict(verdict: Verdict, results: Mapping[str, Outcome]) -> None:
    """See that a verdict can be acted on.

    Raises:
        ValueError: it gives no reason, or would have steps done again that there are not.
    """
    problems: list[str] = []
    if verdict.outcome != "accept" and not verdict.reasons:
        problems.append(f"the outcome is {verdict.outcome!r}, but reasons say nothing: say what is missing or wrong")
    if verdict.outcome == "accept" and verdict.redo:
        problems.append("results that are accepted are not done again: leave redo empty, or say 'retry'")
    problems += [
        f"redo names {id_!r}, and the steps are {', '.join(results)}" for id_ in verdict.redo if id_ not in results
    ]
    if problems:
        raise ValueError("; ".join(problems))


def take_stock(
    results: dict[str, Outcome], verdicts: list[Verdict], reasons: list[str], error: Failure | None, ctx: Context
) -> dict[str, object]:
    """After an attempt that is no answer: keep the results that count, and note why it is none.

    Args:
        results: what came of all steps so far.
        verdicts: those on the attempts; the last one is of this attempt unless that failed.
        reasons: why the attempts before were none.
        error: how the attempt failed, or its judging; None where it was judged.
        ctx: which attempt it is, as the visit.

    Returns:
        The fields `results` and `reasons`.
    """
    judged = error is None and any(not why_failed(one) for one in results.values())
    last = verdicts[-1] if verdicts and judged else None
    lost = [f"{id_} failed: {why}" for id_, one in results.items() if (why := why_failed(one))]
    told = [*(last.reasons if last else []), *([error.message] if error else []), *lost]
    ctx.emit(f"attempt {ctx.visit} is no answer: {' '.join(told)}")
    kept = {id_: one for id_, one in results.items() if not why_failed(one) and not (last and id_ in last.redo)}
    return {"results": Replace(kept), "reasons": [*reasons, *(f"attempt {ctx.visit}: {each}" for each in told)]}


def no_further(reasons: list[str], verdicts: list[Verdict]) -> bool:
    """Return whether the last two attempts failed for the very same reasons, before they could be judged.

    The planner knew those of the first of the two: another attempt would come to the same.

    Args:
        reasons: why each attempt was no answer, as `take_stock` writes them.
        verdicts: those on the attempts; the reasons of an attempt that was judged begin with its verdict's.
    """
    by_attempt: dict[str, list[str]] = {}
    for reason in reasons:
        attempt, _, told = reason.partition(": ")
        by_attempt.setdefault(attempt, []).append(told)
    attempts = list(by_attempt.values())
    last, said = attempts[-1] if attempts else [], verdicts[-1].reasons if verdicts else []
    judged = bool(said) and last[: len(said)] == said
    return not judged and len(attempts) > 1 and last == attempts[-2]


def put_together(task: str, plan: Sequence[Step], results: Mapping[str, Outcome]) -> str:
    """Return one text of what the steps gave: the newest of each kind, and last what could not be done.

    Research and reviews are no part of it where there is a text; they went into that.
    """
    done = {step.role: step for step in plan if step.id in results and not why_failed(results[step.id])}
    inner = {Role.RESEARCHER, Role.REVIEWER, Role.WRITER} if Role.WRITER in done else set[Role]()
    text = results[done[Role.WRITER].id].text.rstrip() if inner else f"# {topic_of(task)}"
    parts = [text, *(f"## {_title(role)}\n\n{results[s.id].text}" for role, s in done.items() if role not in inner)]
    lost = [
        f"- {step.id} ({step.role}): {why_failed(results[step.id])}"
        for step in plan
        if step.id in results and why_failed(results[step.id])
    ]
    return "\n\n".join([*parts, *(["## What could not be done\n\n" + "\n".join(lost)] if lost else [])]) + "\n"


def _title(role: str) -> str:
    return {Role.CODER: "Code", Role.SUMMARIZER: "In short"}.get(Role(role), role) if role in set(Role) else role


def _measured(task: str, plan: Sequence[Step], results: Mapping[str, Outcome]) -> tuple[int, bool, list[str]]:
    """Return a score, whether that is an answer in the main, and what is missing."""
    texts = {step.id: results[step.id].text for step in plan if step.id in results and not why_failed(results[step.id])}
    written = [texts[step.id] for step in plan if step.id in texts and step.role == Role.WRITER]
    topic = topic_of(task)
    if written:
        said = review(topic, written[-1], merged(findings_in(texts.values())), [])
        figures, words = said.measures, said.remarks.missed_task_words
        unsaid = [f"Of the task, nothing is said of {', '.join(words)}."] if words else []
        enough = figures.claims > 0 and min(figures.supported, figures.task_coverage) >= MIN_SHARE
        return said.score, enough, [*unsaid, *said.issues][:MAX_REASONS]
    if any(step.role == Role.WRITER for step in plan):
        return 1, False, ["There is no text."]
    share = share_within(stems(" ".join(subject_words(topic))), stems(" ".join(texts.values())))
    return max(1, round(10 * share)), share >= MIN_SHARE, [f"The results take up {share:.0%} of the words of the task."]
