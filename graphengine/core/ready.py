"""ready: what should be running now. Asked while a run moves, and asked to resume one: there is no other way to know.

Limits gate it: when one is reached nothing new is ready, and `limit_reached` says which. What is in flight is still
recorded, since `decide` knows no limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphengine.core.snapshot import CRASHES, Task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.core.snapshot import Frame, Mode, Phase, Snapshot

_MODES: Final[Mapping[Phase, Mode]] = {"ready": "run", "fallback": "fallback", "leaving": "leave", "forked": "join"}


def ready(snapshot: Snapshot) -> list[Task]:
    """The tasks that should be running; empty when the run has ended, waits, or has reached a limit."""
    if snapshot.status != "running" or (snapshot.limits and limit_reached(snapshot)):
        return []
    tasks: list[Task] = []
    for frame in snapshot.frames.values():
        mode = _MODES.get(frame.phase)
        if mode is None or frame.failure is not None or (mode == "join" and not arms_settled(snapshot, frame)):
            continue
        if frame.base is not None and _decided(snapshot, frame):
            continue
        if mode in ("run", "fallback") and frame.crashes >= CRASHES:
            mode = "crash_loop"
        due = frame.due if mode in ("run", "fallback") else 0.0
        tasks.append(Task(frame.id, frame.at, frame.visit, frame.attempt, mode, due))
    return tasks


def _decided(snapshot: Snapshot, frame: Frame) -> bool:
    """Whether a fork around this arm needs nothing of it any more."""
    above = frame.base
    while above is not None:
        if above.failure is not None or ("need" in above.fork and arms_settled(snapshot, above)):
            return True
        above = above.base
    return False


def arms_settled(snapshot: Snapshot, frame: Frame) -> bool:
    """Whether a fork can become one again: every arm has arrived or failed, or enough have arrived."""
    arms = [snapshot.frames[key] for key in frame.fork["arms"]]
    arrived = sum(arm.phase == "ended" for arm in arms)
    under_way = sum(not settled(arm) for arm in arms)
    need: int | None = frame.fork.get("need")
    if need is not None:
        return arrived >= need or arrived + under_way < need
    return under_way == 0


def settled(frame: Frame) -> bool:
    """Whether an arm will not move any more by itself."""
    return frame.phase == "ended" or frame.failure is not None


def limit_reached(snapshot: Snapshot) -> str:
    """The first limit that is reached, in words with the values; "" if none is."""
    for name, limit in snapshot.limits.items():
        if limit is None:
            continue
        if name == "cost_usd" and snapshot.usage.get("cost_usd", 0.0) is None:
            return f"cost_usd is unknown under a limit of {limit}: the price of a model is not known"
        if spent(snapshot, name) >= limit:
            return f"{name} {spent(snapshot, name)} >= {limit}"
    return ""


def spent(snapshot: Snapshot, name: str) -> float:
    """How much of a limited thing is used up."""
    if name == "steps":
        return snapshot.steps
    if name == "seconds":
        return round(snapshot.elapsed_seconds, 3)
    usage = snapshot.usage
    if name == "tokens":
        return (usage.get("input_tokens") or 0) + (usage.get("output_tokens") or 0)
    return usage.get(name) or 0.0
