"""Messages that the code of a node refused because they had another type than the node receives.

The log contains each refused message in a step `refused`, after the step that delivered the message. The snapshot also
keeps the newest refused messages, as messages of a topic of its own, in the same way as it keeps published values. So a
reader needs no older step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from msgspec.json import encode

from graphengine.engine.steps import path_of
from graphengine.state.json_values import clipped
from graphengine.state.recorded_text import show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.phases import RecordedResult
    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import Refused, Step
    from graphengine.state.json_values import JsonValue

REFUSED: Final = "ge:refused"
"""The topic that keeps refused messages."""
MOST: Final = 10
"""The number of refused messages that the snapshot keeps."""
_LONGEST: Final = 2000
_WORDS: Final = 1000


class RefusedRecord(NamedTuple):
    """A message that a node refused because it did not have the type that the node receives.

    Attributes:
        topic: The topic of the message.
        reason: The reason, as recorded. Only the first 1,000 characters are kept.
        path: The path of the node.
        seq: The number of the step that recorded the refusal.
        at: When the message was refused, in epoch seconds.
        payload: The message, as recorded; None if it takes more than 2,000 bytes.
    """

    topic: str
    reason: str
    path: str
    seq: int
    at: float
    payload: JsonValue


def keep_refused(snapshot: Snapshot, step: Step, facts: Refused, given: RecordedResult) -> None:
    """Keep a message that a node refused, so that people can see it later.

    Refused answers are not kept, because their question is asked again and shows the refusal.
    """
    if given.by != "message" or not facts.wait:
        return
    payload: JsonValue = given.value
    if len(encode(payload)) > _LONGEST:
        payload = None
    path = path_of(step.frame, step.node)
    found = RefusedRecord(facts.wait, clipped(show(facts.message), _WORDS), path, step.seq, step.at, payload)
    kept = snapshot.mailbox.setdefault(REFUSED, [])
    kept.append(found._asdict())
    del kept[:-MOST]


def find_refused(snapshot: Snapshot) -> Sequence[RefusedRecord]:
    """Return the messages that the nodes of a run refused most recently, the oldest of them first."""
    return [RefusedRecord(**cast("dict[str, Any]", each)) for each in snapshot.mailbox.get(REFUSED, ())]
