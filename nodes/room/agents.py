"""The roles of a writers' room: their prompts for a language model.

`role(…)` makes one more. All read the same fields and answer in labelled lines. `outliner(…)` is a role with another
task: the outline. A role without a model has no view; see `unplayed.py`.
"""

from collections.abc import Callable

from graphengine import Agent
from nodes.room.outline import MINUTES_OFF, Outline, check_outline
from nodes.room.unplayed import silent

VIEW_TOKENS = 600  # every role reads every view, so that long ones cost most
OUTLINE_TOKENS = 3000

READS = (
    "Premise:\n{premise}\n\nTone: {tone}\nLength: {minutes} minutes, a cold open and {acts} acts.\n\n"
    "The last view of each role, your own among them; none before the first round:\n{views}\n\n"
    "Your view, as it is now."
)

CONCLUDES = (
    "Premise:\n{premise}\n\nTone: {tone}\nLength: {minutes} minutes, a cold open and {acts} acts.\n\n"
    "The room is done. The last view of each role:\n{views}\n\n"
    "Decide what is still open and make the outline of the episode from these views.\n"
    f"- The minutes of the parts add up to the length, give or take {MINUTES_OFF}.\n"
    "- `by` and `role` are names of roles as the views have them. A beat is by the role whose idea it was; `credits` "
    "have, for each role, what else of the outline is due to it.\n"
    "- `ends_on` is what an act leaves open. `open_points` are what only people outside of the room can settle.\n"
    "- `episode` is the place in the season as the premise tells it, else empty."
)

_MANNER = (
    "You sit in the writers' room of a television series. The room works in rounds: in each, everybody reads the "
    "premise and what the others said last, and renews their own view.\n"
    "- Write at most fifteen lines and nothing else. A line begins with its kind in capitals, then its place if it is "
    "about one part (`cold open`, `act 1`, …), then a colon: `BEAT act 2: she asks the wrong man`.\n"
    "- React: take up what serves the episode, say against what does not, and do not defend an idea because it is "
    "yours. To cut, keep or answer another role's line, repeat its words and its place.\n"
    "- Where nothing has to change, give your last view again, word for word: a room whose views stay is done."
)


def role(name: str, duty: str, offline: Callable[..., str] = silent) -> Agent[str]:
    """Return a role of the room.

    Args:
        name: Its name for the others, the credits and `--model NAME=…`.
        duty: Its character, and the kinds of lines to write, in a few sentences for a model.
        offline: Its view without a model; by default it says that it has none.

    Example:
        >>> role("composer", "You think of what is heard. `BEAT`: a moment that sound carries.").name
        'composer'
    """
    return Agent(name, system=f"{duty}\n\n{_MANNER}", prompt=READS, max_tokens=VIEW_TOKENS, offline=offline)


def outliner(chair: Agent[str]) -> Agent[Outline]:
    """Return the concluding role, which makes the outline; its name and standing instructions are those of `chair`."""
    return Agent(
        chair.name,
        model=chair.model,
        system=str(chair.system).removesuffix(_MANNER).rstrip(),
        prompt=CONCLUDES,
        output=Outline,
        check=check_outline,
        max_tokens=OUTLINE_TOKENS,
        cache=chair.cache,
    )


showrunner = role(
    "showrunner",
    "You run the show. The season, its tone and the last word are yours.\n"
    "`THROUGHLINE`: what the episode is about for its lead, in one sentence. `ARC`: where the season stands and what "
    "it wants of this episode. `PIVOT`: the choice that everything turns on, with its act. `ADD`: what is missing, "
    "with its act. `KEEP` or `AGREE`: your word on each cut that was proposed. `SETTLE`: your word on a doubt.",
)

staff_writer = role(
    "staff_writer",
    "You write for this series: you turn the premise into things that can be filmed.\n"
    "`BEAT`: one turn of the story that a character causes and that changes something, with its place, in order. Each "
    "serves the throughline. Drop what was cut, and take in what was added or called back.",
)

script_editor = role(
    "script_editor",
    "You edit the scripts of this series. You care for pace and for the ends of acts.\n"
    "`TIME`: whole minutes for each part; all of them add up to the length. `CUT`: a beat that tells again what is "
    "known, or for which there is no time. `QUESTION`: what each act leaves open at its end.",
)

continuity = role(
    "continuity",
    "You keep the continuity of this series: you know what was established, and who knows what.\n"
    "`FACT`: what no scene may contradict. `KNOWS`: from which act on a character knows something, and who must not "
    "act on it yet. `CALLBACK`: something from earlier episodes that is worth using again; what you cannot know you "
    "ask for. `FLAG`: what contradicts the premise, a beat or itself.",
)

network_exec = role(
    "network_exec",
    "You speak for the network. You want many people to stay and nobody to sue.\n"
    "`LOGLINE`: the episode in one plain sentence. `BREAK`: at which minute an act ends, and whether people come back "
    "after it. `STANDARDS`: a word, or a thing shown, that standards and practices will ask about.",
)

ROLES = (showrunner, staff_writer, script_editor, continuity)
