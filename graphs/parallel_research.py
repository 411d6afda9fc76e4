"""Read many sources side by side with a cheap model, and let a strong one make a whole of what was found.

`graphengine run parallel_research` runs it on an example; `--input task=…` and `--input sources=@file.md` (as often as
there are files) on your own texts, `--input specialists=…` once or several times for points of view: each specialist
then reads each source, or, where no source is given, says what it knows. `--model anthropic` or `--model openai` takes
a set of `MODELS` below: readers on a cheap model with short answers, one merger on a strong one.

A reading that fails, after its retries, leaves the others; the report names it and says why. With fewer than `need`
successes the run fails. `python -m benchmarks research` measures what is saved in time and money.
"""

from collections.abc import Sequence
from typing import Self

from pydantic import Field, model_validator

from graphengine import END, START, Agent, Graph, Retry, TextFile
from graphengine.errors import ModelTransient
from graphengine.graph.graph import Node
from graphengine.patterns import FanOut, fan_out_fan_in
from graphengine.patterns.outcomes import Outcome
from nodes.reading import agents as team
from nodes.reading.agents import Job, Notes
from nodes.text.samples import sample

CONCURRENCY = 8  # readers at a time
TIMEOUT_SECONDS = 120.0  # of one reading, its retries not counted

MODELS = {  # many cheap readers, one strong merger
    "anthropic": {"*": "anthropic:claude-haiku-5-5", "merger": "anthropic:claude-opus-5-5"},
    "openai": {"*": "openai:gpt-5-mini", "merger": "openai:gpt-6.1-sol"},
}


class Research(FanOut):
    """The state: a topic, what to read, and from which points of view."""

    task: str = Field(min_length=1, pattern=r"\S")
    sources: list[TextFile] = Field(default_factory=list)
    specialists: list[str] = Field(default_factory=list)
    jobs: list[Job] = Field(default_factory=list)
    merged: str = ""

    @model_validator(mode="after")
    def _something_to_read(self) -> Self:
        if not self.sources and not any(name.strip() for name in self.specialists):
            message = "give sources, or specialists, or both"
            raise ValueError(message)
        return self


def report(merged: str, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> str:
    """The merged text, and below it every reading that failed, with the reason."""
    pairs = zip(jobs, outcomes, strict=True)
    failed = [f"- {job.name}: {each.failure.message or each.failure.kind}" for job, each in pairs if each.failure]
    if not failed:
        return merged
    return "\n".join([merged.rstrip(), "", "## Not read", "", *failed]) + "\n"


def gathering(merger: Agent[str]) -> Graph[Research]:
    """Merge the notes, then name what is missing, whatever the merger said of it."""
    graph = Graph("gathering", Research, result="output")
    graph.add_node("merge", merger, writes="merged")
    graph.add_node("report", report, writes="output")
    graph.add_path(START, "merge", "report", END)
    return graph


def parallel_research(
    reader: Agent[Notes] = team.reader,
    merger: Agent[str] = team.merger,
    *,
    concurrency: int = CONCURRENCY,
    need: int = 1,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Graph[Research]:
    """Readers side by side, and who merges what they found.

    Args:
        reader: Reads one source, from one point of view.
        merger: Makes a whole of all notes.
        concurrency: How many readers work at a time; 1 reads one source after the other.
        need: How many readings have to succeed.
        timeout_seconds: For how long one attempt to read a source may take.
    """
    again = Retry(attempts=3, initial_seconds=1, max_seconds=30, on=(OSError, ModelTransient))
    return fan_out_fan_in(
        Node(reader, retry=again, timeout_seconds=timeout_seconds),
        Node(gathering(merger), inputs={name: name for name in ("task", "sources", "specialists", "jobs", "outcomes")}),
        split=team.jobs,
        over="jobs",
        concurrency=concurrency,
        need=need,
        state=Research,
    ).but(name="parallel_research")


def example() -> Research:
    """What it runs on when no input is given."""
    task, sources = sample("write_ahead_log")
    return Research(task=task, sources=sources)


graph = parallel_research()
