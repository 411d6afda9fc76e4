"""Two runs compared: both drawn on one graph, with a note where they diverge, and their differences below.

`graphengine.records.run_diff.diff` finds the differences; nothing is compared here. On the graph, what only one run did
is marked with its letter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar
from xml.etree import ElementTree as ET

from pydantic_core import to_json

from graphengine.engine.steps import failure_of, outcome_of, without_items
from graphengine.history.load import graph_spec_of
from graphengine.records.run_diff import diff
from graphengine.render.amounts import paid, took
from graphengine.render.charts.canvas import MARGIN, SMALL, Canvas, fit, measure
from graphengine.render.drawing import LEGEND_LINES, TIMES, drawing_of, signs_of
from graphengine.render.files import RenderError
from graphengine.render.metrics import number
from graphengine.render.parts import Arrow, Box, Line
from graphengine.render.svg import svg_of
from graphengine.render.text import one_line, wrap
from graphengine.render.trace import standing
from graphengine.render.words import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.engine.graph_spec import GraphSpec
    from graphengine.engine.steps import Step
    from graphengine.records.run_diff import RunDiff, Side
    from graphengine.render.charts.canvas import Chart
    from graphengine.render.parts import Drawing, Tone
    from graphengine.state.json_values import JsonValue
    from graphengine.stores.base import RunStore

ROWS: Final = 12
"""The most steps of each run, and the most differing fields, that are listed."""

_LEAST: Final = 430.0
"""The least width of a side, so that its words have room."""
_GAP: Final = 24.0
_LINE: Final = 17.0
_NAMES: Final = ("A", "B")
_VALUE_BYTES: Final = 400
_PIXELS: Final = 96 / 72 * 0.82
"""Pictures of graphs are measured in points; at this scale, their text has the size of a chart's."""
_CHOICE: Final = re.compile(r" \([^()]*\)(?=/|$)")
_STRONGEST: Final[Sequence[Tone]] = ("failed", "waiting", "here", "done", "unused", "plain")

_Part = TypeVar("_Part", bound=Box)
_Cell: TypeAlias = tuple[str, str]
"""A strong line, and a small one below it."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two runs.

    Attributes:
        diff: Where they diverge, and how they differ.
        graph_specs: The graph spec of each run's graph.
        steps: All steps of each.
    """

    diff: RunDiff
    graph_specs: tuple[GraphSpec, GraphSpec]
    steps: tuple[Sequence[Step], Sequence[Step]]


async def pair_of(store: RunStore, first: str, second: str) -> Pair:
    """Read two runs from an open store.

    Raises:
        RenderError: They are of different graphs, or the same run.
        UnknownRun, StoreError.
    """
    infos = await store.info(first), await store.info(second)
    if first == second:
        raise RenderError(
            f"both are run {first}",
            where=f"run {first}",
            repair="name another run; its steps over time are drawn with --timeline",
        )
    graphs = tuple(info.graph for info in infos)
    if graphs[0] != graphs[1]:
        raise RenderError(
            f"the runs are of different graphs: {first} of {graphs[0]!r}, {second} of {graphs[1]!r}",
            where=f"runs {first} and {second}",
            repair="draw each by itself; `graphengine diff` compares their states",
        )
    found = await diff(store, first, second)
    one, other = [await graph_spec_of(store, info.fingerprint) or {} for info in infos]
    return Pair(found, (one, other), (await store.steps(first), await store.steps(second)))


