"""What a run's nodes have refused, as readers have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphengine.engine.refused import find_refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class RefusedMessage:
    """A message that was sent to a run and that its node refused, since it was of another type.

    Attributes:
        topic: Its topic.
        reason: Why it was refused; the first 1,000 characters.
        path: The path of the node, as `article/review` or `research[3]`.
        seq: The step that says so.
        at: When it was refused, epoch seconds.
        payload: The message as JSON; None if it takes more than 2,000 bytes: the step that delivered it has it.
    """

    topic: str
    reason: str
    path: str
    seq: int
    at: float
    payload: Any = None


def refusals_in(snapshot: Snapshot) -> Sequence[RefusedMessage]:
    """Return the newest messages that a run's nodes refused, at most 10, the oldest of them first."""
    found = find_refused(snapshot)
    if not found:
        return ()
    from graphengine.state.marks import bare  # noqa: PLC0415 - it loads pydantic, which most readers do not need

    return [RefusedMessage(each.topic, each.reason, each.path, each.seq, each.at, bare(each.payload)) for each in found]
