"""The tasks of a run that should be running now.

`ready` derives the tasks from the snapshot alone, so that a live run and a resumed run get the same tasks. While a run
moves, only the frames that a step changed are checked, so that the cost of a step does not depend on the number of
other frames. When a limit is reached, no new task is ready, and `limit_reached` names the limit. Work that is in flight
then is still recorded, because `decide` does not check the limits of the run.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from graphengine.engine.frame_tree import priced
from graphengine.engine.phases import Collecting, Ended, Fallback, Forked, Inside, Leaving, Ready, Waiting
from graphengine.engine.snapshot import CRASHES, READY, Task, index_of
from graphengine.state.amounts import allows_unknown_cost, is_cost_unknown, rounded

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from graphengine.engine.phases import Phase
    from graphengine.engine.snapshot import Frame, Mode, Snapshot
    from graphengine.state.amounts import LimitsRecord, Usage

_MODES: Final[Mapping[type[Phase], Mode]] = {
    Ready: "run",
    Fallback: "fallback",
    Leaving: "leave",
    Forked: "join",
    Collecting: "collect",
    Inside: "exit",
    Waiting: "wake",
}
_MOVING: Final = ("running", "waiting")


def ready(snapshot: Snapshot, only: Collection[str] | None = None) -> list[Task]:
    """Return the tasks that the runner should run now, such as nodes of the graph.

    The list is empty if the run has ended or has reached a limit. The tasks of a waiting run are wake-ups at the times
    when its waits end.

    Args:
        snapshot: The run.
        only: The frames to check, usually those that steps changed since the last call, because the tasks of all other
            frames are still the same. If not given, all frames are checked.
    """
    if snapshot.status not in _MOVING or (snapshot.limits and limit_reached(snapshot)):
        return []
    frames = snapshot.frames
    tasks: list[Task] = []
    if only is None:
        only = frames
    elif len(only) > 1:
        only = dict.fromkeys(only)
    for key in only:
        frame = frames.get(key)
        if frame is not None:  # A frame that a step changed may have been dropped by a later step of the same commit.
            task = task_of(snapshot, frame)
            if task is not None and (task.mode != "limit" or all(task.frame != other.frame for other in tasks)):
                tasks.append(task)
    return tasks


def task_of(snapshot: Snapshot, frame: Frame) -> Task | None:  # noqa: PLR0911 - one return for each phase
    phase = frame.phase
    if phase is READY and frame.up is None and not frame.crashes:  # the most frequent case first
        return Task(frame.id, frame.at, frame.visit, frame.attempt, "run", frame.due)
    mode = _MODES.get(type(phase))
    if mode is None or frame.failing is not None:
        return None
    if frame.up is not None:
        held, over = held_by(snapshot, frame, needs_slot=mode != "wake")
        if held:
            return None if over is None else Task(over.id, over.at, over.visit, over.attempt, "limit", 0.0)
    if mode == "run" or mode == "fallback":  # noqa: PLR1714 - faster than a tuple
        if frame.crashes >= CRASHES:
            return Task(frame.id, frame.at, frame.visit, frame.attempt, "crash_loop", 0.0)
        return Task(frame.id, frame.at, frame.visit, frame.attempt, mode, frame.due)
    if mode == "wake":
        return _wake(snapshot, frame)
    if (
        (isinstance(phase, Forked) and not arms_settled(snapshot, phase))
        or (isinstance(phase, Collecting) and phase.left)
        or (isinstance(phase, Inside) and not settled(snapshot.frames[frame.sub_id]))
    ):
        return None
    return Task(frame.id, frame.at, frame.visit, frame.attempt, mode, 0.0)


def _wake(snapshot: Snapshot, frame: Frame) -> Task | None:
    """Return the task that ends a wait of this frame's node, or None if no wait can end by itself.

    A message that has arrived is delivered at once. Otherwise the task is due when the first of the waits times out.
    """
    first: tuple[float, str] | None = None
    for name, wait in frame.waits.items():
        if wait.topic in snapshot.mailbox:
            return Task(frame.id, frame.at, frame.visit, frame.attempt, "deliver", 0.0, name)
        due = wait.due
        if due is not None and (first is None or due < first[0]):
            first = (due, name)
    return Task(frame.id, frame.at, frame.visit, frame.attempt, "wake", *first) if first is not None else None


def runnable_frame(snapshot: Snapshot) -> str | None:
    """Return the id of a frame (one position of the run in a graph) that can move without anything from outside.

    A frame that waits for an answer, a message or a time cannot move. Returns None if all frames wait. Only the frames
    in `Snapshot.maybe_runnable` are checked.
    """
    frames = snapshot.frames
    among = frames if snapshot.maybe_runnable is None else snapshot.maybe_runnable
    return next((key for key in reversed(among) if key in frames and can_move(snapshot, frames[key])), None)


def can_move(snapshot: Snapshot, frame: Frame) -> bool:
    task = task_of(snapshot, frame)
    return task is not None and task.mode != "wake"


def next_due(snapshot: Snapshot) -> float | None:
    """Return when the first wait of a run times out, in epoch seconds; None if no wait has a due time."""
    return snapshot.open_waits.next_due()


def held_by(snapshot: Snapshot, frame: Frame, *, needs_slot: bool = True) -> tuple[bool, Frame | None]:
    """Return whether something around this position of the run (the frame) prevents it from continuing.

    For example, a frame is held by a failed map around it, by a map whose free places are all taken, or by a subgraph
    around it that has reached a limit.

    Args:
        snapshot: The run.
        frame: The position of the run.
        needs_slot: Whether an item of a map needs a free place to continue. With False, an item without a free place is
            not held, because it may still end its waits.

    Returns:
        Whether the frame is held, and the subgraph that holds it because of a limit; None if no limit is the cause.
    """
    below, around, has_slots = frame, frame.up, True
    while around is not None:
        phase = around.phase
        if around.failing is not None:
            return True, None
        if isinstance(phase, Forked) and phase.fork.need is not None and arms_settled(snapshot, phase):
            return True, None
        if isinstance(phase, Collecting) and phase.idle and index_of(below) in phase.idle:
            has_slots = not needs_slot
        below, around = around, around.up
    over = _over_limit(snapshot, frame) if frame.sub is not None else None
    return over is not None or not has_slots, over


def arms_settled(snapshot: Snapshot, forked: Forked) -> bool:
    """Return whether the arms of a fork can be joined now, without waiting for more arms.

    Without a required number, all arms must have arrived at the join or failed. With a required number, it is enough
    that so many arms have arrived, or that so many failed that the number can no longer be reached.
    """
    need = forked.fork.need
    arrived = under_way = 0
    for key in forked.arms:
        arm = snapshot.frames[key]
        if isinstance(arm.phase, Ended):
            arrived += 1
        elif arm.failing is None:
            if need is None:
                return False
            under_way += 1
    return need is None or arrived >= need or arrived + under_way < need


def settled(frame: Frame) -> bool:
    return isinstance(frame.phase, Ended) or frame.failing is not None


class MetLimit(NamedTuple):
    """A limit of a run (for example on cost, tokens or time) that has been reached.

    Attributes:
        name: The name of the limit.
        limit: The value of the limit.
        used: How much has been used; None if the cost is not known.
    """

    name: str
    limit: float
    used: float | None


def met_limit(snapshot: Snapshot) -> MetLimit | None:
    """Return the first limit of the run that has been reached; None if no limit has been reached."""
    return _find_met_limit(snapshot.limits, snapshot.steps, snapshot.elapsed_seconds, snapshot.usage)


def limit_reached(snapshot: Snapshot) -> str:
    """Return the first limit of the run that has been reached, as text with the values; "" if there is none."""
    found = _find_met_limit(snapshot.limits, snapshot.steps, snapshot.elapsed_seconds, snapshot.usage)
    return "" if found is None else _describe_limit(found, snapshot.usage)


def sub_limit(snapshot: Snapshot, frame: Frame) -> str:
    """Return the first limit of a subgraph's own that has been reached, as text with its values; "" if none is."""
    found = _find_met_limit(frame.limits, frame.steps, snapshot.elapsed_seconds - frame.entered, frame.spent)
    return "" if found is None else _describe_limit(found, frame.spent)


