"""Readers and the merger of their notes: their prompts for a language model, and the rules used without one.

A reader has one source and, if there are specialists, one point of view. Many are called at once, so they are cheap,
their answers are short, and their long instructions are the same for all, so that a provider can cache them. Without a
language model the rules of `rules.py` do the work.
"""

from collections.abc import Sequence

from graphengine import Agent, TextFile
from graphengine.agents.prompts import DATA_NOTE, labelled
from graphengine.briefs.article import Findings
from graphengine.briefs.citing import check_cited, passages_at
from graphengine.briefs.evidence import check_findings, numbered
from graphengine.briefs.excerpts import note_on
from graphengine.patterns.outcomes import Outcome
from nodes.reading.rules import POINTS, Job, Notes, jobs, merge, quote

READER_TOKENS = 1024  # five quotations with their places; a reader needs no more
MERGER_TOKENS = 3072  # a page


def ask_reader(task: str, item: Job, sources: Sequence[TextFile]) -> str:
    """Return the question to one reader, which sees only its own source."""
    data = {"topic": task, **({"field": item.specialist} if item.specialist else {})}
    if not item.source:
        return labelled(data) + "\n\nThere is no source: what do you know of the topic, as an expert of the field?"
    return labelled({**data, "source": numbered(sources[item.number])}) + "\n\nWhat does this source say on the topic?"


def check_notes(notes: Notes, item: Job, sources: Sequence[TextFile]) -> None:
    """Check that facts are in the reader's source, and that only a reader without a source has points.

    Raises:
        ValueError: They are not.
    """
    if item.source:
        if notes.points:
            message = "you have a source: leave `points` empty and quote it in `facts`"
            raise ValueError(message)
        check_findings(Findings(caveats=notes.facts), [sources[item.number]])
    elif notes.facts or not notes.points:
        message = "there is no source to quote: leave `facts` empty and say what you know in `points`"
        raise ValueError(message)


def check_merged(text: str, outcomes: Sequence[Outcome]) -> None:
    """Check that a text cites only what its readers quote, with the same figures.

    Raises:
        ValueError: It does not; the message names the places and the sentences.
    """
    read = [Notes.model_validate_json(each.text) for each in outcomes if each.failure is None]
    check_cited(text, passages_at(fact for notes in read for fact in notes.facts))


