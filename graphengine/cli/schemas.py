"""The documents that commands write under `--json`, as models: shown by `graphengine schema` and in docs/use/cli.md.

`DOCUMENTS` names those of each command; what tells of runs stands in `run_schemas`. They are not used to write the
documents, so that no command pays for them; the tests hold every command's real output against its model, and a key
that is not here fails them. A reader of documents should let unknown keys pass: the version rises only when a reader of
the old ones would be wrong about the new ones.

Times are epoch seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel, Field, JsonValue, TypeAdapter

from graphengine.cli.run_schemas import (
    Answered,
    Document,
    Error,
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
    Step,
    Stop,
    Stopped,
    Tree,
    Usage,
    Wait,
    Waypoint,
)
from graphengine.errors import InputError
from graphengine.history.export_file import RunFile
from graphengine.state.path import did_you_mean


class Made(Document):
    """A project that was made."""

    path: str = Field(description="its folder, absolute")
    name: str = Field(description="its name in pyproject.toml")
    files: Sequence[str] = Field(description="its files, from the folder on")
    next: Sequence[str] = Field(description="what to type next")


class ListedGraph(Part):
    """A graph of the project."""

    name: str = Field(description="its name")
    file: str = Field(description="its file, from the project's folder")
    about: str = Field(description="the first sentence of its file")
    nodes: int = Field(description="how many nodes it has")
    example: bool = Field(description="whether it runs without input")
    models: Sequence[str] = Field(description="the sets of models in its file")
    input: Mapping[str, Any] = Field(description="the JSON Schema of its state")


class Broken(Part):
    """A file that cannot be run."""

    file: str = Field(description="the file")
    error: Error = Field(description="why")


class Graphs(Document):
    """The graphs of a project."""

    graphs: Sequence[ListedGraph] = Field(description="in order of their files")
    broken: Sequence[Broken] = Field(description="files that cannot be run")


class CheckedGraph(Part):
    """A graph and what is wrong with it."""

    name: str = Field(description="its name")
    file: str = Field(description="its file, as it was named or from the project's folder")
    problems: Sequence[Problem] = Field(description="errors and warnings, in the order they were found")


class BrokenLine(Broken):
    """A file that cannot be run, and where."""

    line: int | None = Field(description="the line it comes from, from 1; null where nobody knows")


class Checked(Document):
    """What is wrong with graphs."""

    errors: int = Field(description="how many things keep graphs from running")
    warnings: int = Field(description="how many warnings there are")
    graphs: Sequence[CheckedGraph] = Field(description="those that were checked")
    broken: Sequence[BrokenLine] = Field(description="files that cannot be run")


class Shared(Part):
    """The last step that two runs share."""

    run_id: str = Field(description="whose step it is")
    seq: int = Field(description="its number")


class SpentSince(Usage):
    """What one run spent since two parted."""

    steps: int = Field(description="how many steps it took since")
    seconds: float = Field(description="how long it was driven since")


class Side(Part):
    """One of two runs that are compared."""

    run_id: str = Field(description="the run")
    graph: str = Field(description="the name of its graph")
    status: Status = Field(description="as of the step it is compared at")
    seq: int = Field(description="that step")
    parted_at: int | None = Field(description="its first step that the other did not take; null if there is none")
    begins: Sequence[JsonValue] | None = Field(description="the update that it branched off with")
    way: Sequence[Waypoint] = Field(description="the steps that decided a way since")
    usage: Usage = Field(description="all that it spent on models")
    spent: SpentSince = Field(description="what it spent since they parted")


class Difference(Part):
    """A place of the state where two runs differ."""

    path: str = Field(description="the place")
    before: JsonValue = Field(description="what the first run has there")
    after: JsonValue = Field(description="what the second has there")


class Compared(Document):
    """Where two runs part, and how they differ."""

    shared: Shared | None = Field(description="the last step that both have; null if they have none")
    alike: int = Field(description="how many steps of both ways from there are alike")
    first: Side = Field(description="the first run")
    second: Side = Field(description="the second run")
    differences: Sequence[Difference] = Field(description="how their states differ, whole")


class Otherwise(Part):
    """A step that today's graph decides otherwise."""

    seq: int = Field(description="the step")
    path: str = Field(description='its node; "" for the run itself')
    what: str = Field(description="what differs: `edge`, `update`, `inputs`, `work`, …")
    recorded: JsonValue = Field(description="what was recorded")
    today: JsonValue = Field(description="what it is today")
    message: str = Field(description="the difference in a sentence")
    repair: str = Field(description="what to do about it")


