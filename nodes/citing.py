"""What every workflow on sources shares: quotations that are in their sources, and texts that cite them.

A model may quote only what is there, word for word; which line that is, is found here. A brief may cite only what was
quoted. Whether its sentences say what they cite is for a reviewer.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import SkipJsonSchema

from graphengine import TextFile
from graphengine.agents.sources import quoted_at

KNOWLEDGE: Final = "the model's knowledge"  # the file of findings that nobody looked up
FROM_KNOWLEDGE: Final = "Written from what the model knows; nothing was looked up."
LONGER: Final = 1.1  # a text that is longer by more than a tenth has a fault
SEVERAL: Final = 2  # sources that a claim should rest on, where there are so many
COMPLAINTS: Final = 8  # of one answer; a model that fixes these will see to the others
# No pattern here looks at the same characters again and again: a text of any size is read once.
CITED: Final = re.compile(r"(?:(?<!\s)\s+)?\[([^\[\]]+)\](?!\()")
_PLACE: Final = re.compile(r"\S+\.\w+:\d+")  # what looks like one
WIDE: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")  # scripts without blanks: pairs of characters
_STOP: Final = re.compile(r"[.!?…][\"'”»)\]*]*\s+(?=[\"'“„«(\[*`¿¡]*[^\Wa-z_])|[\u3002\uff01\uff1f]")
_ABBREVIATED: Final = re.compile(
    r"(?:\b(?:[^\W\d_]|[A-Z][a-z]|Mrs|Prof|Abs|Art|vs|etc|bzw|ca|Fig|Inc|Ltd)|\.[^\W\d_]|(?:^|\s)\d{1,2})\.$"
)
_PARTS: Final = re.compile(r"^(?:#{1,6} |\W*(?:act|cold open)\b)", re.MULTILINE | re.IGNORECASE)
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
    """A sentence of a brief, the places that it cites, and those that it names and nothing was found at."""

    text: str
    places: tuple[str, ...]
    strange: tuple[str, ...] = ()


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
    refuse_invented(invented(found.quotations, sources))


def literal(answers: Sequence[Quotations], sources: Sequence[TextFile]) -> Quotations:
    """Return the quotations of some answers that are in their sources."""
    return without(answers, invented(quoted(answers), sources))


def invented(quotations: Sequence[Passage], sources: Sequence[TextFile]) -> list[Passage]:
    """Return those of some quotations that are not in their sources."""
    return [each for each, line in zip(quotations, found_at(quotations, sources), strict=True) if not line]


def refuse_invented(wrong: Sequence[Passage]) -> None:
    """Raise a ValueError that names what is not in the sources, unless that is nothing."""
    what = "These are not in the sources word for word; quote what is there, or leave it out:"
    refuse(what, [f"{each.file}: {each.text[:80]!r}" for each in wrong[:COMPLAINTS]])


def refuse(what: str, why: Sequence[str]) -> None:
    """Raise a ValueError that says what is wrong with an answer, unless that is nothing."""
    if why:
        raise ValueError("\n- ".join([what, *why]))


def quoted(answers: Iterable[Quotations]) -> list[Passage]:
    """Return the quotations of some answers, each once."""
    return [*dict.fromkeys(each for answer in answers for each in answer.quotations)]


def without(answers: Sequence[Quotations], wrong: Sequence[Passage]) -> Quotations:
    """Return the quotations of some answers but for those that are wrong, each with a note.

    Raises:
        ValueError: Nothing is left.
    """
    left = [each for each in quoted(answers) if each not in wrong]
    if not left:
        refuse_invented(wrong)
    notes = [f"Left out, as it is not in {each.file} word for word: {each.text[:80]!r}" for each in wrong]
    return Quotations(quotations=left, notes=[*answers[0].notes, *notes])


def located(result: Quotations, sources: Sequence[TextFile], findings: Sequence[Passage]) -> list[Passage]:
    """Return the quotations that are new, each with the line on which it begins."""
    known = {(finding.file, finding.text) for finding in findings}
    new = {(each.file, each.text): each for each in result.quotations if (each.file, each.text) not in known}
    if not sources:
        return [*new.values()]
    lines = found_at(new.values(), sources)
    return [each.model_copy(update={"line": line or each.line}) for each, line in zip(new.values(), lines, strict=True)]


def found_at(quotations: Iterable[Passage], sources: Sequence[TextFile]) -> list[int]:
    """Return the line on which each quotation begins in its source; 0 for one that is nowhere."""
    texts = {source.path: source.text for source in reversed(sources)}
    return [quoted_at(each.text, texts.get(each.file, ""), each.line) for each in quotations]


def claims(text: str, findings: Iterable[Passage] = ()) -> list[Claim]:
    """Return the sentences of a text in Markdown, each with the places that it cites.

    A citation is what names a source and a line that exist, those of a finding; all else in brackets is text. Titles,
    notes and blocks of code are no sentences. A finding that is quoted as a whole line is one.
    """
    findings = [*findings]
    names = {name for each in findings for name in (each.place, each.file)}
    literal = {" ".join(each.text.split()) for each in findings}
    found: list[Claim] = []
    for line in _prose(text):
        quoted, _, place = line.rpartition(" [")
        if place[:-1] in names and quoted in literal:
            found.append(Claim(quoted.strip(" ."), (place[:-1],)))
            continue
        whole = CITED.sub(lambda cited: f" [{cited[1]}]" if named(cited[1], names) else cited[0], line)
        for _, sentence in sentences(whole):
            claim = _claim(sentence, names)
            if claim.text:
                found.append(claim)
            elif found:  # a citation behind the stop of its sentence
                before = found[-1]
                found[-1] = Claim(before.text, (*before.places, *claim.places), (*before.strange, *claim.strange))
    return found


def _prose(text: str) -> Iterator[str]:
    """Yield the lines of a text that have sentences, without the marks of items."""
    fence = ""
    for line in map(str.strip, text.splitlines()):
        if fence or line.startswith(("```", "~~~")):
            fence = "" if fence and line.startswith(fence) else fence or line[:3]
        elif line and not line.startswith(("#", ">", "---", "|--")):
            yield line[2:].strip() if line.startswith(("- ", "* ")) else line


def _claim(sentence: str, names: Collection[str]) -> Claim:
    places, strange = list[str](), list[str]()

    def read(cited: re.Match[str]) -> str:
        places.extend(known := named(cited[1], names))
        each = () if cited[1] in names else map(str.strip, re.split("[,;]", cited[1]))
        strange.extend(one for one in each if one not in names and (known or _PLACE.fullmatch(one)))
        return "" if known else cited[0]

    return Claim(CITED.sub(read, sentence).strip(" ."), tuple(places), tuple(strange))


def named(cited: str, names: Collection[str]) -> list[str]:
    """Return the places that the text in a pair of brackets names; none if it is no citation."""
    return [cited] if cited in names else [each for each in map(str.strip, re.split("[,;]", cited)) if each in names]


def check_brief(draft: str, findings: Sequence[Passage]) -> None:
    """Check that a text is a brief on the findings. A refusal or a remark on the task is none, whoever wrote it.

    What can be mended later is told by `faults`; sentences without a citation are allowed.

    Raises:
        ValueError: It is not; the message says why.
    """
    if _cites(draft, findings) or (_is_titled(draft) and not findings):
        return
    nothing = ["it cites nothing: end each sentence that rests on a finding with its place, as [file:line]"]
    refuse("This is no brief on the findings:", [*faults(draft, findings, size(draft)), *nothing * bool(findings)])


def best(texts: Sequence[str]) -> str:
    """Return the first of some texts with faults that is whole.

    Raises:
        ValueError: None is.
    """
    return texts[[*map(is_whole, texts)].index(True)]


def is_whole(text: str) -> bool:
    """Return whether a text has titles or acts, as a refusal, a remark on the task and a placeholder have not."""
    return bool(_PARTS.search(text))


def faults(draft: str, findings: Sequence[Passage], word_budget: int) -> list[str]:
    """Return the faults of form of a brief: its title, its places, its length, and that it breaks off."""
    found = claims(draft, findings)
    strange = [*dict.fromkeys(place for claim in found for place in claim.strange)] if findings else []
    words = sum(size(claim.text) for claim in found)
    return [
        *([] if _is_titled(draft) else ["it has no title: begin with # and a title, and write nothing else before it"]),
        *([f"nothing was found at {', '.join(strange[:COMPLAINTS])}"] if strange else []),
        *([f"it has {words} words, and {word_budget} were asked for"] if words > LONGER * word_budget else []),
        *(["it breaks off in a sentence"] if _breaks_off(draft) else []),
    ]


def _cites(draft: str, findings: Sequence[Passage]) -> bool:
    return any(claim.places for claim in claims(draft, findings))


def _breaks_off(draft: str) -> bool:
    """Return whether a text ends in a sentence, as one does that was cut off; items and titles have no full stop."""
    last = draft.rstrip().rpartition("\n")[2].lstrip()
    return last[-1:].isalnum() and not last.startswith(("#", "-", "*", "+", "|", ">", "`"))


def _is_titled(draft: str) -> bool:
    return draft.lstrip().startswith("# ")


def marked(draft: str, findings: Sequence[Passage], word_budget: int, *, counts_sources: bool = False) -> str:
    """Return a brief with notes on its faults, and on what rests on no source: sentences, or all of it.

    With `counts_sources` a note says how many sentences rest on one source alone, if the findings are of several.

    What no check lets through is no brief, such as a placeholder, and gets none.
    """
    if not (_is_titled(draft) or _cites(draft, findings)):
        return draft
    notes = [f"To be mended: {fault}." for fault in faults(draft, findings, word_budget)]
    free = uncited(draft, findings)
    if findings and all(finding.file == KNOWLEDGE for finding in findings):
        notes.append(FROM_KNOWLEDGE)
    elif findings and free:
        is_all = len(free) == len(claims(draft, findings))
        notes.append("Without a source: " + ("all of it." if is_all else " ".join(f"“{text}”" for text in free)))
    if counts_sources and (lone := on_one_source(draft, findings)):
        cited = [claim for claim in claims(draft, findings) if claim.places]
        notes.append(f"On one source alone: {len(lone)} of {len(cited)} sentences that cite.")
    return "\n".join([f"{draft.rstrip()}\n", *(f"> {note}" for note in notes), ""]) if notes else draft


def on_one_source(draft: str, findings: Sequence[Passage]) -> list[str]:
    """Return the sentences of a brief that rest on one source alone, if its findings are of several."""
    files = {finding.place: finding.file for finding in findings}
    if len({*files.values()}) < SEVERAL:
        return []
    rests = [(claim.text, {files.get(place, place) for place in claim.places}) for claim in claims(draft, findings)]
    return [text for text, sources in rests if len(sources) == 1]


def uncited(draft: str, findings: Sequence[Passage]) -> list[str]:
    """Return the sentences of a brief that cite nothing: what leads from one claim to the next, or rests on nothing."""
    return [claim.text for claim in claims(draft, findings) if not claim.places]
