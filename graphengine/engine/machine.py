"""The machine: which events are legal in which phase of a frame, which steps they become, and which phases follow.

A run is a tree of frames. Each frame is a token that walks through a graph. A frame is always in one phase: `Ready` to
run its node, `Fallback` (running the node's fallback), `Leaving` the node, `Forked`, `Collecting` the items of a map,
`Inside` a subgraph, `Waiting`, `GivenUp` or `Ended`. An attempt of a node ends with one of two events:

    NodeFinished   the result becomes updates; they are reduced, validated and recorded, and the first edge whose
                   condition holds is taken:                            step `node` (of an item: `item`)
    NodeFailed     another attempt, if the node's retry has one left:   step `attempt`, due at `due_at`
                   else its fallback: a value replaces the result (step `node`), a function runs (step `attempt`)
                   else the first edge with a `failed(…)` that holds:   step `failed`, with `to`
                   else the frame fails, and can be resumed:            step `failed`

An update that does not fit the state is a failed attempt. If a condition raises an error, or no condition holds, the
node is done and the frame is `Leaving`: the frame fails there, and a resume chooses the edge again (step `left`). A
frame that reaches END finishes, and a frame that reaches FAIL fails. A frame that is forked, collecting or inside a
subgraph does not move until the frames below it have `Settled`.

`TABLE` lists every event with the phases in which the event is legal and the steps that the event can become. `AFTER`
lists the phases that can follow each step. This module refuses an event that comes in another phase, or that belongs to
another visit or attempt. The rules themselves refuse only events that the table cannot exclude: a join whose arms have
not all arrived, and a wait that is over.

The rules are in `graphengine.engine.rules`, in one file for each subject. `graphengine.engine.fold` applies the steps.
`decide` reads the run and changes only caches, which can be computed from the run: typed values, the plan of a subgraph
(`lookup.plan_of`), the index of waits (`Snapshot.open_waits`) and the measured size (`size_limits`). `decide` calls the
pure functions of the user: reducers, validators, conditions, functions given as `writes`, and functions that compute
the list of a map. Each condition is evaluated once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, assert_never

from graphengine.engine import events, steps
from graphengine.engine.events import CAUSES, Attempted, FrameEvent, with_cause
from graphengine.engine.lookup import StaleEvent, plan_of
from graphengine.engine.phases import (
    Collecting,
    Ended,
    Fallback,
    Forked,
    GivenUp,
    Inside,
    Leaving,
    Phase,
    Ready,
    Waiting,
)
from graphengine.engine.redaction import without_secrets
from graphengine.engine.rules.fork import arms_arrived
from graphengine.engine.rules.map import items_done, map_entered
from graphengine.engine.rules.run import begin_branch, begin_run, resume_stopped_run, stop_asked
from graphengine.engine.rules.subgraph import limit_met, sub_ended, sub_entered
from graphengine.engine.rules.visit import node_failed, node_finished, node_left, record_note
from graphengine.engine.rules.wait import message_came, take_answer, wait_over

if TYPE_CHECKING:
    from graphengine.engine.events import Event
    from graphengine.engine.lookup import RunState
    from graphengine.engine.snapshot import Frame, Snapshot
    from graphengine.engine.steps import Decided, Facts

Phases: TypeAlias = tuple[type[Phase], ...]
_MOVED: Final[Phases] = (Ready, Forked, Waiting, Ended, Leaving)
"""The phases after an edge was taken: at a node, paused before a node, forked, or ended. `Leaving` if no edge holds."""
_ANY: Final[Phases] = (Ready, Fallback, Leaving, Forked, Collecting, Inside, Waiting, GivenUp, Ended)


class Row(NamedTuple):
    """A row of the table that lists, for each event of a run, when the event is legal and what it can record.

    Attributes:
        event: The class of the event.
        phases: The phases of a frame (one position of the run in a graph) in which the event is legal. Empty if the
            event concerns the whole run.
        steps: The kinds of steps that can be recorded for the event.
    """

    event: type[Event]
    phases: Phases
    steps: tuple[type[Facts], ...]


_ATTEMPT: Final = (steps.Node, steps.Item, steps.Attempt, steps.Failed)
_RUNNING: Final[Phases] = (Ready, Fallback)
TABLE: Final = (
    Row(events.NodeFinished, _RUNNING, _ATTEMPT),
    Row(events.NodeFailed, _RUNNING, _ATTEMPT),
    Row(events.NodeEntered, (Ready,), (steps.Mapped, steps.Entered, *_ATTEMPT)),
    Row(events.Noted, _RUNNING, (steps.Begun, steps.Recorded, steps.Waiting, steps.Refused)),
    Row(events.NodeLeft, (Leaving,), (steps.Left,)),
    Row(events.Settled, (Forked,), (steps.Joined,)),
    Row(events.Settled, (Collecting, Inside), _ATTEMPT),
    Row(events.LimitMet, _ANY, (steps.Failed,)),
    Row(events.WaitOver, (Waiting,), (steps.Answered, *_ATTEMPT)),
    Row(events.AnswerArrived, (), (steps.Answered, steps.Refused, *_ATTEMPT)),
    Row(events.MessageCame, (), (steps.Message,)),
    Row(events.RunStarted, (), (steps.Started,)),
    Row(events.RunResumed, (), (steps.Resumed,)),
    Row(events.StopAsked, (), (steps.Stopped,)),
    Row(events.BranchedOff, (), (steps.Branched,)),
)
AFTER: Final[dict[type[Facts], Phases]] = {
    steps.Started: _MOVED,
    steps.Node: _MOVED,
    steps.Item: (),
    steps.Attempt: _RUNNING,
    steps.Failed: (*_MOVED, Fallback, Collecting, Inside, GivenUp),
    steps.Left: _MOVED,
    steps.Joined: (Ready, Forked, Waiting, Ended),
    steps.Mapped: (Collecting,),
    steps.Entered: (Inside,),
    steps.Begun: _RUNNING,
    steps.Recorded: _RUNNING,
    steps.Waiting: (Waiting,),
    steps.Answered: _RUNNING,
    steps.Refused: (*_RUNNING, Waiting),
}
"""The phases in which a frame can be after its own step, by the kind of the step.

