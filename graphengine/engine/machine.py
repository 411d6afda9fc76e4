"""decide: what an event means for a run. Every rule of movement is here and in the modules it asks.

The machine. A frame stands at a node, `ready`. Its attempt ends in one of two events:

    NodeFinished   the result becomes updates; they are reduced, validated and recorded; the first way out whose
                   condition holds is taken:                       step `node`
    NodeFailed     another attempt, if the node's retry has one left:    step `attempt`, to be started at `due_at`
                   else its fallback: a value stands in at once (step `node`), a function is run (step `attempt`,
                   phase `fallback`)
                   else the first way out with a `failed(…)` that holds:    step `failed`, with `to`
                   else the frame fails, to be resumed:                     step `failed`

A bad update is a failed attempt. A condition that raises, or none that holds, leaves the node done and the frame
`leaving`: it fails there, and a resume chooses the way anew (step `left`). END finishes a frame, FAIL fails it.

Beside that a frame may have others below it, and stands still while they move:

    forks       a way may be a fork: its step names the arms. Settled joins them
    (graphengine.engine.rules.fork) maps        NodeEntered takes the items of a node with `each`. Settled collects them
      (graphengine.engine.rules.map) subgraphs   NodeEntered begins a graph that is a node. Settled ends it

     (graphengine.engine.rules.subgraph) waits       NodeWaits parks a frame until it is answered; recorded work

          (graphengine.engine.rules.wait) runs        begin, resume, stop, branch

      (graphengine.engine.rules.run)

decide reads the snapshot and does not touch it. It calls the user's pure functions: reducers, validators, conditions,
writes-functions, sources of maps. Each condition is evaluated once; what it said is kept with the step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphengine.engine.events import (
    Answered,
    AnswerRefused,
    Begun,
    BranchedOff,
    LimitMet,
    MessageCame,
    NodeBegun,
    NodeEntered,
    NodeFailed,
    NodeFinished,
    NodeLeft,
    NodeWaits,
    Resumed,
    Settled,
    StopAsked,
    WaitOver,
    WorkDone,
)
from graphengine.engine.lookup import StaleEvent, plan_of
from graphengine.engine.redaction import without_secrets
from graphengine.engine.rules.fork import arms_arrived
from graphengine.engine.rules.map import items_done, map_entered
from graphengine.engine.rules.run import begun, branched_off, resumed, stop_asked
from graphengine.engine.rules.subgraph import limit_met, sub_ended, sub_entered
from graphengine.engine.rules.visit import node_failed, node_finished, node_left
from graphengine.engine.rules.wait import answered, message_came, node_begun, node_waits, refused, wait_over, work_done

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphengine.engine.events import Event
    from graphengine.engine.plan import Plan
    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import Step


def decide(plan: Plan[Any] | None, snapshot: Snapshot, event: Event) -> Step:
    """The step that this event means.

    Args:
        plan: The run's plan. None only for `StopAsked`, where the process that stops the run does not have its graph.
        snapshot: Where the run stands.
        event: What happened.

    Raises:
        StaleEvent: The frame is at another visit or attempt.
        InvalidUpdate, NotRecordable, TooLarge: The update of a branch does not fit (nothing else raises them here).
    """
    step = _EVENTS[type(event)](plan, snapshot, event)
    return without_secrets(plan, snapshot, step) if plan is None or plan.secret else step


def _entered(plan: Plan[Any], snapshot: Snapshot, event: NodeEntered) -> Step:
    """A node that has frames below it begins: items first, each of which may then be a graph."""
    frame = snapshot.frames.get(event.frame)
    if frame is None:
        raise StaleEvent(event)
    node = plan_of(plan, frame).nodes[event.node]
    enters = map_entered if node.each is not None and frame.kind != "item" else sub_entered
    return enters(plan, snapshot, event)


def _settled(plan: Plan[Any], snapshot: Snapshot, event: Settled) -> Step:
    """All that is below a frame has come to its end."""
    frame = snapshot.frames.get(event.frame)
    if frame is None or frame.failure is not None or frame.phase not in _SETTLES:
        raise StaleEvent(event)
    return _SETTLES[frame.phase](plan, snapshot, event)


def _stopped(plan: Plan[Any] | None, snapshot: Snapshot, event: StopAsked) -> Step:  # noqa: ARG001 - one signature for all
    return stop_asked(snapshot, event)


_SETTLES: Final[dict[str, Callable[[Any, Any, Any], Step]]] = {
    "forked": arms_arrived,
    "mapping": items_done,
    "inside": sub_ended,
}
_EVENTS: Final[dict[type, Callable[[Any, Any, Any], Step]]] = {
    Begun: begun,
    NodeFinished: node_finished,
    NodeFailed: node_failed,
    NodeEntered: _entered,
    NodeBegun: node_begun,
    NodeWaits: node_waits,
    NodeLeft: node_left,
    WorkDone: work_done,
    Answered: answered,
    AnswerRefused: refused,
    MessageCame: message_came,
    WaitOver: wait_over,
    LimitMet: limit_met,
    Settled: _settled,
    Resumed: resumed,
    StopAsked: _stopped,
    BranchedOff: branched_off,
}

__all__ = ["StaleEvent", "decide"]
