"""The agents of a publishing desk: researcher, writer, editor, publisher, and the orchestrator's fact checker.

Each has instructions for one job, only the tools that the job needs (here none: the sources are in the question, and a
function publishes, see `site.py`), the smallest token limit that fits its answers, and an answer type that the next one
reads (see `stages.py`). A failed check is sent back to the model. Without a language model rules answer, from
`rules.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from graphengine import Agent, TextFile
from graphengine.agents.prompts import DATA_NOTE, labelled
from graphengine.briefs.article import Findings
from graphengine.briefs.citing import check_cited, check_length, passages_in, passages_of
from graphengine.briefs.draft import citations
from graphengine.briefs.evidence import check_findings
from graphengine.briefs.publishing import CHARACTERS, TAGS, Listing, Site
from graphengine.briefs.text.words import count_words
from nodes.briefing.agents import ask_researcher
from nodes.orchestration import agents as orchestration
from nodes.orchestration import specialists
from nodes.press.rules import compose, enter, gather, tidy
from nodes.press.stages import Edited, Manuscript

MAX_FACTS = 24  # some 1,800 tokens as JSON, and more than a post of a thousand words can use
LONGER = 1.1  # an editor that adds more than a tenth is writing
SLACK_WORDS = 20  # but a short text can need another sentence
SHORTER = 0.4  # an editor that keeps less than this has lost something
CITED_SHARE = 0.5  # of the places cited before; cuts can remove the others

T = TypeVar("T")


def in_house(agent: Agent[T], style: str) -> Agent[T]:
    """Return an agent that reads the house's style guide before its own instructions.

    Providers cache a shared beginning of many calls, from some 1,024 tokens on, and `cache=True` requests that; so the
    guide that all agents share comes first.

    Args:
        agent: The agent.
        style: The guide; "" leaves the agent unchanged.
    """
    return agent.but(system=f"{style}\n\n{agent.system}") if style else agent


def question(topic: str, sources: Sequence[TextFile]) -> str:
    """Return the researcher's question: the topic, and the sources with numbered lines."""
    return ask_researcher(topic, sources)


def check_manuscript(manuscript: Manuscript, findings: Findings, word_budget: int) -> None:
    """Check that a text keeps to its length, cites only the findings, and has their figures.

    Raises:
        ValueError: It does not; the message names the places and sentences, or how many words are too many.
    """
    check_length(manuscript.text, word_budget)
    if findings.all_facts() and not citations(manuscript.text):
        raise ValueError("nothing is cited: name after each claim the finding it rests on, as [file:line]")
    check_cited(manuscript.text, passages_of(findings))


def check_edited(edited: Edited, manuscript: Manuscript) -> None:
    """Check that an edited text is still the same text: its length and its citations.

    Raises:
        ValueError: It is not; the message says what was added or lost.
    """
    before, after = count_words(manuscript.text), count_words(edited.text)
    least, most = int(SHORTER * before), max(int(LONGER * before), before + SLACK_WORDS)
    if not least <= after <= most:
        raise ValueError(
            f"the draft has {before} words, the edited text {after}: give the whole text, of {least} to {most} words"
        )
    cited, now = citations(manuscript.text), citations(edited.text)
    if new := [place for place in now if place not in cited]:
        raise ValueError(f"the draft does not cite {', '.join(new)}: an editor adds no claims")
    if len(now) < CITED_SHARE * len(cited):
        raise ValueError(f"the draft cites {len(cited)} places, the edited text {len(now)}: keep the citations")
    if now:
        check_cited(edited.text, passages_in(manuscript.text))


def check_listing(listing: Listing, site: Site, edited: Edited) -> None:
    """Check that no post of the site has the title already, and that no source file is named.

    Raises:
        ValueError: The title is taken, or a file is named.
    """
    files = {place.rpartition(":")[0] for place in citations(edited.text)}
    listed = " ".join([listing.title, listing.description, *listing.tags])
    if named := sorted(file for file in files if file in listed):
        raise ValueError(f"readers do not have the file {', '.join(named)}: say what the text says, and name no file")
    if listing.title.casefold() in {title.casefold() for title in site.titles}:
        raise ValueError(f"there is a post called {listing.title!r} already: give this one another title")


