"""What a publishing desk does beside its agents: fallbacks, the question to a person, the publication.

Plain functions of fields, each a node or a part of one. None of them asks a model, and the only one that changes
anything outside, `publishes`, does so under a key that is the same however often it is tried.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Literal, TypedDict

from graphengine import Context, Failure, TextFile
from graphengine.patterns import Decision
from nodes.press.footnotes import with_footnotes
from nodes.press.site import Put, page_of
from nodes.press.stages import Edited, Listing, Manuscript, Post, Published, Site
from nodes.review.draft import citations, without_title
from nodes.text.words import count_words


class AsMarkdown(TypedDict):
    """What a text is without a listing."""

    form: Literal["markdown"]
    listing: None
    output: str


def unedited(manuscript: Manuscript, error: Failure) -> Edited:
    """What stands in for an editor who failed: the draft, which says so."""
    return Edited(text=manuscript.text, changes=[f"None: the editor failed ({error.kind})."], is_edited=False)


def as_markdown(edited: Edited, sources: Sequence[TextFile]) -> AsMarkdown:
    """What stands in for a post that cannot be listed: its text, with titles of sources in the place of files."""
    return AsMarkdown(form="markdown", listing=None, output=with_footnotes(edited.text, sources)[0] + "\n")


def question(listing: Listing, edited: Edited, manuscript: Manuscript, on_site: Site, site: str) -> str:
    """What a person is asked before a post is published: all of it, and what is to be known of how it came about."""
    told = [] if edited.is_edited else ["No editor has seen it."]
    told += [f"Edited: {change}" for change in edited.changes if edited.is_edited]
    told += [f"Open: {each}" for each in manuscript.open_questions]
    cited, posts = len(citations(edited.text)), len(on_site.titles)
    told.append(f"Words: {count_words(edited.text)}. Places cited: {cited}. Posts in {site}: {posts}.")
    rows = [f"Title: {listing.title}", f"Description: {listing.description}", f"Tags: {', '.join(listing.tags)}"]
    return "\n".join(["Publish this?", *rows, *told, "", without_title(edited.text)])


def notes_of(result: Decision) -> list[str]:
    """What somebody who sent a post back wishes for."""
    return [result.note] if result.verdict == "revise" and result.note.strip() else []


def form_of(result: Published) -> Literal["post"]:  # noqa: ARG001 - whatever was published
    """What a run ends with that has published: a post."""
    return "post"


def output_of(result: Published) -> str:
    """The post as it was published."""
    return page_of(result.post)


def looks(look: Callable[[str], Site]) -> Callable[[str], Site]:
    """A node that looks at what a site has."""

    def survey(site: str) -> Site:
        return look(site)

    return survey


def publishes(put: Put) -> Callable[[Listing, Edited, list[TextFile], str, Context], Published]:
    """A node that publishes what was approved, with footnotes in the place of files and lines.

    Its time is the log's, and its key that of the visit: an attempt that is made again, since the process died between
    publishing and recording, gives the same post under the same key.

    Args:
        put: What publishes.
    """

    def publish(listing: Listing, edited: Edited, sources: list[TextFile], site: str, ctx: Context) -> Published:
        body, titles = with_footnotes(without_title(edited.text) or edited.text, sources)
        post = Post(
            **dict(listing),
            body=body,
            sources=titles,
            published_at=datetime.fromtimestamp(ctx.now(), UTC),
        )
        return put(site, post, ctx.idempotency_key)

    return publish
