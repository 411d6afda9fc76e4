"""The documents that commands write under `--json`, as models: shown by `graphengine schema` and in docs/use/cli.md.

`DOCUMENTS` lists those of each command; the models of runs are in `run_schemas`. The models are not used to write the
documents, so they cost a command nothing; the tests check every command's real output against its model, and fail on a
key that is missing here. Readers should ignore unknown keys: the version rises only when a reader of the old documents
would misread the new ones.

Times are epoch seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel, Field, JsonValue, TypeAdapter

from graphengine.errors import InputError
from graphengine.history.export_file import RunFile
from graphengine.history.run_schemas import (
    LIVE,
    Answered,
    Document,
    Error,
    Estimated,
    Evaluated,
    Failed,
    Failure,
    OneStep,
    Part,
    Problem,
    Refusal,
    Run,
    Runs,
    Sent,
    SpendingOfRun,
    Status,
    StatusReported,
    Step,
    Stepped,
    Stop,
    Stopped,
    Tree,
    Usage,
    Wait,
    WatchEnded,
    Waypoint,
)
from graphengine.state.path import did_you_mean


class Made(Document):
    """A project that was created."""

    path: str = Field(description="its folder, absolute")
    name: str = Field(description="its name in pyproject.toml")
    files: Sequence[str] = Field(description="its files, relative to the folder")
    next: Sequence[str] = Field(description="the commands to run next")


class ListedGraph(Part):
    """A graph of the project."""

    name: str = Field(description="its name")
    file: str = Field(description="its file, relative to the project's folder")
    about: str = Field(description="the first sentence of its file")
    nodes: int = Field(description="how many nodes it has")
    example: bool = Field(description="whether it runs without input")
    models: Sequence[str] = Field(description="the sets of models in its file")
    input: Mapping[str, Any] = Field(description="the JSON Schema of its state")


class Broken(Part):
    """A file that cannot be run."""

    file: str = Field(description="the file")
    error: Error = Field(description="the reason")


class Graphs(Document):
    """The graphs of a project."""

    graphs: Sequence[ListedGraph] = Field(description="in order of their files")
    broken: Sequence[Broken] = Field(description="files that cannot be run")


class CheckedGraph(Part):
    """A graph and its problems."""

    name: str = Field(description="its name")
    file: str = Field(description="its file, as given or relative to the project's folder")
    problems: Sequence[Problem] = Field(description="errors and warnings, in the order they were found")


class BrokenLine(Broken):
    """A file that cannot be run, and the line."""

    line: int | None = Field(description="the line of the error, from 1; null if unknown")


class Checked(Document):
    """The problems of graphs."""

    errors: int = Field(description="the number of errors")
    warnings: int = Field(description="the number of warnings")
    graphs: Sequence[CheckedGraph] = Field(description="the checked graphs")
    broken: Sequence[BrokenLine] = Field(description="files that cannot be run")


class Shared(Part):
    """The last step that two runs share."""

    run_id: str = Field(description="the run that recorded it")
    seq: int = Field(description="its number")


class SpentSince(Usage):
    """What one run spent since the two diverged."""

    steps: int = Field(description="the number of its steps since")
    seconds: float = Field(description="how long it was driven since")


class Side(Part):
    """One of the two compared runs."""

    run_id: str = Field(description="the run")
    graph: str = Field(description="the name of its graph")
    status: Status = Field(description="as of the compared step")
    seq: int = Field(description="the compared step")
    parted_at: int | None = Field(description="its first step that the other run does not have; null if there is none")
    begins: Sequence[JsonValue] | None = Field(description="the update that it branched off with")
    way: Sequence[Waypoint] = Field(description="the steps since that chose an edge")
    usage: Usage = Field(description="all that it spent on models")
    spent: SpentSince = Field(description="what it spent since they diverged")


class Difference(Part):
    """A path of the state where two runs differ."""

    path: str = Field(description="the path")
    before: JsonValue = Field(description="the value in the first run")
    after: JsonValue = Field(description="the value in the second run")


class Compared(Document):
    """Where two runs diverge, and how they differ."""

    shared: Shared | None = Field(description="the last step that both have; null if there is none")
    alike: int = Field(description="how many steps of both paths from there are equal")
    first: Side = Field(description="the first run")
    second: Side = Field(description="the second run")
    differences: Sequence[Difference] = Field(description="all differences of their states")


class Otherwise(Part):
    """A step that the current graph decides differently."""

    seq: int = Field(description="the step")
    path: str = Field(description='its node; "" for the run itself')
    what: str = Field(description="what differs: `edge`, `update`, `inputs`, `work`, …")
    recorded: JsonValue = Field(description="what was recorded")
    today: JsonValue = Field(description="what the current graph decides")
    message: str = Field(description="the difference in a sentence")
    repair: str = Field(description="what to do about it")


class Unchecked(Part):
    """A decision that cannot be replayed, since its input is not recorded."""

    what: str = Field(description="what it is")
    steps: int = Field(description="in how many steps")


class Replay(Part):
    """The replay of one run."""

    source: str = Field(description="the argument that named it: an id or a file")
    run_id: str = Field(description="its id")
    graph: str = Field(description="the name of its graph")
    steps: int = Field(description="how many steps were replayed")
    same: bool = Field(description="whether all were decided as recorded")
    differences: int = Field(description="the number of differences")
    first: Otherwise | None = Field(description="the first of them")
    not_checked: Sequence[Unchecked] = Field(description="what could not be replayed")
    all: Sequence[Otherwise] | None = Field(default=None, description="with `--all`: every difference")
    reasons: Sequence[Otherwise] | None = Field(default=None, description="with `--all`: reworded reasons")


class Replays(Document):
    """The replays of runs."""

    replays: Sequence[Replay] = Field(description="in the order the runs were named")


class Finding(Part):
    """A fault in a database, or a note."""

    code: str = Field(description="its kind, stable")
    what: str = Field(description="what is wrong, with the values")
    run_id: str = Field(description='the run; "" if it concerns none')
    seq: int | None = Field(description="the step, if it concerns one")
    repair: str = Field(description="how to repair it")
    repairable: bool = Field(description="whether `--repair` fixes it")
    note: bool = Field(description="whether it is only a note, not a fault")


class Lost(Part):
    """Steps that can no longer be read."""

    run_id: str = Field(description="the run")
    first: int = Field(description="the first of them")
    last: int = Field(description="the last of them")


class Examined(Document):
    """The faults of a database, and the result of a repair."""

    database: str = Field(description="the file")
    sound: bool = Field(description="whether it has no fault")
    findings: Sequence[Finding] = Field(description="what was found")
    more: int = Field(description="how many findings were left out")
    runs: int = Field(description="how many runs were checked")
    steps: int = Field(description="how many of their steps")
    snapshots: int = Field(description="how many of their snapshots")
    done: Sequence[str] | None = Field(default=None, description="with `--repair`: what was done")
    lost: Sequence[Lost] | None = Field(default=None, description="with `--repair`: what could not be saved")
    unnamed: str | None = Field(default=None, description="with `--repair`: possible losses that cannot be identified")
    copy_: str | None = Field(
        default=None, alias="copy", description="with `--repair`: the copy of the original file; null if unchanged"
    )


class Kept(Part):
    """A run that is kept."""

    run_id: str = Field(description="the run")
    reason: str = Field(description="why it is kept")


class PrunedRuns(Part):
    """The runs that were removed, or would be."""

    dry_run: bool = Field(description="whether nothing was changed")
    runs: Sequence[str] = Field(description="the removed runs")
    steps: int = Field(description="how many steps they had")
    db_bytes: int = Field(description="the estimated bytes they took")
    kept: Sequence[Kept] = Field(description="runs that match the rule and are kept")


class VacuumedFile(Part):
    """The result of shrinking the file."""

    before_bytes: int = Field(description="the size of the file before")
    after_bytes: int = Field(description="its size now")


class Pruned(Document):
    """What was removed."""

    pruned: PrunedRuns | None = Field(description="null if no runs were to be removed")
    vacuumed: VacuumedFile | None = Field(description="null if the file was not shrunk")


class Exported(Document):
    """A run that was exported."""

    run_id: str = Field(description="the run")
    file: str = Field(description="the file")
    steps: int = Field(description="how many steps are in it")


class ImportedRun(Part):
    """A run of an imported file."""

    run_id: str = Field(description="its id")
    steps: int = Field(description="how many steps it has")
    new: bool = Field(description="whether it was not in the database before")


class Imported(Document):
    """The runs of imported files."""

    runs: Sequence[ImportedRun] = Field(description="in the order of the files")


class Drawn(Document):
    """A picture that was drawn."""

    file: str = Field(description="the file")


class Script(Document):
    """A shell completion script."""

    shell: str = Field(description="the shell")
    script: str = Field(description="the script")


class Limits(Part):
    """The limits of a queue; null for no limit."""

    concurrency: int | None = Field(description="how many of its runs may be driven at a time")
    rate: tuple[int, float] | None = Field(description="how many of its runs may begin in how many seconds")
    key_concurrency: int | None = Field(description="the same for the runs of each key")
    key_rate: tuple[int, float] | None = Field(description="the same for the runs of each key")


class OneQueue(Part):
    """A queue."""

    queue: str = Field(description="its name")
    queued: int = Field(description="how many of its runs were never driven")
    driven: int = Field(description="how many of its runs are driven now")
    limits: Limits | None = Field(description="its limits")


class Queues(Document):
    """The queues of a database."""

    queues: Sequence[OneQueue] = Field(description="the queues, by name")


class OneSchedule(Part):
    """A schedule."""

    name: str = Field(description="its name")
    cron: str = Field(description="its times: minute, hour, day, month, day of the week")
    zone: str = Field(description="the time zone of its times")
    graph: str = Field(description="the name of the graph that it starts")
    input: Mapping[str, JsonValue] = Field(description="the fields of the initial state")
    missed: Literal["skip", "one", "all"] = Field(description="what happens to times at which no worker was there")
    queue: str = Field(description="the queue of its runs")
    priority: int = Field(description="their priority")
    key: str | None = Field(description="their key")
    tags: Sequence[str] = Field(description="their tags")
    paused: bool = Field(description="whether it starts nothing")
    next_at: float | None = Field(description="its next time; null while it is paused")


class Schedules(Document):
    """The schedules of a database."""

    schedules: Sequence[OneSchedule] = Field(description="the schedules, by name")


class OneWorker(Part):
    """A process that drives runs."""

    id: str = Field(description="its owner, the `driver` of its runs")
    host: str = Field(description="its host")
    pid: int = Field(description="its number on the host")
    role: Mapping[str, JsonValue] | None = Field(description="what it takes: graphs, queues; null if not a worker")
    runs: Sequence[str] = Field(description="the runs that it drives, at most a hundred")
    driven: int = Field(description="how many it drives")


class Workers(Document):
    """The processes that are alive and drive runs."""

    workers: Sequence[OneWorker] = Field(description="the processes")


class Queued(Document):
    """A run that a worker will drive."""

    run_id: str = Field(description="its id")
    graph: str = Field(description="the name of its graph")
    queue: str = Field(description="its queue")
    priority: int = Field(description="its priority")
    key: str | None = Field(description="its key")
    status: Literal["queued"] = Field(description="no process has driven it yet")


class WorkerLine(Document):
    """A line of a worker."""

    run_id: str | None = Field(description="the run; null if it concerns none")


class GoesOn(WorkerLine):
    """The worker takes a run."""

    event: Literal["goes_on"] = Field(description="the kind of this line")
    graph: str = Field(description="the name of its graph")
    why: Literal["queued", "due", "sent", "orphan"] = Field(
        description="it was queued, its time has come, it received an answer or a message, or its process died"
    )


class Ended(WorkerLine):
    """The outcome of a run that the worker took."""

    event: Literal["ended"] = Field(description="the kind of this line")
    graph: str = Field(description="the name of its graph")
    status: Literal["waiting", "finished", "stopped", "failed", "left"] = Field(
        description="`left` if the worker was stopped"
    )
    seq: int = Field(description="its last step")
    stop: Stop | None = Field(description="why it ended")
    error: Failure | None = Field(description="what it failed with")
    waits: Sequence[Wait] = Field(description="what it waits for")


class Refused(WorkerLine):
    """A run that cannot be resumed."""

    event: Literal["refused"] = Field(description="the kind of this line")
    graph: str | None = Field(default=None, description="the name of its graph")
    error: Refusal = Field(description="why")


class Serving(Document):
    """A service that answers requests until it is stopped."""

    url: str = Field(description="its address")
    database: str = Field(description="the database of its runs")
    graphs: Sequence[str] = Field(description="the graphs whose runs it starts")
    queue: str = Field(description="the queue of the runs that it starts")
    token: str | None = Field(description="the token, if it was generated; null if it was given")


class Inspected(Document):
    """A local page that is served until Ctrl-C."""

    url: str = Field(description="the page, with the token that opens it")
    database: str = Field(description="the database that it shows")
    read_only: bool = Field(description="whether it writes nothing")


@dataclass(frozen=True, slots=True)
class Kind:
    """A document of a command.

    Attributes:
        model: What it looks like.
        when: When the command writes it; "" if it is the only one.
        lines: Whether it writes many, one per line.
    """

    model: type[BaseModel]
    when: str = ""
    lines: bool = False


_WORKER: Final = (
    Kind(GoesOn, "when it takes a run", lines=True),
    Kind(Ended, "when it is done with the run", lines=True),
    Kind(Refused, "when a run cannot be resumed", lines=True),
)
_DRIVEN: Final = "if it resumes the run"
_POSTED: Final = "if it does not"

DOCUMENTS: Final[Mapping[str, Sequence[Kind]]] = {
    "new": [Kind(Made)],
    "list": [Kind(Graphs)],
    "run": [
        Kind(Run, "without the options below"),
        Kind(Estimated, "with `--estimate`"),
        Kind(Queued, "with `--queue`"),
    ],
    "resume": [Kind(Run)],
    "eval": [Kind(Evaluated, "if it finished"), Kind(Run, "if it did not")],
    "answer": [Kind(Run, _DRIVEN), Kind(Answered, _POSTED)],
    "send": [Kind(Run, _DRIVEN), Kind(Sent, _POSTED)],
    "branch": [Kind(Run)],
    "watch": [
        Kind(Stepped, "for each step", lines=True),
        Kind(StatusReported, "when its status changes", lines=True),
        Kind(WatchEnded, "at the end", lines=True),
        *(Kind(model, "only in Python: `event_document` of a live event", lines=True) for model in LIVE),
    ],
    "worker": _WORKER,
    "serve": [Kind(Serving, "when it accepts requests", lines=True), *_WORKER],
    "workers": [Kind(Workers)],
    "queues": [Kind(Queues)],
    "schedule": [Kind(Schedules)],
    "stop": [Kind(Stopped)],
    "runs": [Kind(Runs, "without `--tree`"), Kind(Tree, "with `--tree`")],
    "show": [
        Kind(Run, "without the options below"),
        Kind(OneStep, "with `--step`"),
        Kind(SpendingOfRun, "with `--usage`"),
    ],
    "inspect": [Kind(Inspected)],
    "doctor": [Kind(Examined)],
    "replay": [Kind(Replays)],
    "export": [
        Kind(Exported, "with `-o FILE`"),
        Kind(RunFile, "without `-o`; this is the file itself, with its own version"),
    ],
    "import": [Kind(Imported)],
    "prune": [Kind(Pruned)],
    "diff": [Kind(Compared)],
    "check": [Kind(Checked)],
    "render": [Kind(Drawn)],
    "completion": [Kind(Script)],
}
"""The documents that each command writes under `--json` on success; on failure it writes `Failed`."""


def schema_of(command: str | None = None) -> dict[str, JsonValue]:
    """Return the JSON Schema of the documents of a command, or of all commands.

    Raises:
        InputError: There is no such command, or it writes no document of its own.
    """
    if command is not None and command not in DOCUMENTS:
        near = did_you_mean(command, DOCUMENTS)
        raise InputError(f"no command {command!r} writes documents", where=f"schema {command}", repair=near)
    names = list(DOCUMENTS) if command is None else [command]
    models = [kind.model for name in names for kind in DOCUMENTS[name]]
    union: Any = Failed
    for model in reversed(list(dict.fromkeys(models))):
        union = model | union
    found = TypeAdapter(union).json_schema(mode="serialization")
    title = "graphengine --json" if command is None else f"graphengine {command} --json"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **found}


__all__ = ["DOCUMENTS", "Document", "Error", "Failed", "Kind", "Part", "Problem", "Step", "schema_of"]
