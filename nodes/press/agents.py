"""The agents of the press: one researcher for all workflows, a writer, an editor and a publisher.

Each reads what its job needs and no more: the editor no source, the publisher no findings. No model can publish, since
none has a tool. What a check refuses is sent back to the model; a refusal or a remark never counts as a text.
"""

from collections.abc import Sequence
from typing import Final

from graphengine import Agent, TextFile
from graphengine.agents.prompts import DATA_NOTE, block
from nodes.citing import Quotations, check_brief, claims, lines_of
from nodes.passages import Passage, size
from nodes.press.pieces import CHARACTERS, TAGS, Edited, Listing
from nodes.review.agents import research

LONGER: Final = 1.1  # an editor that adds more than a tenth is writing
SLACK_WORDS: Final = 20  # but a short text can need another sentence
SHORTER: Final = 0.4  # an editor that keeps less than this has lost something
KEPT: Final = 0.5  # of the places cited before; a cut can remove the others


async def gather(topic: str, sources: Sequence[TextFile], word_budget: int) -> Quotations:
    """Quote what the sources say on a topic; without sources, search the web or ask what the model knows."""
    return await research(topic, sources, [], "", word_budget, [])


def ask_writer(
    topic: str, findings: Sequence[Passage], word_budget: int, draft: str = "", wishes: Sequence[str] = ()
) -> str:
    """Return the writer's question: the findings, and what is to be changed in the text so far."""
    parts = [
        f"Topic: {block('topic', topic)}",
        f"At most {word_budget} words.",
        f"Findings:\n{block('findings', lines_of(findings))}",
    ]
    if wishes:
        listed = "\n".join(f"- {wish}" for wish in wishes)
        parts += [
            f"The text so far:\n{block('text', draft)}",
            f"To be changed, the last first:\n{block('wishes', listed)}",
        ]
    return "\n\n".join(parts)


def check_edited(edited: Edited, draft: str) -> None:
    """Check that an edited text is still the same text: its title, its length and what it cites.

    Raises:
        ValueError: It is not; the message says what was added or lost.
    """
    before, after = size(draft), size(edited.text)
    least, most = int(SHORTER * before), max(int(LONGER * before), before + SLACK_WORDS)
    cited, now = _places(draft), _places(edited.text)
    why = []
    if not edited.text.lstrip().startswith("# "):
        why.append("it has no title: begin with # and the title")
    if not least <= after <= most:
        why.append(f"the draft has {before} words and this {after}: give the whole text, of {least} to {most} words")
    if new := sorted(now - cited):
        why.append(f"the draft does not cite {', '.join(new)}: add no claims")
    if len(now) < KEPT * len(cited):
        why.append(f"the draft cites {len(cited)} places and this {len(now)}: keep the citations")
    if why:
        raise ValueError("This is not the text that was to be edited:\n" + "\n".join(f"- {each}" for each in why))


def check_listing(listing: Listing, draft: str, titles: Sequence[str] = ()) -> None:
    """Check that no post has the title already, that the tags differ, and that no file is named.

    Raises:
        ValueError: A title is taken, a tag is repeated, or a file is named.
    """
    shown = " ".join([listing.title, listing.description, *listing.tags])
    named = sorted(file for file in {place.rpartition(":")[0] for place in _places(draft)} if file and file in shown)
    if named:
        raise ValueError(f"readers do not have {', '.join(named)}: say what the text says, and name no file")
    if listing.title.casefold() in (title.casefold() for title in titles):
        raise ValueError(f"there is a post called {listing.title!r} already: give this one another title")
    if len({tag.casefold() for tag in listing.tags}) < len(listing.tags):
        raise ValueError(f"a tag is there twice: {', '.join(listing.tags)}")


def _places(text: str) -> set[str]:
    return {place for claim in claims(text) for place in claim.places}


writer = Agent(
    "writer",
    system=(
        "You write for engineers who are short of time and hard to persuade.\n"
        "- Markdown: a title after #; two or three sentences on why the topic matters to them; a section after ## for "
        "each point of the topic; at the end what to remember.\n"
        "- Explain exactly, with an example or an analogy where it helps. Say nothing twice, and do not fill up.\n"
        "- End each sentence that rests on a finding with its place, as [file:line]. Facts and figures come from the "
        "findings alone; a transition or an analogy cites nothing. What limits a finding goes with it.\n"
        "- If the findings do not answer a point, say so in one sentence.\n"
        "- With a text so far, change what is wished for as far as the findings allow, and keep the rest.\n"
        "Answer with the text alone.\n" + DATA_NOTE
    ),
    prompt=ask_writer,
    check=check_brief,
    max_tokens=4_096,
    cache=True,
)

editor = Agent(
    "editor",
    system=(
        "You edit a technical text without changing what it says.\n"
        "- Cut sentences that tell nothing new, and words that do no work. The first paragraph says why one should "
        "read on, the last one what to remember. Mend what is awkward or unclear. Use one term for one thing.\n"
        "- Claims and citations such as [file:line] stay as they are; add none.\n"
        "- `text`: the whole text as Markdown and nothing else. `changes`: the changes that matter, a short sentence "
        "each; none of that goes into the text."
    ),
    prompt="{draft}",
    output=Edited,
    check=check_edited,
    max_tokens=4_096,
    cache=True,
)


def ask_publisher(draft: str, titles: Sequence[str] = ()) -> str:
    """Return the publisher's question: the text, and the titles that are taken."""
    taken = block("titles", "\n".join(titles))
    return f"The text:\n{block('text', draft)}" + (f"\n\nTitles that are taken:\n{taken}" if titles else "")


publisher = Agent(
    "publisher",
    system=(
        "You list a finished text on a site. The text itself is not yours to change.\n"
        f"- `title`: what the text gives its reader, in at most {CHARACTERS['title'][1]} characters; none that is "
        "taken.\n"
        f"- `description`: {CHARACTERS['description'][0]} to {CHARACTERS['description'][1]} characters, counted with "
        "blanks, that tell a reader who searches whether this is for them. Nothing that the text does not say.\n"
        f"- `tags`: {TAGS[0]} to {TAGS[1]}, in lower case.\n" + DATA_NOTE
    ),
    prompt=ask_publisher,
    output=Listing,
    check=check_listing,
    max_tokens=512,
    cache=True,
)