def read_in_parts(sources: Sequence[TextFile], jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> list[str]:
    """Return a note for each source that was too long for one reader: how many parts it has, what was quoted."""
    parts: dict[str, set[int]] = {}
    quoted: dict[str, int] = {}
    for job, each in zip(jobs, outcomes, strict=True):
        parts.setdefault(job.source, set()).add(job.number)
        facts = Notes.model_validate_json(each.text).facts if each.failure is None else []
        quoted[job.source] = quoted.get(job.source, 0) + len(facts)
    return [
        note_on(path, len(own), len(sources[max(own)].text.splitlines()), f"{quoted[path]} quotations")
        for path, own in parts.items()
        if path and len(own) > 1
    ]


GUIDE = (
    "You read for a writer who will make one text of what you and others find. You see one source, the others see "
    "theirs, and yours is not read again: what you leave out is lost, and what you get wrong stays wrong.\n\n"
    "What to look for\n"
    "- The topic decides. A sentence that says what something is, how it works, when it fails, what it costs or by "
    "how much it differs from something else is worth more than one that praises, promises or introduces.\n"
    "- Where you are given a field, read as an expert of that field would: take what such a person would underline, "
    "also where the topic itself names it only in passing. Leave to the other fields what is theirs.\n"
    "- Numbers, names, dates, versions and conditions matter. Of two sentences that say the same take the one that "
    "has them.\n"
    "- What limits or contradicts is as good as what supports. If the source warns, take the warning.\n"
    "- What you know yourself does not count where there is a source, not even to correct it. If the source is wrong, "
    "quote it as it is.\n\n"
    "How to quote\n"
    f"- `facts` has at most {POINTS} sentences, the most important first; `rank` counts them from 1. Fewer are "
    "better than weak ones, and none is an honest answer: the list is then empty.\n"
    "- `text` is one sentence of the source, word for word, without its markup: no asterisks, no link targets, no "
    "number and bar of the line. Do not shorten, join, translate or correct it.\n"
    "- Take sentences that can be understood alone. One that begins with \u201cThis\u201d or \u201cIt\u201d, that "
    "points above or below, or that asks something, is of no use to a reader who does not see its context.\n"
    "- `file` is the path above the source, letter for letter. `line` is the number of the line on which "
    "the sentence begins, as given before the bar.\n"
    "- Headings, captions, code, tables and lists of contents are not sentences.\n\n"
    "Where there is no source\n"
    f"- You speak from what you know as an expert of the field: `facts` stays empty and `points` has at most {POINTS} "
    "sentences, each of which a colleague could check. Say what is settled, and say of what is not that it is not. "
    "No numbers that you are not sure of.\n\n"
    "An example. The topic is \u201cHow tides arise\u201d, and the source is:\n"
    "path: sea.md\n"
    "1| # The sea\n"
    "2| People have always loved the sea. It moves twice a day.\n"
    "3| The moon pulls at the water on the near side more than at the earth, and\n"
    "4| at the earth more than at the water on the far side.\n"
    "5| See the table below for heights. Spring tides come when sun, moon and\n"
    "6| earth stand in one line; in the Bay of Fundy they reach **16 metres**.\n"
    "Good facts are \u201cThe moon pulls at the water on the near side more than at the earth, and at the earth more "
    "than at the water on the far side.\u201d with line 3 and rank 1, and \u201cSpring tides come when sun, moon and "
    "earth stand in one line; in the Bay of Fundy they reach 16 metres.\u201d with line 5 and rank 2: both explain, "
    "the second has a number, and its markup is gone. \u201cPeople have always loved the sea.\u201d says nothing on "
    "the topic. \u201cIt moves twice a day.\u201d cannot be understood alone. \u201cSee the table below for "
    "heights.\u201d points elsewhere. \u201cThe moon attracts the water.\u201d does not stand in the source, though "
    "it is true. A reader of the field of shipping would give the second fact rank 1: heights are what ships need to "
    "know.\n\n"
    "A second example. The topic is \u201cWhy bridges are tested\u201d, the field is insurance, and the source has "
    "these lines:\n"
    "path: notes/bridges.txt\n"
    "11| Engineers load a new bridge with lorries and measure how far it bends. An insurer pays\n"
    "12| for a collapse only if the test was made within two years before.\n"
    "13| For instance, this was the case in 1998.\n"
    "For an insurer the fact with rank 1 is \u201cAn insurer pays for a collapse only if the test was made within two "
    "years before.\u201d: its line is 11, since it begins there. The sentence on lorries has rank 2. The last one is "
    "left out, because it does not say what was the case.\n\n"
    "Before you answer, go through your facts once more: is each in the source, letter for letter, does its "
    "line number name the line on which it begins, and would you miss it in a text on the topic?\n\n"
)
"""The instructions of every reader: some 1,024 tokens, enough for most models to cache; some cheap ones need more."""

reader = Agent(
    "reader",
    system=GUIDE + DATA_NOTE,
    prompt=ask_reader,
    output=Notes,
    check=check_notes,
    max_tokens=READER_TOKENS,
    cache=True,
    offline=quote,
)

merger = Agent(
    "merger",
    system=(
        "You make one text of what several readers found, each in a source or from the view of a field. You see their "
        "notes and not the sources.\n"
        "- Say everything once. Where notes agree, say so by naming all their places; where they contradict each "
        "other, give both and say that they do.\n"
        "- Begin with what matters most for the topic, whoever found it. Sections after ## where there is enough for "
        "two.\n"
        "- End each statement with the places it rests on, as [file:line]; what a specialist said without a source "
        "as [field].\n"
        "- A reading that failed gave nothing: do not fill the hole from what you know.\n"
        "The form is Markdown with a title after #. Answer with the text alone."
    ),
    prompt="Topic: {task}\n\nWho read what:\n{jobs}\n\nTheir notes, in the same order:\n{outcomes}",
    check=check_merged,
    max_tokens=MERGER_TOKENS,
    offline=merge,
)

__all__ = ["Job", "Notes", "jobs", "merger", "read_in_parts", "reader"]
