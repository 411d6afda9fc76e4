"""Footnotes: a text for outside readers, with titles of sources instead of files of this machine.

Texts here cite files and lines so that they can be checked. Readers of the published text do not have these files and
should not see their names: each citation becomes a footnote mark, each footnote names the title of a source, and the
list of files is removed.
"""

import re
from collections.abc import Sequence

from graphengine.briefs.draft import SOURCES_TITLE
from graphengine.media import TextFile

_FENCED = re.compile(r"(^[ \t]*(?:```|~~~).*?(?:^[ \t]*(?:```|~~~)[ \t]*$|\Z))", re.MULTILINE | re.DOTALL)
_CITED = re.compile(r"\s*\[([^\[\]\n]+):\d+\]")
_SECTION = re.compile(
    rf"^#+[ \t]+(?:{SOURCES_TITLE}|References)[ \t]*\n.*?(?=^#|\Z)", re.MULTILINE | re.DOTALL | re.IGNORECASE
)
_FRONT_TITLE = re.compile(r"\A---\n(?:.*\n)*?title:[ \t]*(.+)\n(?:.*\n)*?---", re.MULTILINE)
_HEADING = re.compile(r"^#[ \t]+(.+?)[ \t#]*$", re.MULTILINE)
_SEPARATOR = re.compile(r"[\\/]")
_FIT = str.maketrans("[] ", "()_")  # as citations write paths


def titles_of(sources: Sequence[TextFile]) -> dict[str, str]:
    """Return the title of each source by its path: from its front matter, its first heading, or its file's name.

    Args:
        sources: The texts.
    """
    return {source.path: _title(source) for source in sources}


def with_footnotes(text: str, sources: Sequence[TextFile]) -> tuple[str, list[str]]:
    """Return a text whose citations are footnotes, and the titles of the cited sources, in order.

    Args:
        text: The text, as Markdown.
        sources: What it can cite, by file and line.
    """
    titles = titles_of(sources)
    cited: list[str] = []

    def mark(found: re.Match[str]) -> str:
        title = _named(found[1], titles)
        if not title:
            return ""  # the file is not among the sources
        if title not in cited:
            cited.append(title)
        return f"[^{cited.index(title) + 1}]"

    prose = _SECTION.sub("", text).replace("each sentence names its file and line", "each sentence names its source")
    pieces = _FENCED.split(prose)
    pieces[::2] = [_once(_CITED.sub(mark, piece)) for piece in pieces[::2]]
    notes = [f"[^{number}]: {title}" for number, title in enumerate(cited, start=1)]
    body = "\n\n".join(part for part in ("".join(pieces).strip(), "\n".join(notes)) if part)
    return without_paths(body, sources), cited


def without_paths(text: str, sources: Sequence[TextFile]) -> str:
    """Return a text with the titles of sources instead of their paths.

    Args:
        text: Any text.
        sources: The sources.
    """
    titles = titles_of(sources)
    for path in sorted(titles, key=len, reverse=True):
        for name in dict.fromkeys([path, path.translate(_FIT)]):
            title = titles[path].replace("\\", r"\\")
            text = re.sub(rf"(?<![\w/\\.-]){re.escape(name)}(?![\w/\\-])", title, text)
    return text


def _title(source: TextFile) -> str:
    text = source.text.removeprefix("\ufeff").replace("\r\n", "\n")
    found = _FRONT_TITLE.search(text) or _HEADING.search(_FENCED.sub("", text))
    name = _SEPARATOR.split(source.path)[-1]
    stem = re.sub(r"[\W_]+", " ", name.rpartition(".")[0] or name).strip()
    plain = found[1].strip(" '\"`*_") if found else ""
    return re.sub(r"[\[\]`]", "", plain) or stem.capitalize() or "A source"


def _named(label: str, titles: dict[str, str]) -> str:
    """Return the title of the source that a citation names by its path or the end of it, or "" if there is none."""
    for path, title in titles.items():
        fit = path.translate(_FIT)
        if label in (path, fit) or re.search(rf"[\\/]{re.escape(label)}$", fit):
            return title
    return ""


def _once(text: str) -> str:
    """Merge repeated marks where a sentence cites one source in several lines."""
    return re.sub(r"(\[\^\d+\])\1+", r"\1", text)
