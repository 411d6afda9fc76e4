"""What a step must not say of a graph's secrets, and whether they can be read at all.

Records of secret fields are encrypted where they are made. Beside them a step tells of failures, conditions and ends in
words that come from nodes and libraries, which may quote what they were given: there each clear text that the run's
secrets hold is hidden. Nor does a step carry typed values then, for whoever watches the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphengine.core.lookup import plan_of
from graphengine.core.snapshot import Frame
from graphengine.errors import NoChoice
from graphengine.secret import clear_texts, scrubbed, worth_scrubbing
from graphengine.view import View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphengine.core.snapshot import Snapshot
    from graphengine.core.steps import Step
    from graphengine.plan import Plan

_WORDS: Final = ("error", "why", "stop", "message", "edge", "marks", "samples", "inside")
"""What of a step's data is told in words, and not read again as a value."""


def without_secrets(plan: Plan[Any], snapshot: Snapshot, step: Step) -> Step:
    """The step as it may be recorded and shown."""
    said = {name: step.data[name] for name in _WORDS if step.data.get(name)}
    if said:
        texts = worth_scrubbing(_texts(plan, snapshot, step))
        step = step._replace(data={**step.data, **scrubbed(said, texts)})
    return step._replace(typed=None)


def check_secrets(plan: Plan[Any], snapshot: Snapshot) -> None:
    """See that every recorded secret can be read.

    Raises:
        SecretKeyWrong: The graph was given another key.
    """
    for frame, inner in _frames(plan, snapshot):
        for name in inner.state.secrets:
            cipher = inner.state.fields[name].cipher
            if name in frame.values and cipher is not None:
                cipher.unseal(name, frame.values[name])


def _frames(plan: Plan[Any], snapshot: Snapshot) -> Iterator[tuple[Frame, Plan[Any]]]:
    for frame in snapshot.frames.values():
        try:
            yield frame, plan_of(plan, frame)
        except (KeyError, NoChoice):  # the graph was changed; who resumes says so
            continue


def _texts(plan: Plan[Any], snapshot: Snapshot, step: Step) -> Iterator[str]:
    """The clear texts of all secrets: those that the run holds, and those that the step writes."""
    for frame, inner in _frames(plan, snapshot):
        view = View(inner.state, frame)
        for name in inner.state.secrets:
            if name in frame.values:
                yield from clear_texts(view.before(name))
        if frame.id == step.frame:
            yield from _written(inner, step)
    if not snapshot.frames:
        yield from _written(plan, step)


def _written(plan: Plan[Any], step: Step) -> Iterator[str]:
    values = {op[1]: op[2] for op in step.update if op[0] == "set" and op[1] in plan.state.secrets}
    view = View(plan.state, Frame(values=values))
    for name in values:
        yield from clear_texts(view.before(name))
