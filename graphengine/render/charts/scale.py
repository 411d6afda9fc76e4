"""A time axis on which work has room: idle times are squeezed if they would dwarf it.

A squeezed time is drawn at a fixed width, between break marks, with its length next to it. All other times are drawn to
one scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.render.charts.units import nice_step, offset

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LONG: Final = 0.1
"""Idle times shorter than this part of the total work are never squeezed."""
_IDLE_MOST: Final = 3
"""The most that idle times that are not squeezed may take together, in multiples of the total work."""
_SQUEEZED_MOST: Final = 40
_SQUEEZED_PIXELS: Final = 34.0
_SQUEEZED_PART: Final = 0.5
"""The largest part of the axis that squeezed times may take."""
_MARKS: Final = 8
"""The approximate number of marks on an axis."""
_MARK_PIXELS: Final = 46.0
"""The least distance of two marks."""


class Stretch(NamedTuple):
    """A part of the axis: times in epoch seconds, places in pixels."""

    start: float
    end: float
    left: float
    right: float
    squeezed: bool


class Mark(NamedTuple):
    """A mark on the axis, and its text."""

    x: float
    text: str
    strong: bool


@dataclass(frozen=True, slots=True)
class Scale:
    """The places of times on the axis.

    Attributes:
        stretches: One after the other, without gaps.
        step: The seconds between two marks.
    """

    stretches: Sequence[Stretch]
    step: float

    def x(self, at: float) -> float:
        """Return the place of a time."""
        for part in self.stretches:
            if at <= part.end:
                break
        else:
            part = self.stretches[-1]
        if part.end <= part.start:
            return part.left
        inside = min(1.0, max(0.0, (at - part.start) / (part.end - part.start)))
        return part.left + (part.right - part.left) * inside

    def breaks(self) -> Sequence[Stretch]:
        """Return the squeezed parts."""
        return [part for part in self.stretches if part.squeezed]

    def marks(self) -> list[Mark]:
        """Return the marks of everything that is drawn to scale; after a break they count from there."""
        zero = self.stretches[0].start
        found: list[Mark] = []
        for index, part in enumerate(self.stretches):
            if part.squeezed:
                continue
            first = index == 0
            found.append(Mark(part.left, "0" if first else offset(part.start - zero, self.step), strong=not first))
            count = int((part.end - part.start) / self.step + 1e-6) if part.end > part.start else 0
            sign = "" if first else "+"
            for number in range(1, count + 1):
                at = part.start + number * self.step
                found.append(Mark(self.x(at), f"{sign}{offset(number * self.step, self.step)}", strong=False))
        return found


def scale_of(start: float, end: float, busy: Iterable[tuple[float, float]], left: float, right: float) -> Scale:
    """Make a scale for these times.

    Args:
        start: The first time that is shown, epoch seconds.
        end: The last.
        busy: When something was done, in any order; the times between can be squeezed.
        left: The place of the first time, in pixels.
        right: The place of the last.
    """
    worked = _together([(max(start, a), min(end, b)) for a, b in busy if b >= start and a <= end])
    idle = _between(worked, start, end)
    total = sum(b - a for a, b in worked)
    squeezed = sorted(_dwarfing(idle, total))
    each = min(_SQUEEZED_PIXELS, (right - left) * _SQUEEZED_PART / len(squeezed)) if squeezed else 0.0
    drawn = end - start - sum(b - a for a, b in squeezed)
    pixels = right - left - each * len(squeezed)
    edges = sorted({start, end, *(edge for gap in squeezed for edge in gap)})
    stretches: list[Stretch] = []
    at = left
    for first, last in pairwise(edges):
        shrunk = (first, last) in squeezed
        across = each if shrunk else pixels * (last - first) / drawn if drawn else 0.0
        stretches.append(Stretch(first, last, at, at + across, shrunk))
        at += across
    if not stretches:
        stretches = [Stretch(start, end, left, right, squeezed=False)]
    wanted = max(drawn / _MARKS, drawn * _MARK_PIXELS / pixels if pixels else 0.0)
    return Scale(stretches, nice_step(wanted) if drawn else 1.0)


def _dwarfing(idle: Sequence[tuple[float, float]], worked: float) -> list[tuple[float, float]]:
    """Return the idle times to squeeze: the longest ones, until the others leave enough room for the work."""
    found: list[tuple[float, float]] = []
    left = sum(b - a for a, b in idle)
    for gap in sorted(idle, key=lambda gap: gap[0] - gap[1])[:_SQUEEZED_MOST]:
        length = gap[1] - gap[0]
        if not 0 < _IDLE_MOST * worked < left or length <= _LONG * worked:
            break
        found.append(gap)
        left -= length
    return found


def _together(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Merge spans that touch or overlap, in order."""
    joined: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _between(spans: Sequence[tuple[float, float]], start: float, end: float) -> list[tuple[float, float]]:
    """Return the gaps between these spans, from start to end."""
    edges = [start, *(edge for span in spans for edge in span), end]
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b > a]
