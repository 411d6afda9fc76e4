"""Gathering: sources from the web for a topic that comes without any, and excerpts of sources that are too long.

A librarian searches and chooses pages. Its searches are recorded, so that a resumed run has the same. The chosen pages
become sources like files: the researchers quote them, and every quotation is checked against them. Sources that do not
fit into one question are read in parts, in parallel, and what their readers quote becomes the sources.
"""

from typing import Any

from pydantic import BaseModel, Field

from graphengine import END, START, Agent, Graph, Retry, TextFile, value
from graphengine.agents.prompts import DATA_NOTE
from graphengine.briefs import excerpts
from graphengine.briefs.excerpts import Part, Quoted, divided, may_be_long
from graphengine.briefs.text.words import subject_words
from graphengine.briefs.web import Hit, PageRefused, SearchEngine, SearchFailed, Web, engine_from_environment
from graphengine.errors import ModelTransient

PAGES = 6  # that become sources; more are not read with care
HITS = 10  # of one search
SHOWN = 3_000  # characters of a page that the librarian looks at
TURNS = 8
READERS = 8  # of parts at a time


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


reader = Agent(
    "reader",
    system=(
        "You read one part of a source that is too long to be read whole. What you leave out is lost.\n"
        f"- `facts` has at most {excerpts.QUOTATIONS} sentences of the part, the one that says most on the topic "
        "first; `rank` counts them from 1. Figures, names, dates, conditions and limits matter.\n"
        "- A fact is one sentence, word for word, without its markup, that can be understood alone. `file` is the path "
        "above the part and `line` the number before the line on which the sentence begins.\n"
        "- Where the part says nothing on the topic, leave `facts` empty.\n\n" + DATA_NOTE
    ),
    prompt=excerpts.ask_part,
    output=Quoted,
    check=excerpts.check_quoted,
    max_tokens=2048,
    cache=True,
    offline=excerpts.quote_part,
)


class Long(BaseModel):
    """Sources that are read in parts."""

    task: str
    sources: list[TextFile]
    parts: list[Part] = []
    quoted: list[Quoted] = []


def reading_in_parts(reader: Agent[Quoted] = reader) -> Graph[Long]:
    """Return a graph that replaces long sources by excerpts; each part is asked about once, however long they are."""
    again = Retry(attempts=4, initial_seconds=1, max_seconds=60, on=(OSError, ModelTransient))  # transient errors
    graph = Graph("reading_in_parts", Long)
    graph.add_node("divide", divided, writes="parts")
    graph.add_node("read", reader, each={"part": "parts"}, concurrency=READERS, writes={"quoted": "."}, retry=again)
    graph.add_node("excerpts", excerpts.excerpts, writes="sources")
    graph.add_edge(START, "divide")
    graph.add_edge("divide", END, when=value("parts").length() == 0, label="they fit")
    graph.add_path("divide", "read", "excerpts", END)
    return graph


def add_gathering(graph: Graph[Any], first: str, topic: str = "task") -> None:
    """Let a graph begin at a node; without sources with a search of the web, with long ones by reading them in parts.

    Args:
        graph: A graph with a field `sources`.
        first: The node at which it begins.
        topic: The field of the topic.
    """
    again = Retry(attempts=3, initial_seconds=1, max_seconds=60, on=(OSError, ModelTransient))  # transient errors
    graph.add_node("gather", gather, inputs={"task": topic}, writes="sources", retry=again)
    given = {"task": topic, "sources": "sources"}
    graph.add_node("read_in_parts", reading_in_parts(), inputs=given, writes={"sources": "sources"})
    graph.add_edge(START, "gather", when=value("sources").length() == 0, label="no sources")
    for before in (START, "gather"):
        graph.add_edge(before, "read_in_parts", when=value(may_be_long).is_true(), label="long sources")
        graph.add_edge(before, first)
    graph.add_edge("read_in_parts", first)


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