class Unchecked(Part):
    """What no log keeps, so that it could not be decided anew."""

    what: str = Field(description="what it is")
    steps: int = Field(description="in how many steps")


class Replay(Part):
    """What the replay of one run found."""

    source: str = Field(description="the run as it was named: an id or a file")
    run_id: str = Field(description="its id")
    graph: str = Field(description="the name of its graph")
    steps: int = Field(description="how many steps were decided anew")
    same: bool = Field(description="whether all were decided as recorded")
    differences: int = Field(description="how many were not")
    first: Otherwise | None = Field(description="the first of them")
    not_checked: Sequence[Unchecked] = Field(description="what could not be decided anew")
    all: Sequence[Otherwise] | None = Field(default=None, description="with `--all`: every difference")
    reasons: Sequence[Otherwise] | None = Field(default=None, description="with `--all`: reasons in other words")


class Replays(Document):
    """What replays found."""

    replays: Sequence[Replay] = Field(description="in the order the runs were named")


class Finding(Part):
    """One thing in a database that is not as it should be."""

    code: str = Field(description="its kind, stable")
    what: str = Field(description="what is wrong, with the values")
    run_id: str = Field(description='the run; "" where it is none')
    seq: int | None = Field(description="the step, if it is one")
    repair: str = Field(description="what can be done about it")
    repairable: bool = Field(description="whether `--repair` mends it")
    note: bool = Field(description="whether it is worth telling and no fault")


class Lost(Part):
    """Steps that cannot be read any more."""

    run_id: str = Field(description="the run")
    first: int = Field(description="the first of them")
    last: int = Field(description="the last of them")


class Examined(Document):
    """What is wrong with a database, and what a repair did."""

    database: str = Field(description="the file")
    sound: bool = Field(description="whether nothing is wrong")
    findings: Sequence[Finding] = Field(description="what was found")
    more: int = Field(description="how many findings were left out")
    runs: int = Field(description="how many runs were looked at")
    steps: int = Field(description="how many of their steps")
    snapshots: int = Field(description="how many of their snapshots")
    done: Sequence[str] | None = Field(default=None, description="with `--repair`: what was done")
    lost: Sequence[Lost] | None = Field(default=None, description="with `--repair`: what could not be saved")
    unnamed: str | None = Field(default=None, description="with `--repair`: what may be lost that nobody can name")
    copy_: str | None = Field(
        default=None, alias="copy", description="with `--repair`: the file as it was; null if unchanged"
    )


class Kept(Part):
    """A run that stays."""

    run_id: str = Field(description="the run")
    reason: str = Field(description="why it stays")


class PrunedRuns(Part):
    """What went, or would go."""

    dry_run: bool = Field(description="whether nothing was changed")
    runs: Sequence[str] = Field(description="the runs that went")
    steps: int = Field(description="how many steps they had")
    db_bytes: int = Field(description="about how many bytes they took")
    kept: Sequence[Kept] = Field(description="runs that the rule meant, and that stay")


class VacuumedFile(Part):
    """What giving back free room did."""

    before_bytes: int = Field(description="what the file took")
    after_bytes: int = Field(description="what it takes now")


class Pruned(Document):
    """What was removed."""

    pruned: PrunedRuns | None = Field(description="null where runs were not to go")
    vacuumed: VacuumedFile | None = Field(description="null where no room was given back")


class Exported(Document):
    """A run that was written to a file."""

    run_id: str = Field(description="the run")
    file: str = Field(description="the file")
    steps: int = Field(description="how many steps are in it")


class ImportedRun(Part):
    """A run of an imported file."""

    run_id: str = Field(description="its id")
    steps: int = Field(description="how many steps it has")
    new: bool = Field(description="whether it was not there yet")


class Imported(Document):
    """Runs that were recorded from files."""

    runs: Sequence[ImportedRun] = Field(description="in the order of the files")


class Drawn(Document):
    """A picture that was drawn."""

    file: str = Field(description="the file")


class Script(Document):
    """What a shell is to read."""

    shell: str = Field(description="the shell")
    script: str = Field(description="the script")


class MadeTest(Document):
    """A pytest file that was made from a recorded step."""

    run_id: str = Field(description="the run")
    seq: int = Field(description="the step")
    node: str = Field(description="the path of its node")
    file: str | None = Field(description="where it was written; null where it was not")
    test: str = Field(description="its text")


class WorkerLine(Document):
    """A line of a worker."""

    run_id: str | None = Field(description="the run; null where it is about none")


