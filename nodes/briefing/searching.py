"""The searching researcher: it searches the sources with a tool instead of reading them.

It replaces the researcher of the review loop, `review_loop(researcher=searching_researcher)`, if the sources are too
long to be read whole. A language model searches as it sees fit, within a number of turns; without one the rules of
`graphengine.briefs.finding` do. In both cases facts have to be in the sources.
"""

from graphengine import Agent, TextFile
from graphengine.agents.prompts import DATA_NOTE
from graphengine.briefs.article import Findings
from graphengine.briefs.evidence import check_findings
from graphengine.briefs.finding import find
from graphengine.briefs.text.library import Library

TURNS = 8  # turns with searches, several in each; more find nothing new


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