researcher = Agent(
    "researcher",
    system=(
        "You find out what the given sources say on a topic. You are read by a writer who sees no source.\n"
        f"- Give at most {MAX_FACTS} facts: definitions and how things work, recent changes, figures, and what is "
        "often got wrong. A fact is one sentence of a source, word for word and without markup, that can be understood "
        "alone; `file` and `line` say where it begins. The number before each line is not part of the text.\n"
        "- `rank` 1 is the fact that says most on the topic, and so on over all facts.\n"
        "- `key_areas` are two to six areas in the order in which a reader wants them; `facts` has the facts of each.\n"
        "- `caveats` are facts that limit, warn, or correct a mistake, at most four.\n"
        "- `key_terms` are up to twelve words or pairs of words that the text has to use; `sources` are the paths of "
        "what you read.\n"
        "- `notes` say what a reader should know of the research, as that two sources contradict each other.\n"
        "What you know yourself does not count. Where the sources hold nothing on the topic leave areas and facts "
        "empty, and say so in the notes.\n\n" + DATA_NOTE
    ),
    prompt=question,
    output=Findings,
    check=check_findings,
    max_tokens=3072,
    cache=True,
    offline=gather,
)

writer = Agent(
    "writer",
    system=(
        "You write posts for engineers who are short of time and hard to persuade.\n"
        "- Begin with why the topic matters to them, in two or three sentences; then a section after ## for each "
        "area; end with what to take away.\n"
        "- Explain exactly and with examples where the findings have some. Say nothing twice, and do not fill up.\n"
        "- Every claim rests on a finding, whose place follows it as [file:line]. You state nothing else.\n"
        "- `text` is Markdown with its title after #, of no more words than you are given.\n"
        "- Do what was wished for, the newest wish first, where the findings allow it. What they do not answer goes "
        "into `open_questions`, a sentence each, and not into the text.\n"
        "- Where there is a text already, rewrite it as the wishes ask and keep what they do not touch.\n"
        "- If the notes of the findings say that something was not read whole, so does the first paragraph.\n"
        "- Without findings the text says in a sentence that the sources hold nothing on this, and no more."
    ),
    prompt=(
        "Topic: {topic}\nAt most {word_budget} words.\n\nFindings:\n{findings}\n\nWished for:\n{wishes}\n\n"
        "The text so far:\n{manuscript}"
    ),
    output=Manuscript,
    check=check_manuscript,
    max_tokens=4096,
    cache=True,
    offline=compose,
)

editor = Agent(
    "editor",
    system=(
        "You edit a technical text without changing what it says.\n"
        "- Cut sentences that tell nothing new, and words that do no work. Make the first paragraph say why one should "
        "read on, and the last one what to remember. Fix what is awkward or unclear. Use one term for one thing.\n"
        "- Claims and citations such as [file:line] stay unchanged; you add none.\n"
        "- `text` is the whole text as Markdown and nothing else. `changes` names the changes that matter, a short "
        "sentence each; none of that goes into the text."
    ),
    prompt="{manuscript.text}",
    output=Edited,
    check=check_edited,
    max_tokens=4096,
    cache=True,
    offline=tidy,
)

publisher = Agent(
    "publisher",
    system=(
        "You list a finished text on a site. The text itself is not yours to change.\n"
        f"- `title`: what the text gives its reader, in at most {CHARACTERS['title'][1]} characters.\n"
        f"- `description`: {CHARACTERS['description'][0]} to {CHARACTERS['description'][1]} characters, counted with "
        "blanks, that tell a reader who searches whether this is for them. Nothing that the text does not say.\n"
        f"- `tags`: {TAGS[0]} to {TAGS[1]}, in lower case; those that the site has already, where they fit.\n"
        "The title is none that the site has."
    ),
    prompt="The text:\n{edited.text}\n\nOn the site already:\n{site}",
    output=Listing,
    check=check_listing,
    max_tokens=512,
    cache=True,
    offline=enter,
)


def ask_fact_checker(findings: Findings, edited: Edited) -> str:
    """Return the fact checker's question: the findings, and the text."""
    return labelled(_to_compare(findings, edited))


def check_checked(answer: str, findings: Findings, edited: Edited) -> None:
    """Check that an answer has a verdict for each claim of the text.

    Raises:
        ValueError: A verdict is missing.
    """
    specialists.check_checked(answer, _to_compare(findings, edited))


def check_facts(findings: Findings, edited: Edited) -> str:
    """Check facts by rules; see `nodes.orchestration.specialists.check_facts`."""
    return specialists.check_facts(_to_compare(findings, edited))


def _to_compare(findings: Findings, edited: Edited) -> dict[str, str]:
    return {"findings": findings.model_dump_json(), "text": edited.text}


fact_checker = orchestration.fact_checker.but(
    prompt=ask_fact_checker, check=check_checked, cache=True, offline=check_facts
)
"""The fact checker of the orchestrator, for the edited text."""


@dataclass(frozen=True, slots=True)
class Team:
    """The agents that work on a post; `Team(writer=writer.but(model=…))` replaces one of them."""

    researcher: Agent[Findings] = researcher
    writer: Agent[Manuscript] = writer
    editor: Agent[Edited] = editor
    publisher: Agent[Listing] = publisher
    fact_checker: Agent[str] | None = fact_checker  # None: a person gets the text unchecked


TEAM = Team()
