"""Two runs drawn on one graph: what only one of them did is marked with its letter."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from graphengine.render.arrows import TIMES
from graphengine.render.drawing import drawing_of
from graphengine.render.parts import Arrow, Box, Cluster, Line
from graphengine.render.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.outline import Outline
    from graphengine.engine.steps import Step
    from graphengine.render.parts import Drawing, Tone

_Part = TypeVar("_Part", Box, Cluster)

_STRONGEST: Final[Sequence[Tone]] = ("failed", "waiting", "here", "done", "unused", "plain")


def both_of(outline: Outline, first: Sequence[Step], second: Sequence[Step]) -> Drawing:
    """Draw two runs of one graph on it, in brief.

    A part that both visited equally often looks as on the picture of one run. Where they differ, it has the counts
    of both, or that of the only one.

    Args:
        outline: The graph's outline.
        first: All steps of run A.
        second: All steps of run B.

    Raises:
        RenderError: The outline or the steps cannot be read.
    """
    plain, one, two = (drawing_of(outline, steps, detail="brief") for steps in (None, first, second))
    arrows = [_arrow(*each) for each in zip(plain.arrows, one.arrows, two.arrows, strict=True)]
    boxes = [_part(*each) for each in zip(plain.boxes, one.boxes, two.boxes, strict=True)]
    clusters = [_part(*each) for each in zip(plain.clusters, one.clusters, two.clusters, strict=True)]
    return replace(one, boxes=tuple(boxes), arrows=tuple(arrows), clusters=tuple(clusters))


def counts_in_words(first: int, second: int) -> str:
    """Return how often two runs did something; "" if both did it never or once.

    >>> counts_in_words(1, 0), counts_in_words(0, 1), counts_in_words(1, 1)
    ('only A', 'only B', '')
    """
    if first == second:
        return f"{TIMES}{first}" if first > 1 else ""
    shown = [f"{name} {TIMES}{count}" if count > 1 else name for name, count in (("A", first), ("B", second)) if count]
    return ", ".join(shown) if len(shown) > 1 else f"only {shown[0]}"


def _arrow(plain: Arrow, one: Arrow, two: Arrow) -> Arrow:
    """Return the arrow of both runs: the labels of the edges that any of them took."""
    taken = {line.text for arrow in (one, two) for line in arrow.lines}
    words = counts_in_words(one.count, two.count)
    lines = [line for line in plain.lines if line.text in taken] + ([Line(words, "strong")] if words else [])
    said = f"{plain.spoken}; A {one.count}, B {two.count}"
    return replace(one, lines=tuple(lines), spoken=said, tone=_tone(one.tone, two.tone))


def _part(plain: _Part, one: _Part, two: _Part) -> _Part:
    """Return the box or cluster of both runs, with the state of each that is there."""
    title = len(plain.lines)
    first: tuple[Line, ...] = one.lines[title:]
    second: tuple[Line, ...] = two.lines[title:]
    lines: list[Line] = [*plain.lines]
    if first == second:
        words: str = counts_in_words(one.count, two.count)
        lines += [*([Line(words)] if words else []), *first]
    else:
        lines += [*_of_run("A", one, first), *_of_run("B", two, second)]
    said = f"{plain.spoken}; A {one.count}, B {two.count}"
    return replace(one, lines=tuple(lines), spoken=said, tone=_tone(one.tone, two.tone))


def _of_run(name: str, run: Box | Cluster, state: Sequence[Line]) -> list[Line]:
    """Return the state of one of two runs at a node, or how often it was there."""
    if state:
        return [Line(f"{name}: {state[0].text}"), *state[1:]]
    return [Line(f"{name}: {counted(run.count, 'visit')}")] if run.count else []


def _tone(one: Tone, two: Tone) -> Tone:
    return one if _STRONGEST.index(one) <= _STRONGEST.index(two) else two
