"""Excerpts: sources that are too long for one question, read in parts; what readers quote from the parts remains.

An excerpt is the source with only the quoted lines, the headings above them and the heads of their tables. All others
are blank, so that lines keep their numbers, and citations and checks work as for the whole source. Its last line, a
comment, says how much was read.
"""

import re
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from graphengine.agents.prompts import labelled
from graphengine.agents.runtime import RunRuntime
from graphengine.briefs.article import Fact, Findings
from graphengine.briefs.evidence import check_findings, numbered
from graphengine.briefs.researcher import research
from graphengine.briefs.text.language import in_language_of
from graphengine.briefs.text.words import mentions, stem_sequence, subject_words
from graphengine.media import TextFile
from graphengine.models.base import KnowsWindow, Model
from graphengine.runner.context import Context

LONG_BYTES = 400_000  # of all sources together: some 100,000 tokens, so that they fit into windows of 128,000
SHORT_BYTES = 16_000  # that fit into every window of 32,000
BYTES_A_TOKEN = 4  # of English prose
BESIDE_TOKENS = 28_000  # for instructions, line numbers and the answer
PART_BYTES = 40_000
MOST_PARTS = 200  # longer sources get longer parts
QUOTATIONS = 8  # of one part
RESEARCHERS = ("researcher", "sceptic", "scout", "skeptic")  # agents that read all sources at once
_HEADING = re.compile(r"#{1,6} ")


class Part(BaseModel):
    """Some lines of a source.

    Args:
        source: The index of the source, from 0.
        first, last: Its first and last line, from 1.
    """

    model_config = ConfigDict(frozen=True)

    source: int
    first: int
    last: int


class Quoted(BaseModel):
    """What a reader quotes from its part, the most important first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    facts: list[Fact] = []


def may_be_long(sources: Sequence[TextFile]) -> bool:
    """Return whether sources are too long for some models."""
    return _size(sources) > min(SHORT_BYTES, LONG_BYTES)


def are_long(sources: Sequence[TextFile], window_tokens: int | None) -> bool:
    """Return whether sources are too long for one question to a model.

    Args:
        sources: The sources.
        window_tokens: How much the model reads at once; None if it is unknown.
    """
    room = LONG_BYTES if window_tokens is None else (window_tokens - BESIDE_TOKENS) * BYTES_A_TOKEN
    return _size(sources) > min(LONG_BYTES, max(SHORT_BYTES, room))


def _size(sources: Sequence[TextFile]) -> int:
    return sum(len(source.text.encode()) for source in sources)


def divide(sources: Sequence[TextFile]) -> list[Part]:
    """Divide sources into parts of whole lines, at most `MOST_PARTS` or one for each source."""
    sizes = [[len(line.encode()) + 1 for line in source.text.splitlines()] for source in sources]
    most = max(PART_BYTES, -(-sum(map(sum, sizes)) // MOST_PARTS))
    parts: list[Part] = []
    for number, lines in enumerate(sizes):
        first, size = 1, 0
        for at, length in enumerate(lines, start=1):
            if size and size + length > most:
                parts.append(Part(source=number, first=first, last=at - 1))
                first, size = at, 0
            size += length
        if size:
            parts.append(Part(source=number, first=first, last=len(lines)))
    return parts


async def divided(sources: list[TextFile], ctx: Context) -> list[Part]:
    """Return the parts of sources that are too long for a researcher; none if they fit into its window."""
    return divide(sources) if are_long(sources, await window_of(RESEARCHERS, ctx)) else []


async def window_of(agents: Sequence[str], ctx: Context) -> int | None:
    """Return the smallest window of the models that the run has for some agents; None if none is known."""
    models: set[Model] = {RunRuntime(ctx).model_for(agent, "offline") for agent in agents}
    known = [await model.window_tokens() for model in models if isinstance(model, KnowsWindow)]
    return min((window for window in known if window), default=None)


def lines_of(part: Part, sources: Sequence[TextFile]) -> TextFile:
    """Return the lines of a part as a source, after as many blank lines as there are before them."""
    source = sources[part.source]
    lines = source.text.splitlines()[part.first - 1 : part.last]
    return TextFile(path=source.path, text="\n" * (part.first - 1) + "\n".join(lines))


def ask_part(task: str, part: Part, sources: Sequence[TextFile]) -> str:
    """Return the question to the reader of one part."""
    shown = {"topic": task, "part": numbered(lines_of(part, sources))}
    return labelled(shown) + "\n\nWhat does this part say on the topic?"


def check_quoted(quoted: Quoted, part: Part, sources: Sequence[TextFile]) -> None:
    """Check that all quotations are in the part, on the lines that they name.

    Raises:
        ValueError: They are not.
    """
    check_findings(Findings(caveats=quoted.facts), [lines_of(part, sources)])


@in_language_of("sources")
def quote_part(task: str, part: Part, sources: Sequence[TextFile]) -> Quoted:
    """Quote by rules: the sentences of a part with the most words of the task."""
    try:
        found = research(task, [lines_of(part, sources)]).all_facts()
    except ValueError:  # it has no sentences
        return Quoted()
    asked = subject_words(task)
    has = {fact.key: sum(mentions(stem_sequence(fact.text), word) for word in asked) for fact in found}
    best = sorted((fact for fact in found if has[fact.key]), key=lambda fact: (-has[fact.key], fact.rank))
    return Quoted(facts=best[:QUOTATIONS])


def excerpts(sources: Sequence[TextFile], parts: Sequence[Part], quoted: Sequence[Quoted]) -> list[TextFile]:
    """Return an excerpt of each source; without any quotation, the beginning of each."""
    kept: list[set[int]] = [set() for _ in sources]
    count = [0] * len(sources)
    for part, each in zip(parts, quoted, strict=True):
        lines = sources[part.source].text.splitlines()
        for fact in each.facts:
            kept[part.source] |= _around(fact, lines)
            count[part.source] += 1
    whole = any(count)
    found: list[TextFile] = []
    for number, source in enumerate(sources):
        lines = source.text.splitlines()
        own = [part for part in parts if part.source == number]
        wanted = kept[number] if whole or not own else set(range(own[0].last))
        what = f"{count[number]} quotations" if whole else f"no quotation, but the first {len(wanted)} lines"
        note = note_on(source.path, len(own), len(lines), what)
        text = "\n".join(line if at in wanted else "" for at, line in enumerate(lines))
        found.append(TextFile(path=source.path, text=f"{text}\n<!-- excerpt: {note} -->"))
    return found


def note_on(path: str, parts: int, lines: int, what: str) -> str:
    """Return the note on a source that was read in parts; `what` of its lines was passed on."""
    return f"{path} was read in parts ({parts}); of its {lines:,} lines, {what} were passed on"


def _around(fact: Fact, lines: Sequence[str]) -> set[int]:
    """Return the lines of a quotation, of the head of its table, and of the headings above it, from 0."""
    at = first = last = fact.line - 1
    length = len(lines[at])
    while length < 2 * len(fact.text) and last + 1 < len(lines) and lines[last + 1].strip():
        last += 1
        length += len(lines[last])
    while lines[at].lstrip().startswith("|") and first > 0 and lines[first - 1].lstrip().startswith("|"):
        first -= 1
    found = {first, first + 1, *range(at, last + 1)} if first < at else set(range(at, last + 1))
    level = 7
    for above in range(at - 1, -1, -1):
        if (heading := _HEADING.match(lines[above])) and len(heading[0]) < level + 1:
            found.add(above)
            level = len(heading[0]) - 1
            if level == 1:
                break
    return found
