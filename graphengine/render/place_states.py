"""Describe where a run is now: the state of each frame in words, at the nodes of the picture."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from graphengine.engine.phases import Waiting
from graphengine.kernel.extension import END, FAIL, clipped
from graphengine.kernel.inside import ROOT, progress_of
from graphengine.kernel.reader import (
    Collecting,
    Ended,
    Fallback,
    Forked,
    GivenUp,
    Inside,
    Leaving,
    Ready,
    path_of,
    show,
)
from graphengine.records.words import counted, when
from graphengine.render.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.kernel.reader import Frame, Snapshot, WaitRecord
    from graphengine.records.visit_tree import Place
    from graphengine.render.scopes import Spot

How: TypeAlias = Literal["ended", "here", "waiting", "failed"]
Move: TypeAlias = tuple[str, str]
"""The source and the target of a frame's last move; the target is "" if the frame is still at the source."""

SEVEREST: Final[Sequence[How]] = ("failed", "waiting", "here", "ended")
_LONGEST: Final = 1000
"""The maximum number of characters of a state in words, which may contain a question or the message of a failure."""
_POSITIONS: Final = {
    "running": ("is here", "are here"),
    "waiting": ("waits here", "wait here"),
    "stopped": ("stopped before this visit", "stopped before their visits"),
    "cancelled": ("was cancelled before this visit", "were cancelled before their visits"),
    "failed": ("stopped before this visit", "stopped before their visits"),
}


@dataclass(frozen=True, slots=True)
class PlaceState:
    """What a run is doing at one node, as a picture of the run shows it.

    Several parts of the run, such as items of a map, can be at the same node. Their states are combined.

    Attributes:
        how: The most severe state of these parts, such as failed.
        notes: The states of the parts, in words.
        sources: For END or FAIL, the nodes from which these parts of the run came.
    """

    how: How
    notes: tuple[str, ...]
    sources: frozenset[str] = frozenset()


def states_of(snapshot: Snapshot, places: Mapping[str, Place], moves: Mapping[str, Move]) -> dict[Spot, PlaceState]:
    """Return what a run is doing at present, for each node at which a part of the run is.

    Args:
        snapshot: The run's snapshot.
        places: The place of the graph that each frame runs, by the frame's id. A frame is one part of the run that
            moves through a graph, such as the run itself or an arm of a fork.
        moves: The last edge that each frame took, by the frame's id.
    """
    if ROOT not in snapshot.frames:
        return {}
    if snapshot.status == "finished":
        last = moves.get(ROOT, ("", ""))[0]
        return {((), END): PlaceState("ended", ("ended here",), frozenset({last}) if last else _sources_of_end(moves))}
    states: dict[Spot, list[tuple[How, str]]] = defaultdict(list)
    sources: dict[Spot, frozenset[str]] = {((), END): _sources_of_end(moves)}
    for frame in snapshot.frames.values():
        place = places[frame.id]
        source, target = moves.get(frame.id, ("", ""))
        at_fail = frame.failure is not None and isinstance(frame.phase, Leaving) and target == FAIL
        if at_fail:
            sources[place, FAIL] = frozenset({source})
            states[place, FAIL].append(("failed", "ended here"))
            continue
        for node, how, note in _frame(snapshot, frame):
            states[place, node].append((how, note))
    return {spot: _combine_states(notes, snapshot, sources.get(spot, frozenset())) for spot, notes in states.items()}


def _sources_of_end(moves: Mapping[str, Move]) -> frozenset[str]:
    """Return the last nodes of those arms of forks that lead to END.

    In the picture, each of these nodes has its own box for END.
    """
    return frozenset(
        source
        for frame, (source, target) in moves.items()
        if target == END and frame[:1] == "~" and source and "/" not in frame
    )


def _combine_states(said: Sequence[tuple[How, str]], snapshot: Snapshot, sources: frozenset[str]) -> PlaceState:
    """Combine the states of several parts of a run that are at the same node to one state, which a picture can show.

    Equal notes are merged and counted.
    """
    present = {how for how, _ in said}
    severest: How = next(how for how in SEVEREST if how in present)
    one, several = _POSITIONS.get(snapshot.status, ("", ""))
    notes = [clipped(note, _LONGEST) for _, note in said if note]
    same = notes.count(one)
    others = [note for note in dict.fromkeys(notes) if note != one]
    waits = [note for note in others if note.startswith("waits")]
    if len(waits) > 1:
        first = waits[0].removeprefix("waits").lstrip(": ")
        others = [*(note for note in others if note not in waits), f"{len(waits)} wait, one of them: {first}"]
    if same:
        others.append(one if same == 1 else f"{same} {several}")
    return PlaceState(severest, tuple(others), sources)


def _frame(snapshot: Snapshot, frame: Frame) -> Iterator[tuple[str, How, str]]:
    """Yield what one part of a run is doing, with the node at which it is.

    A part of the run, in the code a *frame*, is the run itself, a nested graph, an arm or an item. Items of a map that
    do not wait are left out, because the map itself reports their progress.
    """
    phase, failure = frame.phase, frame.failure
    match phase:
        case Forked():
            yield from _states_of_arms(snapshot, phase)
        case Collecting():
            progress = progress_of(path_of(frame.id, frame.at), phase)
            done = f"{progress.done} of {progress.of} done"
            done += f", {progress.failed} failed" if progress.failed else ""
            done += f", {len(phase.woken)} wait for their turn" if phase.woken else ""
            yield frame.at, "failed" if failure is not None else "here", done
        case Inside():
            yield frame.at, "failed" if failure is not None else "here", ""
        case Waiting():
            for wait in phase.waits.values():
                yield frame.at, "waiting", _describe_wait(wait)
        case GivenUp() | Leaving() if failure is not None:
            where = "on leaving" if isinstance(phase, Leaving) else "here"
            yield frame.at, "failed", f"failed {where}: {failure.kind}: {failure.message}"
        case Ready() | Fallback() | Leaving() if frame.kind != "item":
            yield frame.at, "here", _POSITIONS[snapshot.status][0]
        case _:  # The frame is an item that its map reports, or it has ended.
            pass


def _states_of_arms(snapshot: Snapshot, forked: Forked) -> Iterator[tuple[str, How, str]]:
    join, arms = forked.fork.join, [snapshot.frames[key] for key in forked.arms]
    arrived = sum(isinstance(arm.phase, Ended) for arm in arms)
    if arrived == len(arms):
        yield join, "here", "its arms have arrived"
    elif arrived:
        yield join, "here", f"{arrived} of {counted(len(arms), 'arm')} arrived"


def _describe_wait(wait: WaitRecord) -> str:
    # A question can be very long (10 MB), so it is cut before it is put on one line.
    question = one_line(clipped(show(wait.question), 2 * _LONGEST))
    if wait.kind == "pause":
        return "paused before this visit"
    if wait.kind == "unknown":
        return "unknown: it began, and nobody knows how it ended"
    if wait.kind == "ask":
        return f"waits: {question}"
    if wait.kind == "sleep" and wait.due is not None:
        return f"waits until {when(wait.due, UTC, '%Y-%m-%d %H:%M %Z')}"
    return f"waits for {question}"
