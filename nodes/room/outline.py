"""The outline of an episode: the data that a writers' room ends with, what is asked of it, and how it is read.

Who gave what is part of the data: each beat names the role it came from, and `credits` say what else came of whom.
"""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

MINUTES_OFF = 1  # the parts of an outline may add up to so many minutes more or less than the episode has


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Beat(_Frozen):
    """One thing that happens.

    Args:
        what: what happens, in a sentence or two.
        by: the role whose idea it was.
    """

    what: str = Field(min_length=1)
    by: str


class Act(_Frozen):
    """A part of the episode: the cold open, or an act.

    Args:
        minutes: how long it is.
        beats: what happens, in order.
        ends_on: the question that it leaves open at its break.
    """

    minutes: int = Field(ge=1)
    beats: list[Beat] = Field(min_length=1)
    ends_on: str = ""


class Credit(_Frozen):
    """What came of a role besides its beats."""

    role: str
    gave: str


class Outline(_Frozen):
    """An episode, as far as a room can take it before somebody writes the script.

    Args:
        title: the episode's title.
        episode: its place in the season, as "Episode 4 of 6"; empty where that is not known.
        throughline: what the episode is about for the person it is about.
        cold_open: what stands before the first act.
        acts: the acts in order.
        continuity: facts that the script may not contradict, and who knows what from when on.
        callbacks: what from earlier episodes comes back.
        open_points: what the room could not settle.
        credits: who gave what besides beats.
        made_by_rules: true where no language model put it together; a model leaves it out.
    """

    title: str = Field(min_length=1)
    episode: str = ""
    throughline: str
    cold_open: Act
    acts: list[Act] = Field(min_length=1)
    continuity: list[str] = []
    callbacks: list[str] = []
    open_points: list[str] = []
    credits: list[Credit] = []
    made_by_rules: bool = False

    @property
    def minutes(self) -> int:
        """The length of all parts together."""
        return sum(part.minutes for part in (self.cold_open, *self.acts))


def check_outline(outline: Outline, minutes: int, acts: int, views: Mapping[str, str]) -> None:
    """See that an outline has the acts and minutes that were asked for, and credits nobody who was not there.

    Args:
        outline: what was made.
        minutes: the length of the episode.
        acts: the number of its acts.
        views: the views of the room, by role.

    Raises:
        ValueError: it does not; every fault is named.
    """
    named = [beat.by for part in (outline.cold_open, *outline.acts) for beat in part.beats]
    strangers = dict.fromkeys(
        role for role in (*named, *(credit.role for credit in outline.credits)) if role not in views
    )
    faults = [f"{role!r} is nobody of the room, which has {', '.join(views)}" for role in strangers]
    if len(outline.acts) != acts:
        faults.append(f"there are {len(outline.acts)} acts, and {acts} were asked for")
    if abs(outline.minutes - minutes) > MINUTES_OFF:
        faults.append(f"cold open and acts add up to {outline.minutes} minutes, and the episode has {minutes}")
    if faults:
        raise ValueError("; ".join(faults))


def as_page(outline: Outline, tone: str = "") -> str:
    """Return the outline as Markdown.

    Args:
        outline: the outline.
        tone: the tone it was made for, which it does not know itself.
    """
    head = f"{outline.episode}: {outline.title}" if outline.episode else outline.title
    acts = f"{len(outline.acts)} act{'s' if len(outline.acts) > 1 else ''}"
    said = [f"Cold open and {acts}, {outline.minutes} minutes.", f"Tone: {tone}." if tone else ""]
    lines = [f"# {head}", "", " ".join(filter(None, said)), "", f"**Throughline:** {outline.throughline}"]
    lines += _part("Cold open", outline.cold_open)
    for number, act in enumerate(outline.acts, start=1):
        lines += _part(f"Act {number}", act)
    lines += _list("Continuity", outline.continuity) + _list("Callbacks", outline.callbacks)
    lines += _list("Open points", outline.open_points)
    lines += _list("Who gave what", [f"{credit.role}: {credit.gave}" for credit in outline.credits])
    if outline.made_by_rules:
        lines += ["", "*Put together by rules, without a language model: a plan to write from, and no story yet.*"]
    return "\n".join(lines)


def _part(name: str, act: Act) -> list[str]:
    lines = ["", f"## {name} ({act.minutes} min)", ""]
    lines += [f"- {beat.what} ({beat.by})" for beat in act.beats]
    return [*lines, f"- Ends on: {act.ends_on}"] if act.ends_on else lines


def _list(name: str, entries: list[str]) -> list[str]:
    return ["", f"## {name}", "", *(f"- {entry}" for entry in entries)] if entries else []
