"""The messages that a run's nodes have refused, in the form in which readers get them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphengine.engine.refused import find_refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class RefusedMessage:
    """A message that was sent to a run and that a node refused, because the message had another type.

    Attributes:
        topic: The topic of the message.
        reason: The first 1,000 characters of the reason.
        path: The path of the node, such as `article/review` or `research[3]`.
        seq: The step that records the refusal.
        at: When the message was refused, epoch seconds.
        payload: The message as JSON; None if it takes more than 2,000 bytes. The step that delivered the message
            contains it in any case.
    """

    topic: str
    reason: str
    path: str
    seq: int
    at: float
    payload: Any = None


def refusals_in(snapshot: Snapshot) -> Sequence[RefusedMessage]:
    """Return the last 10 messages that a run's nodes refused, the oldest of them first."""
    found = find_refused(snapshot)
    if not found:
        return ()
    from graphengine.state.marks import bare  # noqa: PLC0415 - it loads pydantic, which most readers do not need

    return [RefusedMessage(each.topic, each.reason, each.path, each.seq, each.at, bare(each.payload)) for each in found]
