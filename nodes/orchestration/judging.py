"""Judging results by rules: whether they answer a task; and combining those that do."""

from collections.abc import Mapping, Sequence

from graphengine import Context, Failure, Replace
from graphengine.briefs import rubric
from graphengine.briefs.merging import merged
from graphengine.briefs.reviewer import review
from graphengine.briefs.text.words import share_within, stems, subject_words
from graphengine.patterns import Outcome, Step
from nodes.orchestration.handover import Role, Verdict, findings_in, why_failed
from nodes.orchestration.planning import topic_of

MIN_SHARE = 0.5  # of the task's words have to be covered, and of the claims supported
MAX_REASONS = 5  # the planner acts on the first ones


def judge(task: str, plan: Sequence[Step], results: Mapping[str, Outcome], verdicts: Sequence[Verdict]) -> Verdict:
    """Return whether some results answer a task.

    A text is judged by the findings, as in the review loop; other results by the words of the task that they cover. A
    result that says nothing on most of the task is not an answer, however good a text it is. If the score is no better
    than that of the previous attempt, the results are accepted if they mainly answer the task, and given up otherwise.

    Args:
        task: The task.
        plan: The steps, in order.
        results: The outcome of each step.
        verdicts: The verdicts on the previous attempts.
    """
    score, answers, reasons = _measured(task, plan, results)
    if score >= rubric.APPROVED_FROM and answers:
        return Verdict(outcome="accept", score=score)
    stuck = bool(verdicts) and score <= verdicts[-1].score
    if stuck and answers:
        return Verdict(outcome="accept", score=score, reasons=["Accepted, since it gets no better.", *reasons])
    return Verdict(outcome="give up" if stuck else "retry", score=score, reasons=reasons)


def check_verdict(verdict: Verdict, results: Mapping[str, Outcome]) -> None:
    """Check that a verdict can be acted on.

    Raises:
        ValueError: It gives no reason, or wants to redo steps that do not exist.
    """
    problems: list[str] = []
    if verdict.outcome != "accept" and not verdict.reasons:
        problems.append(f"the outcome is {verdict.outcome!r}, but there are no reasons: say what is missing or wrong")
    if verdict.outcome == "accept" and verdict.redo:
        problems.append("results that are accepted are not done again: leave redo empty, or say 'retry'")
    problems += [
        f"redo names {id_!r}, but the steps are {', '.join(results)}" for id_ in verdict.redo if id_ not in results
    ]
    if problems:
        raise ValueError("; ".join(problems))


def take_stock(
    results: dict[str, Outcome], verdicts: list[Verdict], reasons: list[str], error: Failure | None, ctx: Context
) -> dict[str, object]:
    """Keep the results that count after an attempt that is not accepted, and record the reasons.

    Args:
        results: The outcomes of all steps so far.
        verdicts: The verdicts on the attempts; the last one is on this attempt unless that failed.
        reasons: The reasons of the previous attempts.
        error: The failure of the attempt or its judging; None if it was judged.
        ctx: The number of its visit is the number of the attempt.

    Returns:
        The fields `results` and `reasons`.
    """
    judged = error is None and any(not why_failed(one) for one in results.values())
    last = verdicts[-1] if verdicts and judged else None
    lost = [f"{id_} failed: {why}" for id_, one in results.items() if (why := why_failed(one))]
    why_not = [*(last.reasons if last else []), *([error.message] if error else []), *lost]
    ctx.emit(f"attempt {ctx.visit} is not an answer: {' '.join(why_not)}")
    kept = {id_: one for id_, one in results.items() if not why_failed(one) and not (last and id_ in last.redo)}
    return {"results": Replace(kept), "reasons": [*reasons, *(f"attempt {ctx.visit}: {each}" for each in why_not)]}


def no_further(reasons: list[str], verdicts: list[Verdict]) -> bool:
    """Return whether the last two attempts failed for exactly the same reasons, before they could be judged.

    The planner knew the reasons of the first one: another attempt would end in the same way.

    Args:
        reasons: Why each attempt was not accepted, as `take_stock` writes them.
        verdicts: The verdicts on the attempts; the reasons of a judged attempt begin with those of its verdict.
    """
    by_attempt: dict[str, list[str]] = {}
    for reason in reasons:
        attempt, _, reason_text = reason.partition(": ")
        by_attempt.setdefault(attempt, []).append(reason_text)
    attempts = list(by_attempt.values())
    last, verdict_reasons = attempts[-1] if attempts else [], verdicts[-1].reasons if verdicts else []
    judged = bool(verdict_reasons) and last[: len(verdict_reasons)] == verdict_reasons
    return not judged and len(attempts) > 1 and last == attempts[-2]


def put_together(task: str, plan: Sequence[Step], results: Mapping[str, Outcome]) -> str:
    """Return one text from the results: the newest of each kind, and at the end what could not be done.

    If there is a written text, research and reviews are left out, since they went into it.
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
    titles = {
        Role.CODER: "Code",
        Role.SUMMARIZER: "In short",
        Role.ANALYST: "Figures",
        Role.FACT_CHECKER: "Facts checked",
        Role.SEO: "For search engines",
    }
    return titles.get(Role(role), role) if role in set(Role) else role


def _measured(task: str, plan: Sequence[Step], results: Mapping[str, Outcome]) -> tuple[int, bool, list[str]]:
    """Return a score, whether the results mainly answer the task, and what is missing."""
    texts = {step.id: results[step.id].text for step in plan if step.id in results and not why_failed(results[step.id])}
    written = [texts[step.id] for step in plan if step.id in texts and step.role == Role.WRITER]
    topic = topic_of(task)
    if written:
        judged = review(topic, written[-1], merged(findings_in(texts.values())), [])
        figures, words = judged.measures, judged.remarks.missed_task_words
        missing = [f"Of the task, nothing is said of {', '.join(words)}."] if words else []
        enough = figures.claims > 0 and min(figures.supported, figures.task_coverage) >= MIN_SHARE
        return judged.score, enough, [*missing, *judged.issues][:MAX_REASONS]
    if any(step.role == Role.WRITER for step in plan):
        return 1, False, ["There is no text."]
    share = share_within(stems(" ".join(subject_words(topic))), stems(" ".join(texts.values())))
    return max(1, round(10 * share)), share >= MIN_SHARE, [f"The results take up {share:.0%} of the words of the task."]
