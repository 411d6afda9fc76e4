"""The drawing: what a picture of a graph says and shows, before anyone asks in which format.

`drawing_of` makes it from a graph's outline and, if a run is to be drawn on it, the run's steps. The writers (dot,
mermaid) print it and decide nothing: words, their order, line breaks and tones are settled here. Ids are made here
too; no text of a user's ever serves as one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, cast, get_args

from graphengine.graph import END, FAIL, START
from graphengine.render.errors import RenderError
from graphengine.render.text import one_line, wrap
from graphengine.render.trace import times_in_words, trace_of
from graphengine.render.ways import closing_ways, ways_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.core.steps import Step
    from graphengine.records import JsonValue
    from graphengine.render.trace import Trace
    from graphengine.render.ways import Way

Shape: TypeAlias = Literal["start", "end", "fail", "function", "agent", "choose", "pass"]
Tone: TypeAlias = Literal["plain", "done", "here", "failed", "unused"]
Weight: TypeAlias = Literal["strong", "normal", "small"]

TITLE_COLUMNS = 26
NOTE_COLUMNS = 28
LABEL_COLUMNS = 30
CAPTION_COLUMNS = 70
TITLE_LINES = 3
NOTE_LINES = 3
CONDITION_LINES = 5
SHOWN_FIELDS = 3
TIMES = "\N{MULTIPLICATION SIGN}"
SHARED_SOURCES = 4
"""An end that more nodes lead to gets a box for each, so that no arrows run across the whole picture."""

_ENDS: dict[str, Shape] = {START: "start", END: "end", FAIL: "fail"}
_TONES: dict[str, Tone] = {"ended": "done", "here": "here", "failed": "failed"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text in a picture."""

    text: str
    weight: Weight = "normal"


@dataclass(frozen=True, slots=True)
class Box:
    """A node, or START, END or FAIL.

    Attributes:
        id: Its name in the file, made of letters and digits.
        lines: What stands in it.
        spoken: All it says in one sentence, for people who listen to a picture.
        tone: What a run did here; `plain` where no run is drawn.
    """

    id: str
    shape: Shape
    lines: tuple[Line, ...]
    spoken: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Arrow:
    """A way from one box to another.

    Attributes:
        lines: What stands beside it.
        failure: Whether it is taken after a failure.
        back: Whether it closes a loop.
        tone: `done` if the run took it, `unused` if it never did, `plain` where no run is drawn.
    """

    id: str
    source: str
    target: str
    lines: tuple[Line, ...]
    spoken: str
    failure: bool = False
    back: bool = False
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Drawing:
    """A whole picture.

    Attributes:
        title: The graph's name, in one line.
        caption: What stands above the picture.
        spoken: The picture in words.
    """

    title: str
    caption: tuple[Line, ...]
    spoken: str
    boxes: tuple[Box, ...] = field(default=())
    arrows: tuple[Arrow, ...] = field(default=())


def drawing_of(outline: Mapping[str, JsonValue], steps: Sequence[Step] | None = None) -> Drawing:
    """Draw a graph, and a run on it.

    Args:
        outline: A graph's outline, as `Plan.outline` has it and stores keep it.
        steps: All steps of a run from seq 1 on; None draws the graph alone.

    Raises:
        RenderError: The outline or the steps cannot be read.
    """
    ways, nodes = _read(outline)
    trace = trace_of(ways, steps) if steps is not None else None
    ids = _ids(ways, nodes)
    fields = frozenset(outline.get("state") or ())
    boxes = tuple(_box(box_id, place, nodes.get(place.name, {}), fields, trace) for place, box_id in ids.items())
    closing = closing_ways(ways, START)
    arrows = tuple(
        replace(_arrow(f"w{index}", ids, way, trace, index), back=index in closing) for index, way in enumerate(ways)
    )
    title = one_line(str(outline.get("graph", ""))) or "graph"
    caption = [Line(text, "strong") for text in wrap(title, CAPTION_COLUMNS, 1)]
    if trace is not None:
        told = f"run {trace.run_id}: {trace.summary}" if trace.run_id else f"run: {trace.summary}"
        caption += [Line(text, "small") for text in wrap(told, CAPTION_COLUMNS, 2)]
        title = f"{title}, {one_line(told)}"
    spoken = " ".join([*(f"{box.spoken}." for box in boxes), *(f"{arrow.spoken}." for arrow in arrows)])
    return Drawing(title, tuple(caption), spoken, boxes, arrows)


class _Place(NamedTuple):
    """What a box stands for: a node, or an end; an end that many nodes lead to has a box for each `source`."""

    name: str
    source: str = ""


