"""The JSON documents that the commands about workers, queues and schedules write with `--json`."""

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
    """A queue, how many of its runs wait or are driven, and its limits.

    Attributes:
        queue: The name of the queue.
        queued: The number of runs in the queue that no process has driven yet.
        driven: The number of runs of the queue that processes drive now.
        limits: The limits of the queue; null if it has no limits.
    """

    queue: str
    queued: int
    driven: int
    limits: QueueLimits | None


class Queues(Document):
    """The JSON document that lists all queues of a database.

    Attributes:
        queues: The queues, by name.
    """

    queues: Sequence[OneQueue]


class Schedules(Document):
    """The JSON document that lists all schedules of a database.

    Attributes:
        schedules: The schedules, by name.
    """

    schedules: Sequence[Schedule]


class Workers(Document):
    """The JSON document that lists all live processes that drive runs of a database.

    Attributes:
        workers: The processes.
    """

    workers: Sequence[OwnerInfo]


class WorkerLine(Document):
    """One line of the log that `graphengine worker --json` writes. Each kind of event has a subclass.

    Attributes:
        run_id: The id of the run; null if the line is not about a run.
    """

    run_id: str | None


class GoesOn(WorkerLine, kw_only=True):
    """A line of the worker's log: the worker has taken a run and begins to drive it.

    Attributes:
        event: The kind of this line.
        graph: The name of the run's graph.
        why: The reason: the run was `queued`, its time has come (`due`), it received an answer or a message (`sent`),
            or its process died (`orphan`).
    """

    event: Literal["goes_on"] = "goes_on"
    graph: str
    why: Literal["queued", "due", "sent", "orphan"]


class WorkerEnded(WorkerLine, kw_only=True):
    """A line of the worker's log: the worker no longer drives a run, with the outcome of the run.

    Attributes:
        event: The kind of this line.
        graph: The name of the run's graph.
        status: The status of the run; `left` if the worker was stopped and released the run.
        seq: The last step of the run.
        ending: The reason for the end of the run.
        error: The failure of the run.
        waits: The open waits of the run.
    """

    event: Literal["ended"] = "ended"
    graph: str
    status: Literal["waiting", "finished", "stopped", "failed", "cancelled", "left"]
    seq: int
    ending: Ending | None
    error: Failure | None
    waits: Sequence[Wait]


class Refused(WorkerLine, kw_only=True):
    """A line of the worker's log: the worker took a run from the store, but could not resume it.

    Attributes:
        event: The kind of this line.
        graph: The name of the run's graph.
        error: The error that prevents the resume.
    """

    event: Literal["refused"] = "refused"
    graph: str | UnsetType = UNSET
    error: Refusal


class Removed(WorkerLine, kw_only=True):
    """A line of the worker's log: old runs, or old steps of unfinished runs, were removed because of a retention.

    Attributes:
        event: The kind of this line.
        graph: The name of the graph.
        runs: The number of removed runs.
        steps: The number of removed steps of unfinished runs.
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
