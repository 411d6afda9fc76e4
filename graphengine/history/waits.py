"""What a run waits for, as programs and documents have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import WaitRecord


@dataclass(frozen=True, slots=True)
class Wait:
    """Something that a run waits for.

    Attributes:
        name: Its name, to answer it by: `runner.answer(run_id, value, question=name)`, or
            `graphengine answer RUN_ID VALUE --question NAME`.
        kind: `ask` (an answer), `receive` (a message), `sleep` (a time), `pause` (the answer True to continue), or
            `crash` (whether to rerun a node whose attempt a crash ended: "rerun", "fail" or {"result": …}).
        question: The question, as text.
        schema: The JSON Schema of the answer; None if it takes no answer.
        topic: The topic of the message.
        due_at: When it times out, epoch seconds; None for never.
    """

    name: str
    kind: Literal["ask", "receive", "sleep", "pause", "crash"]
    question: str
    schema: Mapping[str, Any] | None = None
    topic: str | None = None
    due_at: float | None = None

    @property
    def answerable(self) -> bool:
        """Whether an answer ends it."""
        return self.kind in ("ask", "pause", "crash")


def wait_of(name: str, record: WaitRecord) -> Wait:
    """Return a wait as it is recorded under a name."""
    return Wait(name, record.kind, record.question, record.schema, record.topic, record.due)


def waits_of(snapshot: Snapshot) -> Sequence[Wait]:
    """Return all waits of a run."""
    return [wait_of(name, wait) for frame in snapshot.frames.values() for name, wait in frame.waits.items()]
