"""Read many sources in parallel with a cheap model, and let a strong one merge what was found into one report.

`graphengine run parallel_research` runs it on an example; `--input task=…` and `--input sources=@file.md` (once per
file) on your own texts, `--input specialists=…` once or several times for points of view: each specialist then reads
each source or, without sources, reports what a search finds or its model knows. Without a model it is a dry run: the
readers quote the sources, and a placeholder stands for the report. `--model anthropic` or `--model openai` selects a set
of `MODELS` below: readers on a cheap model with short answers, one merger on a strong one.

A reading that still fails after its retries does not stop the others; the report names it and the reason. With fewer
than `need` successes the run fails. `python -m benchmarks research` measures the savings in time and money.
"""

from collections.abc import Sequence

from pydantic import Field

from graphengine import Agent, Graph, Retry, TextFile
from graphengine.errors import ModelTransient
from graphengine.graph.definition import Node
from graphengine.patterns import FanOut, fan_out_fan_in
from graphengine.patterns.outcomes import Outcome
from nodes.citing import Quotations, marked, sample
from nodes.reading import agents as team
from nodes.reading.agents import Job

MODELS = {  # many cheap readers, one strong merger; readers can quote sources without a model
    "default": {"*": "placeholder", "reader": "offline", "searcher": "offline"},
    "anthropic": {"*": "anthropic:claude-haiku-5-5", "merger": "anthropic:claude-opus-5-5"},
    "openai": {"*": "openai:gpt-5-mini", "merger": "openai:gpt-6.1-sol"},
}


class Research(FanOut):
    """The state: a task, the sources, and the points of view."""

    task: str = Field(min_length=1, pattern=r"\S")
    sources: list[TextFile] = []
    specialists: list[str] = []
    word_budget: int = Field(default=800, ge=100)
    jobs: list[Job] = []


def parallel_research(
    reader: Agent[Quotations] = team.reader,
    merger: Agent[str] = team.merger,
    *,
    concurrency: int = 8,
    need: int = 1,
    timeout_seconds: float = 120.0,
) -> Graph[Research]:
    """Return the graph of readers in parallel and a merger.

    Args:
        reader: Reads one source, from one point of view.
        merger: Makes one report of what all found.
        concurrency: How many readers work at a time; with 1 they read one source after the other.
        need: How many readings have to succeed.
        timeout_seconds: The limit for one attempt to read a source.
    """

    async def read(task: str, item: Job, sources: Sequence[TextFile]) -> Quotations:
        return await team.read(task, item, sources, reader)

    async def report(
        task: str, jobs: Sequence[Job], sources: Sequence[TextFile], outcomes: Sequence[Outcome], word_budget: int
    ) -> str:
        """Merge what was found, and name every reading that failed, whatever the merger wrote."""
        text = await merger.run(task=task, jobs=jobs, sources=sources, outcomes=outcomes, word_budget=word_budget)
        report = marked(text, [passage for found in team.found_in(outcomes) for passage in found])
        pairs = [(job, each.failure) for job, each in zip(jobs, outcomes, strict=True) if each.failure]
        missing = [f"- {team.name_of(job, sources)}: {failure.message or failure.kind}" for job, failure in pairs]
        return "\n".join([report.rstrip(), "", "## Not read", "", *missing, ""]) if missing else report

    again = Retry(attempts=3, initial_seconds=1, max_seconds=30, on=(OSError, ModelTransient))
    return fan_out_fan_in(
        Node(read, retry=again, timeout_seconds=timeout_seconds),
        Node(report, retry=again),
        split=Node(team.jobs, writes="jobs"),
        over="jobs",
        concurrency=concurrency,
        need=need,
        state=Research,
    ).but(name="parallel_research")


def example() -> Research:
    """Return the input of an example run."""
    task, sources = sample("write_ahead_log")
    return Research(task=task, sources=sources)


graph = parallel_research()