def comparison(pair: Pair) -> Chart:
    """Draw two runs next to each other.

    Args:
        pair: The two runs, as `pair_of` returns them.

    Raises:
        RenderError: They cannot be laid out.
    """
    found, sides = pair.diff, (pair.diff.first, pair.diff.second)
    partings = {
        name: step for name, side in zip(_NAMES, sides, strict=True) for step in side.path if step.seq == side.parts_at
    }
    if pair.graph_specs[0] == pair.graph_specs[1]:
        drawings = [_parted(_both(pair.graph_specs[0], *pair.steps), partings)]
    else:  # the graph changed between them
        both = zip(_NAMES, pair.graph_specs, pair.steps, strict=True)
        drawings = [
            _parted(drawing_of(graph_spec, steps, detail="brief"), {name: partings[name]} if name in partings else {})
            for name, graph_spec, steps in both
        ]
    pictures = [_picture(drawing) for drawing in drawings]
    wide = sum(width for _, width, _ in pictures) + _GAP * (len(pictures) - 1)
    room = max(_LEAST, (wide - _GAP) / 2)
    lefts, across = (MARGIN, MARGIN + room + _GAP), 2 * MARGIN + 2 * room + _GAP
    canvas, graph = Canvas(), one_line(sides[0].info.graph) or "graph"
    canvas.heading(across, f"{graph}: two runs", _parting(found))
    for left, name, side in zip(lefts, _NAMES, sides, strict=True):
        _side(canvas, left, room, (name, side, "" if found.shared is None else " since they parted"))
    top, left = 128.0, (across - wide) / 2
    for root, width, _ in pictures:
        root.set("x", number(left))
        root.set("y", number(top))
        canvas.parts.append(ET.tostring(root, encoding="unicode"))
        left += width + _GAP
    y = top + max(height for _, _, height in pictures) + 8
    signs = [sign for drawing in drawings for sign in signs_of(drawing)]
    signs += ["A, B: what one run did and the other did not, or how often each did it"] * (len(drawings) == 1)
    for text in wrap("; ".join(dict.fromkeys(signs)), int((across - 2 * MARGIN) / measure("n", SMALL)), LEGEND_LINES):
        y += _LINE
        canvas.soft(MARGIN, y, text)
    table = _Table(canvas, lefts, room, across)
    y = table.draw(
        y + 28, "From where they part", *([_step(step) for step in side.path[found.alike :]] for side in sides)
    )
    heading = "Their states are the same"
    if found.differences:
        heading = f"Their states differ in {counted(len(found.differences), 'place')}"
    before = [(each.path, _short(each.before)) for each in found.differences]
    y = table.draw(y, heading, before, [(each.path, _short(each.after)) for each in found.differences])
    title = f"Runs {sides[0].info.id} and {sides[1].info.id} of {graph} compared"
    return canvas.done(title, across, y)


def _side(canvas: Canvas, left: float, room: float, about: tuple[str, Side, str]) -> None:
    """Draw a run's name, its end, and what it used since they diverge."""
    name, side, since = about
    status, spent = standing(side.snapshot), paid(side.spent)
    used = f"{counted(side.steps, 'visit')} in {took(side.seconds)}{since}" + (f", {spent}" if spent else "")
    if side.begins is not None and side.begins.update:
        used += f"; branched off with {', '.join(dict.fromkeys(str(op[1]) for op in side.begins.update))}"
    canvas.text(left, 80, fit(f"{name}  {side.info.id}", room, 14, strong=True), size=14, strong=True)
    canvas.text(left, 98, fit(status, room))
    canvas.soft(left, 114, fit(used, room, SMALL))
    canvas.spoken.append(f"{name} {side.info.id}: {status}; {used}")


def _parting(found: RunDiff) -> str:
    """Return where they diverge, in words."""
    sides, shared = (found.first, found.second), found.shared
    parts = ["they share no step" if shared is None else f"they share steps 1 to {shared.seq}"]
    if found.alike:
        parts.append(f"{'but' if shared is None else 'then'} went the same way for {counted(found.alike, 'step')}")
    named = zip(_NAMES, sides, strict=True)
    where = [f"{name} at step {side.parts_at}" for name, side in named if side.parts_at is not None]
    if where or sides[0].path or sides[1].path:
        parts.append(f"and part: {', '.join(where)}" if where else "and never part")
    return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class _Table:
    """The layout of a table with a column for each run."""

    canvas: Canvas
    lefts: tuple[float, float]
    room: float
    across: float

    def draw(self, y: float, heading: str, *sides: Sequence[_Cell]) -> float:
        """Draw the cells of both runs next to each other; return where the next part begins."""
        canvas, most = self.canvas, min(ROWS, max(map(len, sides)))
        if not most and heading.startswith("From"):
            return y
        canvas.text(MARGIN, y, heading, strong=True)
        canvas.spoken.append(heading)
        y += 8
        canvas.stripes(y, self.across, 2 * _LINE, most)
        for row in range(most):
            for cells, left, name in zip(sides, self.lefts, _NAMES, strict=True):
                if row >= max(1, len(cells)):
                    continue
                strong, small = cells[row] if cells else ("ends before", "")
                words = f"{strong}: {small}" if small else strong
                with canvas.said(words):
                    canvas.text(left, y + 13, fit(strong, self.room))
                    canvas.soft(left, y + 28, fit(small, self.room, SMALL))
                canvas.spoken.append(f"{name}, {words}")
            y += 2 * _LINE
        more = {
            f"{name}: {len(cells) - ROWS} more" for name, cells in zip(_NAMES, sides, strict=True) if len(cells) > ROWS
        }
        if more:
            canvas.spoken += sorted(more)
            canvas.soft(MARGIN, y + 13, f"{'; '.join(sorted(more))} (`graphengine diff --json` has all)")
            y += _LINE
        return y + 30


def _step(step: Step) -> _Cell:
    """Return a step and its target, and the explanation."""
    outcome, failure = outcome_of(step), failure_of(step)
    text = f"step {step.seq}  {step.path}" + (f" {step.visit}" if step.visit > 1 else "")
    text += {"node": "", "item": " done", "attempt": " failed, tried again"}.get(step.kind, f" {step.kind}")
    if outcome.to:
        text += f" \N{RIGHTWARDS ARROW}  {', '.join(outcome.to)}" + (f"  [{outcome.edge}]" if outcome.edge else "")
    why = outcome.why or (f"{failure.kind}: {failure.message}" if failure is not None else "")
    return one_line(text), one_line(why)


