"""The roles of a writers' room: prompts for a language model. Nothing stands in for one: rules invent no story."""

import re
from collections.abc import Mapping

from graphengine import Agent, Settings
from graphengine.agents import DATA_NOTE, bare_markdown, labelled
from graphengine.patterns import View
from nodes.citing import best, refuse

MINUTES_OFF = 1  # how much the minutes of the parts can differ from the episode's length
_PART = re.compile(r"^## .+ \(~?(\d+) ?min(?:ute)?s?\.?\)\W*$", re.MULTILINE)
_BEAT = re.compile(r"^[-*] .+ \((\w+)(?:: [^()\n]*)?\)\W*$", re.MULTILINE)


def ask_role(premise: str, tone: str, minutes: int, acts: int, views: Mapping[str, str]) -> str:
    """Return the question to a role: the order, and the last view of each role, its own among them."""
    said = labelled(views) if views else "Nobody has said anything yet."
    length = f"Length: {minutes} minutes, a cold open and {acts} acts."
    return f"{labelled({'premise': premise})}\n\nTone: {tone}\n{length}\n\nThe last view of each role:\n{said}"


def check_outline(outline: str, minutes: int, acts: int, views: Mapping[str, str]) -> None:
    """Check that an outline has no faults.

    Raises:
        ValueError: It has some; the message names them.
    """
    refuse("This is not the outline that was asked for:", faults(outline, minutes, acts, views))


def faults(outline: str, minutes: int, acts: int, views: Mapping[str, str]) -> list[str]:
    """Return where an outline has not the acts and minutes asked for, or beats by others than the roles of the room."""
    parts, authors = _PART.findall(outline), _BEAT.findall(outline)
    total = sum(map(int, parts))
    found = [f"{who!r} is not in the room, which has {', '.join(views)}" for who in {*authors} - {*views}]
    if not outline.startswith("# "):
        found.append("it has no title: begin with # and the title of the episode")
    if len(parts) != acts + 1:
        found.append(f"there are {len(parts)} parts as '## Act 1 (9 min)', not a cold open and {acts} acts")
    if abs(total - minutes) > MINUTES_OFF:
        found.append(f"the parts add up to {total} minutes, but the episode has {minutes}")
    if not authors:
        found.append("no beat has its author: write '- She burns the chart. (staff_writer)'")
    return found


def role(name: str, duty: str) -> Agent[View]:
    """Return a role of the room: its name for the others and `--model NAME=…`, its character and what it gives."""
    manner = (
        "You sit in the writers' room of a television series. In each round everybody reads what the others said last "
        "and renews their own view.\n"
        "- `text`: your view in at most fifteen lines. React to the others by name: take up what serves the episode, "
        "say against what does not, and do not defend an idea because it is yours.\n"
        "- `done`: true once you would leave your view and those of the others as they are.\n" + DATA_NOTE
    )
    return Agent(name, system=f"{duty}\n\n{manner}", prompt=ask_role, output=View, settings=Settings(max_tokens=1_024))


ROLES = (
    role(
        "showrunner",
        "You run the show: the season's arc, the tone and the last word are yours. Say what the episode is about for "
        "its lead, which choice everything turns on and in which act, and what of the others' ideas stays.",
    ),
    role(
        "staff_writer",
        "You are the staff writer. You break the premise into beats by act: concrete turns that a character causes "
        "and that serve the showrunner's throughline.",
    ),
    role(
        "script_editor",
        "You are the script editor. You give each part its minutes, so that they add up to the length, cut what is "
        "slow or told twice, and sharpen the question on which each act ends.",
    ),
    role(
        "continuity",
        "You keep the continuity: who knows what from when on, the timeline, and what was established. You suggest "
        "callbacks to earlier episodes and name every contradiction.",
    ),
)
network_exec = role(
    "network_exec",
    "You speak for the network: broad appeal, the breaks for advertising, and what standards and practices will ask.",
)

outliner = Agent(
    "showrunner",  # who has the last word, so `--model showrunner=NAME` is for both
    system=(
        "You run a television series and close its writers' room: you decide what is still open, and write the outline "
        "of the episode from the views of the roles.\n"
        "- Markdown: the title after #, with the place in the season if the premise has it; the throughline in a "
        "sentence; `## Cold open (3 min)` and `## Act 1 (9 min)` and so on, whose minutes add up to the length.\n"
        "- A part has its beats, each a list item that ends with the role whose idea it was, as `(staff_writer)`, and "
        "what it leaves open.\n"
        "- Then continuity, callbacks, and what only people outside of the room can settle.\n"
        "Answer with the outline alone.\n" + DATA_NOTE
    ),
    prompt=ask_role,
    guards=[bare_markdown],
    check=check_outline,
    best_effort=best,
    on_cut="keep",
    output_retries=1,  # by a strong model: what one hint does not mend is named
    settings=Settings(max_tokens=8_192),
)
