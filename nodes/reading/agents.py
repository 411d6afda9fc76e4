"""Readers of many sources, and a merger of what they found.

A reader has one source, or one field. Many are called at once, so they are cheap and their answers short. The merger
sees what was found, each passage once as a line of text, and no source.
"""

from collections.abc import Sequence

from graphengine import Agent, Settings
from graphengine.agents import DATA_NOTE, bare_markdown, block
from graphengine.patterns import Outcome
from nodes.citing import Passage, Quotations, best, check_brief, lines_of
from nodes.review.agents import length, researcher


def found_in(outcomes: Sequence[Outcome]) -> list[list[Passage]]:
    """Return what each reader found that no reader before it did; nothing for one that failed."""
    known, found = set[Passage](), list[list[Passage]]()
    for each in outcomes:
        own = [] if each.failure else Quotations.model_validate_json(each.text).quotations
        found.append([passage for passage in own if passage not in known])
        known.update(own)
    return found


def ask_merger(task: str, items: Sequence[str], outcomes: Sequence[Outcome], word_budget: int) -> str:
    """Return the merger's question: what each reader found, as lines of text."""
    pairs = zip(items, found_in(outcomes), strict=True)
    notes = [f"Found by the reader of {item}:\n{block('found', lines_of(found))}" for item, found in pairs if found]
    return "\n\n".join([f"Task: {block('task', task)}", length(word_budget), *notes])


def check_merged(text: str, outcomes: Sequence[Outcome]) -> None:
    """Check that a text is a report on what was found; see `nodes.citing.check_brief`."""
    check_brief(text, [passage for found in found_in(outcomes) for passage in found])


reader = researcher.but(
    name="reader",
    system=(
        "You read for a writer who sees what you quote and not the sources; others read other sources.\n"
        "- Quote at most five sentences word for word, without markup, that can be understood alone: `text`, with "
        "`file`, the name of the source.\n"
        "- First what answers the task most directly. Figures, names, dates and conditions count, and what limits or "
        "contradicts as much as what supports. If the sources have nothing on the task, the list is empty.\n"
        + DATA_NOTE
    ),
    # Not cached: its instructions are too short, and waiting for the first reader costs an answer's time.
    settings=Settings(max_tokens=1_024),
)

merger = Agent(
    "merger",
    system=(
        "You make one report of what several readers found, each in a source or in a field.\n"
        "- Markdown: a title after #; first what matters most for the task, whoever found it; a section after ## where "
        "there is enough for two.\n"
        "- Say everything once. Where readers agree, name all their places; where they contradict each other, give "
        "both and say so.\n"
        "- End each sentence that rests on what was found with its place, as [file:line]. Facts and figures come from "
        "there alone; a sentence that only leads on cites nothing.\n"
        "Answer with the report alone.\n" + DATA_NOTE
    ),
    prompt=ask_merger,
    guards=[bare_markdown],
    check=check_merged,
    best_effort=best,
    on_cut="keep",
    settings=Settings(max_tokens=4_096),
)
