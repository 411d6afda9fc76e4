"""A brief as data, and its one Markdown form.

    # Title
    Introduction without claims.
    ## Section
    A claim [notes.md:12].
    ## Sources
    - notes.md

Each claim is on its own line and cites file and line in square brackets. `parse` also accepts what other writers
produce: list entries, several sentences on a line, a citation after the full stop. What `render` writes, `parse` reads
back unchanged.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath

from graphengine.briefs.article import Findings
from graphengine.briefs.text.sentences import split

SOURCES_TITLE = "Sources"
CAVEATS_TITLE = "Limits and caveats"

_CITATION = re.compile(r"\s*\[([^\[\]\n]+:\d+)\]")
_BULLET = re.compile(r"^(?:[-*+]|\d+[.)])\s+")
_SPECIAL = re.compile(r"([*<\[\]\\]|(?<!\w)_|_(?!\w))")
_MARKS_A_BLOCK = re.compile(r"^(\d*)([-#>+.)|=~])")
_ESCAPED = re.compile(r"\\([*<\[\]\\_#+>.)|=~-])")
_CODE = re.compile(r"(`[^`]*`)")
_FIRST_HEADING = re.compile(r"\A#[ \t]+[^\n]*\n*")
_TABLE_HEAD = re.compile(r"^[ \t]*\|[^\n]*\n[ \t]*\|[ \t:|-]+$", re.MULTILINE)
_ROW = re.compile(r"^\|(.*)$")
_FENCED = re.compile(r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence of a brief and its citations ("notes.md:12")."""

    text: str
    citations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its claims."""

    heading: str
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """A whole brief: title, introduction, sections, and the lines of its list of sources."""

    title: str = ""
    introduction: str = ""
    sections: tuple[Section, ...] = ()
    sources: tuple[str, ...] = ()

    def claims(self) -> list[Claim]:
        """Return the claims in order: those that the introduction cites, then those of all sections."""
        introduced = [claim for _, one in split(self.introduction) if _CITATION.search(one) for claim in _claims(one)]
        return [*introduced, *(claim for section in self.sections for claim in section.claims)]


def labels(findings: Findings) -> dict[str, str]:
    """Return for each source the shortest ending of its path that no other shares, as it is used in citations."""
    files = dict.fromkeys([*findings.sources, *(fact.file for fact in findings.all_facts())])
    fit = str.maketrans("[] ", "()_")
    return {file: _shortest(file, files).translate(fit) for file in files}


def _shortest(file: str, files: Iterable[str]) -> str:
    parts = PurePath(file).parts
    others = [PurePath(other).parts for other in files if other != file]
    for length in range(1, len(parts)):
        if all(other[-length:] != parts[-length:] for other in others):
            return "/".join(parts[-length:])
    return file


def render(draft: Draft) -> str:
    """Return the brief as Markdown, ending in one line break."""
    blocks = [f"# {_escape(draft.title)}"]
    if draft.introduction:
        blocks.append(_escape(draft.introduction))
    for section in draft.sections:
        lines = [_line(claim) for claim in section.claims]
        blocks.append("\n".join([f"## {_escape(section.heading)}", "", *lines]))
    if draft.sources:
        blocks.append("\n".join([f"## {SOURCES_TITLE}", "", *(f"- {_escape(source)}" for source in draft.sources)]))
    return "\n\n".join(blocks) + "\n"


def _line(claim: Claim) -> str:
    cited = "".join(f" [{citation}]" for citation in claim.citations)
    text = _escape(claim.text)
    text = _MARKS_A_BLOCK.sub(r"\1\\\2", text)
    return f"{text[:-1]}{cited}." if text.endswith(".") and not text.endswith("..") else f"{text}{cited}"


def _escape(text: str) -> str:
    return _outside_code(text, _SPECIAL, r"\\\1")


def parse(markdown: str) -> Draft:
    """Read a brief; any other text gives one without sections.

    Args:
        markdown: The brief; headings below the title start sections, each row of a table is a claim, code fences are
            skipped.
    """
    title = ""
    introduction: list[str] = []
    sources: list[str] = []
    sections: list[tuple[str, list[Claim]]] = []
    fenced = False
    for raw in _TABLE_HEAD.sub("", markdown).splitlines():
        line = _ROW.sub(_cells, raw.strip())
        fenced ^= line.startswith("```")
        if fenced or not line or line.startswith(("```", "---")):
            continue
        if line.startswith("#"):
            heading = _unescape(line.lstrip("#").strip())
            if line.startswith("# ") and not title:
                title = heading
            else:
                sections.append((heading, []))
        elif sections and _is_sources(sections[-1][0]):
            sources.append(_unescape(_BULLET.sub("", line)))
        elif sections:
            sections[-1][1].extend(_claims(line))
        else:
            introduction.append(_unescape(line))
    kept = tuple(Section(heading, tuple(claims)) for heading, claims in sections if not _is_sources(heading))
    return Draft(title, " ".join(introduction), kept, tuple(sources))


def without_title(markdown: str) -> str:
    """Return a text without the heading that it begins with, if it begins with one."""
    return _FIRST_HEADING.sub("", markdown.strip(), count=1).strip()


def citations(markdown: str) -> list[str]:
    """Return the places that a text cites, for example `notes.md:12`, each once, in order; code does not count."""
    prose = _CODE.sub("", _FENCED.sub("", markdown))
    return list(dict.fromkeys(_CITATION.findall(prose)))


def _cells(row: re.Match[str]) -> str:
    """Return a row of a table as a line of its cells."""
    return " ".join(cell for each in row[1].split("|") if (cell := each.strip()))


def _is_sources(heading: str) -> bool:
    return heading.casefold() in {SOURCES_TITLE.casefold(), "references"}


def _claims(line: str) -> list[Claim]:
    """Read the claims of one line; a sentence without its own citation shares those of its line."""
    claims: list[Claim] = []
    for _, sentence in split(_BULLET.sub("", line)):
        citations = tuple(_CITATION.findall(sentence))
        text = _unescape(_CITATION.sub("", sentence)).strip()
        if any(character.isalnum() for character in text):
            claims.append(Claim(text, citations))
        elif claims:
            claims[-1] = Claim(claims[-1].text, claims[-1].citations + citations)
    shared = tuple(dict.fromkeys(citation for claim in claims for citation in claim.citations))
    return [claim if claim.citations else Claim(claim.text, shared) for claim in claims]


def _unescape(text: str) -> str:
    return _outside_code(text, _ESCAPED, r"\1")


def _outside_code(text: str, pattern: re.Pattern[str], replacement: str) -> str:
    """Substitute outside of backticks; splitting by one group puts the code at the odd indices."""
    parts = _CODE.split(text)
    parts[::2] = [pattern.sub(replacement, part) for part in parts[::2]]
    return "".join(parts)
