"""The documents of commands under `--json`; `graphengine.cli.schemas` lists them.

The documents of a run itself, and of lists of runs, are in `graphengine.records.json_document`.
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
    """A kind of decision that cannot be replayed, because its input is not recorded.

    Attributes:
        what: The kind of the decision.
        steps: The number of steps with such a decision.
    """

    what: str
    steps: int


class Replay(Part):
    """The result of replaying one recorded run on the current graph.

    Attributes:
        source: The argument that named the run: an id or a file.
        run_id: The id of the run.
        graph: The name of the run's graph.
        steps: The number of replayed steps.
        same: Whether all decisions are the same as recorded.
        differences: The number of decisions that differ.
        first: The first difference; null if there is none.
        not_checked: The decisions that could not be replayed.
        all: With `--all`: every difference.
        reasons: With `--all`: the decisions that are the same, but have a differently worded reason.
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
    """The results of replaying recorded runs.

    Attributes:
        replays: One result for each run, in the order in which the runs were named.
    """

    replays: Sequence[Replay]


class Examined(Document):
    """The result of checking a database for faults, and of its repair.

    Attributes:
        database: The file or the address of the database.
        sound: Whether the database has no fault.
        findings: The faults that were found, and notes.
        more: The number of findings that are left out.
        runs: The number of checked runs.
        steps: The number of checked steps.
        snapshots: The number of checked snapshots.
        done: With `--repair`: the repairs that were made.
        lost: With `--repair`: the steps that could not be saved.
        unnamed: With `--repair`: a description of steps that may be lost, but cannot be listed; "" if there are none.
        copy: With `--repair`: the copy of the original file; null if the file was not changed.
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
        database: The path of the original file.
        copy: The path of the copy.
        bytes: The size of the copy.
        seconds: How long the backup took.
        sound: Without `--no-check`: whether the copy has no fault.
        findings: Without `--no-check`: the faults that were found in the copy.
    """

    database: str
    copy: str
    bytes: int
    seconds: float
    sound: bool | UnsetType = UNSET
    findings: Sequence[Finding] | UnsetType = UNSET


class Check(Part):
    """The result of one check of `doctor --production`.

    Attributes:
        name: The name of the check.
        state: `ok` or `not` if the check succeeded or failed; `cannot say` if the program cannot find out.
        what: What was found.
        repair: What to do; "" if nothing is to be done.
    """

    name: str
    state: Literal["ok", "not", "cannot say"]
    what: str
    repair: str


class Ready(Document):
    """Whether the installation is ready for production.

    Attributes:
        database: The file or the address of the database.
        ready: Whether no check has failed.
        checks: The results of the checks.
    """

    database: str
    ready: bool
    checks: Sequence[Check]


class PruneDone(Document):
    """The result of pruning.

    Attributes:
        pruned: The runs that were removed; null if no runs were to be removed.
        vacuumed: The disk space that was freed; null if the file was not shrunk.
    """

    pruned: Pruned | None
    vacuumed: Vacuumed | None


class RepeatedEffect(Part):
    """A side effect of a run that would be repeated by a branch of the run.

    Attributes:
        seq: The number of the step at which the effect began.
        node: The path of the node that performed the effect.
        name: The name of the function that performed the effect.
        arguments: The arguments of the function; null if they are the node's inputs.
        idempotency_key: The key of the effect in the run; the branch uses another key.
    """

    seq: int
    node: str
    name: str
    arguments: Any
    idempotency_key: str


