"""Plan a task, have workers do the plan side by side, judge what came of it, plan again until it is an answer.

`graphengine run orchestrator` runs it on an example; `--input task=…` and `--input sources=@file.md` on your own task.
The agents answer by rules unless they are given models: `--model anthropic` or `--model openai` takes a set of `MODELS`
below. `graphengine run line` lets workers do it one after the other instead, each on what those before it made, with
the same sets.

A plan is looked at before anybody works by it, and a bad one goes back to the planner with what is wrong with it. A
step that fails leaves the others. Results that do not answer the task are planned again, with the reasons: what counts
is kept, and only the rest is done. After `ATTEMPTS`, or two attempts in a row that fail for the same reasons, the run
fails and its state has all `reasons`. What each role did
in earlier runs on the like is looked up in the database (`recalled`), and whoever is asked several times in a run
remembers what was said (`conversations`), older parts as a summary.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from graphengine import (
    END,
    FAIL,
    START,
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
from graphengine.errors import ModelError
from graphengine.patterns import Job, Passage, orchestrator_workers, pipeline
from graphengine.patterns.orchestrators import successes
from graphengine.reducers import append, extend
from nodes.orchestration.agents import WORKERS, planner, synthesiser, validator
from nodes.orchestration.handover import Memory, Role, TeamMessage, Verdict, in_words, messages_of
from nodes.orchestration.judging import no_further, take_stock
from nodes.orchestration.recall import LOOKED_AT, remembered
from nodes.text.samples import sample

ATTEMPTS = 5  # at planning and doing the work, before the run fails
MOST_STEPS = 24  # of a plan, with those of earlier attempts that count
EARLIER_RUNS = 20  # that are looked through for what has to do with the task

OPUS, SOL = "anthropic:claude-opus-5-5", "openai:gpt-6.1-sol"
MODELS = {  # strong ones for who plans, and who makes the whole; cheap ones for who works and judges
    "anthropic": {"*": "anthropic:claude-haiku-5-5", "planner": OPUS, "synthesiser": OPUS},
    "openai": {"*": "openai:gpt-5-mini", "planner": SOL, "synthesiser": SOL},
}


class Material(BaseModel):
    """What every worker may read beside its task."""

    sources: list[TextFile] = Field(min_length=1)
    word_budget: int = Field(default=350, ge=100)
    recalled: dict[str, list[Memory]] = {}  # by role, from earlier runs
    conversations: dict[str, list[Message]] = {}  # by agent, in this run


class Assignment(Material, Job):
    """The state of an orchestrated task: a `Job` (task, plan, results, output), and what is kept of attempts."""

    task: str = Field(min_length=1, pattern=r"\S")
    verdicts: Annotated[list[Verdict], append] = []
    messages: Annotated[list[TeamMessage], extend] = []
    reasons: list[str] = []
    errors: Annotated[list[Failure], append] = []


async def recall(task: str, ctx: Context) -> dict[str, list[Memory]]:
    """What each role did on the like in earlier runs; what was found is recorded, so a resume finds the same."""
    return remembered(task, await ctx.runs("orchestrator", EARLIER_RUNS, fields=LOOKED_AT))


def said(result: Assignment, messages: list[TeamMessage]) -> list[TeamMessage]:
    """The messages of an attempt that just ended."""
    return messages_of(result.plan, result.results, messages)


def gathered() -> str:
    """What ends an attempt: no synthesis yet, since nobody knows whether the results are an answer."""
    return ""


def orchestrator(
    planner: Runnable = planner,
    workers: Mapping[str, Runnable] = WORKERS,
    validator: Runnable = validator,
    synthesiser: Runnable = synthesiser,
    *,
    attempts: int = ATTEMPTS,
) -> Graph[Assignment]:
    """The graph with these agents in it. A worker of a new name needs no change of the others."""
    attempt = orchestrator_workers(planner, workers, gathered, most_steps=MOST_STEPS, may_fail=True, state=Assignment)
    graph = Graph("orchestrator", Assignment, result="output", errors="errors")
    graph.add_node("recall", recall, writes="recalled")
    kept = {name: name for name in ("plan", "results", "conversations")}
    graph.add_node("attempt", attempt.but(result=None), writes={**kept, "messages": said})  # it gives all its fields
    graph.add_node("validate", validator, writes="verdicts")
    graph.add_node("take_stock", take_stock, writes=("results", "reasons"))
    graph.add_node("synthesise", synthesiser, writes="output")
    of_no_use = failed(Exception) & ~failed(ModelError)  # a model that cannot be asked fails the run, to be resumed
    nothing_done = value(successes) == 0
    graph.add_edge(START, "recall")
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
    """The state of a line of workers: `needed` has what each made, by its name, and `text` what the last one made."""

    needed: dict[str, str] = {}


def line_of(names: Sequence[str], workers: Mapping[str, Runnable] = WORKERS) -> Graph[Line]:
    """A pipeline of any agents: each reads the task and what all before it made; a name may come again, as writer_2."""
    made = {name: {f"needed[{name}]": in_words, "text": in_words} for name in names}
    stages = {name: Node(workers[name.rsplit("_", 1)[0]], writes=writes) for name, writes in made.items()}
    return pipeline(stages, state=Line).but(name="line")


def example() -> dict[str, object]:
    """What they run on when no input is given."""
    _, texts = sample("write_ahead_log")
    task = "How does a database recover after a crash? What does a commit cost? Show the code, and add a summary."
    return {"task": task, "sources": texts}


graph = orchestrator()
line = line_of([Role.RESEARCHER, Role.WRITER, Role.REVIEWER, f"{Role.WRITER}_2", Role.SUMMARIZER])
