"""The JSON documents that other programs read: a run, a list of runs, an error. One schema, given by its number.

Times are epoch seconds. A step's `update` is the list of operations that `graphengine.core.steps` describes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from graphengine.core.snapshot import Snapshot
    from graphengine.core.steps import Step
    from graphengine.errors import GraphEngineError, Problem
    from graphengine.records import JsonValue
    from graphengine.stores.base import RunInfo

SCHEMA: Final = 1
"""The version of the documents; it rises when a reader of the old ones would be wrong about the new ones."""

_USAGE: Final = {"calls": 0, "offline_calls": 0, "input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0}


def run_document(info: RunInfo, snapshot: Snapshot, steps: Iterable[Step]) -> dict[str, JsonValue]:
    """A run as of a snapshot.

    Args:
        info: What the store knows of the run.
        snapshot: Where it stands, or stood at an earlier step.
        steps: Its steps up to there, those it shares with its parents included.
    """
    parent = {"run_id": info.parent, "seq": info.parent_seq} if info.parent is not None else None
    return {
        "schema": SCHEMA,
        "run_id": info.id,
        "graph": info.graph,
        "status": snapshot.status,
        "parent": parent,
        "stop": snapshot.stop,
        "error": snapshot.failure,
        "waits": [],
        "state": snapshot.root.values,
        "usage": usage_document(snapshot.usage),
        "steps": [step_document(step) for step in steps],
    }


def usage_document(usage: Mapping[str, float | None]) -> dict[str, JsonValue]:
    """A usage with every figure; a cost that is unknown is None."""
    return {**_USAGE, **usage}


def step_document(step: Step) -> dict[str, JsonValue]:
    """One step of a run."""
    data = step.data
    return {
        "seq": step.seq,
        "path": step.path,
        "kind": step.kind,
        "node": step.node,
        "visit": step.visit,
        "attempt": step.attempt,
        "update": list(step.update),
        "edge": data.get("edge"),
        "targets": list(data.get("to", ())),
        "explanation": data.get("why"),
        "error": data.get("error"),
        "started_at": step.began or step.at,
        "finished_at": step.at,
    }


def runs_document(runs: Iterable[RunInfo]) -> dict[str, JsonValue]:
    """A list of runs, without their steps."""
    return {"schema": SCHEMA, "runs": [_run_line(info) for info in runs]}


def _run_line(info: RunInfo) -> dict[str, JsonValue]:
    return {
        "run_id": info.id,
        "graph": info.graph,
        "status": info.status,
        "seq": info.seq,
        "created_at": info.created_at,
        "updated_at": info.updated_at,
        "parent": {"run_id": info.parent, "seq": info.parent_seq} if info.parent is not None else None,
        "driver": info.driver,
    }


def problems_document(graph: str, problems: Iterable[Problem], error: GraphEngineError | None) -> dict[str, JsonValue]:
    """What compile found about a graph; `error` tells of those findings that keep it from running."""
    found = [
        {"code": p.code, "where": p.where, "message": p.message, "repair": p.repair, "warning": p.warning}
        for p in problems
    ]
    return {"schema": SCHEMA, "graph": graph, "problems": found, "error": _told(error) if error is not None else None}


def error_document(error: GraphEngineError) -> dict[str, JsonValue]:
    """An error that kept a command from doing its work."""
    return {"schema": SCHEMA, "error": _told(error)}


def _told(error: GraphEngineError) -> Mapping[str, str]:
    return {"code": error.code, "message": error.message, "where": error.where, "repair": error.repair}
