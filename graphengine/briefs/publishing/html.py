"""The body of a post as HTML: footnote marks become links to a list at the end."""

import re
from typing import Final

_NOTE: Final = re.compile(r"^\[\^(\d+)\]: (.+)$", re.MULTILINE)
_MARK: Final = re.compile(r"\[\^(\d+)\]")
_CODE: Final = re.compile(r"(<pre>.*?</pre>|<code>.*?</code>)", re.DOTALL)


def notes_of(body: str) -> dict[str, str]:
    """Return the footnotes of a text by their numbers."""
    return dict(_NOTE.findall(body))


def html_of(body: str, mark: str) -> str:
    """Return Markdown as HTML; raw HTML in it is escaped.

    Args:
        body: The text.
        mark: What keeps the anchors of two posts on one page apart.
    """
    from markdown_it import MarkdownIt  # noqa: PLC0415 - 40 ms, needed to publish only

    notes = notes_of(body)
    text = MarkdownIt("commonmark", {"html": False}).enable("table").render(_NOTE.sub("", body).strip())

    def linked(found: re.Match[str]) -> str:
        number = found[1]
        return f'<sup><a href="#{mark}-{number}">{number}</a></sup>' if number in notes else found[0]

    parts = _CODE.split(text)
    parts[::2] = [_MARK.sub(linked, part) for part in parts[::2]]
    if not notes:
        return "".join(parts).strip()
    inline = MarkdownIt("commonmark", {"html": False})
    items = [f'<li id="{mark}-{number}">{inline.renderInline(note)}</li>' for number, note in notes.items()]
    return "\n".join(["".join(parts).strip(), "<hr>", "<ol>", *items, "</ol>"])
