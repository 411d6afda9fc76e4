"""The agents that lead an orchestrator's workers: one plans, one validates the results, one makes an answer of them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, WithJsonSchema

from graphengine import Agent, Replace, Settings, TextFile
from graphengine.agents import DATA_NOTE, bare_markdown, block, labelled
from graphengine.patterns import Outcome, Step
from nodes.citing import best, check_brief, marked
from nodes.orchestration.workers import DUTIES, findings_in


class Verdict(BaseModel):
    """Whether results answer a task; if not, what is missing or wrong, and the ids of steps that must be done again."""

    outcome: Literal["accept", "retry", "give up"]
    reasons: list[str] = []
    redo: list[str] = []


def texts_of(results: Mapping[str, Outcome]) -> dict[str, str]:
    """Return the texts of the steps that succeeded."""
    return {id_: one.text for id_, one in results.items() if one.failure is None}


def kept(result: Verdict, results: Mapping[str, Outcome]) -> Replace[dict[str, Outcome]]:
    """Return the results that count from now on; once they are accepted, failures too, which the answer names."""
    is_over = result.outcome == "accept"
    return Replace({id_: one for id_, one in results.items() if is_over or not (one.failure or id_ in result.redo)})


def accepted(plan: Sequence[Step], results: Mapping[str, Outcome]) -> str:
    """Return the text that was accepted: the last one of a writer, or else of any step."""
    done = [step for step in plan if step.id in texts_of(results)]
    return results[([step for step in done if step.role == "writer"] or done)[-1].id].text


def ask_planner(  # noqa: PLR0913 - what a planner can use
    task: str,
    sources: Sequence[TextFile],
    workers: Sequence[str],
    plan: Sequence[Step],
    results: Mapping[str, Outcome],
    verdicts: Sequence[Verdict],
) -> str:
    """Return the planner's question: task, workers and sources; after an attempt what it gave and what was wrong."""
    duties = "\n".join(f"- {name}: {DUTIES.get(name, 'does what its name says')}" for name in workers)
    parts = [block("task", task), f"Workers:\n{duties}"]
    parts += [f"Sources: {', '.join(source.path for source in sources)}"] if sources else []
    if verdicts:
        done = "\n".join(f"- {step.id} ({step.role}): {step.input}" for step in plan if step.id in results)
        parts += [block("steps_with_a_result", done), block("what_was_wrong", "\n".join(verdicts[-1].reasons))]
    return "\n\n".join([*parts, "Plan this."])


def ask_about_results(task: str, plan: Sequence[Step], results: Mapping[str, Outcome]) -> str:
    """Return the question about results: the task, the steps, and the text of each or the reason why it failed."""
    texts = texts_of(results)
    steps = "\n".join(f"- {each.id} ({each.role}): {each.input}" for each in plan)
    failed = "\n".join(f"- {id_}: {one.failure.message}" for id_, one in results.items() if one.failure)
    return labelled({"task": task, "steps": steps, **texts} | ({"failed_steps": failed} if failed else {}))


def check_verdict(verdict: Verdict, results: Mapping[str, Outcome]) -> None:
    """Check that a verdict can be acted on.

    Raises:
        ValueError: It accepts nothing, or gives no reason.
    """
    if verdict.outcome == "accept" and not texts_of(results):
        message = "every step failed, so there is nothing to accept"
        raise ValueError(message)
    if verdict.outcome != "accept" and not verdict.reasons:
        message = f"the outcome is {verdict.outcome!r} without reasons: say what is missing or wrong"
        raise ValueError(message)


def check_answer(answer: str, results: Mapping[str, Outcome]) -> None:
    """Check that an answer is a text that cites what was found, or at least has a title if nothing was.

    Raises:
        ValueError: It is not.
    """
    check_brief(answer, findings_in(texts_of(results).values()))


def answer_of(result: str, results: Mapping[str, Outcome], word_budget: int) -> str:
    """Return an answer with notes on its faults; it may be twice as long as a writer's text."""
    return marked(result, findings_in(texts_of(results).values()), 2 * word_budget)


def planner_of(workers: Sequence[str]) -> Agent[list[Step]]:
    """Return a planner that can give steps to these workers alone."""
    step: Any = Step.model_json_schema()
    step["properties"]["role"]["enum"] = list(workers)
    return Agent(
        "planner",
        system=(
            "You lead a team. You break a task down into steps for its workers, and do none of them yourself.\n"
            "- A step has an `id` of its own (letters, digits, _), the `role` of a worker, an `input` that tells in "
            "plain words what to do, and `needs`: the ids of earlier steps whose results it works with. A worker sees "
            "the task, its input and these results, and nothing else.\n"
            "- Steps that do not need each other are done at the same time. Plan no more of them than the task needs.\n"
            "- Steps with a result are not done again: repeat them unchanged, so that others can need them, and add "
            "what is missing as steps with new ids.\n" + DATA_NOTE
        ),
        prompt=ask_planner,
        output=list[Annotated[Step, WithJsonSchema(step)]],
        settings=Settings(max_tokens=4_096),
    )


validator = Agent(
    "validator",
    system=(
        "You say whether the results of a team answer the task they were asked.\n"
        "- `outcome`: `accept` if they do, `retry` if another plan could mend what is missing or wrong, `give up` if "
        "these workers and sources never can. A refusal, or a remark on the task, is no result.\n"
        "- `reasons`: each thing that is missing or wrong, for the next plan.\n"
        "- `redo`: the ids of steps whose results are wrong and must not be used.\n" + DATA_NOTE
    ),
    prompt=ask_about_results,
    output=Verdict,
    check=check_verdict,
    settings=Settings(max_tokens=2_048),
)

synthesiser = Agent(
    "synthesiser",
    system=(
        "You make one answer of what the steps of a team gave: Markdown with a title after #. Keep what they state and "
        "the places that they cite, as [file:line]; say nothing that none of them says. Say at the end what could not "
        "be done and why, if anything. Answer with the text alone.\n" + DATA_NOTE
    ),
    prompt=ask_about_results,
    guards=[bare_markdown],
    check=check_answer,
    best_effort=best,
    on_cut="keep",
    settings=Settings(max_tokens=8_192),
)
