"""Messages that a node's code refused, since they were of another type than it receives.

The log has each as a step `refused`, after the one that delivered it. The snapshot keeps the newest few as messages of
a topic of its own, as it keeps published values: so a reader needs no older step.
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
"""The topic that keeps them."""
MOST: Final = 10
_LONGEST: Final = 2000
_WORDS: Final = 1000


class RefusedRecord(NamedTuple):
    """A message that a node refused.

    Attributes:
        topic: Its topic.
        reason: Why, as recorded; the first 1,000 characters.
        path: The node's path.
        seq: The step that says so.
        at: When, epoch seconds.
        payload: The message as recorded; None if it takes more than 2,000 bytes.
    """

    topic: str
    reason: str
    path: str
    seq: int
    at: float
    payload: JsonValue


def keep_refused(snapshot: Snapshot, step: Step, facts: Refused, given: RecordedResult) -> None:
    """Keep a message that is refused; not an answer, which is asked for again, and shown with its question."""
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
    """Return the newest messages that a run's nodes refused, the oldest of them first."""
    return [RefusedRecord(**cast("dict[str, Any]", each)) for each in snapshot.mailbox.get(REFUSED, ())]