class DryBranch(Document):
    """What a branch of a run would keep, leave out and repeat.

    Attributes:
        run_id: The id of the run.
        at: The number of the step from which the run would be branched.
        steps: The number of steps of the run.
        kept_calls: The number of model calls up to this step, which the branch does not repeat.
        kept_usd: The cost of these calls in US dollars; null if it is unknown.
        left_out_calls: The number of model calls after this step.
        left_out_usd: The cost of these calls in US dollars; null if it is unknown.
        effects: The side effects that began after this step and must not happen twice.
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
    """A run that was exported to a file.

    Attributes:
        run_id: The id of the run.
        file: The path of the file.
        steps: The number of steps in the file.
    """

    run_id: str
    file: str
    steps: int


class ImportedRun(Part):
    """A run that was read from an exported file.

    Attributes:
        run_id: The id of the run.
        steps: The number of steps of the run.
        new: Whether the run was not in the database before.
    """

    run_id: str
    steps: int
    new: bool


class Imported(Document):
    """The runs that were imported from files.

    Attributes:
        runs: The runs, in the order of the files.
    """

    runs: Sequence[ImportedRun]


class Queued(Document):
    """A run that was put into a queue, from which a worker will take and drive it.

    Attributes:
        run_id: The id of the run.
        graph: The name of the run's graph.
        queue: The queue of the run.
        priority: The priority of the run.
        tenant: The tenant of the run; null if the run has no tenant.
        status: Always `queued`: no process has driven the run yet.
    """

    run_id: str
    graph: str
    queue: str
    priority: int
    tenant: str | None
    status: Literal["queued"] = "queued"


class AnswerDocument(Document):
    """An answer that was recorded by a command which did not resume the run itself.

    Attributes:
        run_id: The id of the run.
        answer: Always `recorded`.
        error: Why the run could not be resumed, if the command tried to resume it.
    """

    run_id: str
    answer: Literal["recorded"] = "recorded"
    error: Refusal | UnsetType = UNSET


class Sent(Document):
    """A message that was recorded by a command which did not resume the run itself.

    Attributes:
        run_id: The id of the run.
        message: Always `sent`.
        error: Why the run could not be resumed, if the command tried to resume it.
    """

    run_id: str
    message: Literal["sent"] = "sent"
    error: Refusal | UnsetType = UNSET


class Stopped(Document):
    """A run that was stopped, or will be stopped.

    Attributes:
        run_id: The id of the run.
        stop: `done` if the run is stopped, or `asked` if the process that drives the run was asked to stop it.
        silent: The process that has not reacted to `stop --now` within 5 seconds; null otherwise.
    """

    run_id: str
    stop: Literal["asked", "done"]
    silent: DrivingProcess | None


class Rows(Document):
    """Recorded runs as rows of a table.

    Attributes:
        rows: The rows, each by column: `run_id`, `graph`, `status`, `created_at` and `ended_at` (epoch seconds),
            `cost_usd` (US dollars), and each of the `--fields`. An unknown value is null, and a secret is the text
            `secret`.
    """

    rows: Sequence[Mapping[str, Any]]


class Tagged(Document):
    """A run whose tags were changed.

    Attributes:
        run_id: The id of the run.
        tags: The current tags of the run.
    """

    run_id: str
    tags: Sequence[str]


class Made(Document):
    """A project that was created.

    Attributes:
        path: The absolute path of the project's folder.
        name: The name of the project in pyproject.toml.
        files: The files of the project, relative to the folder.
        next: The commands to run next.
    """

    path: str
    name: str
    files: Sequence[str]
    next: Sequence[str]


class Workflow(Part):
    """A workflow that can be copied.

    Attributes:
        name: The name of the workflow, for `--from`.
        about: A description of the workflow.
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
        name: The name of the graph.
        file: The file of the graph, relative to the project's folder.
        about: The first sentence of the file.
        nodes: The number of nodes.
        example: Whether the file defines an example input, so that the graph runs without `--input`.
        models: The names of the sets of models that the file defines.
        input: The JSON Schema of the graph's state.
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
        graphs: The graphs, in the order of their files.
        broken: The files that cannot be run. If graphs in two files have the same name, the later file is listed too.
    """

    graphs: Sequence[ListedGraph]
    broken: Sequence[Broken]


class Script(Document):
    """A completion script for a shell.

    Attributes:
        shell: The name of the shell.
        script: The text of the script.
    """

    shell: str
    script: str
