"""Gathering: sources from the web, for a topic that comes without any.

A librarian searches and chooses pages. Its searches are recorded, so that a resumed run has the same. The chosen pages
become sources like files: the researchers quote them, and every quotation is checked against them.
"""

from typing import Any

from pydantic import BaseModel, Field

from graphengine import START, Agent, Graph, Retry, TextFile, value
from graphengine.briefs.text.words import subject_words
from graphengine.briefs.web import Hit, PageRefused, SearchEngine, SearchFailed, Web, engine_from_environment
from graphengine.errors import ModelTransient
from graphengine.graph.templates import DATA_NOTE

PAGES = 6  # that become sources; more are not read with care
HITS = 10  # of one search
SHOWN = 3_000  # characters of a page that the librarian looks at
TURNS = 8


class Chosen(BaseModel):
    """The pages that a librarian chose, the best first."""

    urls: list[str] = Field(max_length=PAGES)


librarian = Agent(
    "librarian",
    system=(
        "You choose the pages of the web that a brief on a topic should rest on.\n"
        "- Search with two to five words at a time, several searches in one turn: for the topic, for its parts, for "
        "figures, for what limits it or speaks against it.\n"
        "- Prefer sources of their own (standards, papers, manuals, authorities, those concerned) to those that "
        "repeat others, and running text to lists of links. Look into a page where its title does not tell.\n"
        f"- `urls` has at most {PAGES} addresses from the results of your searches, the best first.\n\n" + DATA_NOTE
    ),
    prompt="Topic: {task}",
    output=Chosen,
    max_tokens=2048,
    turns=TURNS,
)


def add_gathering(graph: Graph[Any], first: str, topic: str = "task") -> None:
    """Let a graph begin at a node, but without sources with a search for pages of the web.

    Args:
        graph: A graph with a field `sources`.
        first: The node at which it begins.
        topic: The field of the topic.
    """
    again = Retry(attempts=3, initial_seconds=1, max_seconds=60, on=(OSError, ModelTransient))  # transient errors
    graph.add_node("gather", gather, inputs={"task": topic}, writes="sources", retry=again)
    graph.add_edge(START, "gather", when=value("sources").length() == 0, label="no sources")
    graph.add_edge(START, first)
    graph.add_edge("gather", first)


async def gather(task: str) -> list[TextFile]:
    """Return pages on a topic.

    Raises:
        SearchFailed: No search is configured, it failed, or none of the pages can be read.
    """
    async with Web() as web:
        return await gather_from(engine_from_environment(), web, task)


async def gather_from(engine: SearchEngine, web: Web, task: str) -> list[TextFile]:
    """Return pages on a topic.

    Args:
        engine: Finds pages.
        web: Fetches them.
        task: The topic.

    Raises:
        SearchFailed: The search failed, or none of the pages can be read.
    """

    async def web_search(query: str) -> list[Hit]:
        """Search the web.

        Args:
            query: Two to five words.
        """
        return await engine.search(query, HITS)

    async def fetch_page(url: str) -> str:
        """Return the beginning of a page.

        Args:
            url: Its address, from the results of a search.
        """
        return (await web.fetch(url)).text[:SHOWN]

    async def first_hits(task: str) -> Chosen:
        """Choose by rules: the first results for the words of the topic."""
        hits = await engine.search(" ".join(subject_words(task)) or task, HITS)
        return Chosen(urls=[hit.url for hit in hits[:PAGES]])

    chosen = await librarian.but(tools=[web_search, fetch_page], offline=first_hits).run(task=task)
    pages: list[TextFile] = []
    refused: list[str] = []
    for url in dict.fromkeys(chosen.urls):
        try:
            pages.append(await web.fetch(url))
        except PageRefused as error:
            refused.append(f"{url}: {error.message}")
    if not pages:
        why = "; ".join(refused) or "the search found nothing"
        raise SearchFailed(f"no page on the topic could be read: {why}", where="gather", repair="give sources")
    return pages
