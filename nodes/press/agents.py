"""The press: its agents, its stages, and the piece that passes from one to the next.

Each agent reads what its job needs and no more, and none has a tool, so no model can publish. What a check refuses is
sent back to the model; a refusal or a remark never counts as a text.
"""

from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel, Field

from graphengine import Agent, Failure, Node, Settings, Writes
from graphengine.agents import DATA_NOTE, bare_markdown
from nodes.citing import Passage, claims, located, marked, refuse, size
from nodes.press.publishing import CHARACTERS, TAGS, Listing, Post, post_of
from nodes.review import agents as review
from nodes.review.offline import research
from nodes.tasks import AGAIN, Task, models

LONGER: Final = 1.1  # an editor that adds more than a tenth is writing
SLACK_WORDS: Final = 20  # but a short text can need another sentence
SHORTER: Final = 0.4  # an editor that keeps less than this has lost something
KEPT: Final = 0.5  # of the places cited before; a cut can remove the others
MODELS = models("writer")  # cheap ones for the work, a strong one for the text


class Piece(Task):
    """A piece: the order, and what each stage has added."""

    word_budget: int = Field(default=400, ge=100)
    findings: list[Passage] = Field(default=[])
    draft: str = ""  # first the writer's, then the editor's
    reviews: list[review.Review] = Field(default=[])  # what a person wants to be changed
    changes: list[str] = Field(default=[])  # by the editor
    output: str = ""  # the draft with a note on what rests on no source
    posts: list[str] = Field(default=[])  # the files of those that are there already
    post: Post | None = None  # None if it could not be listed


class Edited(BaseModel):
    """The editor's result: the whole text as Markdown, and the changes that matter, a sentence each."""

    text: str = Field(min_length=1)
    changes: list[str] = []


def check_edited(edited: Edited, draft: str, findings: Sequence[Passage]) -> None:
    """Raise a ValueError unless an edited text is still the same text, by its title, its length and what it cites."""
    before, after = size(draft), size(edited.text)
    least, most = int(SHORTER * before), max(int(LONGER * before), before + SLACK_WORDS)
    cited, now = _places(draft, findings), _places(edited.text, findings)
    why: list[str] = []
    if not edited.text.lstrip().startswith("# "):
        why.append("it has no title: begin with # and the title")
    if not least <= after <= most:
        why.append(f"the draft has {before} words and this {after}: give the whole text, of {least} to {most} words")
    if new := sorted(now - cited):
        why.append(f"the draft does not cite {', '.join(new)}: add no claims")
    if len(now) < KEPT * len(cited):
        why.append(f"the draft cites {len(cited)} places and this {len(now)}: keep the citations")
    refuse("This is not the text that was to be edited:", why)


def check_listing(listing: Listing, draft: str, findings: Sequence[Passage]) -> None:
    """Raise a ValueError unless the lengths fit, the tags differ, and no file is named, which readers do not have."""
    why: list[str] = []
    for name, (least, most) in CHARACTERS.items():
        if not least <= (count := len(getattr(listing, name))) <= most:
            why.append(f"`{name}` has {count} characters and needs {least} to {most}")
    if len({tag.casefold() for tag in listing.tags}) < len(listing.tags):
        why.append("a tag is there twice")
    shown = " ".join([listing.title, listing.description, *listing.tags])
    if named := [file for place in _places(draft, findings) if (file := place.rpartition(":")[0]) and file in shown]:
        why.append(f"readers do not have {named[0]}: name no file")
    refuse("This is no listing:", why)


def _places(text: str, findings: Sequence[Passage]) -> set[str]:
    return {place for claim in claims(text, findings) for place in (*claim.places, *claim.strange)}


writer = review.writer.but(
    system=(
        "You write for engineers who are short of time and hard to persuade.\n"
        "- Markdown: a title after #; two or three sentences on why the task matters to them; a section after ## for "
        "each of its points; at the end what to remember.\n"
        "- Explain exactly, with an example or an analogy where it helps. Say nothing twice, and do not fill up.\n"
        "- End each sentence that rests on a finding with its place, as [file:line]. Facts and figures come from the "
        "findings alone; a transition or an analogy cites nothing. What limits a finding goes with it.\n"
        "- If the findings do not answer a point, say so in one sentence.\n"
        "- With a last draft, change what its review asks for, as far as the findings allow, and keep the rest.\n"
        "Answer with the text alone.\n" + DATA_NOTE
    ),
    settings=review.writer.settings.but(max_tokens=4_096),
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
    guards=[bare_markdown],
    check=check_edited,
    settings=Settings(max_tokens=4_096, cache=True),
)

publisher = Agent(
    "publisher",
    system=(
        "You list a finished text on a site. The text itself is not yours to change.\n"
        f"- `title`: what the text gives its reader, in at most {CHARACTERS['title'][1]} characters; none of a post "
        "that is there already.\n"
        f"- `description`: {CHARACTERS['description'][0]} to {CHARACTERS['description'][1]} characters, counted with "
        "blanks, that tell a reader who searches whether this is for them. Nothing that the text does not say.\n"
        f"- `tags`: {TAGS[0]} to {TAGS[1]} different ones, in lower case. Name no file."
    ),
    prompt="The text:\n{draft}\n\nFiles of the posts that are there already:\n{posts}",
    output=Listing,
    check=check_listing,
    settings=Settings(max_tokens=512, cache=True),
)


def stages(
    writer: Agent[str] = writer, editor: Agent[Edited] = editor, publisher: Agent[Listing] = publisher
) -> dict[str, Node]:
    """Return the nodes that add to a `Piece`; without an editor the draft stays, without a publisher the text."""
    edited: Writes = {"draft": "text", "changes": "changes", "output": noted}
    return {
        "research": Node(research, writes={"findings": located}, retry=AGAIN),
        "write": Node(writer, writes={"draft": ".", "output": noted}, retry=AGAIN),
        "edit": Node(editor, writes=edited, retry=AGAIN, fallback=unedited),
        "list": Node(publisher, writes={"post": post_of}, retry=AGAIN, fallback=None),
    }


def noted(result: str | Edited, findings: Sequence[Passage], word_budget: int) -> str:
    """Return a text with notes on its faults, and on what rests on no source."""
    return marked(result if isinstance(result, str) else result.text, findings, word_budget)


def unedited(draft: str, error: Failure) -> Edited:
    """Return the draft as it is, for an editor that failed."""
    return Edited(text=draft, changes=[f"None: the editor failed ({error.kind})."])
