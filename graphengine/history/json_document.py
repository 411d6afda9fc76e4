"""The JSON documents that other programs read: a run, a list of runs, an error. One schema, identified by its number.

Times are epoch seconds. A step's `update` is the list of operations that `graphengine.engine.steps` describes; its
`detail` has the other facts of its kind, under the names in `DETAILS`, and is empty for most steps.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from graphengine.engine.step_json import facts_record
from graphengine.engine.steps import (
    AnyFacts,
    FailureRecord,
    Waiting,
    WaitRecord,
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
    from graphengine.history.usage import Spent
    from graphengine.state.amounts import Usage
    from graphengine.state.ending import Ending
    from graphengine.state.failure import Failure
    from graphengine.state.json_values import JsonValue
    from graphengine.stores.base import RunInfo
    from graphengine.stores.findings import Repaired, Report

SCHEMA: Final = 1
"""The version of the documents; it rises when a reader of the old ones would misread the new ones."""

DETAILS: Final = (
    "choice",  # node, item: what `choose` picked
    "fallback",  # node, item: whether its fallback gave the result
    "then",  # attempt: `fallback`, if the fallback runs next
    "due_at",  # attempt: when the next one is due
    "inside",  # node: how the graph at this node ended: reason, label, condition, explanation
    "cancelled",  # joined: the arms that were still running
    "count",  # mapped: how many items
    "concurrency",  # mapped: how many items run at a time
    "writes",  # item: what it adds to the map's updates
    "graph",  # started, entered: the graph that starts
    "name",  # recorded: the function that was called
    "value",  # recorded: its result
    "waits",  # waiting: what is waited for
    "wait",  # answered, refused, node: the name of the wait that is over
    "by",  # answered, node: `answer`, `message`, `time` or `default`; recorded: which `agent` asked which `model`
    "answer",  # answered, refused, node: the answer
    "message",  # refused: why
    "topic",  # message
    "payload",  # message
    "sent",  # node, item: messages to other nodes, as [topic, payload]
    "emitted",  # node, item: the values that it emitted to be recorded
    "said",  # recorded: what it `sent` and `emitted`; its node's step has them too, and delivers them
    "unused",  # node: recorded work that it did not request again
    "refused",  # attempt, failed: recorded work that caused the failure, and is not kept
    "pause",  # started, resumed, branched: the nodes before which the run pauses
    "retries",  # resumed: whether failed nodes are retried while others wait
    "company",  # resumed: whether other runs were driven in parallel, so that a third crash does not fail a node
    "crashed",  # resumed: whether nodes were in flight when the previous process died
    "changes",  # resumed, branched: how the graph changed
    "refit",  # resumed, branched: what new defaults and migrations did to the fields, by frame
    "renamed",  # resumed, branched: renamed nodes, by the frame of their graph
    "moved",  # resumed, branched: frames that continue at another node
    "asks",  # resumed, branched: frames whose question changed and is asked again
    "after",  # started: the run whose state it starts with
)
"""The keys that the `detail` of a step can have."""

_USAGE: Final = {"calls": 0, "offline_calls": 0, "input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0}


def doctor_document(report: Report, repaired: Repaired | None) -> dict[str, JsonValue]:
    """Return the document of a database's problems, and of what a repair did."""
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
    """Return the document of a run at a snapshot.

    Args:
        info: The store's facts about the run.
        snapshot: Its snapshot, the last one or an earlier one.
        steps: Its steps up to there, including those that it shares with its parents.
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
    """Return everything that a run waits for."""
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


def event_line(event: str, info: RunInfo, content: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the document of an event of a run."""
    return {"schema": SCHEMA, "event": event, "run_id": info.id, "graph": info.graph, **content}


class EndDocument(NamedTuple):
    """How a run ended, or where it is when it is no longer watched."""

    status: str
    seq: int
    stop: Ending | None
    error: FailureRecord | Failure | None
    waits: list[JsonValue]
    state: Mapping[str, JsonValue]
    usage: Usage

    def document(self) -> dict[str, JsonValue]:
        """Return it as a document; no process drives the run then."""
        return {
            "status": self.status,
            "driver": None,
            "seq": self.seq,
            "stop": None if self.stop is None else asdict(self.stop),
            "error": None if self.error is None else failure_document(self.error),
            "waits": self.waits,
            "state": self.state,
            "usage": usage_document(self.usage),
        }


