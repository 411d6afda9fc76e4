"""The JSON documents that other programs read: a run, a list of runs, an error. One schema, given by its number.

Times are epoch seconds. A step's `update` is the list of operations that `graphengine.engine.steps` describes; its
`detail` has what else its kind tells, under the names of `DETAILS`, and is empty for most steps.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.engine.steps import (
    AnyFacts,
    FailureRecord,
    Waiting,
    WaitRecord,
    facts_record,
    failure_of,
    outcome_of,
    usage_of,
)
from graphengine.errors import CompileError
from graphengine.history.usage import spending

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import Step
    from graphengine.errors import GraphEngineError, Problem
    from graphengine.history.load import RunDiff, Side
    from graphengine.history.usage import Spent, Usage
    from graphengine.state.json_values import JsonValue
    from graphengine.stores.base import RunInfo
    from graphengine.stores.sqlite.doctor.findings import Repaired, Report

SCHEMA: Final = 1
"""The version of the documents; it rises when a reader of the old ones would be wrong about the new ones."""

DETAILS: Final = (
    "choice",  # node, item: what `choose` picked
    "fallback",  # node, item: whether its fallback stands in for its result
    "then",  # attempt: `fallback`, if that is run next
    "due_at",  # attempt: when the next one is due
    "inside",  # node: how the graph at this node ended: reason, label, condition, explanation
    "cancelled",  # joined: the arms that were still under way
    "count",  # mapped: how many items
    "concurrency",  # mapped: how many of them at a time
    "writes",  # item: what it adds to the map's updates
    "graph",  # started, entered: the graph that begins
    "name",  # recorded: the function that was called
    "value",  # recorded: what it gave
    "waits",  # waiting: what is waited for
    "wait",  # answered, refused, node: the name of the wait that is over
    "by",  # answered, node: `answer`, `message`, `time` or `default`; recorded: which `agent` asked which `model`
    "answer",  # answered, refused, node: what was answered
    "message",  # refused: why
    "topic",  # message
    "payload",  # message
    "sent",  # node, item: messages to other nodes, as [topic, payload]
    "emitted",  # node, item: what it showed and wanted kept
    "said",  # recorded: what it `sent` and `emitted`; its node's step has that too, and delivers it
    "unused",  # node: recorded work that it did not ask for again
    "pause",  # started, resumed, branched: the nodes before which the run waits
    "retries",  # resumed: whether what failed beside what waits is tried again
    "company",  # resumed: whether other runs were driven beside it, so that a third crash does not give a node up
    "crashed",  # resumed: whether nodes were in flight when the process before died
    "changes",  # resumed, branched: what is new about the graph
    "refit",  # resumed, branched: what new defaults and migrations did to the fields, by frame
    "renamed",  # resumed, branched: nodes that have another name now, by the frame of their graph
    "moved",  # resumed, branched: frames that go on at another node
    "asks",  # resumed, branched: frames whose question is another one now, and is asked anew
    "after",  # started: the run whose state it begins with
)
"""What the `detail` of a step may have."""

_USAGE: Final = {"calls": 0, "offline_calls": 0, "input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0}


class Told(NamedTuple):
    """What a recorded failure says: its message, and the place and the repair where it has them."""

    message: str
    where: str = ""
    repair: str = ""


def told_by(failure: FailureRecord) -> Told:
    """The parts of a recorded failure; rows of older versions have place and repair as lines of the message."""
    where, repair, message = failure.where, failure.repair, failure.message
    if not where and not repair and not failure.traceback:
        message, _, repair = message.partition("\n  repair: ")
        message, _, where = message.partition("\n  at: ")
    return Told(message, where, repair)


def doctor_document(report: Report, repaired: Repaired | None) -> dict[str, JsonValue]:
    """What is wrong with a database, and what a repair did."""
    names = ("code", "what", "run_id", "seq", "repair", "repairable", "note")
    document: dict[str, JsonValue] = {
        "schema": SCHEMA,
        "database": str(report.path),
        "sound": report.is_sound,
        "findings": [{name: getattr(finding, name) for name in names} for finding in report.findings],
        "more": report.more,
        "runs": report.runs,
        "steps": report.steps,
        "snapshots": report.snapshots,
    }
    if repaired is not None:
        document["done"] = list(repaired.done)
        document["lost"] = [{"run_id": lost.run_id, "first": lost.first, "last": lost.last} for lost in repaired.lost]
        document["unnamed"] = repaired.unnamed
        document["copy"] = None if repaired.copy is None else str(repaired.copy)
    return document


def run_document(info: RunInfo, snapshot: Snapshot, steps: Iterable[Step]) -> dict[str, JsonValue]:
    """A run as of a snapshot.

    Args:
        info: What the store knows of the run.
        snapshot: Where it stands, or stood at an earlier step.
        steps: Its steps up to there, those it shares with its parents included.
    """
    parent = {"run_id": info.parent, "seq": info.parent_seq} if info.parent is not None else None
    taken = list(steps)
    return {
        "schema": SCHEMA,
        "run_id": info.id,
        "graph": info.graph,
        "status": snapshot.status,
        "parent": parent,
        "tags": list(info.tags),
        "stop": None if snapshot.stop is None else asdict(snapshot.stop),
        "error": failure_document(snapshot.failure) if snapshot.failure is not None else None,
        "waits": waits_document(snapshot),
        "state": snapshot.root.values,
        "usage": usage_document(snapshot.usage),
        "inherited": usage_document(snapshot.inherited),
        "spending": spending_document(spending(taken, info.parent_seq)),
        "steps": [step_document(step) for step in taken],
    }


def waits_document(snapshot: Snapshot) -> list[JsonValue]:
    """All that a run waits for."""
    return [_wait(name, facts) for frame in snapshot.frames.values() for name, facts in frame.waits.items()]


def _wait(name: str, wait: WaitRecord) -> dict[str, JsonValue]:
    return {
        "name": name,
        "kind": wait.kind,
        "question": wait.question,
        "schema": wait.schema,
        "topic": wait.topic,
        "due_at": wait.due,
    }


def failure_document(failure: FailureRecord) -> dict[str, JsonValue]:
    """A recorded failure, in the words of every error, and which node and attempt it was."""
    told = told_by(failure)
    found: dict[str, JsonValue] = {
        "code": failure.kind,
        "message": told.message,
        "where": told.where,
        "repair": told.repair,
        "path": failure.path,
        "attempt": failure.attempt or 1,
    }
    if failure.traceback:
        found["traceback"] = failure.traceback
    return found


def usage_document(usage: Mapping[str, float | None]) -> dict[str, JsonValue]:
    """A usage with every figure; a cost that is unknown is None."""
    return {**_USAGE, **usage}


def spending_document(spent: Iterable[Spent]) -> list[JsonValue]:
    """What was spent on models, by agent, model and node; an agent is "" where rules answered for it."""
    return [
        {
            "agent": each.agent,
            "model": each.model,
            "node": each.node,
            "inherited": each.inherited,
            **usage_document(each.usage),
        }
        for each in spent
    ]


def step_document(step: Step) -> dict[str, JsonValue]:
    """One step of a run."""
    outcome, failure, usage = outcome_of(step), failure_of(step), usage_of(step)
    return {
        "seq": step.seq,
        "path": step.path,
        "kind": step.kind,
        "node": step.node,
        "visit": step.visit,
        "attempt": step.attempt,
        "update": list(step.update),
        "edge": outcome.edge or None,
        "targets": list(outcome.to),
        "explanation": outcome.why or None,
        "error": failure_document(failure) if failure is not None else None,
        "detail": _detail(step.data),
        "usage": usage_document(usage) if usage else None,
        "started_at": step.began or step.at,
        "finished_at": step.at,
    }


def _detail(facts: AnyFacts) -> dict[str, JsonValue]:
    record = facts_record(facts)
    found: dict[str, JsonValue] = {name: record[name] for name in DETAILS if name in record}
    if isinstance(facts, Waiting):
        found["waits"] = [_wait(name, wait) for name, wait in facts.waits.items()]
    if "by" in found and "answer" in found:  # recorded so that None is an answer too
        found["answer"] = found["answer"].get("value")
    return found


def runs_document(runs: Iterable[RunInfo], waiting: Mapping[str, Snapshot] | None = None) -> dict[str, JsonValue]:
    """A list of runs, without their steps.

    Args:
        runs: The runs.
        waiting: Where those stand that wait, by id; the others wait for nothing.
    """
    return {"schema": SCHEMA, "runs": [_run_line(info, (waiting or {}).get(info.id)) for info in runs]}


def _run_line(info: RunInfo, snapshot: Snapshot | None) -> dict[str, JsonValue]:
    return {
        "run_id": info.id,
        "graph": info.graph,
        "status": info.status,
        "seq": info.seq,
        "created_at": info.created_at,
        "updated_at": info.updated_at,
        "parent": {"run_id": info.parent, "seq": info.parent_seq} if info.parent is not None else None,
        "tags": list(info.tags),
        "driver": info.driver,
        "due_at": info.due_at,
        "waits": [] if snapshot is None else waits_document(snapshot),
    }


def tree_document(
    runs: Iterable[RunInfo],
    waiting: Mapping[str, Snapshot],
    after: Mapping[str, str],
    spent: tuple[Mapping[str, Usage], Mapping[str, Usage]],
) -> dict[str, JsonValue]:
    """A list of runs with all those they were branched from: `parent` tells which, and where they parted.

    Args:
        runs: The runs.
        waiting: Where those stand that wait, by id.
        after: The run whose state a run began with, by id.
        spent: What each run spent on models itself, by id, and with all branches below it; the first is None of a run
            that cannot be read.
    """
    own, whole = spent
    lines = [
        {
            **_run_line(info, waiting.get(info.id)),
            "after": after.get(info.id),
            "spent": usage_document(own[info.id]) if info.id in own else None,
            "spent_in_all": usage_document(whole.get(info.id, {})),
        }
        for info in runs
    ]
    return {"schema": SCHEMA, "runs": lines}


def diff_document(found: RunDiff) -> dict[str, JsonValue]:
    """Where two runs part.

    `shared` is the last step that both have, None if they have none; `alike` how many steps of both ways from there are
    alike; `parted_at` of each side the first step that the other did not take, None where it took no other;
    `differences` are whole, however large.
    """
    shared = {"run_id": found.shared.run_id, "seq": found.shared.seq} if found.shared is not None else None
    return {
        "schema": SCHEMA,
        "shared": shared,
        "alike": found.alike,
        "first": _side(found.first),
        "second": _side(found.second),
        "differences": [{"path": d.path, "before": d.before, "after": d.after} for d in found.differences],
    }


def _side(side: Side) -> dict[str, JsonValue]:
    """One of two runs that are compared: `usage` is all it spent, `spent` what it did since they parted.

    `begins` is the update that it branched off with, `way` the steps that it decided a way with since.
    """
    steps = [step_document(step) for step in side.way]
    keys = ("seq", "path", "kind", "node", "visit", "attempt", "edge", "targets")
    return {
        "run_id": side.info.id,
        "graph": side.info.graph,
        "status": side.snapshot.status,
        "seq": side.snapshot.seq,
        "parted_at": side.parts_at,
        "begins": list(side.begins.update) if side.begins is not None else None,
        "way": [{key: step[key] for key in keys} for step in steps],
        "usage": usage_document(side.snapshot.usage),
        "spent": {**usage_document(side.spent), "steps": side.steps, "seconds": side.seconds},
    }


def error_document(error: GraphEngineError) -> dict[str, JsonValue]:
    """An error that kept a command from doing its work; one of compile has the list of its `problems`."""
    told = _told(error)
    if isinstance(error, CompileError):
        told["problems"] = problems_listed(error.problems)
    return {"schema": SCHEMA, "error": told}


def problems_listed(problems: Iterable[Problem]) -> list[JsonValue]:
    """What compile found about a graph, each finding with the file and the line that it is about."""
    names = ("code", "where", "message", "repair", "warning", "file", "line")
    return [{name: getattr(problem, name) for name in names} for problem in problems]


def _told(error: GraphEngineError) -> dict[str, JsonValue]:
    return {"code": error.code, "message": error.message, "where": error.where, "repair": error.repair}
