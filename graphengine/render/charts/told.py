"""What a chart says of a run in its head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.render.text import one_line
from graphengine.render.words import counted

if TYPE_CHECKING:
    from graphengine.engine.snapshot import Snapshot


def told_of(snapshot: Snapshot) -> tuple[str, str]:
    """The name of its graph; its id and how it stands."""
    return one_line(snapshot.graph) or "graph", f"run {one_line(snapshot.run_id)}: {standing(snapshot)}"


def standing(snapshot: Snapshot) -> str:
    """How a run stands, and why it stopped."""
    why = ending(snapshot)
    return f"{snapshot.status} after {counted(snapshot.steps, 'visit')}" + (f": {why}" if why else "")


def ending(snapshot: Snapshot) -> str:
    """Why a run stopped, in short; "" where there is no more to say than its status."""
    stop = snapshot.stop
    why = one_line(stop.label or stop.explanation) if stop is not None else ""
    return "" if why == "otherwise" else why
