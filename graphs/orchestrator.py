"""Plan a task, have workers do the steps in parallel, judge the results, and plan again until they are an answer.

`graphengine run orchestrator --model anthropic` runs it on an example; `--input task=…` and `--input sources=@file.md`
on your own, without sources on the web or what the model knows. Without a model it is a dry run: placeholders
answer. `graphs/line.py` has the same workers in a fixed order.

An invalid plan goes back to the planner with its problems. A step that fails does not stop the others. Results that do
not answer the task are planned again, with the reasons; those that count are kept. If the synthesis fails, the accepted
text is the answer as it is.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from graphengine import END, FAIL, START, Failure, Graph, Retry, Runnable, TextFile, failed, iterations, value
from graphengine.models.errors import ModelNotReady, ModelTransient
from graphengine.patterns import Job, orchestrator_workers
from graphengine.reducers import append
from nodes.citing import sample
from nodes.orchestration.agents import Verdict, accepted, answer_of, kept, planner_of, synthesiser, validator
from nodes.orchestration.workers import WORKERS

ATTEMPTS = 5  # at planning and doing the work, before the run fails
MOST_STEPS = 24  # of a plan, including steps of earlier attempts that still count

OPUS, SOL = "anthropic:claude-opus-5-5", "openai:gpt-6.1-sol"
MODELS = {  # strong models plan and synthesise, cheap ones work and judge
    "default": {"*": "placeholder"},
    "anthropic": {"*": "anthropic:claude-haiku-5-5", "planner": OPUS, "synthesiser": OPUS},
    "openai": {"*": "openai:gpt-5-mini", "planner": SOL, "synthesiser": SOL},
}


class Assignment(Job):
    """The state: a `Job` (task, plan, results, output) with what workers read besides, and the verdicts."""

    task: str = Field(min_length=1, pattern=r"\S")
    sources: list[TextFile] = Field(default=[])  # empty: what a model finds on the web, or knows
    word_budget: int = Field(default=1200, ge=100)
    verdicts: Annotated[list[Verdict], append] = Field(default=[])
    errors: Annotated[list[Failure], append] = Field(default=[])


def orchestrator(workers: Mapping[str, Runnable] = WORKERS, *, attempts: int = ATTEMPTS) -> Graph[Assignment]:
    """Return the graph with these workers; one with a new name needs no change in the others."""
    attempt = orchestrator_workers(  # it makes no answer: only results that are accepted are synthesised
        planner_of(list(workers)), workers, lambda: "", most_steps=MOST_STEPS, may_fail=True, state=Assignment
    )
    again = Retry(attempts=4, initial_seconds=1, max_seconds=60, on=(OSError, ModelTransient))
    graph = Graph("orchestrator", Assignment, result="output", collect_errors="errors")
    graph.add_node("attempt", attempt.but(result=None), writes={"plan": "plan", "results": "results"})
    graph.add_node("validate", validator, writes={"verdicts": ".", "results": kept}, retry=again)
    graph.add_node("synthesise", synthesiser, writes={"output": answer_of}, retry=again)
    graph.add_node("accepted", accepted, writes="output")
    outcome = value("verdicts[-1].outcome")
    graph.add_path(START, "attempt", "validate")
    graph.add_edge("validate", "synthesise", when=outcome == "accept", label="accepted")
    graph.add_edge("validate", FAIL, when=outcome == "give up", label="it cannot be answered")
    graph.add_edge("validate", FAIL, when=iterations("validate") >= attempts, label="out of attempts")
    graph.add_edge("validate", "attempt", label="no answer yet")
    unusable = failed(Exception) & ~failed(ModelNotReady, ModelTransient)  # those fail the run, and can be resumed
    graph.add_edge("synthesise", "accepted", when=unusable, label="no synthesis")
    graph.add_edge("synthesise", END)
    graph.add_edge("accepted", END)
    return graph


def example() -> Assignment:
    """Return the input of an example run."""
    _, sources = sample("write_ahead_log")
    task = "How does a database recover after a crash? What does a commit cost? Add a summary."
    return Assignment(task=task, sources=sources)


graph = orchestrator()
