"""The press by rules: researcher, writer, editor and publisher, in the form in which its agents call them."""

from collections.abc import Sequence

from graphengine import TextFile
from graphengine.briefs.article import Findings
from graphengine.briefs.publishing import Listing, Site
from graphengine.briefs.researcher import research
from nodes.press.composer import compose
from nodes.press.copy_editor import edit
from nodes.press.listing import list_post
from nodes.press.stages import Edited, Manuscript


def gather(topic: str, sources: Sequence[TextFile]) -> Findings:
    """Research by rules; see `graphengine.briefs.researcher.research`."""
    return research(topic, sources)


def tidy(manuscript: Manuscript) -> Edited:
    """Edit by rules; see `nodes.press.copy_editor.edit`."""
    return edit(manuscript.text)


def enter(topic: str, edited: Edited, findings: Findings, site: Site) -> Listing:
    """List by rules; see `nodes.press.listing.list_post`."""
    return list_post(topic, edited.text, findings.key_terms, site)


__all__ = ["compose", "enter", "gather", "tidy"]