def limit_over(snapshot: Snapshot, frame: Frame) -> bool:
    """Return whether a part of the run must stop, because the run or a subgraph around it has reached a limit."""
    return bool(limit_reached(snapshot)) or _over_limit(snapshot, frame) is not None


def _over_limit(snapshot: Snapshot, frame: Frame) -> Frame | None:
    """Return the outermost subgraph around a frame that must fail because it reached a limit of its own."""
    over = [sub for sub in _subgraphs_around(frame) if sub.limits and sub_limit(snapshot, sub)]
    return over[-1] if over else None


def _subgraphs_around(frame: Frame) -> Iterator[Frame]:
    sub = frame.sub
    while sub is not None:
        yield sub
        sub = sub.up.sub if sub.up is not None else None


def budgets(snapshot: Snapshot, frame: Frame) -> Iterator[tuple[Frame | None, LimitsRecord, Usage]]:
    """Yield the limits that apply at one position of the run, each with the usage that counts towards it.

    These are the limits of the run and of each subgraph around the position. The first element of each triple is the
    subgraph, or None for the run.
    """
    yield None, snapshot.limits, snapshot.usage
    for sub in _subgraphs_around(frame):
        if sub.limits:
            yield sub, sub.limits, sub.spent


def _find_met_limit(limits: LimitsRecord, visits: int, seconds: float, usage: Usage) -> MetLimit | None:
    by_name: Any = limits  # `by_name` would be a call on every step
    limit: float | None
    for name, limit in by_name.items():
        if limit is None or name in ("unknown_cost", "depth"):
            continue
        if name == "cost_usd" and is_cost_unknown(usage) and not allows_unknown_cost(limits):
            return MetLimit(name, limit, None)
        spent = visits if name == "visits" else _amount_used(name, visits, seconds, usage)
        if spent >= limit:
            return MetLimit(name, limit, spent)
    return None


def _describe_limit(met: MetLimit, usage: Usage) -> str:
    limit = f"{Decimal(str(met.limit)):f}"  # as a decimal number, never as 2.6e-05
    if met.used is None:
        cause = "what a failed call used" if usage.get("unknown_calls", 0) > 0 else "the price of a model"
        return f"cost_usd is unknown under a limit of {limit}: {cause} is not known"
    return f"{met.name} {Decimal(str(met.used)):f} >= {limit}"


def _amount_used(name: str, visits: int, seconds: float, usage: Usage) -> float:
    if name == "visits":
        return visits
    if name == "seconds":
        return round(seconds, 3)
    return of_limit("tokens" if name == "tokens" else "cost_usd", usage)


def of_limit(name: Literal["tokens", "cost_usd"], usage: Usage) -> float:
    """Return the part of a usage that counts towards a limit on tokens or on cost."""
    if name == "tokens":
        return (usage.get("input_tokens") or 0) + (usage.get("output_tokens") or 0)
    return rounded(priced(usage))
