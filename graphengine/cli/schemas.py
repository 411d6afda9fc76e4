"""The documents of each command under `--json`, shown by `graphengine schema` and in docs/use/cli.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphengine.agents.live_events import AGENT_EVENTS
from graphengine.cli.documents import (
    AnswerDocument,
    BulkDone,
    Checked,
    Drawn,
    DryBranch,
    Estimated,
    Examined,
    Exported,
    GoesOn,
    Graphs,
    Imported,
    Inspected,
    Made,
    Pruned,
    Queued,
    Queues,
    Ready,
    Refused,
    Removed,
    Replays,
    Schedules,
    Script,
    Sent,
    Serving,
    Stopped,
    Tagged,
    UserList,
    WorkerEnded,
    Workers,
)
from graphengine.kernel import Emitted, InputError, NodeBegan
from graphengine.kernel.definitions import did_you_mean
from graphengine.records.event_json import line_type
from graphengine.records.export import RunFile
from graphengine.records.json_document import (
    Compared,
    Run,
    Runs,
    SpendingOfRun,
    StatusReported,
    Stepped,
    Tree,
    WatchEnded,
)
from graphengine.records.json_schema import schemas_of
from graphengine.records.step_document import Failed, OneStep
from graphengine.records.trends import Trends
from graphengine.wings import BUILT_IN, Kind, guarded, load, others

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.kernel import JsonValue
    from graphengine.wings import Wing

LIVE: Final = (NodeBegan, Emitted, *AGENT_EVENTS)
"""The events of what happens now; only a process that drives the run has them."""


_WORKER: Final = (
    Kind(GoesOn, "when it takes a run", lines=True),
    Kind(WorkerEnded, "when it is done with the run", lines=True),
    Kind(Refused, "when a run cannot be resumed", lines=True),
    Kind(Removed, "when it has removed old runs", lines=True),
)
_DRIVEN: Final = "if it resumes the run"
_POSTED: Final = "if it does not"

_OF_RECORDS: Final[Mapping[str, Sequence[Kind]]] = {
    "new": [Kind(Made)],
    "graphs": [Kind(Graphs)],
    "run": [
        Kind(Run, "without the options below"),
        Kind(Estimated, "with `--estimate`"),
        Kind(Queued, "with `--queue`"),
    ],
    "resume": [Kind(Run)],
    "answer": [Kind(Run, _DRIVEN), Kind(AnswerDocument, _POSTED)],
    "send": [Kind(Run, _DRIVEN), Kind(Sent, _POSTED)],
    "branch": [Kind(Run, "without `--dry-run`"), Kind(DryBranch, "with `--dry-run`")],
    "watch": [
        Kind(Stepped, "for each step", lines=True),
        Kind(StatusReported, "when its status changes", lines=True),
        Kind(WatchEnded, "at the end", lines=True),
        *(Kind(line_type(event), "only in Python: `event_document` of a live event", lines=True) for event in LIVE),
    ],
    "worker": _WORKER,
    "serve": [Kind(Serving, "when it accepts requests", lines=True), *_WORKER],
    "mcp": [],  # the protocol's
    "workers": [Kind(Workers)],
    "queues list": [Kind(Queues)],
    "queues set": [Kind(Queues)],
    **{f"schedule {each}": [Kind(Schedules)] for each in ("list", "add", "pause", "resume", "remove")},
    **{f"users {each}": [Kind(UserList)] for each in ("list", "add", "remove", "oidc")},
    "stop": [Kind(Stopped)],
    "runs": [
        Kind(Runs, "without `--tree` and `--trends`"),
        Kind(Tree, "with `--tree`"),
        Kind(Trends, "with `--trends`"),
    ],
    "show": [
        Kind(Run, "without the options below"),
        Kind(OneStep, "with `--step`"),
        Kind(SpendingOfRun, "with `--usage`"),
    ],
    "inspect": [Kind(Inspected)],
    "doctor": [Kind(Examined), Kind(Ready, "with `--production`")],
    "replay": [Kind(Replays)],
    "tag": [Kind(Tagged)],
    "export": [
        Kind(Exported, "with `-o FILE`"),
        Kind(RunFile, "without `-o`; this is the file itself, with its own version"),
    ],
    "import": [Kind(Imported)],
    "bulk": [Kind(BulkDone)],
    "prune": [Kind(Pruned)],
    "diff": [Kind(Compared)],
    "check": [Kind(Checked)],
    "render": [Kind(Drawn)],
    "completion": [Kind(Script)],
}


def _of_wing(wing: Wing) -> Mapping[str, Sequence[Kind]]:
    return {name: load(each.documents) if each.documents else () for name, each in wing.commands.items()}


DOCUMENTS: Final = {**_OF_RECORDS, **{name: kinds for wing in BUILT_IN for name, kinds in _of_wing(wing).items()}}
"""The documents that each command writes under `--json` on success; on failure it writes `Failed`."""


def documents() -> Mapping[str, Sequence[Kind]]:
    """Return the documents of all commands, those of other packages included."""
    found = dict(DOCUMENTS)
    for wing in others().values():
        with guarded(wing):
            added = _of_wing(wing)
            schemas_of([kind.model for kinds in added.values() for kind in kinds])  # it has one of each
            found |= added
    return found


def schema_of(command: str | None = None) -> dict[str, JsonValue]:
    """Return the JSON Schema of the documents of a command, or of all commands.

    Raises:
        InputError: There is no such command, or it writes no document of its own.
    """
    known = DOCUMENTS if command in DOCUMENTS else documents()
    if command is not None and command not in known:
        near = did_you_mean(command, known)
        raise InputError(f"no command {command!r} writes documents", where=f"schema {command}", repair=near)
    names = list(known) if command is None else [command]
    models = dict.fromkeys(kind.model for name in names for kind in known[name])
    references, schemas = schemas_of([*models, Failed])
    title = "graphengine --json" if command is None else f"graphengine {command} --json"
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return {**about, "anyOf": references, "$defs": schemas}


__all__ = ["DOCUMENTS", "schema_of"]
