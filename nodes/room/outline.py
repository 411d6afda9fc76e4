"""The outline of an episode: the result of a writers' room as data, its checks, and its page.

Authorship is part of the data: each beat names the role it came from, and `credits` list the other contributions.
"""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

MINUTES_OFF = 1  # how much the minutes of the parts can differ from the episode's length


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Beat(_Frozen):
    """One event of the episode.

    Args:
        what: What happens, in a sentence or two.
        by: The role whose idea it was.
    """

    what: str = Field(min_length=1)
    by: str


class Act(_Frozen):
    """A part of the episode: the cold open, or an act.

    Args:
        minutes: Its length.
        beats: What happens, in order.
        ends_on: The question that it leaves open at its break.
    """

    minutes: int = Field(ge=1)
    beats: list[Beat] = Field(min_length=1)
    ends_on: str = ""


class Credit(_Frozen):
    """A role's contribution other than its beats."""

    role: str
    gave: str


class Outline(_Frozen):
    """An episode, as far as a room can take it before the script is written.

    Args:
        title: The episode's title.
        episode: Its place in the season, for example "Episode 4 of 6"; empty if unknown.
        throughline: What the episode is about for its lead.
        cold_open: The part before the first act; None in a plan.
        acts: The acts in order.
        continuity: Facts that the script must not contradict, and who knows what from when on.
        callbacks: What returns from earlier episodes.
        open_points: What the room could not settle.
        credits: Contributions other than beats.
        made_by_rules: True in a plan, and in outlines of earlier versions, which had rules for the roles.
        plan: The page that is shown instead if no language model makes an outline.
    """

    title: str = Field(min_length=1)
    episode: str = ""
    throughline: str
    cold_open: Act | SkipJsonSchema[None] = None
    acts: list[Act] = []
    continuity: list[str] = []
    callbacks: list[str] = []
    open_points: list[str] = []
    credits: list[Credit] = []
    made_by_rules: SkipJsonSchema[bool] = False
    plan: SkipJsonSchema[str] = Field(default="", exclude_if=lambda text: not text)

    @property
    def minutes(self) -> int:
        """The total length of all parts."""
        return sum(part.minutes for part in self.parts)

    @property
    def parts(self) -> list[Act]:
        """The cold open and the acts."""
        return [*([self.cold_open] if self.cold_open else []), *self.acts]


def check_outline(outline: Outline, minutes: int, acts: int, views: Mapping[str, str]) -> None:
    """Check that an outline has the requested acts and minutes, and credits only roles of the room.

    Args:
        outline: The outline.
        minutes: The length of the episode.
        acts: The number of its acts.
        views: The views of the room, by role.

    Raises:
        ValueError: It does not; the message names every fault.
    """
    if outline.plan:
        return
    named = [beat.by for part in outline.parts for beat in part.beats]
    strangers = dict.fromkeys(
        role for role in (*named, *(credit.role for credit in outline.credits)) if role not in views
    )
    faults = [f"{role!r} is not in the room, which has {', '.join(views)}" for role in strangers]
    if outline.cold_open is None:
        faults.append("there is no cold open")
    if len(outline.acts) != acts:
        faults.append(f"there are {len(outline.acts)} acts instead of {acts}")
    if abs(outline.minutes - minutes) > MINUTES_OFF:
        faults.append(f"cold open and acts add up to {outline.minutes} minutes, but the episode has {minutes}")
    if faults:
        raise ValueError("; ".join(faults))


def as_page(outline: Outline, tone: str = "") -> str:
    """Return the outline as Markdown.

    Args:
        outline: The outline.
        tone: The tone it was made for, which is not part of it.
    """
    if outline.plan:
        return outline.plan.rstrip()
    head = f"{outline.episode}: {outline.title}" if outline.episode else outline.title
    acts = f"{len(outline.acts)} act{'s' if len(outline.acts) > 1 else ''}"
    summary = [f"Cold open and {acts}, {outline.minutes} minutes.", f"Tone: {tone}." if tone else ""]
    lines = [f"# {head}", "", " ".join(filter(None, summary)), "", f"**Throughline:** {outline.throughline}"]
    lines += _part("Cold open", outline.cold_open) if outline.cold_open else []
    for number, act in enumerate(outline.acts, start=1):
        lines += _part(f"Act {number}", act)
    lines += _list("Continuity", outline.continuity) + _list("Callbacks", outline.callbacks)
    lines += _list("Open points", outline.open_points)
    lines += _list("Who gave what", [f"{credit.role}: {credit.gave}" for credit in outline.credits])
    return "\n".join(lines)


def _part(name: str, act: Act) -> list[str]:
    lines = ["", f"## {name} ({act.minutes} min)", ""]
    lines += [f"- {beat.what} ({beat.by})" for beat in act.beats]
    return [*lines, f"- Ends on: {act.ends_on}"] if act.ends_on else lines


def _list(name: str, entries: list[str]) -> list[str]:
    return ["", f"## {name}", "", *(f"- {entry}" for entry in entries)] if entries else []