def _ids(ways: Sequence[Way], nodes: Mapping[str, object]) -> dict[_Place, str]:
    """The boxes with their ids: START, the nodes as declared, what only the ways name, the ends."""
    ends = {way.target for way in ways} & {END, FAIL}
    many = {end for end in ends if len({way.source for way in ways if way.target == end}) > SHARED_SOURCES}
    named = [name for way in ways for name in (way.source, way.target) if name not in ends]
    inner = dict.fromkeys([START, *nodes, *named])
    places = [_Place(name) for name in inner if name != START or START in named]
    for end in sorted(ends):
        alone = dict.fromkeys(way.source if end in many else "" for way in ways if way.target == end)
        places += [_Place(end, source) for source in alone]
    return {place: f"n{index}" for index, place in enumerate(places)}


def _read(outline: Mapping[str, JsonValue]) -> tuple[list[Way], dict[str, Mapping[str, JsonValue]]]:
    try:
        return ways_of(outline), {str(facts["name"]): facts for facts in outline["nodes"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise RenderError(
            f"this is no outline of a graph: {type(error).__name__}: {error}",
            where="outline=",
            repair="give what `graph.compile().outline` has, or what the store keeps of a run's graph",
        ) from error


def _box(
    box_id: str, place: _Place, facts: Mapping[str, JsonValue], fields: frozenset[str], trace: Trace | None
) -> Box:
    name = place.name
    tone, happened = _at(place, trace)
    if name in _ENDS:
        said = [name, *happened]
        return Box(box_id, _ENDS[name], _lines(name, happened), "; ".join(said), tone)
    title = str(facts.get("title") or "")
    shown = title if one_line(title) else name
    notes = [*_notes(name, facts, shown=shown, fields=fields), *happened]
    shape = facts.get("kind")
    known = cast("Shape", shape) if shape in get_args(Shape) else "function"
    return Box(box_id, known, _lines(shown, notes), one_line("; ".join([shown, *notes])), tone)


def _lines(title: str, notes: Sequence[str]) -> tuple[Line, ...]:
    strong = [Line(text, "strong") for text in wrap(title, TITLE_COLUMNS, TITLE_LINES)]
    return (*strong, *(Line(text, "small") for note in notes for text in wrap(note, NOTE_COLUMNS, NOTE_LINES)))


def _notes(name: str, facts: Mapping[str, JsonValue], *, shown: str, fields: frozenset[str]) -> list[str]:
    """What is worth knowing of a node beside its title, a line each."""
    kind = str(facts.get("kind", "unknown node"))
    notes = [f"{name} · {kind}" if shown != name else kind]
    choices = [str(choice) for choice in facts.get("choices", ())]
    if choices:
        notes.append(f"one of {_listed(choices)}")
    writes = [str(written) for written in facts.get("writes", ())]
    if len(writes) > 1 and frozenset(writes) == fields:
        notes.append("may write every field")
    elif writes:
        notes.append(f"writes {_listed(writes)}")
    safety = _safety(facts)
    return [*notes, safety] if safety else notes


def _safety(facts: Mapping[str, JsonValue]) -> str:
    attempts = facts.get("attempts", 1)
    tries = f"{attempts} attempts" if attempts > 1 else ""
    fallback = ("then a fallback" if tries else "a fallback if it fails") if facts.get("fallback") else ""
    return ", ".join(part for part in (tries, fallback) if part)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN_FIELDS
    shown = ", ".join(names[:SHOWN_FIELDS])
    return f"{shown} and {more} more" if more > 0 else shown


def _at(place: _Place, trace: Trace | None) -> tuple[Tone, list[str]]:
    """What a run did at a node: the tone and the words."""
    if trace is None:
        return "plain", []
    name = place.name
    visits = trace.visits.get(name, 0)
    said = [f"{visits} {'visit' if visits == 1 else 'visits'}"] if visits and name not in _ENDS else []
    said += trace.facts.get(name, ())
    if name == trace.at and place.source in ("", trace.came_from):
        return _TONES[trace.standing], [*said, trace.note]
    return ("done" if visits else "unused"), said


def _arrow(arrow_id: str, ids: Mapping[_Place, str], way: Way, trace: Trace | None, index: int) -> Arrow:
    source = ids[_Place(way.source)]
    target = ids.get(_Place(way.target)) or ids[_Place(way.target, way.source)]
    number = f"{way.order + 1}. " if way.several else ""
    lines: list[Line] = []
    if way.label:
        lines += [Line(text, "strong") for text in wrap(number + way.label, LABEL_COLUMNS, TITLE_LINES)]
        number = ""
    if way.condition:
        lines += [Line(text) for text in wrap(number + way.condition, LABEL_COLUMNS, CONDITION_LINES)]
    tone: Tone = "plain"
    times = ""
    if trace is not None:
        count = trace.taken[index]
        tone = "done" if count else "unused"
        times = f"taken {times_in_words(count)}" if count else "never taken"
        lines += [Line(f"{TIMES}{count}", "strong")] if count else []
    said = one_line("; ".join(part for part in (way.label, way.condition, times) if part))
    order = f" ({way.order + 1})" if way.several else ""
    spoken = f"{one_line(way.source)} to {one_line(way.target)}{order}" + (f": {said}" if said else "")
    return Arrow(arrow_id, source, target, tuple(lines), spoken, way.failure, tone=tone)
