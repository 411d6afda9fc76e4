"""Marks: the memory of conditions on plateaus, counts since a node, and changes. Marks are updated at each step.

A tracker describes one such memory, and a mark is its current value. While a step is decided, new marks are set in
`view.new_marks`; all other marks are read from the frame. The arms of a fork also keep the samples from which their
marks were computed (`view.new_samples`), because the samples are added again at the join.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.engine.failures import text_of
from graphengine.engine.phases import Ended
from graphengine.engine.snapshot import Frame
from graphengine.state.encoded import opened
from graphengine.state.immutable import digest_of
from graphengine.state.interrupts import reraise_interrupt
from graphengine.state.marks import bare
from graphengine.state.numbers import as_number, better, of_mark, to_mark
from graphengine.state.view import View, part_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from graphengine.engine.plan import Plan
    from graphengine.state.json_values import Mark, Op
    from graphengine.state.selector import Tracker


def default_marks(plan: Plan[Any], changes: Sequence[Tracker]) -> dict[str, Mark]:
    """Return digests of the defaults of fields.

    `changed` compares with such a digest until its node is left for the first time.
    """
    if not changes:
        return {}
    defaults: dict[str, object] = {}
    for field in plan.state.fields.values():
        required = field.info.is_required()
        made = None if required else field.info.get_default(call_default_factory=True, validated_data=dict(defaults))
        defaults[field.name] = made
    view = View(plan.state, Frame(typed=defaults))
    marks = {tracker.key: digest_now(tracker, view) for tracker in changes}
    return {key: digest for key, digest in marks.items() if digest}


def first_marks(plan: Plan[Any], frame: Frame) -> dict[str, Mark]:
    """Return first marks for conditions that are new in a changed graph.

    A condition on changes compares with the default of the field. A count since a node begins now, because it is not
    recorded what happened since the last visit of the node.
    """
    new = [tracker for group in plan.epochs.values() for tracker in group if tracker.key not in frame.marks]
    counts = {t.key: frame.count(t.node) for t in new if t.kind == "count" and frame.count(t.since)}
    return {**default_marks(plan, [t for t in new if t.kind == "change"]), **counts}


def carry_marks(plan: Plan[Any], before: Frame, after: Frame, names: Collection[str]) -> dict[str, Mark]:
    """Return new marks for `changed` conditions, so that a changed type alone does not make a condition hold.

    The mark of a `changed` condition is the digest of the value with which the condition compares. If the class of the
    value gains a field with a default, the digest of the value changes, although no node has written the value. So a
    mark that equals the digest of the recorded value is replaced by the digest of the value under the current types.

    Args:
        plan: The plan of the graph.
        before: The frame before the current types were applied.
        after: The same frame after the current types were applied.
        names: The names of the fields whose records changed when the current types were applied.
    """
    view = View(plan.state, after)
    found: dict[str, Mark] = {}
    for tracker in (tracker for group in plan.epochs.values() for tracker in group if tracker.kind == "change"):
        path = tracker.reading.path if tracker.reading is not None else None
        if path is not None and path.root in names and tracker.key in after.marks:
            record = bare(opened(part_of(before.held(path.root), path.parts)))
            if digest_of(record) == after.marks[tracker.key]:
                found[tracker.key] = digest_now(tracker, view)
    return found


def digest_now(tracker: Tracker, view: View) -> str:
    """Return the digest of the value that a tracker reads now; "" if its function raises an exception."""
    try:
        return digest_of(tracker.reading.read(view)) if tracker.reading is not None else ""
    except BaseException as error:  # noqa: BLE001 - user code; its condition raises again where it is evaluated
        reraise_interrupt(error)
        return ""


def track(plan: Plan[Any], view: View, node: str, ops: Sequence[Op], *, failed: bool = False) -> None:
    """Reset the trackers that the completion of a node resets, and then take samples of the fields that were written.

    Args:
        plan: The plan of the node's graph.
        view: The view in which the marks are set.
        node: The node.
        ops: The operations that the node wrote.
        failed: Whether the node failed, also if a fallback replaced its result.
    """
    for tracker in plan.epochs.get(node, ()):
        if tracker.kind == "plateau":
            set_mark(tracker, view, None)
        elif tracker.kind == "count":
            set_mark(tracker, view, view.count(tracker.node))
        elif tracker.kind == "done" and node != tracker.node:
            set_mark(tracker, view, "due")
        elif tracker.kind == "done" and (not failed or view.mark(tracker.key) is None):
            passes = not failed and (tracker.test is None or tracker.test(view))
            set_mark(tracker, view, "done" if passes else "failed")
    if plan.samples and ops:
        sample(plan, view, [op[1] for op in ops])


def sample(plan: Plan[Any], view: View, written: Iterable[str]) -> None:
    """Take the samples of the plateaus whose fields were written."""
    seen: set[str] = set()
    for name in written:
        for tracker in plan.samples.get(name, ()):
            if tracker.key not in seen:
                seen.add(tracker.key)
                take_sample(tracker, view)


def take_sample(tracker: Tracker, view: View) -> None:
    """Take a sample and compare it with the best sample so far.

    If the function of the tracker raises an exception, the exception is noted, so that the condition can raise it.
    """
    best, last, stale = (view.mark(tracker.key) or [None, None, 0])[:3]
    try:
        sample = as_number(tracker.reading.read(view)) if tracker.reading is not None else None
    except BaseException as error:  # noqa: BLE001 - a function of the user's
        reraise_interrupt(error)
        note_trouble(tracker, view, f"{type(error).__name__}: {text_of(error)}")
        return
    if sample is None:
        if len(view.mark(tracker.key) or ()) > 3:  # noqa: PLR2004 - the note of a failure is over
            view.new_marks[tracker.key] = [best, last, stale] if best is not None else None
        return
    compare(tracker, view, to_mark(sample))


def compare(tracker: Tracker, view: View, sample: float | str) -> None:
    """Compare a sample, in the form in which a mark contains it, with the best sample so far."""
    view.new_samples.append([tracker.key, sample])
    best, _, stale = (view.mark(tracker.key) or [None, None, 0])[:3]
    if best is None or better(of_mark(sample), of_mark(best), tracker):
        view.new_marks[tracker.key] = [sample, sample, 0]
    else:
        view.new_marks[tracker.key] = [best, sample, stale + 1]


def set_mark(tracker: Tracker, view: View, mark: Mark) -> None:
    """Set a mark that is not the result of a comparison: a reset, a count, or a digest."""
    view.new_marks[tracker.key] = mark
    view.new_samples.append([tracker.key, mark])


def note_trouble(tracker: Tracker, view: View, text: str) -> None:
    """Record that a sample could not be taken. The condition raises an error with this text."""
    view.new_marks[tracker.key] = [*(view.mark(tracker.key) or [None, None, 0])[:3], text]
    view.new_samples.append([tracker.key, [text]])


def sample_again(plan: Plan[Any], view: View) -> None:
    """Take the samples that could not be taken when the node completed."""
    for group in plan.samples.values():
        for tracker in group:
            mark = view.mark(tracker.key)
            if mark and len(mark) > 3 and tracker.key not in view.new_marks:  # noqa: PLR2004 - the note of a failure
                take_sample(tracker, view)


def note_changes(plan: Plan[Any], view: View) -> None:
    """Record the digests with which `changed` compares when this node is left the next time."""
    for tracker in plan.epochs.get(view.node, ()):
        if tracker.kind == "change":
            set_mark(tracker, view, digest_now(tracker, view))


def sample_arm(plan: Plan[Any], view: View, arm: Frame, counted: Mapping[str, int]) -> None:
    """Add the samples and other marks of an arm of a fork to the frame's marks, when the fork joins.

    `counted` contains the numbers of visits in the arms before this arm. A cancelled arm contributes only its counts of
    visits, because its writes are dropped.
    """
    trackers = {t.key: t for groups in (plan.samples, plan.epochs) for group in groups.values() for t in group}
    for key, what in arm.samples:
        tracker = trackers.get(key)
        if tracker is None or (tracker.kind != "count" and not isinstance(arm.phase, Ended)):
            continue
        if tracker.kind == "plateau" and isinstance(what, (int, float, str)):
            compare(tracker, view, what)
        elif tracker.kind == "plateau" and what is not None:
            note_trouble(tracker, view, what[0])
        elif tracker.kind == "count" and what is not None:
            set_mark(tracker, view, what + counted.get(tracker.node, 0))
        else:
            set_mark(tracker, view, what)
