"""The documents of commands under `--json`; `graphengine.cli.schemas` lists them.

Those of a run itself, and of lists of runs, are in `graphengine.records.json_document`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from graphengine.databases.findings import Finding, Lost
from graphengine.records.at_work import DrivingProcess
from graphengine.records.base_documents import Broken, Document, Part, Refusal
from graphengine.records.replay.otherwise import Otherwise
from graphengine.records.retention import Pruned, Vacuumed


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


class BackedUp(Document):
    """A copy of a database.

    Attributes:
        database: The file.
        copy: The copy of it.
        bytes: How large the copy is.
        seconds: How long it took.
        sound: Without `--no-check`: whether the copy has no fault.
        findings: Without `--no-check`: what was found in it.
    """

    database: str
    copy: str
    bytes: int
    seconds: float
    sound: bool | UnsetType = UNSET
    findings: Sequence[Finding] | UnsetType = UNSET


class Check(Part):
    """One thing that production needs.

    Attributes:
        name: What was checked.
        state: Whether it is so.
        what: What was found.
        repair: What to do; "" if nothing.
    """

    name: str
    state: Literal["ok", "not", "cannot say"]
    what: str
    repair: str


class Ready(Document):
    """Whether what runs here is ready for production.

    Attributes:
        database: The database.
        ready: Whether nothing is known to be missing.
        checks: What was checked.
    """

    database: str
    ready: bool
    checks: Sequence[Check]


class PruneDone(Document):
    """What was removed.

    Attributes:
        pruned: Null if no runs were to be removed.
        vacuumed: Null if the file was not shrunk.
    """

    pruned: Pruned | None
    vacuumed: Vacuumed | None


class RepeatedEffect(Part):
    """An effect of a run that a branch would do again.

    Attributes:
        seq: The step at which it began.
        node: The path of its node.
        name: The name of its function.
        arguments: Its arguments; null if they are the node's inputs.
        idempotency_key: Its key in the run; the branch has another one.
    """

    seq: int
    node: str
    name: str
    arguments: Any
    idempotency_key: str


class DryBranch(Document):
    """What a branch would do again.

    Attributes:
        run_id: The run.
        at: The step from which it would branch.
        steps: How many steps the run has.
        kept_calls: How many calls of models up to that step are kept, and not made again.
        kept_usd: What these cost, US dollars; null if that is not known.
        left_out_calls: How many calls were made after it.
        left_out_usd: What these cost, US dollars; null if that is not known.
        effects: The effects that must not be repeated and began after that step.
    """

    run_id: str
    at: int
    steps: int
    kept_calls: int
    kept_usd: float | None
    left_out_calls: int
    left_out_usd: float | None
    effects: Sequence[RepeatedEffect]


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


class Queued(Document):
    """A run that a worker will drive.

    Attributes:
        run_id: Its id.
        graph: The name of its graph.
        queue: Its queue.
        priority: Its priority.
        tenant: For whom it runs.
        status: No process has driven it yet.
    """

    run_id: str
    graph: str
    queue: str
    priority: int
    tenant: str | None
    status: Literal["queued"] = "queued"


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
        silent: The process that has not reacted to `stop --now` within 5 seconds; null otherwise.
    """

    run_id: str
    stop: Literal["asked", "done"]
    silent: DrivingProcess | None


class Rows(Document):
    """Recorded runs as rows of a table.

    Attributes:
        rows: By column: `run_id`, `graph`, `status`, `created_at` and `ended_at` (epoch seconds), `cost_usd` (US
            dollars), and each of the `--fields`. A value that is not known is null, and a secret is the text `secret`.
    """

    rows: Sequence[Mapping[str, Any]]


class Tagged(Document):
    """A run whose tags were changed.

    Attributes:
        run_id: The run.
        tags: The tags that it has now.
    """

    run_id: str
    tags: Sequence[str]


class Made(Document):
    """A project that was created.

    Attributes:
        path: Its folder, absolute.
        name: Its name in pyproject.toml.
        files: Its files, relative to the folder.
        next: The commands to run next.
    """

    path: str
    name: str
    files: Sequence[str]
    next: Sequence[str]


class Workflow(Part):
    """A workflow that can be copied.

    Attributes:
        name: Its name, for `--from`.
        about: What it does.
    """

    name: str
    about: str


class Workflows(Document):
    """The workflows that `graphengine new --from` can copy.

    Attributes:
        workflows: The workflows, by name.
    """

    workflows: Sequence[Workflow]


class ListedGraph(Part):
    """A graph of the project.

    Attributes:
        name: Its name.
        file: Its file, relative to the project's folder.
        about: The first sentence of its file.
        nodes: How many nodes it has.
        example: Whether it runs without input.
        models: The sets of models in its file.
        input: The JSON Schema of its state.
    """

    name: str
    file: str
    about: str
    nodes: int
    example: bool
    models: Sequence[str]
    input: Mapping[str, Any]


class Graphs(Document):
    """The graphs of a project.

    Attributes:
        graphs: In order of their files.
        broken: Files that cannot be run, and later files of two that have graphs of one name.
    """

    graphs: Sequence[ListedGraph]
    broken: Sequence[Broken]


class Script(Document):
    """A shell completion script.

    Attributes:
        shell: The shell.
        script: The script.
    """

    shell: str
    script: str
