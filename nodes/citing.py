"""What every workflow on sources shares: quotations that are in their sources, and texts that cite them.

A model may quote only what is there, word for word; which line that is, is found here. A brief may cite only what was
quoted. Whether its sentences say what they cite is for a reviewer.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import SkipJsonSchema

from graphengine import TextFile

KNOWLEDGE: Final = "the model's knowledge"  # the file of findings that nobody looked up
COMPLAINTS: Final = 8  # of one answer; a model that fixes these will see to the others
# No pattern here looks at the same characters again and again: a text of any size is read once.
CITED: Final = re.compile(r"(?:(?<!\s)\s+)?\[([^\[\]]+)\](?!\()")
_MARKUP: Final = re.compile(r"\[([^\[\]]*)\]\((?:[^()]|\([^()]*\))*\)|[*_`#>|]+|^[^\S\n]*[-+*]\s", re.MULTILINE)
WIDE: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")  # scripts without blanks: pairs of characters
_STOP: Final = re.compile(r"[.!?…][\"'”»)\]*]*\s+(?=[\"'“„«(\[*`¿¡]*[^\Wa-z_])|[\u3002\uff01\uff1f]")
_ABBREVIATED: Final = re.compile(
    r"(?:\b(?:[^\W\d_]|[A-Z][a-z]|Mrs|Prof|Abs|Art|vs|etc|bzw|ca|Fig|Inc|Ltd)|\.[^\W\d_]|(?:^|\s)\d{1,2})\.$"
)
_LONGEST: Final = 5  # characters of an abbreviation, with the one before it


class Passage(BaseModel):
    """A sentence, list item, table row or piece of code, as it stands in a source.

    Attributes:
        text: The passage, word for word.
        file: The path of its source.
        line: The line on which it begins, from 1 on; 0 if that is unknown. No model gives it: it is looked up.
        heading: The headings above it, if somebody looked.
    """

    model_config = ConfigDict(frozen=True)

    text: str
    file: str
    line: SkipJsonSchema[int] = 0
    heading: SkipJsonSchema[str] = ""

    @property
    def place(self) -> str:
        """Where it stands, as a citation names it; a page of the web has no lines."""
        return f"{self.file}:{self.line}" if self.line else self.file


class Quotations(BaseModel):
    """What a researcher found: sentences of the sources, word for word.

    Attributes:
        quotations: The passages, the one that says most first.
        notes: What a reader should know of the search, such as points on which the sources say nothing.
    """

    quotations: list[Passage]
    notes: list[str] = []


class Claim(NamedTuple):
    """A sentence of a brief, and the places that it cites."""

    text: str
    places: tuple[str, ...]


def sample(name: str) -> tuple[str, list[TextFile]]:
    """Return the task and the texts of an example, a folder of `nodes/samples`."""
    folder = Path(__file__).parent / "samples" / name
    texts = [TextFile(path=file.name, text=file.read_text("utf-8")) for file in sorted(folder.glob("*.md"))]
    return (folder / "task.txt").read_text("utf-8").strip(), texts


def size(text: str) -> int:
    """Return how many words a text has; two characters of a script without blanks count as one."""
    return len(text.split()) + sum(len(part) // 2 for part in WIDE.findall(text))


def sentences(text: str) -> Iterator[tuple[int, str]]:
    """Yield the sentences of a paragraph with their offsets."""
    start = 0
    for stop in _STOP.finditer(text):
        before = text[max(start, stop.start() - _LONGEST) : stop.start() + 1]
        if not _ABBREVIATED.search(before):
            yield start, text[start : stop.end()].strip()
            start = stop.end()
    if text[start:].strip():
        yield start, text[start:].strip()


def lines_of(findings: Iterable[Passage]) -> str:
    """Return findings as lines of text, each after the place that a text cites.

    Further lines of a finding are set in, so that none of them looks like a finding of another place.
    """
    return "\n".join(f"[{finding.place}] {finding.text}".replace("\n", "\n  ") for finding in findings)


def check_quotations(found: Quotations, sources: Sequence[TextFile]) -> None:
    """Check that every quotation is in its source.

    Raises:
        ValueError: Some are not; the message names them.
    """
    places = _lines_of(found.quotations, sources)
    wrong = [each for each, line in zip(found.quotations, places, strict=True) if not line]
    if wrong:
        rows = "\n".join(f"- {each.file}: {each.text[:80]!r}" for each in wrong[:COMPLAINTS])
        message = f"These are not in the sources word for word:\n{rows}\nQuote what is there, or leave it out."
        raise ValueError(message)


def located(result: Quotations, sources: Sequence[TextFile], findings: Sequence[Passage]) -> list[Passage]:
    """Return the quotations that are new, each with the line on which it begins."""
    known = {(finding.file, finding.text) for finding in findings}
    new = {(each.file, each.text): each for each in result.quotations if (each.file, each.text) not in known}
    if not sources:
        return [*new.values()]
    lines = _lines_of(new.values(), sources)
    return [each.model_copy(update={"line": line or each.line}) for each, line in zip(new.values(), lines, strict=True)]


def _lines_of(quotations: Iterable[Passage], sources: Sequence[TextFile]) -> list[int]:
    """Return the line on which each quotation begins, but for markup and line breaks; 0 for one that is nowhere.

    Of several places it is the first one from the line on that it has.
    """
    wanted = [(each.file, each.line, _plain(each.text)) for each in quotations]
    found = [0] * len(wanted)
    for source in sources:
        mine = [at for at, (file, _, text) in enumerate(wanted) if file == source.path and text and not found[at]]
        lines = [_plain(line) for line in source.text.splitlines()] if mine else []
        whole, ends = " ".join(lines), ends_of(lines)
        for at in mine:
            _, line, text = wanted[at]
            start = ends[min(line - 1, len(ends)) - 1] if line > 1 and ends else 0
            if (offset := max(whole.find(text, start), whole.find(text))) >= 0:
                found[at] = bisect_right(ends, offset) + 1
    return found


def ends_of(lines: Iterable[str]) -> list[int]:
    """Return where each line ends in the text of all lines, joined by blanks; the blank behind it belongs to it."""
    return [*accumulate(len(line) + 1 for line in lines)]


def _plain(text: str) -> str:
    return " ".join(_MARKUP.sub(r"\1", text).split())


def claims(text: str) -> list[Claim]:
    """Return the sentences of a text in Markdown, each with the places that it cites; titles and notes are none."""
    found: list[Claim] = []
    for line in text.splitlines():
        plain = line.strip().removeprefix("- ").removeprefix("* ")
        if not plain or plain.startswith(("#", ">", "```", "---", "|--")):
            continue
        for _, sentence in sentences(CITED.sub(lambda cited: f" [{cited[1]}]", plain)):
            places = [place.strip() for cited in CITED.findall(sentence) for place in re.split("[,;]", cited)]
            said = CITED.sub("", sentence).strip(" .")
            if said:
                found.append(Claim(said, tuple(places)))
            elif found:  # a citation behind the stop of its sentence
                found[-1] = Claim(found[-1].text, (*found[-1].places, *places))
    return found


def check_brief(draft: str, findings: Sequence[Passage], word_budget: int) -> None:
    """Check that a text is a brief on the findings: titled, not too long, and citing what was found.

    A refusal or a remark on the task is none, whoever wrote it. Sentences without a citation are allowed.

    Raises:
        ValueError: It is not; the message says why.
    """
    known = {name for finding in findings for name in (finding.place, finding.file)}
    cited = [place for claim in claims(draft) for place in claim.places]
    wrong = [place for place in dict.fromkeys(cited) if place not in known and findings]
    why: list[str] = []
    if not draft.lstrip().startswith("# "):
        why.append("it has no title: begin with # and a title, and write nothing but the brief")
    if wrong:
        why.append(f"nothing was found at {', '.join(wrong[:COMPLAINTS])}: cite only places of the findings")
    if findings and not cited:
        why.append("it cites nothing: end each sentence that rests on a finding with its place, as [file:line]")
    if (words := sum(size(claim.text) for claim in claims(draft))) > word_budget:
        why.append(f"it has {words} words, and {word_budget} are allowed")
    if why:
        raise ValueError("This is no brief on the findings:\n" + "\n".join(f"- {each}" for each in why))


def marked(draft: str, findings: Sequence[Passage]) -> str:
    """Return a brief with a note on what rests on no source: sentences, or all of it."""
    free = uncited(draft)
    if findings and all(finding.file == KNOWLEDGE for finding in findings):
        return f"{draft.rstrip()}\n\n> Written from what the model knows; nothing was looked up.\n"
    if not free or not findings:
        return draft
    listed = " ".join(f"“{text}”" for text in free)
    return f"{draft.rstrip()}\n\n> Without a source: {listed}\n"


def uncited(draft: str) -> list[str]:
    """Return the sentences of a brief that cite nothing: what leads from one claim to the next, or rests on nothing."""
    return [claim.text for claim in claims(draft) if not claim.places]