class GoesOn(WorkerLine):
    """A run is taken."""

    event: Literal["goes_on"] = Field(description="which line it is")
    graph: str = Field(description="the name of its graph")
    why: Literal["due", "sent", "orphan"] = Field(description="its time came, it was sent something, its process died")


class Ended(WorkerLine):
    """What became of a run that was taken."""

    event: Literal["ended"] = Field(description="which line it is")
    graph: str = Field(description="the name of its graph")
    status: Literal["waiting", "finished", "stopped", "failed", "left"] = Field(
        description="`left` where the worker was stopped"
    )
    seq: int = Field(description="its last step")
    stop: Stop | None = Field(description="why it ended")
    error: Failure | None = Field(description="what it failed with")
    waits: Sequence[Wait] = Field(description="what it waits for")


class Refused(WorkerLine):
    """A run that cannot be gone on with."""

    event: Literal["refused"] = Field(description="which line it is")
    graph: str | None = Field(default=None, description="the name of its graph")
    error: Refusal = Field(description="why")


class WatchLine(Document):
    """A line of a watched run."""

    run_id: str = Field(description="the run")
    graph: str = Field(description="the name of its graph")


class Stepped(WatchLine):
    """A step was recorded."""

    event: Literal["step"] = Field(description="which line it is")
    step: Step = Field(description="the step")


class Stands(WatchLine):
    """Where the run stands; one for each change of what is told here."""

    event: Literal["stands"] = Field(description="which line it is")
    status: Status = Field(description="as of the last step")
    driver: str | None = Field(description="who drives it; null of one that is `running`: its process ended")
    waits: Sequence[Wait] = Field(description="what it waits for")


class WatchEnded(WatchLine):
    """The run is over, or is not watched any longer."""

    event: Literal["ended"] = Field(description="which line it is")
    status: Status = Field(description="as of the last step")
    driver: str | None = Field(description="null where no process drives it")
    seq: int = Field(description="its last step")
    stop: Stop | None = Field(description="why it ended")
    error: Failure | None = Field(description="what it failed with")
    waits: Sequence[Wait] = Field(description="what it waits for")


class Failed(Document):
    """A command that could not do its work."""

    error: Refusal = Field(description="why")


@dataclass(frozen=True, slots=True)
class Kind:
    """A document of a command.

    Attributes:
        model: What it looks like.
        when: When the command writes it; "" where it is the only one.
        lines: Whether it writes many, each on a line.
    """

    model: type[BaseModel]
    when: str = ""
    lines: bool = False


_DRIVEN: Final = "where it goes on with the run"
_POSTED: Final = "where it does not"

DOCUMENTS: Final[Mapping[str, Sequence[Kind]]] = {
    "new": [Kind(Made)],
    "list": [Kind(Graphs)],
    "run": [Kind(Run)],
    "resume": [Kind(Run)],
    "answer": [Kind(Run, _DRIVEN), Kind(Answered, _POSTED)],
    "send": [Kind(Run, _DRIVEN), Kind(Sent, _POSTED)],
    "branch": [Kind(Run)],
    "watch": [
        Kind(Stepped, "for each step", lines=True),
        Kind(Stands, "where it stands otherwise than before", lines=True),
        Kind(WatchEnded, "at the end", lines=True),
    ],
    "worker": [
        Kind(GoesOn, "when it takes a run", lines=True),
        Kind(Ended, "when that is over", lines=True),
        Kind(Refused, "when a run cannot be gone on with", lines=True),
    ],
    "stop": [Kind(Stopped)],
    "runs": [Kind(Runs, "without `--tree`"), Kind(Tree, "with `--tree`")],
    "show": [
        Kind(Run, "without the options below"),
        Kind(OneStep, "with `--step`"),
        Kind(SpendingOfRun, "with `--usage`"),
        Kind(MadeTest, "with `--as-test`"),
    ],
    "doctor": [Kind(Examined)],
    "replay": [Kind(Replays)],
    "export": [Kind(Exported, "with `-o FILE`"), Kind(RunFile, "without; it is the file itself, with its own version")],
    "import": [Kind(Imported)],
    "prune": [Kind(Pruned)],
    "diff": [Kind(Compared)],
    "check": [Kind(Checked)],
    "render": [Kind(Drawn)],
    "completion": [Kind(Script)],
}
"""What each command writes under `--json` where it could do its work; else it is `Failed`. `schema` writes a schema."""


def schema_of(command: str | None = None) -> dict[str, JsonValue]:
    """The JSON Schema of the documents of a command, or of all.

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
