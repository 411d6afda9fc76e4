"""What every workflow on sources shares: quotations that are in their sources, and texts that cite them.

A model may quote only what is there, word for word; which line that is, is found here. A brief may cite only what was
quoted. Whether its sentences say what they cite is for a reviewer, who gets the remarks of `comparing`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import BaseModel

from graphengine import TextFile
from graphengine.agents.prompts import block, labelled
from nodes.comparing import remarks
from nodes.passages import Passage, extract, read, sentences, size
from nodes.points import Points

SHOWN_WORDS: Final = 60_000  # of the sources in one question; of longer ones a model reads the passages that match best
KNOWLEDGE: Final = "the model's knowledge"  # the file of findings that nobody looked up
COMPLAINTS: Final = 8  # of one answer; a model that fixes these will see to the others
_CITED: Final = re.compile(r"\s*\[([^\[\]]+)\](?!\()")
_MARKUP: Final = re.compile(r"\[([^\]]*)\]\([^)]*\)|[*_`#>|]+|^\s*[-+*]\s", re.MULTILINE)


class Quotations(BaseModel):
    """What a researcher found: sentences of the sources, word for word.

    Attributes:
        quotations: The passages, the one that says most first.
        notes: What a reader should know of the search, such as points on which the sources say nothing.
    """

    quotations: list[Passage] = []
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


@lru_cache(4)
def _points(task: str, sources: tuple[TextFile, ...]) -> Points:
    return Points(task, sources)


def points_of(task: str, sources: Sequence[TextFile]) -> Points:
    """Return the points of a task; the last few are kept, since every agent of a round asks for the same."""
    return _points(task, tuple(sources))


# --- what models read -------------------------------------------------------------------------------------------------


def material(task: str, sources: Sequence[TextFile]) -> str:
    """Return the task and the sources as a question shows them; of long sources only the passages that match best."""
    total = sum(size(source.text) for source in sources)
    if total <= SHOWN_WORDS:
        return labelled({"task": task} | {source.path: source.text for source in sources})
    found = extract(task, sources, SHOWN_WORDS)
    note = f"The sources have {total:,} words. These are the {SHOWN_WORDS:,} that match the task best, by words:"
    return f"{block('task', task)}\n\n{note}\n{block('passages', lines_of(found))}"


def lines_of(findings: Iterable[Passage]) -> str:
    """Return findings as lines of text, each after the place that a text cites."""
    return "\n".join(f"[{finding.place}] {finding.text}" for finding in findings)


# --- what they answer -------------------------------------------------------------------------------------------------


def check_quotations(found: Quotations, sources: Sequence[TextFile]) -> None:
    """Check that every quotation is in its source.

    Raises:
        ValueError: Some are not; the message names them.
    """
    wrong = [each for each in found.quotations if not _line_of(each, sources)]
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
    return [each.model_copy(update={"line": _line_of(each, sources)}) for each in new.values()]


def _line_of(quotation: Passage, sources: Sequence[TextFile]) -> int:
    """Return the line on which a quotation begins, the given one if it is there too, or 0."""
    texts = [source for source in sources if source.path == quotation.file]
    found = [line for source in texts for line in _lines_of(quotation.text, source)]
    return quotation.line if quotation.line in found else min(found, default=0)


def _lines_of(text: str, source: TextFile) -> Iterator[int]:
    """Yield the lines on which a text begins: as a passage, or literally but for its markup and its line breaks."""
    yield from (passage.line for passage in _read(source) if passage.text == text)
    lines = [_plain(line) for line in source.text.splitlines()]
    whole, wanted = " ".join(lines), _plain(text)
    at = whole.find(wanted) if wanted else -1
    while at >= 0:
        yield len(whole[:at].split(" ")) and _number_at(lines, at)
        at = whole.find(wanted, at + 1)


@lru_cache(64)
def _read(source: TextFile) -> list[Passage]:
    return read(source)


def _plain(text: str) -> str:
    return " ".join(_MARKUP.sub(r"\1", text).split())


def _number_at(lines: Sequence[str], offset: int) -> int:
    for number, line in enumerate(lines, start=1):
        if offset <= len(line):
            return number
        offset -= len(line) + 1
    return len(lines)


def claims(text: str) -> list[Claim]:
    """Return the sentences of a text in Markdown, each with the places that it cites; titles and notes are none."""
    found: list[Claim] = []
    for line in text.splitlines():
        plain = line.strip().removeprefix("- ").removeprefix("* ")
        if not plain or plain.startswith(("#", ">", "```", "---", "|--")):
            continue
        for _, sentence in sentences(_CITED.sub(lambda cited: f" [{cited[1]}]", plain)):
            places = [place.strip() for cited in _CITED.findall(sentence) for place in re.split("[,;]", cited)]
            said = _CITED.sub("", sentence).strip(" .")
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
    why = []
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


def doubtful(draft: str, findings: Sequence[Passage]) -> list[str]:
    """Return the sentences of a brief that differ from what they cite, as far as their words show it, with remarks."""
    texts: dict[str, list[str]] = {}
    for finding in findings:
        texts.setdefault(finding.place, []).append(finding.text)
    found = []
    for claim in claims(draft):
        passages = [text for place in claim.places for text in texts.get(place, ())]
        if passages and claim.text.strip(" .") not in (passage.strip(" .") for passage in passages):
            where = f"“{claim.text}” [{', '.join(claim.places)}]"
            found += [f"{where}: {why}" for why in remarks(claim.text, " ".join(passages))]
    return found


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