Steps that concern the whole run are missing, because its frames can be in any phase after them.
"""
_LEGAL: Final = {row.event: frozenset(p for r in TABLE if r.event is row.event for p in r.phases) for row in TABLE}


def decide(run: RunState, event: Event) -> Decided:
    """Decide what an event means for a run, and return the step to record. The run itself is not moved yet.

    Args:
        run: The run, with the settings of this process. Only its caches are changed.
        event: What happened.

    Raises:
        StaleEvent: The event reports on a visit or attempt that is over, or comes in a phase in which it is not legal.
        InvalidUpdate, NotRecordable, TooLarge: The state changes with which a new branch should begin do not fit.
    """
    if run.has_plan:
        step = with_cause(_decide(run, event), event) if type(event) in CAUSES else _decide(run, event)
        return without_secrets(run.plan, run.snapshot, step) if run.plan.secret else step
    if isinstance(event, events.StopAsked):
        return without_secrets(None, run.snapshot, stop_asked(run.snapshot, event))
    raise TypeError(type(event))


def _decide(run: RunState, event: Event) -> Decided:  # noqa: C901, PLR0911, PLR0912 - one case for each event
    snapshot = run.snapshot
    match event:
        # First, because this is the most frequent event, and each case before it would cost as much as a call.
        case events.NodeFinished():
            return node_finished(run, _frame_of_event(snapshot, event), event)
        case events.RunStarted():
            return begin_run(run, event)
        case events.NodeFailed():
            return node_failed(run, _frame_of_event(snapshot, event), event)
        case events.NodeEntered():
            frame = _frame_of_event(snapshot, event)
            is_map = frame.kind != "item" and plan_of(run.plan, frame).nodes[event.id.node].each is not None
            return (map_entered if is_map else sub_entered)(run, frame, event)
        case events.Noted():
            _frame_of_event(snapshot, event)
            return record_note(run, event)
        case events.NodeLeft():
            return node_left(run, _frame_of_event(snapshot, event), event)
        case events.Settled():
            frame = _frame_of_event(snapshot, event)
            if isinstance(frame.phase, Forked):
                return arms_arrived(run, frame, event)
            return (items_done if isinstance(frame.phase, Collecting) else sub_ended)(run, frame, event)
        case events.LimitMet():
            return limit_met(run, _frame_of_event(snapshot, event), event)
        case events.WaitOver():
            return wait_over(run, _frame_of_event(snapshot, event), event)
        case events.AnswerArrived():
            return take_answer(run, event)
        case events.MessageCame():
            return message_came(run, event)
        case events.RunResumed():
            return resume_stopped_run(run, event)
        case events.StopAsked():
            return stop_asked(snapshot, event)
        case events.BranchedOff():
            return begin_branch(run, event)
        case _:
            assert_never(event)


def _frame_of_event(snapshot: Snapshot, event: FrameEvent) -> Frame:
    """Return the position of the run (the frame) that an event reports on.

    Raises:
        StaleEvent: The frame no longer exists, is in a phase in which the event is not legal, or is at another visit or
            attempt.
    """
    if type(event) is events.NodeFinished or isinstance(event, Attempted):
        of = event.id
        frame = snapshot.frames.get(of.frame)
        is_now = frame is not None and frame.visit == of.visit and frame.attempt == of.attempt and frame.at == of.node
    else:
        frame = snapshot.frames.get(event.frame)
        is_now = frame is not None and not (isinstance(event, events.Settled) and frame.failing is not None)
    if frame is None or not is_now or type(frame.phase) not in _LEGAL[type(event)]:  # `isinstance` would be slow here.
        raise StaleEvent(event)
    return frame
