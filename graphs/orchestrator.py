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

from graphengine import END, FAIL, START, Failure, Graph, Runnable, iterations, value
from graphengine.patterns import Job, orchestrator_workers
from graphengine.reducers import append
from nodes.orchestration.agents import Verdict, accepted, answer_of, kept, planner_of, synthesiser, validator
from nodes.orchestration.workers import WORKERS
from nodes.tasks import AGAIN, UNUSABLE, Task, models, sample

ATTEMPTS = 5  # at planning and doing the work, before the run fails
MOST_STEPS = 24  # of a plan, including steps of earlier attempts that still count

MODELS = models("planner", "synthesiser")  # strong models plan and synthesise, cheap ones work and judge


class Assignment(Task, Job):
    """The state: a `Job` (task, plan, results, output) with what workers read besides, and the verdicts."""

    word_budget: int = Field(default=1200, ge=100)
    verdicts: Annotated[list[Verdict], append] = Field(default=[])
    errors: Annotated[list[Failure], append] = Field(default=[])


def orchestrator(workers: Mapping[str, Runnable] = WORKERS, *, attempts: int = ATTEMPTS) -> Graph[Assignment]:
    """Return the graph with these workers; one with a new name needs no change in the others."""
    attempt = orchestrator_workers(  # it makes no answer: only results that are accepted are synthesised
        planner_of(list(workers)), workers, lambda: "", most_steps=MOST_STEPS, may_fail=True, state=Assignment
    )
    graph = Graph("orchestrator", Assignment, result="output", collect_errors="errors")
    graph.add_node("attempt", attempt.but(result=None), writes={"plan": "plan", "results": "results"})
    graph.add_node("validate", validator, writes={"verdicts": ".", "results": kept}, retry=AGAIN)
    graph.add_node("synthesise", synthesiser, writes={"output": answer_of}, retry=AGAIN)
    graph.add_node("accepted", accepted, writes="output")
    outcome = value("verdicts[-1].outcome")
    graph.add_path(START, "attempt", "validate")
    graph.add_edge("validate", "synthesise", when=outcome == "accept", label="accepted")
    graph.add_edge("validate", FAIL, when=outcome == "give up", label="it cannot be answered")
    graph.add_edge("validate", FAIL, when=iterations("validate") >= attempts, label="out of attempts")
    graph.add_edge("validate", "attempt", label="no answer yet")
    graph.add_edge("synthesise", "accepted", when=UNUSABLE, label="no synthesis")
    graph.add_edge("synthesise", END)
    graph.add_edge("accepted", END)
    return graph


def example() -> Assignment:
    """Return the input of an example run."""
    task = "How does a database recover after a crash? What does a commit cost? Add a summary."
    return Assignment(**sample(task=task))


graph = orchestrator()
