"""The documents of commands that write, move or check runs under `--json`; `graphengine.cli.schemas` lists them.

Those of a run itself, and of lists of runs, are in `graphengine.history.json_document`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from graphengine.history.load import Wait
from graphengine.history.step_document import Document, Failure, Part, Refusal
from graphengine.runner.retention import Vacuumed
from graphengine.state.ending import Ending
from graphengine.stores.base import QueueLimits
from graphengine.stores.findings import Lost


class Otherwise(Part):
    """A step that the current graph decides differently.

    Attributes:
        seq: The step.
        path: Its node; "" for the run itself.
        what: What differs: `edge`, `update`, `inputs`, `work`, …
        recorded: What was recorded.
        today: What the current graph decides.
        message: The difference in a sentence.
        repair: What to do about it.
    """

    seq: int
    path: str
    what: str
    recorded: Any
    today: Any
    message: str
    repair: str


class Unchecked(Part):
    """A decision that cannot be replayed, since its input is not recorded.

    Attributes:
        what: What it is.
        steps: In how many steps.
    """

    what: str
    steps: int


class Replay(Part):
    """The replay of one run.

    Attributes:
        source: The argument that named it: an id or a file.
        run_id: Its id.
        graph: The name of its graph.
        steps: How many steps were replayed.
        same: Whether all were decided as recorded.
        differences: The number of differences.
        first: The first of them.
        not_checked: What could not be replayed.
        all: With `--all`: every difference.
        reasons: With `--all`: reworded reasons.
    """

    source: str
    run_id: str
    graph: str
    steps: int
    same: bool
    differences: int
    first: Otherwise | None
    not_checked: Sequence[Unchecked]
    all: Sequence[Otherwise] | UnsetType = UNSET
    reasons: Sequence[Otherwise] | UnsetType = UNSET


class Replays(Document):
    """The replays of runs.

    Attributes:
        replays: In the order the runs were named.
    """

    replays: Sequence[Replay]


class Finding(Part):
    """A fault in a database, or a note.

    Attributes:
        code: Its kind, stable.
        what: What is wrong, with the values.
        run_id: The run; "" if it concerns none.
        seq: The step, if it concerns one.
        repair: How to repair it.
        repairable: Whether `--repair` fixes it.
        note: Whether it is only a note, not a fault.
    """

    code: str
    what: str
    run_id: str
    seq: int | None
    repair: str
    repairable: bool
    note: bool


class Examined(Document):
    """The faults of a database, and the result of a repair.

    Attributes:
        database: The file.
        sound: Whether it has no fault.
        findings: What was found.
        more: How many findings were left out.
        runs: How many runs were checked.
        steps: How many of their steps.
        snapshots: How many of their snapshots.
        done: With `--repair`: what was done.
        lost: With `--repair`: what could not be saved.
        unnamed: With `--repair`: possible losses that cannot be identified.
        copy: With `--repair`: the copy of the original file; null if unchanged.
    """

    database: str
    sound: bool
    findings: Sequence[Finding]
    more: int
    runs: int
    steps: int
    snapshots: int
    done: Sequence[str] | UnsetType = UNSET
    lost: Sequence[Lost] | UnsetType = UNSET
    unnamed: str | UnsetType = UNSET
    copy: str | UnsetType | None = UNSET


class Kept(Part):
    """A run that is kept.

    Attributes:
        run_id: The run.
        reason: Why it is kept.
    """

    run_id: str
    reason: str


class PrunedRuns(Part):
    """The runs that were removed, or would be.

    Attributes:
        dry_run: Whether nothing was changed.
        runs: The removed runs.
        steps: How many steps they had.
        db_bytes: The estimated bytes they took.
        kept: Runs that match the rule and are kept.
    """

    dry_run: bool
    runs: Sequence[str]
    steps: int
    db_bytes: int
    kept: Sequence[Kept]


class Pruned(Document):
    """What was removed.

    Attributes:
        pruned: Null if no runs were to be removed.
        vacuumed: Null if the file was not shrunk.
    """

    pruned: PrunedRuns | None
    vacuumed: Vacuumed | None


class Exported(Document):
    """A run that was exported.

    Attributes:
        run_id: The run.
        file: The file.
        steps: How many steps are in it.
    """

    run_id: str
    file: str
    steps: int


class ImportedRun(Part):
    """A run of an imported file.

    Attributes:
        run_id: Its id.
        steps: How many steps it has.
        new: Whether it was not in the database before.
    """

    run_id: str
    steps: int
    new: bool


class Imported(Document):
    """The runs of imported files.

    Attributes:
        runs: In the order of the files.
    """

    runs: Sequence[ImportedRun]


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


class OneSchedule(Part):
    """A schedule.

    Attributes:
        name: Its name.
        cron: Its times: minute, hour, day, month, day of the week.
        zone: The time zone of its times.
        graph: The name of the graph that it starts.
        input: The fields of the initial state.
        missed: What happens to times at which no worker was there.
        queue: The queue of its runs.
        priority: Their priority.
        key: Their key.
        tags: Their tags.
        paused: Whether it starts nothing.
        next_at: Its next time; null while it is paused.
    """

    name: str
    cron: str
    zone: str
    graph: str
    input: Mapping[str, Any]
    missed: Literal["skip", "one", "all"]
    queue: str
    priority: int
    key: str | None
    tags: Sequence[str]
    paused: bool
    next_at: float | None


class Schedules(Document):
    """The schedules of a database.

    Attributes:
        schedules: The schedules, by name.
    """

    schedules: Sequence[OneSchedule]


class OneWorker(Part):
    """A process that drives runs.

    Attributes:
        id: Its owner, the `driver` of its runs.
        host: Its host.
        pid: Its number on the host.
        role: What it takes: graphs, queues; null if not a worker.
        runs: The runs that it drives, at most a hundred.
        driven: How many it drives.
    """

    id: str
    host: str
    pid: int
    role: Mapping[str, Any] | None
    runs: Sequence[str]
    driven: int


class Workers(Document):
    """The processes that are alive and drive runs.

    Attributes:
        workers: The processes.
    """

    workers: Sequence[OneWorker]


class Queued(Document):
    """A run that a worker will drive.

    Attributes:
        run_id: Its id.
        graph: The name of its graph.
        queue: Its queue.
        priority: Its priority.
        key: Its key.
        status: No process has driven it yet.
    """

    run_id: str
    graph: str
    queue: str
    priority: int
    key: str | None
    status: Literal["queued"] = "queued"


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
        stop: Why it ended.
        error: What it failed with.
        waits: What it waits for.
    """

    event: Literal["ended"] = "ended"
    graph: str
    status: Literal["waiting", "finished", "stopped", "failed", "left"]
    seq: int
    stop: Ending | None
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


class AnswerDocument(Document):
    """A recorded answer to a run that is not resumed here.

    Attributes:
        run_id: The run.
        answer: Its outcome.
        error: Why the run could not be resumed here, if it was tried.
    """

    run_id: str
    answer: Literal["recorded"] = "recorded"
    error: Refusal | UnsetType = UNSET


class Sent(Document):
    """A sent message to a run that is not resumed here.

    Attributes:
        run_id: The run.
        message: Its outcome.
        error: Why the run could not be resumed here, if it was tried.
    """

    run_id: str
    message: Literal["sent"] = "sent"
    error: Refusal | UnsetType = UNSET


class Stopped(Document):
    """A run that was stopped, or will be.

    Attributes:
        run_id: The run.
        stop: `asked` if the process that drives it was asked to, otherwise `done`.
    """

    run_id: str
    stop: Literal["asked", "done"]
