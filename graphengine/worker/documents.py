"""What the commands about workers, queues and schedules write under `--json`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from msgspec import UNSET, UnsetType

from graphengine.kernel.extension import Ending
from graphengine.kernel.reader import Wait
from graphengine.kernel.store import OwnerInfo, QueueLimits
from graphengine.records.base_documents import Document, Part, Refusal
from graphengine.records.step_document import Failure
from graphengine.wings import Kind
from graphengine.worker.schedules import Schedule


class OneQueue(Part):
    """A queue.

    Attributes:
        queue: Its name.
        queued: How many of its runs were never driven.
        driven: How many of its runs are driven now.
        limits: Its limits.
    """

    queue: str
    queued: int
    driven: int
    limits: QueueLimits | None


class Queues(Document):
    """The queues of a database.

    Attributes:
        queues: The queues, by name.
    """

    queues: Sequence[OneQueue]


class Schedules(Document):
    """The schedules of a database.

    Attributes:
        schedules: The schedules, by name.
    """

    schedules: Sequence[Schedule]


class Workers(Document):
    """The processes that are alive and drive runs.

    Attributes:
        workers: The processes.
    """

    workers: Sequence[OwnerInfo]


class WorkerLine(Document):
    """A line of a worker.

    Attributes:
        run_id: The run; null if it concerns none.
    """

    run_id: str | None


class GoesOn(WorkerLine, kw_only=True):
    """The worker takes a run.

    Attributes:
        event: The kind of this line.
        graph: The name of its graph.
        why: It was queued, its time has come, it received an answer or a message, or its process died.
    """

    event: Literal["goes_on"] = "goes_on"
    graph: str
    why: Literal["queued", "due", "sent", "orphan"]


class WorkerEnded(WorkerLine, kw_only=True):
    """The outcome of a run that the worker took.

    Attributes:
        event: The kind of this line.
        graph: The name of its graph.
        status: `left` if the worker was stopped.
        seq: Its last step.
        ending: Why it ended.
        error: What it failed with.
        waits: What it waits for.
    """

    event: Literal["ended"] = "ended"
    graph: str
    status: Literal["waiting", "finished", "stopped", "failed", "cancelled", "left"]
    seq: int
    ending: Ending | None
    error: Failure | None
    waits: Sequence[Wait]


class Refused(WorkerLine, kw_only=True):
    """A run that cannot be resumed.

    Attributes:
        event: The kind of this line.
        graph: The name of its graph.
        error: Why.
    """

    event: Literal["refused"] = "refused"
    graph: str | UnsetType = UNSET
    error: Refusal


class Removed(WorkerLine, kw_only=True):
    """Runs, or steps of runs that go on, were removed that the retention of their graph no longer keeps.

    Attributes:
        event: The kind of this line.
        graph: The graph.
        runs: How many runs.
        steps: How many steps of runs that go on.
    """

    event: Literal["removed"] = "removed"
    graph: str
    runs: int
    steps: int


WORKER: Final = (
    Kind(GoesOn, "when the process takes a run", lines=True),
    Kind(WorkerEnded, "when the process is done with the run", lines=True),
    Kind(Refused, "when a run cannot be resumed", lines=True),
    Kind(Removed, "when the process has removed old runs", lines=True),
)
WORKERS: Final = (Kind(Workers),)
QUEUES: Final = (Kind(Queues),)
SCHEDULES: Final = (Kind(Schedules),)
