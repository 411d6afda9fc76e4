"""What a recorded run did on its graph, as a picture needs it: visits, edges taken, and where it stands.

Where a run stands is what the core's fold says; nothing is worked out anew here. The edge that a step took is known by
its source, target and label. Where several edges share these, the number of conditions looked at before one held tells
them apart.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from graphengine.core.evolve import fold
from graphengine.core.snapshot import ROOT
from graphengine.graph import END, FAIL, START
from graphengine.render.errors import RenderError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphengine.core.snapshot import Snapshot
    from graphengine.core.steps import Step
    from graphengine.render.ways import Way

Standing: TypeAlias = Literal["ended", "here", "failed"]


@dataclass(frozen=True, slots=True)
class Trace:
    """A run on its graph.

    Attributes:
        run_id: The run.
        summary: Its status and why it stopped, in words.
        visits: Completed visits by node.
        facts: What else happened at a node, in words.
        at: Where it stands: a node, END or FAIL; "" before its first step.
        came_from: The node that led there.
        standing: How it stands there.
        note: That in words.
        taken: How often each way was taken, in the order of the ways.
    """

    run_id: str
    summary: str
    visits: Mapping[str, int]
    facts: Mapping[str, Sequence[str]]
    at: str
    came_from: str
    standing: Standing
    note: str
    taken: Sequence[int]


def trace_of(ways: Sequence[Way], steps: Sequence[Step]) -> Trace:
    """What these steps did.

    Args:
        ways: The ways of the graph's outline.
        steps: All steps of the run from seq 1 on, a parent's included.

    Raises:
        RenderError: The steps do not follow each other from 1 on.
    """
    try:
        snapshot = fold(steps)
    except (ValueError, KeyError) as error:
        raise RenderError(
            f"the steps do not make a run: {error}",
            where="steps=",
            repair="give every step from seq 1 on; a branch begins with its parent's",
        ) from error
    came_from, target = _last_move(steps)
    at, standing, note = _standing(snapshot, target)
    frame = snapshot.frames.get(ROOT)
    return Trace(
        snapshot.run_id,
        _summary(snapshot),
        {START: 1, **_visits(snapshot)} if frame is not None else {},
        _facts(steps),
        at,
        came_from,
        standing,
        note,
        _taken(ways, steps),
    )


def _visits(snapshot: Snapshot) -> dict[str, int]:
    """Completed visits by node, those of arms under way included."""
    visits: Counter[str] = Counter()
    for frame in snapshot.frames.values():
        visits.update(frame.counts)
    return dict(visits)


def times_in_words(count: int) -> str:
    """`never`, `once`, `twice`, `3 times`."""
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _summary(snapshot: Snapshot) -> str:
    if not snapshot.frames:
        return "not begun"
    stop = snapshot.stop or {}
    visits = f"{snapshot.steps} {'visit' if snapshot.steps == 1 else 'visits'}"
    why = stop.get("label") or stop.get("explanation") or ""
    return f"{snapshot.status} after {visits}" + (f": {why}" if why else "")


def _standing(snapshot: Snapshot, target: str) -> tuple[str, Standing, str]:
    frame = snapshot.frames.get(ROOT)
    if frame is None:
        return "", "here", ""
    if snapshot.status == "finished":
        return END, "ended", "ended here"
    if snapshot.status == "failed":
        failure = snapshot.failure or {}
        if target == FAIL:
            return FAIL, "failed", "ended here"
        why = f"{failure.get('kind', '')}: {failure.get('message', '')}"
        return frame.at, "failed", f"failed {'on leaving' if frame.phase == 'leaving' else 'here'}: {why}"
    if frame.phase == "forked":
        under_way = sorted(arm.at for arm in snapshot.frames.values() if arm.kind == "arm" and arm.phase != "ended")
        return frame.at, "here", f"its arms are at {', '.join(under_way)}" if under_way else "its arms have arrived"
    words = {"running": "stands here", "waiting": "waits here", "stopped": "stopped before this visit"}
    return frame.at, "here", words[snapshot.status]


def _last_move(steps: Sequence[Step]) -> tuple[str, str]:
    """Whence and whither the last step that could move the run did; whither is "" if it moved nowhere."""
    for step in reversed(steps):
        if step.kind == "joined":
            return "", step.data["to"][0] if "to" in step.data else ""
        if step.kind in ("started", "node", "failed", "left"):
            return step.node or START, step.data["to"][0] if "to" in step.data else ""
    return "", ""


def _facts(steps: Sequence[Step]) -> dict[str, list[str]]:
    """Retries, fallbacks and failed visits by node, in words; the failure that a run stands at is told elsewhere."""
    counts: Counter[tuple[str, str]] = Counter()
    for step in steps:
        if step.kind == "attempt" and "due_at" in step.data:
            counts[step.node, "tried again"] += 1
        elif step.kind == "node" and step.data.get("fallback"):
            counts[step.node, "fell back"] += 1
        elif step.kind == "failed" and ("to" in step.data or step is not steps[-1]):
            counts[step.node, "failed"] += 1
    facts: dict[str, list[str]] = {}
    for (node, what), times in counts.items():
        facts.setdefault(node, []).append(f"{what} {times_in_words(times)}")
    return facts


def _taken(ways: Sequence[Way], steps: Iterable[Step]) -> list[int]:
    taken = [0] * len(ways)
    for step in steps:
        if step.kind == "joined":
            continue  # the arms took their ways; the join takes none
        for target in step.data.get("to", ()):
            index = _way_of(ways, step, target)
            if index is not None:
                taken[index] += 1
    return taken


def _way_of(ways: Sequence[Way], step: Step, target: str) -> int | None:
    """The way a step took to a target; None if the graph has no such way (any more)."""
    source = START if step.kind == "started" else step.node
    label = step.data.get("edge", "")
    failure = step.kind == "failed"
    found = [
        index
        for index, way in enumerate(ways)
        if (way.source, way.target, way.failure) == (source, target, failure) and label in way.recorded
    ]
    order = str(step.data.get("why", "")).count("; ")
    return next((index for index in found if ways[index].order == order), found[0] if found else None)
