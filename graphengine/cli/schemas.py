"""The JSON documents that each command writes under `--json`, for `graphengine schema` and docs/use/json.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphengine.cli import documents as own
from graphengine.cli.main import commands
from graphengine.errors import InputError
from graphengine.kernel.extension import did_you_mean
from graphengine.records.base_documents import Failed
from graphengine.records.bulk import Bulk
from graphengine.records.event_json import live_lines
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
from graphengine.records.step_document import OneStep
from graphengine.records.sums import Sums
from graphengine.records.trends import Trends
from graphengine.wings import BUILT_IN, Kind, guarded, load, wings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.kernel.extension import JsonValue
    from graphengine.wings import Wing

_DRIVEN: Final = "if the command resumes the run"
_POSTED: Final = "if the command does not resume the run"

_OF_RECORDS: Final[Mapping[str, Sequence[Kind]]] = {
    "new": [Kind(own.Made, "without `--list`"), Kind(own.Workflows, "with `--list`")],
    "graphs": [Kind(own.Graphs)],
    "run": [
        Kind(Run, "without `--queue`"),
        Kind(own.Queued, "with `--queue`"),
    ],
    "resume": [Kind(Run)],
    "answer": [Kind(Run, _DRIVEN), Kind(own.AnswerDocument, _POSTED)],
    "send": [Kind(Run, _DRIVEN), Kind(own.Sent, _POSTED)],
    "branch": [Kind(Run, "without `--dry-run`"), Kind(own.DryBranch, "with `--dry-run`")],
    "watch": [
        Kind(Stepped, "for each step", lines=True),
        Kind(StatusReported, "when the status of the run changes", lines=True),
        Kind(WatchEnded, "when the run is over", lines=True),
    ],
    "stop": [Kind(own.Stopped)],
    "runs": [
        Kind(Runs, "without `--fields`, `--tree`, `--trends` and `--sums`"),
        Kind(own.Rows, "with `--fields`"),
        Kind(Tree, "with `--tree`"),
        Kind(Trends, "with `--trends`"),
        Kind(Sums, "with `--sums`"),
    ],
    "show": [
        Kind(Run, "without `--step` and `--usage`"),
        Kind(OneStep, "with `--step`"),
        Kind(SpendingOfRun, "with `--usage`"),
    ],
    "backup": [Kind(own.BackedUp)],
    "doctor": [Kind(own.Examined, "without `--production`"), Kind(own.Ready, "with `--production`")],
    "replay": [Kind(own.Replays)],
    "tag": [Kind(own.Tagged)],
    "export": [
        Kind(own.Exported, "with `-o FILE`"),
        Kind(RunFile, "without `-o`; the file has a version of its own"),
    ],
    "import": [Kind(own.Imported)],
    "bulk": [Kind(Bulk)],
    "prune": [Kind(own.PruneDone)],
    "diff": [Kind(Compared)],
    "completion": [Kind(own.Script)],
}


def documents() -> Mapping[str, Sequence[Kind]]:
    """Return the kinds of JSON documents that each command writes under `--json`, by the command's name.

    The commands have the order of `--help`. The documents are those of a successful command: after an error, every
    command writes a `Failed` document instead.
    """
    found: dict[str, Sequence[Kind]] = {**_OF_RECORDS, "watch": _of_command("watch")}
    for wing in wings():
        with guarded(wing):
            added = _of_wing(wing)
            if wing not in BUILT_IN:
                schemas_of([kind.model for kinds in added.values() for kind in kinds])  # each name has only one schema
            found |= added
    return {name: found[name] for name in commands() if name in found}


def _of_wing(wing: Wing) -> Mapping[str, Sequence[Kind]]:
    return {name: load(each.documents) if each.documents else () for name, each in wing.commands.items()}


def _of_command(name: str) -> Sequence[Kind]:
    """Return the kinds of JSON documents that a command writes under `--json`.

    For a command of a bundled wing (a part of the package that adds commands), no other wing is imported. This makes
    `graphengine schema COMMAND` fast.

    Raises:
        InputError: There is no such command, or the command writes no document of its own.
    """
    if name in _OF_RECORDS:
        lines = live_lines() if name == "watch" else ()
        live = [
            Kind(each, "only in Python, where `event_document` makes them from live events", lines=True)
            for each in lines
        ]
        return [*_OF_RECORDS[name], *live]
    ours = (_of_wing(wing) for wing in BUILT_IN if name in wing.commands)
    kinds_by_command = next(ours, None) or documents()
    if name not in kinds_by_command:
        repair = did_you_mean(name, kinds_by_command)
        message = f"there is no command {name!r} that writes JSON documents"
        raise InputError(message, where=f"schema {name}", repair=repair)
    return kinds_by_command[name]


def schema_of(command: str | None = None) -> dict[str, JsonValue]:
    """Return the JSON Schema of what a command writes under `--json`, or of what all commands write.

    Raises:
        InputError: There is no such command, or the command writes no document of its own.
    """
    known = [*documents().values()] if command is None else [_of_command(command)]
    models = dict.fromkeys(kind.model for kinds in known for kind in kinds)
    references, schemas = schemas_of([*models, Failed])
    title = "graphengine --json" if command is None else f"graphengine {command} --json"
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return {**about, "anyOf": references, "$defs": schemas}


__all__ = ["documents", "schema_of"]
