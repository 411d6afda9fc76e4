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
    """Return the digests with which `changed(…)` conditions compare a field at the beginning of a run.

    A `changed(…)` condition holds if the digest of the fields that it watches differs from the digest that it
    remembers. At the beginning it remembers the digest of the fields' defaults, until the node that resets the
    condition is left for the first time.
    """
    if not changes:
        return {}
    defaults: dict[str, object] = {}
    for field in plan.state.fields.values():
        required = field.info.is_required()
        default = None if required else field.info.get_default(call_default_factory=True, validated_data=dict(defaults))
        defaults[field.name] = default
    view = View(plan.state, Frame(typed=defaults))
    marks = {tracker.key: digest_now(tracker, view) for tracker in changes}
    return {key: digest for key, digest in marks.items() if digest}


def first_marks(plan: Plan[Any], frame: Frame) -> dict[str, Mark]:
    """Return what new conditions of a changed graph remember at first, when a run resumes under this graph.

    A new `changed(…)` condition starts with the default of its field. A condition that counts visits since another node
    starts to count now, because the visits before the change were not counted.
    """
    new = [tracker for group in plan.epochs.values() for tracker in group if tracker.key not in frame.marks]
    counts = {t.key: frame.count(t.node) for t in new if t.kind == "count" and frame.count(t.since)}
    return {**default_marks(plan, [t for t in new if t.kind == "change"]), **counts}


def carry_marks(plan: Plan[Any], before: Frame, after: Frame, names: Collection[str]) -> dict[str, Mark]:
    """Adjust the memory of `changed(…)` conditions after the types of a graph have changed.

    Such a condition compares a digest of a field with the digest that it remembers. If the field's class has gained an
    attribute with a default, the digest changes although no node wrote the field, and the condition would hold by
    mistake. So a remembered digest that still matches the recorded value is replaced with the digest under the current
    types.

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
    """Return a digest of the value that a `changed(…)` condition watches; "" if computing the value raises."""
    try:
        return digest_of(tracker.reading.read(view)) if tracker.reading is not None else ""
    except BaseException as error:  # noqa: BLE001 - user code; its condition raises again where it is evaluated
        reraise_interrupt(error)
        return ""


def track(plan: Plan[Any], view: View, node: str, ops: Sequence[Op], *, failed: bool = False) -> None:
    """Update what conditions remember about a run, such as the number of visits of a node, after a node has completed.

    Conditions that start again at this node are reset first. After that, conditions that look for a value that no
    longer improves are given the new values of the fields that the node wrote.

    Args:
        plan: The plan of the node's graph.
        view: The state after the node. The new memory is set in it.
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
    """Show the new values of written fields to the plateau conditions that watch these fields.

    A plateau condition holds once a value has stopped improving, so it remembers the best value and how many later
    values were not better.
    """
    sampled: set[str] = set()
    for name in written:
        for tracker in plan.samples.get(name, ()):
            if tracker.key not in sampled:
                sampled.add(tracker.key)
                take_sample(tracker, view)


def take_sample(tracker: Tracker, view: View) -> None:
    """Compute the value that a plateau condition watches, and compare the value with the best value so far.

    If the function that computes the value raises an exception, the exception is remembered, and is raised when the
    condition is evaluated.
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
    """Remember one more value of a plateau condition, which holds once a value has stopped improving.

    If the value is better than the best so far, it becomes the best. Otherwise the number of values without improvement
    is increased.
    """
    view.new_samples.append([tracker.key, sample])
    best, _, stale = (view.mark(tracker.key) or [None, None, 0])[:3]
    if best is None or better(of_mark(sample), of_mark(best), tracker):
        view.new_marks[tracker.key] = [sample, sample, 0]
    else:
        view.new_marks[tracker.key] = [best, sample, stale + 1]


def set_mark(tracker: Tracker, view: View, mark: Mark) -> None:
    """Set the memory of a condition to a reset value, a count or a digest."""
    view.new_marks[tracker.key] = mark
    view.new_samples.append([tracker.key, mark])


def note_trouble(tracker: Tracker, view: View, text: str) -> None:
    """Remember that the value of a plateau condition could not be computed, and the text of the error.

    A plateau condition holds once a value has stopped improving. It raises an error with this text when it is
    evaluated.
    """
    view.new_marks[tracker.key] = [*(view.mark(tracker.key) or [None, None, 0])[:3], text]
    view.new_samples.append([tracker.key, [text]])


def sample_again(plan: Plan[Any], view: View) -> None:
    """Try again to compute values of plateau conditions, if computing them failed when a node completed.

    A plateau condition holds once a value has stopped improving.
    """
    for group in plan.samples.values():
        for tracker in group:
            mark = view.mark(tracker.key)
            if mark and len(mark) > 3 and tracker.key not in view.new_marks:  # noqa: PLR2004 - the note of a failure
                take_sample(tracker, view)


def note_changes(plan: Plan[Any], view: View) -> None:
    """Remember digests of the fields that `changed(…)` conditions will compare when this node is left again."""
    for tracker in plan.epochs.get(view.node, ()):
        if tracker.kind == "change":
            set_mark(tracker, view, digest_now(tracker, view))


def sample_arm(plan: Plan[Any], view: View, arm: Frame, counted: Mapping[str, int]) -> None:
    """Add what conditions remembered inside one arm of a fork to what they remember outside, when the arms join.

    A condition can remember, for example, how often a node was visited. `counted` contains the numbers of visits in the
    arms that were added before this arm. A cancelled arm contributes only its numbers of visits, because its writes are
    dropped.
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
