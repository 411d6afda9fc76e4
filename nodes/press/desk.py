"""The non-agent nodes of a publishing desk: fallbacks, the question to a person, the publication.

Plain functions of fields, each a node or a part of one. None calls a model, and the only one with an outside effect,
`publishes`, uses an idempotency key that stays the same over retries.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Literal, TypedDict, TypeVar

from graphengine import Context, Failure, TextFile
from graphengine.briefs.draft import citations, without_title
from graphengine.briefs.endings import with_note
from graphengine.briefs.publishing import (
    Cms,
    Listing,
    Post,
    Published,
    Site,
    page_of,
    publish_once,
    with_footnotes,
)
from graphengine.briefs.text.words import count_words
from graphengine.patterns import Decision
from nodes.press.stages import Edited, Manuscript

T = TypeVar("T", Manuscript, Edited)


class AsMarkdown(TypedDict):
    """The fields of a text without a listing."""

    form: Literal["markdown"]
    listing: None
    output: str


def read_in_parts(result: T, sources: Sequence[TextFile]) -> T:
    """Return a text with a note of what was not read whole, whether or not its author says so."""
    return result.model_copy(update={"text": with_note(result.text, sources)})


def unedited(manuscript: Manuscript, error: Failure) -> Edited:
    """Return the draft, marked as unedited, for an editor that failed."""
    return Edited(text=manuscript.text, changes=[f"None: the editor failed ({error.kind})."], is_edited=False)


def as_markdown(edited: Edited, sources: Sequence[TextFile]) -> AsMarkdown:
    """Return a text that cannot be listed as Markdown, with titles of sources instead of files."""
    return AsMarkdown(form="markdown", listing=None, output=with_footnotes(edited.text, sources)[0] + "\n")


def question(  # noqa: PLR0913 - the fields of the state
    listing: Listing, edited: Edited, manuscript: Manuscript, on_site: Site, site: str, checked: str
) -> str:
    """Return the question to a person before a post is published: all of it, and how it was made."""
    notes = [] if edited.is_edited else ["No editor has seen it."]
    notes += [f"Edited: {change}" for change in edited.changes if edited.is_edited]
    notes += [f"Open: {each}" for each in manuscript.open_questions]
    verdicts = [line for line in checked.splitlines() if line.startswith("- ")]
    wrong = [line for line in verdicts if not line.startswith("- supported")]
    notes.append(f"Facts checked: {len(verdicts) - len(wrong)} of {len(verdicts)} are supported." if verdicts else
                 "The facts were not checked.")  # fmt: skip
    notes += wrong
    cited, posts = len(citations(edited.text)), len(on_site.titles)
    notes.append(f"Words: {count_words(edited.text)}. Places cited: {cited}. Posts in {site}: {posts}.")
    rows = [f"Title: {listing.title}", f"Description: {listing.description}", f"Tags: {', '.join(listing.tags)}"]
    return "\n".join(["Publish this?", *rows, *notes, "", without_title(edited.text)])


def notes_of(result: Decision) -> list[str]:
    """Return the wish of a person who sent a post back."""
    return [result.note] if result.verdict == "revise" and result.note.strip() else []


def form_of(result: Published) -> Literal["post"]:  # noqa: ARG001 - only its existence matters
    """Return the form of the result of a run that has published."""
    return "post"


def output_of(result: Published) -> str:
    """Return the published post."""
    return page_of(result.post)


def looks(cms: Callable[[str], Cms]) -> Callable[[str], Awaitable[Site]]:
    """Return a node that surveys a site."""

    async def survey(site: str) -> Site:
        return await cms(site).look()

    return survey


def publishes(
    cms: Callable[[str], Cms],
) -> Callable[[Listing, Edited, list[TextFile], str, Context], Awaitable[Published]]:
    """Return a node that publishes the approved text, with footnotes instead of files and lines.

    Its time is the log's, and its key that of the visit: an attempt that is repeated, because the process died between
    publishing and recording, produces the same post under the same key.

    Args:
        cms: Returns the site of a name.
    """

    async def publish(listing: Listing, edited: Edited, sources: list[TextFile], site: str, ctx: Context) -> Published:
        body, titles = with_footnotes(without_title(edited.text) or edited.text, sources)
        post = Post(
            **dict(listing),
            body=body,
            sources=titles,
            published_at=datetime.fromtimestamp(ctx.now(), UTC),
        )
        return await publish_once(cms(site), post, ctx)

    return publish
