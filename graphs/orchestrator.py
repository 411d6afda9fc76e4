"""Plan a task, have workers do the steps in parallel, judge the results, and plan again until they are an answer.

`graphengine run orchestrator` runs it on an example; `--input task=…` on the web or `--input sources=@file.md`.
The agents answer by rules unless they get models: `--model anthropic` or `--model openai` selects a set of `MODELS`
below. `graphengine run line` runs the workers one after the other, each on the results of those before it.

A plan is checked before any work starts, and an invalid one goes back to the planner with its problems. A failing step
does not stop the others. Results that do not answer the task are planned again, with the reasons; what counts is kept.
After `ATTEMPTS`, or two in a row that fail for the same reasons, the run fails and its state has all `reasons`. Similar
work of each role in earlier runs is looked up in the database (`recalled`), and an agent that is called several times
remembers the conversation (`conversations`), older parts as a summary.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from graphengine import (
    END,
    FAIL,
    Context,
    Failure,
    Graph,
    Message,
    Node,
    Runnable,
    TextFile,
    failed,
    iterations,
    value,
)
from graphengine.briefs.endings import with_note
from graphengine.errors import ModelError
from graphengine.patterns import Job, Passage, orchestrator_workers, pipeline
from graphengine.patterns.orchestrators import successes
from graphengine.reducers import append, extend
from nodes.briefing.gathering import add_gathering
from nodes.citing import sample
from nodes.orchestration.agents import WORKERS, planner, synthesiser, validator
from nodes.orchestration.handover import Memory, Role, TeamMessage, Verdict, in_words, messages_of
from nodes.orchestration.judging import no_further, take_stock
from nodes.orchestration.recall import LOOKED_AT, remembered

ATTEMPTS = 5  # at planning and doing the work, before the run fails
MOST_STEPS = 24  # of a plan, including steps of earlier attempts that still count
EARLIER_RUNS = 20  # that are searched for similar work

OPUS, SOL = "anthropic:claude-opus-5-5", "openai:gpt-6.1-sol"
MODELS = {  # strong models plan and synthesise, cheap ones work and judge
    "default": {"*": "offline"},
    "anthropic": {"*": "anthropic:claude-haiku-5-5", "planner": OPUS, "synthesiser": OPUS},
    "openai": {"*": "openai:gpt-5-mini", "planner": SOL, "synthesiser": SOL},
}


class Material(BaseModel):
    """What every worker can read in addition to its task."""

    sources: list[TextFile] = []  # empty: pages of the web
    word_budget: int = Field(default=350, ge=100)
    recalled: dict[str, list[Memory]] = {}  # by role, from earlier runs
    conversations: dict[str, list[Message]] = {}  # by agent, in this run


class Assignment(Material, Job):
    """The state of an orchestrated task: a `Job` (task, plan, results, output), and the history of attempts."""

    task: str = Field(min_length=1, pattern=r"\S")
    verdicts: Annotated[list[Verdict], append] = []
    messages: Annotated[list[TeamMessage], extend] = []
    reasons: list[str] = []
    errors: Annotated[list[Failure], append] = []


async def recall(task: str, ctx: Context) -> dict[str, list[Memory]]:
    """Return each role's similar work in earlier runs; it is recorded, so a resumed run has the same."""
    return remembered(task, await ctx.runs("orchestrator", EARLIER_RUNS, fields=LOOKED_AT))


def said(result: Assignment, messages: list[TeamMessage]) -> list[TeamMessage]:
    """Return the messages of the attempt that just ended."""
    return messages_of(result.plan, result.results, messages)


def gathered() -> str:
    """Return an empty output: an attempt is synthesised only once its results are accepted."""
    return ""


def orchestrator(
    planner: Runnable = planner,
    workers: Mapping[str, Runnable] = WORKERS,
    validator: Runnable = validator,
    synthesiser: Runnable = synthesiser,
    *,
    attempts: int = ATTEMPTS,
) -> Graph[Assignment]:
    """Return the graph with these agents. A worker with a new name needs no change in the others."""
    attempt = orchestrator_workers(planner, workers, gathered, most_steps=MOST_STEPS, may_fail=True, state=Assignment)
    graph = Graph("orchestrator", Assignment, result="output", collect_errors="errors")
    graph.add_node("recall", recall, writes="recalled")
    kept = {name: name for name in ("plan", "results", "conversations")}
    graph.add_node("attempt", attempt.but(result=None), writes={**kept, "messages": said})  # of all its fields
    graph.add_node("validate", validator, writes="verdicts")
    graph.add_node("take_stock", take_stock, writes=("results", "reasons"))
    graph.add_node("synthesise", synthesiser, writes={"output": with_note})
    of_no_use = failed(Exception) & ~failed(ModelError)  # a model that cannot be called fails the run
    nothing_done = value(successes) == 0
    add_gathering(graph, "recall")
    graph.add_edge("recall", "attempt", when=failed(Exception), label="without memories")
    graph.add_path("recall", "attempt")
    graph.add_edge("attempt", "take_stock", when=of_no_use, label="nothing came of it")
    graph.add_edge("attempt", "take_stock", when=nothing_done, label="every step failed")
    graph.add_edge("attempt", "validate")
    graph.add_edge("validate", "take_stock", when=of_no_use, label="not judged")
    graph.add_edge("validate", "synthesise", when=value("verdicts[-1].outcome") == "accept", label="accepted")
    graph.add_edge("validate", "take_stock", label="no answer yet")
    hopeless, worn_out = value("verdicts[-1].outcome") == "give up", iterations("take_stock") >= attempts
    graph.add_edge("take_stock", FAIL, when=hopeless, label="it cannot be answered")
    graph.add_edge("take_stock", FAIL, when=value(no_further).is_true(), label="it fails the same way again")
    graph.add_edge("take_stock", FAIL, when=worn_out, label="out of attempts")
    graph.add_path("take_stock", "attempt")
    graph.add_edge("synthesise", END, label="answered")
    return graph


class Line(Material, Passage):
    """The state of a line of workers: `needed` has each worker's result by name, `text` the last one."""

    sources: list[TextFile] = Field(min_length=1)
    needed: dict[str, str] = {}


def line_of(names: Sequence[str], workers: Mapping[str, Runnable] = WORKERS) -> Graph[Line]:
    """Return a pipeline of workers: each reads the task and all results before it; writer_2 is a second writer."""
    made = {name: {f"needed[{name}]": in_words, "text": in_words} for name in names}
    stages = {name: Node(workers[name.rsplit("_", 1)[0]], writes=writes) for name, writes in made.items()}
    return pipeline(stages, state=Line).but(name="line")


def example() -> dict[str, object]:
    """Return the input of an example run of either graph."""
    _, texts = sample("write_ahead_log")
    task = "How does a database recover after a crash? What does a commit cost? Show the code, and add a summary."
    return {"task": task, "sources": texts}


graph = orchestrator()
line = line_of([Role.RESEARCHER, Role.WRITER, Role.REVIEWER, f"{Role.WRITER}_2", Role.SUMMARIZER])
