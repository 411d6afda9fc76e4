"""The editor by rules alone: cuts filler words, repetitions, and overlong sentences.

It works on any Markdown, including texts that were not written here, and changes only whole sentences of running text:
headings, code, tables, quotations, links and the list of sources stay unchanged, and so does everything that no rule
can change safely. The rules for words are English; other languages keep theirs. Rephrasing, a stronger opening or a
conclusion need a human or a language model.
"""

import re
from collections import Counter
from dataclasses import dataclass, field

from graphengine.briefs import rubric
from graphengine.briefs.draft import SOURCES_TITLE
from graphengine.briefs.support import repeats
from graphengine.briefs.text.editing import shorten
from graphengine.briefs.text.sentences import split
from graphengine.briefs.text.words import count_words, stems
from nodes.press.stages import Edited

SAID_TWICE = 0.85  # of all stems; more than a reviewer's 0.7, because a cut cannot be undone
LEAST_STEMS = 4  # shorter sentences are similar by chance

_LONG_WINDED = tuple(
    (re.compile(rf"\b{phrase}", re.IGNORECASE), short)
    for phrase, short in (
        (r"it (?:is|should be) (?:important |worth )?(?:to note|noted|noting) that ", ""),
        (r"(?:needless to say|as a matter of fact|at the end of the day), ", ""),
        (r"in order to\b", "to"),
        (r"due to the fact that\b", "because"),
        (r"in the event that\b", "if"),
        (r"at this point in time\b", "now"),
        (r"(?:has|have) the ability to\b", "can"),
        (r"a (?:large|great) number of\b", "many"),
    )
)
# "not very", "a really", "the very": without the word the sentence would change its meaning or need another article
_FILLER = re.compile(
    r"(?<!\bnot )(?<!n't )(?<!n\u2019t )(?<!\bthe )(?<!\ban )(?<!\ba )(?<!\bthis )(?<!\bthat )(?<!\bits )(?<!\bso )"
    r"\b(?:very|really|basically|actually|essentially|literally),? (?=[a-z])",
    re.IGNORECASE,
)
_KEPT = re.compile(r"(`[^`]*`|\"[^\"]*\"|\u201c[^\u201d]*\u201d|\[[^\]]*\]\([^)]*\))")
_BULLET = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+")
_CITED = re.compile(r"(?:\s*\[[^\[\]\n]+:\d+\])+(?=[.!?]?$)")
_FENCE = re.compile(r"^\s*(?:```|~~~)")
_MARKED = re.compile(r"^(?:#|\||>|<|    |\t|---|===|\s*$)")
_WHOLE = re.compile(r"^[^\Wa-z_].*[.!?]$", re.DOTALL)
_MARKUP = re.compile(r"\]\(|\*|(?<!\w)_|<|\\")


def edit(text: str) -> Edited:
    """Tighten a text and list the changes.

    Args:
        text: The text, as Markdown.

    Returns:
        The text with its lines in place, and each kind of change with its count; if no rule applies, the text is
        unchanged.
    """
    work = _Work()
    lines = [kept for line in text.splitlines() if (kept := work.line(line)) is not None]
    edited = "\n".join(lines) + ("\n" if text.endswith("\n") else "")
    return Edited(text=edited, changes=work.changes() or ["Nothing: the rules found nothing to cut."])


@dataclass(slots=True)
class _Work:
    """The editor's progress through a text: the sentences so far, and the changes."""

    done: Counter[str] = field(default_factory=Counter[str])
    seen: list[str] = field(default_factory=list[str])
    in_code: bool = False
    in_sources: bool = False
    in_section: int = 0  # sentences that the section keeps

    def line(self, line: str) -> str | None:
        """Return the edited line, or None to drop it."""
        if _FENCE.match(line):
            self.in_code = not self.in_code
            return line
        if line.startswith("#"):
            self.in_sources = line.lstrip("#").strip().casefold() == SOURCES_TITLE.casefold()
            self.in_section = 0
        if self.in_code or self.in_sources or _MARKED.match(line):
            return line
        bullet = _BULLET.match(line)
        start = bullet[0] if bullet else ""
        sentences = split(line[len(start) :])
        if not sentences:
            return line
        pieces = [piece for _, one in sentences for piece in self._sentence(one)]
        return start + " ".join(pieces) if pieces else None

    def changes(self) -> list[str]:
        """Return the changes, each kind with its count."""
        return [f"{what}: {count}" for what, count in self.done.items()]

    def _sentence(self, sentence: str) -> list[str]:
        cited = "".join(found[0] for found in _CITED.finditer(sentence))
        bare = _CITED.sub("", sentence)
        if not _WHOLE.match(bare):
            return [sentence]
        is_long = len(stems(bare)) >= LEAST_STEMS
        if self.in_section and is_long and any(repeats(bare, one, SAID_TWICE) for one in self.seen):
            self.done["repeated sentences cut"] += 1
            return []
        self.seen.append(bare)
        self.in_section += 1
        tight = self._without_filler(bare)
        pieces = [tight] if _MARKUP.search(tight) else shorten(tight, rubric.LONG_WORDS)
        self.done["long sentences divided or shortened"] += pieces != [tight]
        self.done += Counter()  # drop kinds with a count of 0
        return [f"{piece[:-1]}{cited}{piece[-1:]}" for piece in pieces] if cited else pieces

    def _without_filler(self, sentence: str) -> str:
        parts = _KEPT.split(sentence)  # the pattern's group: parts to keep have odd indices
        for at in range(0, len(parts), 2):
            for phrase, short in _LONG_WINDED:
                parts[at] = phrase.sub(short, parts[at])
            parts[at] = _FILLER.sub("", parts[at])
        tight = "".join(parts)
        self.done["words of filler cut"] += count_words(sentence) - count_words(tight)
        return tight[:1].upper() + tight[1:] if sentence[:1].isupper() else tight
