"""The searching researcher: it searches the sources with a tool instead of reading them.

It replaces the researcher of the review loop, `review_loop(researcher=searching_researcher)`, if the sources are too
long to be read whole. A language model searches as it sees fit, within a number of turns; without one the rules search
for the topic, for its words, and for the terms of the first results. In both cases facts have to be in the sources.
"""

from collections.abc import Sequence

from graphengine import Agent, TextFile
from graphengine.graph.templates import DATA_NOTE
from nodes.review.article import Findings
from nodes.review.evidence import check_findings
from nodes.review.researcher import compose
from nodes.text.library import MAX_HITS, Library
from nodes.text.terms import key_terms
from nodes.text.words import subject_words

TURNS = 8  # turns with searches, several in each; more find nothing new
MAX_SEARCHES = 16  # by the rules
NEXT_TERMS = 8  # of the first results, to search for next


def find(task: str, sources: Sequence[TextFile]) -> Findings:
    """Search the sources for a topic, by rules.

    Args:
        task: The topic, in words.
        sources: The texts to search.

    Returns:
        Findings from the search results alone; empty, with a note, if there are none.

    Raises:
        ValueError: There is no source, or none has a statement that can be quoted.
    """
    library = Library(task, sources)
    words = subject_words(task)
    first = _found(library, [" ".join(words), *words][:MAX_SEARCHES])
    texts = [library.survey.statements[at].text for at in first]
    terms = key_terms(texts, [library.survey.weights[at] for at in first])[:NEXT_TERMS]
    places = [*first, *_found(library, terms[: MAX_SEARCHES - len(words) - 1])] if first else []
    paths = [source.path for source in sources]
    if not places:
        return Findings(sources=paths, notes=["no sentence of the sources has a word of the topic"])
    found = library.survey.only(set(places))
    findings = compose(task, found, paths)
    all_of_them = len(library.survey.statements)
    note = f"searches found {len(found.statements)} of the {all_of_them} sentences of the sources; no other was read"
    return findings.model_copy(update={"notes": [*findings.notes, note]})


def _found(library: Library, queries: Sequence[str]) -> list[int]:
    return list(dict.fromkeys(at for query in queries for at in library.places(query)[:MAX_HITS]))


searcher = Agent(
    "researcher",
    system=(
        "You gather what sources say about a topic. You do not have the sources: you have a search over their "
        "sentences, and what it does not show you does not count.\n"
        "- Search with two or three words at a time, several searches in one turn. Look for the topic, for its parts, "
        "for causes, for how it is done, for what it costs, and with other words where a search finds nothing.\n"
        f"- You have {TURNS} turns with searches. Stop when two searches in a row bring nothing new.\n"
        "- A fact is the `text` of a hit, unchanged, with its `file` and `line`. `rank` 1 is the fact that says most "
        "about the topic, and so on over all facts.\n"
        "- Sort the facts into three to six areas; `key_areas` names them in a sensible order, `facts` has those of "
        "each, `caveats` those that limit or warn. `key_terms` are up to twelve words that a text on the topic has to "
        "use. `sources` are the paths that hits came from; `notes` say what you searched for in vain.\n"
        "Where nothing is found on the topic, leave areas and facts empty and say so in the notes.\n\n" + DATA_NOTE
    ),
    prompt="Topic: {task}\n\nFind out what the sources say about it.",
    output=Findings,
    check=check_findings,
    max_tokens=16_384,
    turns=TURNS,
    offline=find,
)


async def searching_researcher(task: str, sources: list[TextFile]) -> Findings:
    """Search these sources for the task; the tool has the sources, so that the model need not name them."""
    library = Library(task, sources)
    return await searcher.but(tools=[library.search_sources]).run(task=task, sources=sources)
