"""Read many sources in parallel with a cheap model, and let a strong one merge the notes into one report.

`graphengine run parallel_research` runs it on an example; `--input task=…` and `--input sources=@file.md` (once per
file) on your own texts, `--input specialists=…` once or several times for points of view: each specialist then reads
each source or, without sources, reports what it knows. A task alone is searched for on the web. `--model anthropic` or
`--model openai` names a set of `MODELS` below: readers on a cheap model with short answers, one merger on a strong one.

A reading that still fails after its retries does not stop the others; the report names it and the reason. With fewer
than `need` successes the run fails. `python -m benchmarks research` measures the savings in time and money.
"""

from collections.abc import Sequence

from pydantic import Field

from graphengine import END, START, Agent, Context, Graph, Retry, TextFile
from graphengine.briefs.endings import with_notes
from graphengine.briefs.excerpts import are_long, divide, lines_of, window_of
from graphengine.errors import ModelTransient
from graphengine.graph.definition import Node
from graphengine.patterns import FanOut, fan_out_fan_in
from graphengine.patterns.outcomes import Outcome
from nodes.briefing.gathering import gather
from nodes.citing import sample
from nodes.reading import agents as team
from nodes.reading.agents import Job, Notes

CONCURRENCY = 8  # readers at a time
TIMEOUT_SECONDS = 120.0  # of one reading, its retries not counted

MODELS = {  # many cheap readers, one strong merger
    "default": {"*": "offline"},
    "anthropic": {"*": "anthropic:claude-haiku-5-5", "merger": "anthropic:claude-opus-5-5"},
    "openai": {"*": "openai:gpt-5-mini", "merger": "openai:gpt-6.1-sol"},
}


class Research(FanOut):
    """The state: a topic, the sources, and the points of view."""

    task: str = Field(min_length=1, pattern=r"\S")
    sources: list[TextFile] = Field(default_factory=list)
    specialists: list[str] = Field(default_factory=list)
    jobs: list[Job] = Field(default_factory=list)
    merged: str = ""


async def planned(task: str, sources: list[TextFile], specialists: list[str], ctx: Context) -> dict[str, object]:
    """Return the readings: of sources, long ones divided; of specialists; else of pages of the web."""
    read = sources if sources or any(name.strip() for name in specialists) else await gather(task)
    if are_long(read, await window_of(["reader"], ctx)):
        read = [lines_of(part, read) for part in divide(read)]
    return {"sources": read, "jobs": team.jobs(read, specialists)}


def report(merged: str, sources: Sequence[TextFile], jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> str:
    """Return the merged text with a note on sources read in parts, and every reading that failed, with the reason."""
    merged = with_notes(merged, team.read_in_parts(sources, jobs, outcomes))
    pairs = zip(jobs, outcomes, strict=True)
    failed = [f"- {job.name}: {each.failure.message or each.failure.kind}" for job, each in pairs if each.failure]
    if not failed:
        return merged
    return "\n".join([merged.rstrip(), "", "## Not read", "", *failed]) + "\n"


def gathering(merger: Agent[str]) -> Graph[Research]:
    """Return a graph that merges the notes, then lists what is missing, whatever the merger wrote."""
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
    """Return the graph of readers in parallel and a merger.

    Args:
        reader: Reads one source, from one point of view.
        merger: Makes one report from all notes.
        concurrency: How many readers work at a time; with 1 they read one source after the other.
        need: How many readings have to succeed.
        timeout_seconds: The limit for one attempt to read a source.
    """
    again = Retry(attempts=3, initial_seconds=1, max_seconds=30, on=(OSError, ModelTransient))
    return fan_out_fan_in(
        Node(reader, retry=again, timeout_seconds=timeout_seconds),
        Node(gathering(merger), inputs={name: name for name in ("task", "sources", "specialists", "jobs", "outcomes")}),
        split=Node(planned, writes=("sources", "jobs"), retry=again),
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
