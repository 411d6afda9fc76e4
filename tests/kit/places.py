"""The canonical order of what parallel work does, for golden pages: it does not depend on what ends first.

What one frame does is in the order in which it happened. The arms of a fork, the items of a map and the graphs inside
them follow one after another, in the order in which they are declared, up to where the frame that made them goes on.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias, TypeVar

from graphengine.engine.fold import evolve
from graphengine.engine.phases import Collecting, Forked, Inside
from graphengine.engine.snapshot import Frame, Snapshot
from graphengine.engine.steps import Step
from graphengine.runner.scope import CURRENT

T = TypeVar("T")
Place: TypeAlias = "tuple[tuple[float, ...], ...]"
"""For a frame and each one around it, the outermost first: which child of its parent it is, and how far it came."""

_AROUND: Final = (Forked, Collecting, Inside)
"""The phases of a frame with frames inside it, which its next step ends."""

_OF_RUN: Final = ("started", "resumed", "stopped", "branched")
"""The steps that all frames have before or behind them."""


def place_of(frame: Frame) -> Place:
    """Return the place of a frame."""
    number = 0
    if frame.kind == "item":
        number = int(frame.id.rpartition("[")[2].rstrip("]"))
    elif frame.up is not None:
        number = list(frame.up.children).index(frame.id)
    above = place_of(frame.up) if frame.up is not None else ()
    return (*above, (number, sum(frame.counts.values()), frame.attempt))


def place_here() -> tuple[str, Place]:
    """Return the run and the place of the code that runs; blanks outside of a run."""
    attempt = CURRENT.get()
    return ("", ()) if attempt is None else (attempt.services.run_id, place_of(attempt.frame))


def in_order(happened: Iterable[T], place: Callable[[T], tuple[str, Place]]) -> list[T]:
    """Return what happened, by the run and the place of each, in the canonical order; runs do not change places."""
    runs = itertools.groupby(happened, key=lambda each: place(each)[0])
    return [each for _, run in runs for each in sorted(run, key=lambda each: place(each)[1])]


def steps_in_order(steps: Iterable[Step], since: int = 0) -> Sequence[Step]:
    """Return the steps of a run in the canonical order, without the first ones."""
    snapshot, part = Snapshot(), 0
    found: list[tuple[int, Place, Step]] = []
    for step in steps:
        is_of_run, frame = step.kind in _OF_RUN, snapshot.frames.get(step.frame)
        part += is_of_run
        ends = ((math.inf,),) if frame is not None and isinstance(frame.phase, _AROUND) else ()
        found.append((part, () if frame is None else (*place_of(frame), *ends), step))
        evolve(snapshot, step)
        part += is_of_run
    return [step for *_, step in sorted(found[since:], key=lambda each: each[:2])]
