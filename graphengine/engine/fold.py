"""The fold: applies a step to a snapshot, both while a run is driven and when a run is loaded.

`evolve` reads only the step, calls no code of the user, and changes the snapshot in place.
`graphengine.engine.field_ops` changes fields, `graphengine.engine.frame_tree` changes the tree of frames, and
`graphengine.engine.map_items` changes the items of maps. The fold is separate from the rules that decide
(`graphengine.engine.rules`), so that commands that only read recorded runs do not have to load the rules.

The same steps give the same snapshot, in any process and with any version. Whatever a rule looked up, measured or drew
by chance is recorded in its step. The fold asks no clock, no graph and no setting. It cannot refuse a step: a step that
does not fit means that the log is damaged, and raises an error. Rules and readers rely on three conditions that hold
after each step:

- `changed` lists the frames that the step changed, created or woke. Only these frames can have new tasks, so the cost
  of a step depends on what the step changes, not on the size of the run.
- `status` is `waiting` exactly if no frame can move before an answer, a message or a time arrives, and no limit is
  reached. A run can have thousands of waiting frames, so `maybe_runnable` keeps only the frames that were not checked
  since they last changed.
- The slots of a map (`concurrency=`) are held by items that work. The slots are counted again from the changed frame up
  to the root, so an item that begins to wait lets the next item begin in the same step.

This code also folds records of older versions. A new field of a step has a default with which old steps fold to the
same snapshot as before. A change of meaning requires a new kind of step, or a migration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, assert_never

from msgspec.structs import replace

from graphengine.engine import steps
from graphengine.engine.field_ops import apply_ops, replay
from graphengine.engine.frame_tree import (
    add_usage,
    drop,
    drop_children,
    fail_frame,
    failure_in,
    keep_asks,
    move,
    open_sub,
    pause,
    renew,
    restamp,
    touch,
    unpause,
    wait,
    wake,
)
from graphengine.engine.graph_migration import apply_shift, keep_items
from graphengine.engine.map_items import (
    end_item,
    keep_failures,
    open_map,
    reopen_failed,
    update_slots,
    upwards,
)
from graphengine.engine.phases import (
    ASKED,
    BEGUN,
    KEYED,
    UNKNOWN,
    UNKNOWN_CODE,
    Collecting,
    Ended,
    FailedItem,
    Failing,
    Fallback,
    Forked,
    GivenUp,
    Inside,
    Leaving,
    Ready,
    RecordedResult,
    Waiting,
)
from graphengine.engine.provenance import note_joined, note_written
from graphengine.engine.published import keep_published
from graphengine.engine.ready import can_move, limit_reached, runnable_frame, task_of
from graphengine.engine.refused import keep_refused
from graphengine.engine.snapshot import CRASHES, READY, ROOT, Frame, Snapshot, child_id, work_at
from graphengine.engine.steps import path_of, without_items
from graphengine.engine.stored import decode_snapshot
from graphengine.graph.options import START

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from msgspec import UnsetType

    from graphengine.engine.steps import Step
    from graphengine.state.amounts import LossName, Usage
    from graphengine.state.json_values import JsonValue


def evolve(snapshot: Snapshot, step: Step) -> Snapshot:
    """Apply one step of the log to the snapshot of a run, and return the snapshot, which is changed in place.

    Raises:
        ValueError: The number of the step is not the number after the snapshot's last step.
    """
    if step.seq != snapshot.seq + 1:
        message = f"step {step.seq} does not follow step {snapshot.seq}"
        raise ValueError(message)
    snapshot.changed.clear()
    # An item that ends no longer exists after the step.
    before = snapshot.frames.get(step.frame) if snapshot.waiting else None
    now = step.at
    facts = step.data
    if now > snapshot.now and snapshot.status == "running" and type(facts) not in _BEGINNINGS:
        # The time during which a run is stopped or waits is not driven time.
        snapshot.elapsed_seconds += now - snapshot.now
    snapshot.now = now
    if type(facts) is steps.Node:  # the most frequent kind first
        _complete_visit(snapshot, step, facts)
    elif type(facts) is steps.Item:
        _complete_item(snapshot, step, facts)
    else:
        _fold(snapshot, step)
    if snapshot.waiting or before is not None:
        update_slots(snapshot, upwards(before or snapshot.frames.get(step.frame)))
    snapshot.seq = step.seq
    if snapshot.waiting:
        _settle(snapshot)
    elif snapshot.maybe_runnable is not None:
        snapshot.maybe_runnable = None
    return snapshot


def _settle(snapshot: Snapshot) -> None:
    """Set the status of the run to `waiting` or `running` after a step was applied.

    A run is waiting if no node can run before an answer, a message or a time arrives.

    A run that has reached a limit stays `running`, although it may have nothing to run, because the runner still has to
    stop it. An answer could not make such a run continue.
    """
    if snapshot.maybe_runnable is not None:
        snapshot.maybe_runnable.update(dict.fromkeys(snapshot.changed))
    if snapshot.status in ("running", "waiting"):
        snapshot.runnable = _find_runnable(snapshot)
        waits = snapshot.runnable is None and not (snapshot.limits and limit_reached(snapshot))
        snapshot.status = "waiting" if waits else "running"


def _find_runnable(snapshot: Snapshot) -> str | None:
    """Find a frame (one position of the run in a graph) that can move now, without checking every frame of the run.

    The frame that was found after the last step and the frames that this step changed are tried first. Usually one of
    them can move. Thousands of other frames may wait, and a waiting frame cannot move until a step changes it. So a
    frame is checked again only after it has changed. The exception is a graph with limits of its own: the steps of
    other frames can bring the graph to its limit, so all frames are checked.
    """
    frames = snapshot.frames
    likely = [snapshot.runnable, *snapshot.changed[-_LIKELY:]]
    for key in likely:
        if key in frames and can_move(snapshot, frames[key]):
            return key
    if snapshot.maybe_runnable is None:
        if any(frame.limits for frame in frames.values() if frame.kind == "sub"):
            return runnable_frame(snapshot)
        snapshot.maybe_runnable = dict.fromkeys(frames)
    maybe_runnable = snapshot.maybe_runnable
    while maybe_runnable:
        key, _ = maybe_runnable.popitem()
        if key in frames and can_move(snapshot, frames[key]):
            maybe_runnable[key] = None
            return key
    return None


def fold(log: Iterable[Step], snapshot: Snapshot | None = None) -> Snapshot:
    """Apply the steps of a log, in order, to a snapshot (by default that of a new run), and return the snapshot."""
    snapshot = snapshot if snapshot is not None else Snapshot()
    for step in log:
        evolve(snapshot, step)
    return snapshot


def _fold(snapshot: Snapshot, step: Step) -> None:  # noqa: C901, PLR0912, PLR0915 - one case for each kind
    facts = step.data
    match facts:
        # First, because each run begins with it, and each case before it would cost as much as a call.
        case steps.Started():
            _begin_run(snapshot, step, facts)
        case steps.Item():
            _complete_item(snapshot, step, facts)
        case steps.Node():
            _complete_visit(snapshot, step, facts)
        case steps.Attempt():
            _attempt(snapshot, step, facts)
        case steps.Failed():
            _end_failed_visit(snapshot, step, facts)
        case steps.Recorded():
            _keep_work(snapshot, step, facts)
        case steps.Joined():
            _join_arms(snapshot, step, facts)
        case steps.Mapped():
            open_map(snapshot, snapshot.frames[step.frame], step.at, facts)
        case steps.Entered():
            _begin_frame(snapshot, open_sub(snapshot, snapshot.frames[step.frame], step.at, facts), step, facts)
        case steps.Begun():
            snapshot.code = facts.code or snapshot.code
            _keep_beginning(snapshot.frames[step.frame], step, facts)
        case steps.Waiting():
            _begin_waits(snapshot, step, facts)
        case steps.Answered():
            _end_wait(snapshot, step, facts)
        case steps.Refused():
            _refuse_answer(snapshot, step, facts)
        case steps.Message():
            _keep_messages(snapshot, [(facts.topic, facts.payload)], own=facts.told)
        case steps.Left():
            _leave_done_node(snapshot, step, facts)
        case steps.Resumed():
            _resume_run(snapshot, step, facts)
        case steps.Stopped():
            _stop_run(snapshot, facts)
        case steps.Branched():
            _begin_child_run(snapshot, step, facts)
        case steps.Removed():
            _go_on_from(snapshot, facts)
        case _:
            assert_never(facts)


# --- A run as a whole ------------------------------------------------------------------------------------------------


def _begin_run(snapshot: Snapshot, step: Step, facts: steps.Started) -> None:
    """Apply the first step of a run to its snapshot, which is empty before.

    If the graph declares no title with `title=`, the run gets the first line of the first text of its input as its
    title.
    """
    snapshot.run_id = facts.run_id
    snapshot.graph = facts.graph
    snapshot.fingerprint = facts.fingerprint
    snapshot.limits = facts.limits
    snapshot.pause = facts.pause
    snapshot.title = title_line(facts.title) if facts.title else ""
    if not snapshot.title:
        for op in step.update:
            # values of other types can be encoded
            if isinstance(op[-1], str) and op[-1] and (line := title_line(op[-1])):
                snapshot.title = line
                break
    snapshot.starter, snapshot.origin, snapshot.began_with = facts.starter, facts.origin, facts.fingerprint
    snapshot.nonce, snapshot.key_base = facts.nonce, facts.key_base
    frame = snapshot.frames[ROOT] = Frame(at=START)
    _begin_frame(snapshot, frame, step, facts)


def title_line(text: str) -> str:
    """Return the first line of a text for use as a title: cut to 200 characters, with runs of white space collapsed."""
    if len(text) <= _BEGINNING and text.isalnum():  # The length is compared first, because a text can have megabytes.
        return text
    return " ".join(text[:_BEGINNING].strip().partition("\n")[0].replace("\0", "").split())


def _go_on_from(snapshot: Snapshot, facts: steps.Removed) -> None:
    """Replace the snapshot with the one that the retention policy stored when it deleted old steps of the run.

    The deleted steps cannot be applied any more, so the stored snapshot takes their place.
    """
    if bytes(facts.snapshot):
        found = decode_snapshot(bytes(facts.snapshot))
        for name in found.__struct_fields__:
            setattr(snapshot, name, getattr(found, name))
        snapshot.changed = list(found.frames)


def _resume_run(snapshot: Snapshot, step: Step, facts: steps.Resumed) -> None:
    cut_off = _in_flight(snapshot, step) if facts.crashed else ()
    _continue(snapshot, facts, cut_off, retries=facts.retries)
    snapshot.shared_process = facts.shared_process
    if facts.origin is not None and snapshot.origin is not None:
        snapshot.origin = replace(snapshot.origin, models=facts.origin.models)
    snapshot.deaths += facts.crashed
    if facts.cut_until:
        snapshot.cut_until, snapshot.cut_seq = max(snapshot.cut_until, facts.cut_until), step.seq
    if facts.sub_limits:
        snapshot.maybe_runnable = None
    for key, limits in facts.sub_limits.items():
        snapshot.frames[key].limits = limits
    snapshot.root.marks.update(facts.marks)


def _continue(
    snapshot: Snapshot, facts: steps.Continued, cut_off: Sequence[Frame] = (), *, retries: bool = False
) -> None:
    """Let a stopped, failed or waiting run continue, possibly under a changed graph.

    `cut_off` lists the frames whose nodes were running when the process died, so that crashes in a row are counted.
    """
    snapshot.limits = facts.limits
    snapshot.fingerprint = facts.fingerprint
    was_failed = snapshot.status == "failed" or retries
    changes = was_failed or facts.moves or bool(facts.recoded)
    if changes:  # any frame can change
        snapshot.maybe_runnable = snapshot.open = None
    snapshot.status, snapshot.ending, snapshot.failure = "running", None, None
    apply_shift(snapshot, facts)
    if facts.recoded:
        _mark_recoded(snapshot, facts.recoded, snapshot.code or UNKNOWN_CODE)
    if facts.code:
        snapshot.code = facts.code
    for frame in cut_off:
        # In a shared process, another run may have caused the crash. So the last crash, with which the node fails,
        # counts only if the process drove no other run.
        counts = frame.crashes < CRASHES - 1 or not snapshot.shared_process
        if counts and snapshot.frames.get(frame.id) is frame and frame.id not in facts.moved:
            frame.crashes += 1
    for frame in list(snapshot.frames.values()) if was_failed else ():
        if not frame.is_settled(facts.settled):
            _revive(snapshot, frame, facts.settled)
    _pause_before(snapshot, facts)
    if changes:
        deepest = sorted(snapshot.frames.values(), key=lambda frame: len([*upwards(frame)]), reverse=True)
        update_slots(snapshot, deepest)


def _mark_recoded(snapshot: Snapshot, nodes: Collection[str], code: str) -> None:
    """Mark results that were recorded by code which has changed since, so that the new code knows which code made them.

    The mark is the id of the earlier code. It is set on the recorded results of the nodes in `nodes`. If such a node is
    sleeping, it is woken, because its new code may sleep for another length of time.
    """
    for frame in snapshot.frames.values():
        if without_items(path_of(frame.id, frame.at)) in nodes:
            if any(asked.kind == "sleep" and asked.key for asked in frame.waits.values()):
                _keep_to_ask_again(frame, frame.waits)
                keep_asks(frame)
                wake(snapshot, frame)
            for work in work_at(frame):
                for key, memo in [*work.items()]:
                    if memo.sleep and not memo.recoded:  # The current code may have another sleep with this key.
                        del work[key]
                        if key.removeprefix(ASKED) not in work:
                            work[f"{key} {code}"] = memo
                    memo.recoded = memo.recoded or code


def _pause_before(snapshot: Snapshot, facts: steps.Continued) -> None:
    """Replace the list of nodes before which the run pauses, if the step contains a new list."""
    if facts.pause is None:
        return
    snapshot.pause = facts.pause
    for frame in list(snapshot.frames.values()):
        unpause(snapshot, frame)
        untouched = frame.attempt == 1 and not (frame.crashes or frame.recorded_results)
        if isinstance(frame.phase, Ready) and untouched:
            pause(snapshot, frame)


def _in_flight(snapshot: Snapshot, step: Step) -> Sequence[Frame]:
    tasks = [(frame, task_of(snapshot, frame)) for frame in snapshot.frames.values()]
    return [frame for frame, task in tasks if task is not None and task.mode in _RUNS and task.due <= step.at]


def _revive(snapshot: Snapshot, frame: Frame, settled: Collection[str]) -> None:
    """Make one failed position of the run ready to be retried where it failed, when the run is resumed.

    Failed items of a map are left as they are, because the map itself starts them again.
    """
    failed = frame.failing is not None
    if frame.kind == "item" and failed:
        return
    frame.failing = None
    if isinstance(frame.phase, GivenUp):
        frame.phase = READY
        renew(snapshot, frame)
    elif isinstance(frame.phase, Fallback) and failed:  # The phase was kept because of an effect, see `_give_up`.
        renew(snapshot, frame)
    elif isinstance(frame.phase, Collecting):
        if child_id(frame.id, frame.at) not in settled:
            reopen_failed(frame.phase)
    elif isinstance(frame.phase, Inside) and failed:
        frame.tries = 0


def _begin_child_run(snapshot: Snapshot, step: Step, facts: steps.Branched) -> None:
    """Turn the snapshot of a parent run into the snapshot of a run that branches off from it."""
    before, snapshot.nonce = snapshot.nonce, facts.nonce
    snapshot.run_id, snapshot.key_base, snapshot.starter = facts.run_id, "", None
    snapshot.title = title_line(facts.title) or snapshot.title
    restamp(snapshot, before)
    snapshot.origin, snapshot.began_with = facts.origin, facts.fingerprint
    snapshot.inherited, snapshot.agents = snapshot.usage.copy(), {}
    snapshot.instructions = {**snapshot.instructions, **facts.instructions}
    _continue(snapshot, facts)
    frame = snapshot.frames[step.frame]
    if step.update:
        names = {op[1] for op in step.update}
        keep_items(snapshot, frame, names)
        apply_ops(frame, step.update, step.typed)
        note_written(frame, step.update, names)
        for other in snapshot.frames.values():
            if other.kind == "arm":
                replay(other)
    frame.marks.update(facts.marks)


def _stop_run(snapshot: Snapshot, facts: steps.Stopped) -> None:
    snapshot.status, snapshot.ending, snapshot.failure = facts.status, facts.ending, facts.error
    _spend(snapshot, snapshot.root, facts.usage)


_RUNS: Final = ("run", "fallback")


# --- Visits of nodes -------------------------------------------------------------------------------------------------


def _complete_visit(snapshot: Snapshot, step: Step, facts: steps.Node) -> None:  # noqa: C901, PLR0912 - the common case, in place
    """Apply the step of a node that completed: update the state, count the cost, and move along the chosen edge."""
    frame = snapshot.frames[step.frame]
    # Before the update is applied, because the update may change the list of a map.
    if frame.phase is not READY or frame.recorded_results:
        _end_visit(snapshot, frame)
    if step.update:
        apply_ops(frame, step.update, step.typed)
        if facts.given:
            note_written(frame, step.update, facts.given)
        else:  # The same as `note_written`, in place, because a call would cost a percent of a step.
            written = frame.written
            for op in step.update:
                if op[1] not in written:
                    written[op[1]] = True
    if facts.usage:
        _spend(snapshot, frame, facts.usage)
    # The same as `_count_visit`, in place, because a call would cost a percent of a step.
    frame.counts[step.node] = frame.counts.get(step.node, 0) + 1
    snapshot.steps += 1
    if frame.sub is not None:
        _count_in_graphs(frame.sub)
    if facts.fallback:
        _lose(snapshot, "fallbacks")
    if facts.lost:
        _count_failed_calls(snapshot, facts)
    if facts.marks:
        _set_marks(frame, facts)
    if facts.sent:
        _keep_messages(snapshot, facts.sent, own=True)
    # An edge that is chosen later may test how the graph at the node ended, so its label is kept.
    if facts.status == "failed":
        fail_frame(snapshot, frame, Leaving(facts.inside.label if facts.inside is not None else ""), facts)
    else:
        move(snapshot, frame, facts)


def _leave_done_node(snapshot: Snapshot, step: Step, facts: steps.Left) -> None:
    """Apply the step that chooses the outgoing edge of a node after a resume.

    The node itself had completed before the run was interrupted, so only its edge was missing.
    """
    frame = snapshot.frames[step.frame]
    _set_marks(frame, facts)
    ended = frame.phase.ended if isinstance(frame.phase, Leaving) else ""
    _leave_by(snapshot, frame, facts, ended)


_NO_RESULT: Final = RecordedResult()


def _attempt(snapshot: Snapshot, step: Step, facts: steps.Attempt) -> None:
    """Apply the step of a failed attempt to run a node. The node is then retried, or its fallback runs."""
    frame = snapshot.frames[step.frame]
    _spend(snapshot, frame, facts.usage)
    _count_failed_calls(snapshot, facts)
    if facts.then != "fallback":
        _lose(snapshot, "retries")
    if isinstance(frame.phase, (Collecting, Inside)):
        drop_children(snapshot, frame)
    elif isinstance(frame.phase, Waiting):
        keep_asks(frame)
        wake(snapshot, frame)
    _forget_work(frame, facts, ("answer", "message"))
    frame.phase = Fallback(facts.error, step.seq) if facts.then == "fallback" and facts.error is not None else READY
    frame.tries += 1
    frame.attempt += 1
    frame.crashes = 0
    frame.due = facts.due_at or 0.0
    frame.arrived = max(step.at, frame.due)
    touch(snapshot, frame)


def _end_failed_visit(snapshot: Snapshot, step: Step, facts: steps.Failed) -> None:
    """Apply the step of a node that failed for good.

    The run moves along a `failed(…)` edge, or this part of the run fails.
    """
    frame = snapshot.frames[step.frame]
    _spend(snapshot, frame, facts.usage)
    _count_failed_calls(snapshot, facts)
    if frame.kind == "item" and facts.has_failed:
        _lose(snapshot, "failed_items")
    if step.update:
        apply_ops(frame, step.update, step.typed)
        note_written(frame, step.update)
    if not facts.has_failed:
        _count_visit(snapshot, frame, step.node)
        _end_visit(snapshot, frame)
        _set_marks(frame, facts)
        move(snapshot, frame, facts)
        frame.error = facts.error
    elif not step.node:  # The frame has reached its own limit. This can happen in any phase.
        fail_frame(snapshot, frame, frame.phase, facts)
    else:
        _give_up(snapshot, frame, facts)


def _give_up(snapshot: Snapshot, frame: Frame, facts: steps.Failed) -> None:
    """Mark a part of the run as failed at a node, in such a way that a later resume can continue at this node.

    A resume normally runs the node again, which finds the results that it recorded. For a map or a subgraph, the resume
    continues with the parts that failed. If an effect began inside a subgraph and the node's fallback then failed too,
    the resume runs the fallback again, because running the subgraph again would repeat the effect.
    """
    goes_on = isinstance(frame.phase, (Collecting, Inside))
    if not goes_on:
        goes_on = frame.cause is not None and any(m.begun and not m.id for m in frame.recorded_results.values())
        if isinstance(frame.phase, Waiting):
            keep_asks(frame)
            wake(snapshot, frame)
        _forget_work(frame, facts, ("message",))
        frame.attempt += 1
    if frame.kind != "item":
        fail_frame(snapshot, frame, frame.phase if goes_on else GivenUp(), facts)
        return
    failed = FailedItem(failure_in(facts))
    if goes_on:
        failed.kept, frame.failing = True, Failing(failed.error)
    else:
        failed.attempt, failed.recorded_results, failed.asks = frame.attempt, frame.recorded_results, frame.asks
    end_item(snapshot, frame, failed)


# --- Forks -----------------------------------------------------------------------------------------------------------


def _join_arms(snapshot: Snapshot, step: Step, facts: steps.Joined) -> None:
    frame = snapshot.frames[step.frame]
    phase = frame.phase
    if facts.has_failed or not isinstance(phase, Forked):
        fail_frame(snapshot, frame, phase, facts)
        return
    arms = [snapshot.frames[key] for key in phase.arms]
    if step.update:
        apply_ops(frame, step.update, step.typed)
        note_joined(frame, step.update, arms)
    _set_marks(frame, facts)
    for arm in arms:
        drop(snapshot, arm, frame, counts=True)
    move(snapshot, frame, facts)
    ended = (arm.error for arm in arms if arm.error is not None and isinstance(arm.phase, Ended))
    frame.error = next(ended, None)


# --- Maps ------------------------------------------------------------------------------------------------------------


def _complete_item(snapshot: Snapshot, step: Step, facts: steps.Item) -> None:
    frame = snapshot.frames[step.frame]
    _spend(snapshot, frame, facts.usage)
    if facts.fallback:
        _lose(snapshot, "fallbacks")
    if isinstance(frame.phase, (Inside, Waiting)):
        _end_visit(snapshot, frame)
    end_item(snapshot, frame, facts.writes, facts.sent)


# --- Recorded work ---------------------------------------------------------------------------------------------------


def _keep_beginning(frame: Frame, step: Step, facts: steps.Begun) -> None:
    """Remember in the snapshot that a side effect has begun, so that it is not started again if the process dies.

    The beginning is remembered at the node itself and at all nodes around it that run a subgraph, because a new attempt
    of such a node would repeat the effect. Answers that a person gave about an earlier beginning are dropped, since
    they do not apply to this one. An idempotent effect may be repeated, so only its idempotency key is remembered.
    """
    if facts.idempotent:
        keyed = RecordedResult(facts.arguments, step.at, name=facts.name, id=facts.idempotency_key, keyed=step.seq)
        frame.recorded_results[KEYED + facts.key] = keyed
        return
    earlier = f"{UNKNOWN}{facts.key}|"
    for key in [key for key in frame.recorded_results if key.startswith(earlier)]:
        del frame.recorded_results[key]
    if facts.not_done:
        kept = (k for k, m in frame.recorded_results.items() if k.startswith(BEGUN) and m.id == facts.idempotency_key)
        key = BEGUN + facts.key
        undone = frame.recorded_results.pop(key if key in frame.recorded_results else next(kept, key), _NO_RESULT)
        for around in _graphs_around(frame):
            around.recorded_results.pop(f"{BEGUN}{undone.id}", None)
        return
    begun = RecordedResult(facts.arguments, step.at, name=facts.name, id=facts.idempotency_key, begun=step.seq)
    begun.unknown, begun.reconcile = facts.unknown, facts.reconcile
    # The id of the code whose form of types the key has.
    begun.recoded = frame.recorded_results.get(BEGUN + facts.key, _NO_RESULT).recoded
    frame.recorded_results[BEGUN + facts.key] = begun
    for around in _graphs_around(frame):
        around.recorded_results[BEGUN + facts.idempotency_key] = RecordedResult(begun=step.seq)


def _graphs_around(frame: Frame) -> Iterator[Frame]:
    """Yield the position of each node that runs a subgraph around this position of the run, the innermost first."""
    while frame.sub is not None and frame.sub.up is not None:
        frame = frame.sub.up
        yield frame


def _keep_work(snapshot: Snapshot, step: Step, facts: steps.Recorded) -> None:
    """Remember the result of a call inside a node, so that a later attempt of the node does not make the call again."""
    frame = snapshot.frames[step.frame]
    _spend(snapshot, frame, facts.usage)
    snapshot.code = facts.code or snapshot.code
    if facts.by is not None:
        _count_call(snapshot, facts.by["agent"], facts.usage.get("cost_usd", 0.0))
    frame.crashes = 0  # The node has made progress, so earlier crashes no longer count as crashes in a row.
    if not facts.key:
        return
    begun = frame.recorded_results.pop(BEGUN + facts.key, _NO_RESULT)
    keyed = frame.recorded_results.get(KEYED + facts.key)
    # If the work was recorded by other code, the entry stays: an attempt that starts again finds the key of the call in
    # it.
    if keyed is not None and not keyed.recoded:
        del frame.recorded_results[KEYED + facts.key]
    if facts.took:
        begun = frame.recorded_results.pop(facts.took, begun)
    named = begun.name if begun.begun else None
    result = RecordedResult(facts.value, step.at, facts.outputs, name=named, id=begun.id, begun=begun.begun)
    # 1. The earlier code begins a call. 2. The current code finds the call under the key in the form that the types had
    #    when the call was recorded, and makes the call. 3. The process dies. The record keeps that key, so the next
    #    attempt must look for the record under the same form.
    result.recoded = (keyed or begun).recoded if not facts.took else ""
    if keep_published(snapshot, step):
        result.value = None  # The node only needs to know that the work is done.
    frame.recorded_results[facts.key] = result


# --- Waits and messages ----------------------------------------------------------------------------------------------


def _begin_waits(snapshot: Snapshot, step: Step, facts: steps.Waiting) -> None:
    frame = snapshot.frames[step.frame]
    _spend(snapshot, frame, facts.usage)
    snapshot.code = facts.code or snapshot.code
    frame.crashes = 0
    if facts.withdrawn:
        frame.asks = {key: asked for key, asked in frame.asks.items() if asked.id not in facts.withdrawn}
    wait(snapshot, frame, facts.waits)


def _end_wait(snapshot: Snapshot, step: Step, facts: steps.Answered) -> None:
    """End a wait and remember its answer. The code of the node then runs again and finds the answer."""
    frame = snapshot.frames[step.frame]
    waits = frame.waits
    if facts.wait not in waits:  # An item of a map has no slot yet in which its node could ask again.
        memo = RecordedResult(facts.answer.value, step.at, name=facts.wait, by=facts.by, given=facts.by == "answer")
        key = frame.asked[facts.wait][0]
        memo.seen = frame.recorded_results.get(f"{ASKED}{key}", _NO_RESULT).seen
        frame.recorded_results[key] = memo
        return
    known, given = frame.recorded_results, facts.answer
    ended: dict[str, JsonValue | UnsetType] = {facts.wait: given.value, **facts.also}
    for name, asked in waits.items():
        if name in ended and facts.by == "message" and asked.topic is not None:
            _take_message(snapshot, asked.topic)
        if name in ended and asked.key:
            is_own = facts.by == "message" and asked.topic in snapshot.own_topics
            known[asked.key] = RecordedResult(
                ended[name],
                step.at,
                name=name,
                due=asked.due,
                by=facts.by,
                timeout=given.timeout,
                seen=asked.seen,
                given=facts.by in ("answer", "message") and asked.kind in ("ask", "receive") and not is_own,
            )
    _keep_to_ask_again(frame, {name: asked for name, asked in waits.items() if name not in ended})
    keep_asks(frame)
    wake(snapshot, frame)


def _keep_to_ask_again(frame: Frame, waits: Mapping[str, steps.WaitRecord]) -> None:
    kept = frame.recorded_results
    for name, asked in waits.items():
        if asked.key:
            again = RecordedResult(asked.due, asked.asked_at, name=name, id=asked.id, seen=asked.seen)
            if asked.kind == "sleep":
                again.sleep = asked.question
            kept[f"{ASKED}{asked.key}"] = again


def _refuse_answer(snapshot: Snapshot, step: Step, facts: steps.Refused) -> None:
    """Remove an answer that the node refused because it had the wrong type, so that the node asks its question again.

    If the answer was refused before the node saw it, the question is still open and nothing has to be changed.
    """
    frame = snapshot.frames.get(step.frame)
    if facts.key and frame is not None:
        given = frame.recorded_results.pop(facts.key, RecordedResult())
        frame.recorded_results[f"{ASKED}{facts.key}"] = RecordedResult(given.due, name=given.name)
        keep_refused(snapshot, step, facts, given)


# --- Shared by several kinds -----------------------------------------------------------------------------------------


def _begin_frame(snapshot: Snapshot, frame: Frame, step: Step, facts: steps.Started | steps.Entered) -> None:
    """Set the initial state of a run or of a subgraph, and move its first position along the first edge."""
    apply_ops(frame, step.update, step.typed)
    if facts.written:
        frame.written.update(dict.fromkeys(facts.written, True))
    frame.marks.update(facts.marks)
    _leave_by(snapshot, frame, facts)


def _end_visit(snapshot: Snapshot, frame: Frame) -> None:
    """Remove from the snapshot what a node no longer needs after it has completed.

    This is what the node had started (map items or a subgraph), its waits, and the results that it recorded.
    """
    if isinstance(frame.phase, (Collecting, Inside)):
        if isinstance(frame.phase, Collecting):
            keep_failures(snapshot, frame, frame.phase)
        drop_children(snapshot, frame)
    elif isinstance(frame.phase, Waiting):
        wake(snapshot, frame)
    if frame.recorded_results:
        frame.recorded_results.clear()
    if frame.asks:
        frame.asks.clear()


def _leave_by(snapshot: Snapshot, frame: Frame, facts: steps.Outcome, ended: str = "") -> None:
    """Move the run along the edge that the step contains, after a node has completed.

    If the step contains no edge, or an edge to FAIL, this part of the run fails and stays at its node.
    """
    if facts.status == "failed":
        fail_frame(snapshot, frame, Leaving(ended), facts)
    else:
        move(snapshot, frame, facts)


def _forget_work(frame: Frame, facts: steps.AttemptEnded, but: Collection[str]) -> None:
    """Drop recorded results that the next attempt of a node must not find.

    Results that caused the failure are always dropped. Other results are dropped only if the retry policy tells each
    attempt to start afresh. Even then, two kinds of results are kept, because they cannot be obtained a second time:
    the beginnings of effects, and the results of waits that ended in one of the ways listed in `but`, such as
    `message`.

    If the node itself is an effect and its result did not fit the state, the reason is stored with the record of the
    effect's beginning, because it is then known how the effect ended.
    """
    begun = frame.recorded_results.get(BEGUN)
    if begun is not None and facts.cause == "finished" and facts.error is not None and frame.cause is None:
        frame.recorded_results[BEGUN] = replace(begun, by=facts.error.message)
    if not facts.keep_results:
        # The conversation of an agent begins again, and makes other calls at the same places: effects get other keys.
        frame.recorded_results = {
            f"{key} {memo.id}" if memo.begun else key: memo
            for key, memo in frame.recorded_results.items()
            if memo.by in but or memo.begun or memo.keyed
        }
    for key in facts.refused:
        frame.recorded_results = {k: m for k, m in frame.recorded_results.items() if not f"{k}/".startswith(f"{key}/")}


def _keep_messages(snapshot: Snapshot, messages: Iterable[Any], *, own: bool) -> None:
    """Put messages into the run's mailbox, where they stay until a node receives them.

    `messages` are pairs of a topic and a payload. `own` is True if nodes of the run or its child runs sent the
    messages, and False if a caller did.
    """
    for topic, payload in messages:
        snapshot.mailbox.setdefault(topic, []).append(payload)
        if own:
            snapshot.own_topics[topic] = True
    if snapshot.waiting:
        snapshot.changed.extend(frame.id for frame in snapshot.frames.values() if isinstance(frame.phase, Waiting))


def _take_message(snapshot: Snapshot, topic: str) -> None:
    left = snapshot.mailbox[topic]
    left.pop(0)
    if not left:
        del snapshot.mailbox[topic]


def _count_visit(snapshot: Snapshot, frame: Frame, node: str) -> None:
    frame.counts[node] = frame.counts.get(node, 0) + 1
    snapshot.steps += 1
    if frame.sub is not None:
        _count_in_graphs(frame.sub)


def _count_in_graphs(inner: Frame) -> None:
    sub: Frame | None = inner
    while sub is not None:
        sub.steps += 1
        sub = sub.up.sub if sub.up is not None else None


def _set_marks(frame: Frame, facts: steps.Outcome) -> None:
    frame.marks.update(facts.marks)
    frame.samples.extend(facts.samples)


def _spend(snapshot: Snapshot, frame: Frame, spent: Usage) -> None:
    if spent:
        snapshot.usage = add_usage(snapshot.usage, spent)
        frame.usage = add_usage(frame.usage, spent)
        sub = frame.sub
        while sub is not None:
            sub.spent = add_usage(sub.spent, spent)
            sub = sub.up.sub if sub.up is not None else None


def _count_failed_calls(snapshot: Snapshot, facts: steps.AttemptEnded) -> None:
    """Count failed model calls by agent. Their cost is not known for each agent, so a cost of 0 is added."""
    for call in facts.lost.values():
        if isinstance(call, dict):
            _count_call(snapshot, call.get("agent"), 0.0)


def _count_call(snapshot: Snapshot, agent: JsonValue, cost: float | None) -> None:
    agents = snapshot.agents
    if isinstance(agent, str) and agent and (agent in agents or len(agents) < _AGENTS):
        had = agents.get(agent, 0.0)
        agents[agent] = None if had is None or cost is None else had + cost


def _lose(snapshot: Snapshot, what: LossName) -> None:
    snapshot.losses[what] = snapshot.losses.get(what, 0) + 1


_AGENTS: Final = 64
"""How many agents of a run are counted.

The limit keeps the run's row small even if nodes create new agents all the time.
"""
_BEGINNING: Final = 200
"""The maximum number of characters of a run's title."""
_BEGINNINGS: Final = frozenset((steps.Started, steps.Resumed, steps.Branched))
_LIKELY: Final = 4
"""How many of the last changed frames `_find_runnable` tries first.

A step changes its frame, the frame around it and the frames that it creates. Usually one of the last few changed frames
can move, and each check costs time at every step.
"""
