"""The heading of a run's chart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.render.text import one_line
from graphengine.render.words import counted

if TYPE_CHECKING:
    from graphengine.engine.snapshot import Snapshot


def heading_of(snapshot: Snapshot) -> tuple[str, str]:
    """Return the name of the run's graph, and its id with its status."""
    return one_line(snapshot.graph) or "graph", f"run {one_line(snapshot.run_id)}: {standing(snapshot)}"


def standing(snapshot: Snapshot) -> str:
    """Return the status of a run, and why it stopped."""
    why = ending(snapshot)
    return f"{snapshot.status} after {counted(snapshot.steps, 'visit')}" + (f": {why}" if why else "")


def ending(snapshot: Snapshot) -> str:
    """Return why a run stopped, in brief; "" if its status is enough."""
    stop = snapshot.stop
    why = one_line(stop.label or stop.explanation) if stop is not None else ""
    return "" if why == "otherwise" else why