def ended_document(snapshot: Snapshot) -> dict[str, JsonValue]:
    """Return how a run ended, or where it is when it is no longer watched."""
    waits, state = waits_document(snapshot), snapshot.root.values
    facts = snapshot.status, snapshot.seq, snapshot.stop, snapshot.failure
    return EndDocument(*facts, waits, state, snapshot.usage).document()


def failure_document(failure: FailureRecord | Failure) -> dict[str, JsonValue]:
    """Return the document of a recorded failure: the parts of every error, the node's path and the attempt."""
    found: dict[str, JsonValue] = {
        "code": failure.kind,
        "message": failure.message,
        "where": failure.where,
        "repair": failure.repair,
        "path": failure.path,
        "attempt": failure.attempt or 1,
    }
    if failure.traceback:
        found["traceback"] = failure.traceback
    return found


def usage_document(usage: Usage) -> dict[str, JsonValue]:
    """Return a usage with every figure; an unknown cost is None."""
    return {**_USAGE, **usage}


def spending_document(spent: Iterable[Spent]) -> list[JsonValue]:
    """Return what was spent on models, by agent, model and node; the agent is "" if rules answered for it."""
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
    """Return the document of one step."""
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
    found: dict[str, Any] = {name: record[name] for name in DETAILS if name in record}
    if isinstance(facts, Waiting):
        found["waits"] = [_wait(name, wait) for name, wait in facts.waits.items()]
    if "by" in found and "answer" in found:  # recorded so that None is an answer too
        found["answer"] = found["answer"].get("value")
    return found


def runs_document(runs: Iterable[RunInfo], waiting: Mapping[str, Snapshot] | None = None) -> dict[str, JsonValue]:
    """Return the document of a list of runs, without their steps.

    Args:
        runs: The runs.
        waiting: The snapshots of waiting runs by id; the others wait for nothing.
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
        "queue": info.queue,
        "priority": info.priority,
        "key": info.key,
        "queued": info.queued,
        "summary": None if info.summary is None else asdict(info.summary),
        "waits": [] if snapshot is None else waits_document(snapshot),
    }


def run_now_document(info: RunInfo, snapshot: Snapshot) -> dict[str, JsonValue]:
    """Return the document of a run as it is now, without its steps."""
    end = ended_document(snapshot)
    names = ("status", "seq", "stop", "error", "waits", "state", "usage")
    return {"schema": SCHEMA, **_run_line(info, snapshot), **{name: end[name] for name in names}}


def tree_document(
    runs: Iterable[RunInfo],
    waiting: Mapping[str, Snapshot],
    after: Mapping[str, str],
    spent: tuple[Mapping[str, Usage], Mapping[str, Usage]],
) -> dict[str, JsonValue]:
    """Return the document of runs and the runs they branched from; `parent` has the run and the step of each branch.

    Args:
        runs: The runs.
        waiting: The snapshots of waiting runs by id.
        after: The run whose state a run started with, by id.
        spent: What each run spent on models itself, by id, and with all branches below it. Runs that cannot be read are
            missing from the first.
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
    """Return the document of where two runs diverge.

    `shared` is the last step that both have, None if they share none; `alike` is how many steps from there on are the
    same; `parted_at` of each side is the first step that the other did not take, None if there is none; `differences`
    are complete, however large.
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
    """Return one of two compared runs: `usage` is its total, `spent` what it spent since they diverged.

    `begins` is the update that it branched off with, `way` the steps that decided its path since.
    """
    steps = [step_document(step) for step in side.path]
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
    """Return the document of an error that stopped a command; a compile error has the list of its `problems`."""
    parts: dict[str, JsonValue] = {
        "code": error.code,
        "message": error.message,
        "where": error.where,
        "repair": error.repair,
    }
    if isinstance(error, CompileError):
        parts["problems"] = problems_listed(error.problems)
    return {"schema": SCHEMA, "error": parts}


def problems_listed(problems: Iterable[Problem]) -> list[JsonValue]:
    """Return the problems that compile found in a graph, each with its file and line."""
    names = ("code", "where", "message", "repair", "warning", "file", "line")
    return [{name: getattr(problem, name) for name in names} for problem in problems]
