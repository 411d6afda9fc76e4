"""Read many sources in parallel with a cheap model, and let a strong one merge what was found into one report.

`graphengine run parallel_research` runs it on an example; `--input task=…` and `--input sources=@file.md`, once a file,
on your own texts, or `--input specialists=…`, once a field, with a reader for each point of view. `--model` takes
`anthropic` or `openai`, a set of `MODELS` below: readers on a cheap model with short answers, one merger on a strong
one; a task is then enough. Without a model it is a dry run: placeholders answer.

A reading that still fails after its retries does not stop the others; the report names it and the reason. With fewer
than `need` successes the run fails. `python -m benchmarks research` measures the savings in time and money.
"""

from collections.abc import Sequence

from pydantic import Field

from graphengine import Agent, Graph, Node, TextFile
from graphengine.patterns import FanOut, Outcome, fan_out_fan_in
from nodes.citing import Quotations, located, marked
from nodes.reading import agents as team
from nodes.review.agents import search
from nodes.tasks import AGAIN, Task, models, sample

MODELS = models("merger")  # many cheap readers, one strong merger


class Research(Task, FanOut):
    """The state: a task, the sources, and the points of view."""

    specialists: list[str] = Field(default_factory=list)
    word_budget: int = Field(default=800, ge=100)


def readings(sources: Sequence[TextFile], specialists: Sequence[str]) -> list[str]:
    """Return the specialists, else the sources, else one search for the whole task."""
    return list(specialists) or [source.path for source in sources] or ["the web"]


def parallel_research(
    reader: Agent[Quotations] = team.reader,
    merger: Agent[str] = team.merger,
    *,
    concurrency: int = 8,  # readers at a time
    need: int = 1,  # readings that have to succeed
    timeout_seconds: float = 120.0,  # of one attempt to read
) -> Graph[Research]:
    """Return the graph of readers in parallel and a merger."""

    async def read(task: str, item: str, sources: Sequence[TextFile], specialists: Sequence[str]) -> Quotations:
        own = sources if item in specialists else [source for source in sources if source.path == item]
        wanted = f"{task}\n\nOnly what matters to an expert in {item}." if item in specialists else task
        if own:
            found = await reader.run(task=wanted, sources=own, findings=[], reviews=[])
        else:
            found = await search(wanted, [], [])
        return Quotations(quotations=located(found, own, []))

    async def report(task: str, items: Sequence[str], outcomes: Sequence[Outcome], word_budget: int) -> str:
        """Merge what was found, and name every reading that failed, whatever the merger wrote."""
        text = await merger.run(task=task, items=items, outcomes=outcomes, word_budget=word_budget)
        pairs = zip(items, outcomes, strict=True)
        missing = [f"- {item}: {each.failure.message or each.failure.kind}" for item, each in pairs if each.failure]
        text = marked(text, [passage for found in team.found_in(outcomes) for passage in found], word_budget)
        return "\n".join([text.rstrip(), "", "## Not read", "", *missing, ""]) if missing else text

    return fan_out_fan_in(
        Node(read, retry=AGAIN, timeout_seconds=timeout_seconds),
        Node(report, retry=AGAIN),
        split=readings,
        concurrency=concurrency,
        need=need,
        state=Research,
    ).but(name="parallel_research")


def example() -> Research:
    """Return the input of an example run."""
    return Research(**sample())


graph = parallel_research()
