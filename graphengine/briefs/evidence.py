"""Evidence: sources with numbered lines, and whether findings really are in them.

A language model that quotes from memory makes small mistakes. `check_findings` compares each fact with its source,
letter by letter and digit by digit; markup, punctuation, case and line breaks do not count. The errors go back to the
model, so they say where a sentence really is, if it is anywhere.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence

from graphengine.briefs.article import Doubts, Fact, Findings
from graphengine.briefs.text.passages import read
from graphengine.media import TextFile

MAX_COMPLAINTS = 8  # of one answer; a model that fixes these will check the others too
BLANK_LINES = 10  # shown in a row; more are those that an excerpt leaves out
SHOWN_CHARACTERS = 80  # of a fact; enough to recognise it


def numbered(source: TextFile) -> str:
    """Return the text of a source with numbered lines, and its path above; more than ten blank lines are left out."""
    lines = _lines(source)
    width = len(str(len(lines)))
    shown = (at for at in range(len(lines)) if any(line.strip() for line in lines[max(0, at - BLANK_LINES) : at + 1]))
    rows = (f"{at + 1:>{width}}| {lines[at]}" for at in shown)
    return "\n".join((f"path: {source.path}", *rows))


def check_findings(findings: Findings, sources: Sequence[TextFile]) -> None:
    """Check that every fact is in its source on the line it names, and that areas and facts match.

    Args:
        findings: The findings.
        sources: The texts they come from.

    Raises:
        ValueError: A fact or an area does not; the message says which, and where the sentence is, if anywhere.
    """
    pages = {source.path: _Page(source) for source in sources}
    complaints = _complaints(findings.all_facts(), pages)
    areas, keys = set(findings.key_areas), set(findings.facts)
    complaints += [f"the area {name!r} of key_areas has no facts" for name in sorted(areas - keys)]
    complaints += [f"the area {name!r} of facts is not one of key_areas" for name in sorted(keys - areas)]
    complaints += [f"there is no source {path!r}" for path in findings.sources if path not in pages]
    _refuse(complaints)


def check_doubts(doubts: Doubts, sources: Sequence[TextFile]) -> None:
    """Check that every limit and objection is in its source on the line it names.

    Args:
        doubts: The doubts.
        sources: The texts they come from.

    Raises:
        ValueError: One is not; the message says which, and where the sentence is, if anywhere.
    """
    _refuse(_complaints(doubts.all_facts(), {source.path: _Page(source) for source in sources}))


def _complaints(facts: Sequence[Fact], pages: Mapping[str, "_Page"]) -> list[str]:
    return [complaint for fact in facts if (complaint := _complaint(fact, pages))]


def _refuse(complaints: Sequence[str]) -> None:
    if complaints:
        more = len(complaints) - MAX_COMPLAINTS
        listed = [*complaints[:MAX_COMPLAINTS], *([f"and {more} more of this kind"] if more > 0 else [])]
        message = (
            "These findings are not what the sources say:\n"
            + "\n".join(f"- {complaint}" for complaint in listed)
            + "\nGive each fact word for word, with the path and the number of the line on which it begins; "
            "leave out what is in no source."
        )
        raise ValueError(message)


def _complaint(fact: Fact, pages: Mapping[str, "_Page"]) -> str:
    """Return what is wrong with a fact, or "" if nothing is."""
    shown = fact.text if len(fact.text) <= SHOWN_CHARACTERS else fact.text[: SHOWN_CHARACTERS - 1] + "\u2026"
    quoted = f"\u201c{shown}\u201d"
    page = pages.get(fact.file)
    if page is None:
        return f"{quoted} is attributed to {fact.file!r}, but the sources are {', '.join(map(repr, pages))}"
    lines = page.lines_of(fact.text)
    if fact.line in lines:
        return ""
    if lines:
        return f"{quoted} begins on line {lines[0]} of {fact.file!r}, not on line {fact.line}"
    elsewhere = next((f"{path!r}, line {found[0]}" for path in pages if (found := pages[path].lines_of(fact.text))), "")
    if elsewhere:
        return f"{quoted} is not in {fact.file!r} but in {elsewhere}"
    return f"{quoted} is nowhere in {fact.file!r}"


class _Page:
    """A source reduced to its letters and digits."""

    def __init__(self, source: TextFile) -> None:
        self._source = source
        self._starts: list[int] = []
        parts: list[str] = []
        length = 0
        for line in _lines(source):
            self._starts.append(length)
            letters = _letters(line)
            parts.append(f" {letters}" if length and parts[-1][-1:].isdigit() and letters[:1].isdigit() else letters)
            length += len(parts[-1])
        self._letters = "".join(parts)
        self._sentences: list[tuple[str, int]] | None = None

    def lines_of(self, text: str) -> list[int]:
        """Return the lines on which a text begins, either literally or without its markup."""
        wanted = _letters(text)
        if not wanted:
            return []
        return sorted({*self._literally(wanted), *self._without_markup(wanted)})

    def _literally(self, wanted: str) -> Iterator[int]:
        at = self._letters.find(wanted)
        while at >= 0:
            if not _cuts_a_figure(self._letters, at) and not _cuts_a_figure(self._letters, at + len(wanted)):
                yield bisect_right(self._starts, at)  # a line without letters begins where the next one does
            at = self._letters.find(wanted, at + 1)

    def _without_markup(self, wanted: str) -> Iterator[int]:
        if self._sentences is None:  # link addresses, for example, are between the words
            self._sentences = [(_letters(statement.text), statement.line) for statement in read(self._source)]
        return (
            line
            for letters, line in self._sentences
            if letters.startswith(wanted) and not _cuts_a_figure(letters, len(wanted))
        )


def _lines(source: TextFile) -> list[str]:
    return source.text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")


_DASH = re.compile("[\u2010-\u2015\u2212]")
_SIGN = re.compile(
    r"(?<=\d)(?P<within>[.,:/'-])(?=\d)|(?<=\d)(?P<between>\s+)(?=\d)"
    r"|(?<![\w)\]])(?P<before>[-+<>\u2264\u2265$\u20ac\u00a3])(?=\d)|(?<=\d)[\s*_`]*(?P<after>[%\u2030\u00b0])|[\W_]"
)


def _letters(text: str) -> str:
    """Return the letters and digits of a text, and the signs that are part of a figure: "3.5", "5-10", "-3", "50%"."""
    return _SIGN.sub(_kept, _DASH.sub("-", text.casefold()))


def _kept(sign: re.Match[str]) -> str:
    return " " if sign["between"] else sign["within"] or sign["before"] or sign["after"] or ""


def _cuts_a_figure(letters: str, at: int) -> bool:
    """Return whether a cut at this place would split a figure."""
    before, after = letters[max(0, at - 2) : at], letters[at : at + 2]
    return bool(re.search(r"\d[.,:/'-]?$", before) and re.match(r"[.,:/'-]?\d", after))