def _short(value: JsonValue) -> str:
    """Return a value in one line; a missing one is `none`."""
    if value is None:
        return "none"
    return one_line(to_json(value)[:_VALUE_BYTES].decode("utf-8", "ignore"))


def _both(graph_spec: GraphSpec, first: Sequence[Step], second: Sequence[Step]) -> Drawing:
    """Draw two runs of one graph on it, in brief.

    A part that both visited equally often looks as on the picture of one run. Where they differ, it has the counts
    of both, or that of the only one.
    """
    plain, one, two = (drawing_of(graph_spec, steps, detail="brief") for steps in (None, first, second))
    return replace(
        one,
        boxes=tuple(_part(*each) for each in zip(plain.boxes, one.boxes, two.boxes, strict=True)),
        clusters=tuple(_part(*each) for each in zip(plain.clusters, one.clusters, two.clusters, strict=True)),
        arrows=tuple(_arrow(*each) for each in zip(plain.arrows, one.arrows, two.arrows, strict=True)),
    )


def _arrow(plain: Arrow, one: Arrow, two: Arrow) -> Arrow:
    """Return the arrow of both runs: the labels of the edges that any of them took."""
    taken = {line.text for arrow in (one, two) for line in arrow.lines}
    words = _counts(one.count, two.count)
    lines = [line for line in plain.lines if line.text in taken] + ([Line(words, "strong")] if words else [])
    said = f"{plain.spoken}; A {one.count}, B {two.count}"
    return replace(one, lines=tuple(lines), spoken=said, tone=min((one.tone, two.tone), key=_STRONGEST.index))


def _part(plain: _Part, one: _Part, two: _Part) -> _Part:
    """Return the box or cluster of both runs, with the state of each that is there."""
    first: tuple[Line, ...] = one.lines[len(plain.lines) :]
    second: tuple[Line, ...] = two.lines[len(plain.lines) :]
    lines: list[Line]
    if first == second:
        words: str = _counts(one.count, two.count)
        lines = [*([Line(words)] if words else []), *first]
    else:
        lines = [*_of_run("A", one.count, first), *_of_run("B", two.count, second)]
    said = f"{plain.spoken}; A {one.count}, B {two.count}"
    tone = min((one.tone, two.tone), key=_STRONGEST.index)
    return replace(one, lines=(*plain.lines, *lines), spoken=said, tone=tone)


def _counts(first: int, second: int) -> str:
    """Return how often two runs did something; "" if both did it never or once."""
    if first == second:
        return f"{TIMES}{first}" if first > 1 else ""
    shown = [f"{name} {TIMES}{count}" if count > 1 else name for name, count in (("A", first), ("B", second)) if count]
    return ", ".join(shown) if len(shown) > 1 else f"only {shown[0]}"


def _of_run(name: str, visits: int, state: Sequence[Line]) -> list[Line]:
    """Return the state of one of two runs at a node, or how often it was there."""
    if state:
        return [Line(f"{name}: {state[0].text}"), *state[1:]]
    return [Line(f"{name}: {counted(visits, 'visit')}")] if visits else []


def _parted(drawing: Drawing, partings: Mapping[str, Step]) -> Drawing:
    """Return the drawing with a line in the node of each step at which the runs diverge."""
    for name, step in partings.items():
        path = without_items(step.path)
        parts: list[Box] = [*drawing.clusters, *drawing.boxes]
        marked = next((part.id for part in parts if _CHOICE.sub("", part.name) == path), "")
        drawing = _with_line(drawing, marked, f"{name} parts at step {step.seq}")
    return drawing


def _with_line(drawing: Drawing, marked: str, words: str) -> Drawing:
    def more(part: _Part) -> _Part:
        if part.id != marked:
            return part
        return replace(part, lines=(*part.lines, Line(words, "strong")), spoken=f"{part.spoken}; {words}")

    return replace(drawing, boxes=tuple(map(more, drawing.boxes)), clusters=tuple(map(more, drawing.clusters)))


def _picture(drawing: Drawing) -> tuple[ET.Element, float, float]:
    """Paint a drawing without its caption and legend; return the element and its size in pixels."""
    root = ET.fromstring(svg_of(replace(drawing, caption=(), legend=()), "auto", is_part=True))  # noqa: S314 - our own
    size: list[float] = []
    for name in ("width", "height"):
        size.append(float(root.get(name, "0").removesuffix("pt")) * _PIXELS)
        root.set(name, number(size[-1]))
    return root, size[0], size[1]
