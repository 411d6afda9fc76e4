"""The documents of failures and of steps; see `graphengine.records.json_document`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec
from msgspec import UNSET, Struct, UnsetType

from graphengine.history.usage import Usage
from graphengine.kernel.extension import Ending
from graphengine.kernel.inside import wait_of
from graphengine.kernel.reader import Wait, Waiting, outcome_of, show, usage_from, usage_of
from graphengine.records.base_documents import Document, Error, Part

if TYPE_CHECKING:
    from graphengine.kernel.extension import Failure as RunFailure
    from graphengine.kernel.reader import FailureRecord
    from graphengine.kernel.reader import Step as RecordedStep

T = TypeVar("T")


class Failure(Error):
    """The error that a node or a run failed with.

    Attributes:
        path: The node.
        attempt: Which attempt it was, from 1.
        traceback: Where the exception came from, if it is recorded.
    """

    path: str
    attempt: int
    traceback: str | UnsetType = UNSET


def failure_document(failed: FailureRecord | RunFailure) -> Failure:
    """Return a recorded failure."""
    return Failure(
        code=failed.kind,
        message=show(failed.message),
        where=failed.where,
        repair=failed.repair,
        path=failed.path,
        attempt=failed.attempt or 1,
        traceback=failed.traceback or UNSET,
    )


# --- Steps -----------------------------------------------------------------------------------------------------------


class Detail(Part):
    """The keys that only some kinds of steps have.

    Attributes:
        choice: node, item: what `choose` picked.
        fallback: node, item: whether its fallback gave the result.
        then: attempt: `fallback`, if the fallback runs next.
        due_at: attempt: when the next one is due.
        inside: node: how the graph at this node ended.
        cancelled: joined: the arms that were still running.
        count: mapped: how many items.
        concurrency: mapped: how many of them run at a time.
        max_open: mapped: how many of them may have begun and not ended, if not 1,000.
        writes: item: what it adds to the map's updates.
        graph: started, entered: the graph that begins.
        name: recorded: the function that was called.
        value: recorded: what it returned.
        waits: waiting: what the run waits for.
        withdrawn: waiting: the ids of questions that the node asks no longer.
        wait: answered, refused, node: the name of the wait that is over; of a message that is refused, its topic.
        id: answered, refused, node: the id of the question that an answer was given to.
        by: answered, node: `answer`, `message`, `time` or `default`; recorded: which `agent` called which `model`.
        answer: answered, refused, node: the answer.
        message: refused: why.
        topic: message: its topic.
        payload: message: its payload.
        sent: node, item: messages that it sent, as [topic, payload].
        emitted: node, item: the values it emitted to be recorded.
        outputs: recorded: what it `sent` and `emitted`; its node's step has them too, and delivers them.
        unused: node: recorded work that it did not use again.
        refused: attempt, failed: recorded work that caused the failure, and is not kept.
        lost: attempt, failed, node: calls of models that failed, by their keys: which `agent` called which `model`, and
            what the graph and the state do not give again of what was asked.
        pause: started, resumed, branched: the nodes before which the run waits.
        retries: resumed: whether failed parts are retried although others wait.
        settled: resumed, branched: maps with `on_item_error="keep"` whose failed items are not retried.
        shared_process: resumed: whether the process also drove other runs, so that a third crash does not fail a node.
        crashed: resumed: whether nodes were in flight when a process died.
        cut_until: resumed: until when that process may still act, epoch seconds, if it is not known to be dead: what
            was in flight begins again after that.
        changes: resumed, branched: changes of the graph.
        field_changes: resumed, branched: updates by defaults and migrations, by frame.
        renamed: resumed, branched: renamed nodes, by the frame of their graph.
        moved: resumed, branched: frames that continue at another node.
        asks: resumed, branched: frames whose question is asked again.
        after: started: the run whose state it begins with.
    """

    choice: str | UnsetType = UNSET
    fallback: bool | UnsetType = UNSET
    then: str | UnsetType = UNSET
    due_at: float | UnsetType = UNSET
    inside: Ending | UnsetType = UNSET
    cancelled: Sequence[str] | UnsetType = UNSET
    count: int | UnsetType = UNSET
    concurrency: int | UnsetType = UNSET
    max_open: int | UnsetType = UNSET
    writes: Sequence[Any] | UnsetType = UNSET
    graph: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    value: Any = UNSET
    waits: Sequence[Wait] | UnsetType = UNSET
    withdrawn: Sequence[str] | UnsetType = UNSET
    wait: str | UnsetType = UNSET
    id: str | UnsetType = UNSET
    by: str | Mapping[str, str] | UnsetType = UNSET
    answer: Any = UNSET
    message: str | UnsetType = UNSET
    topic: str | UnsetType = UNSET
    payload: Any = UNSET
    sent: Sequence[Any] | UnsetType = UNSET
    emitted: Sequence[Any] | UnsetType = UNSET
    outputs: Mapping[str, Any] | UnsetType = UNSET
    unused: Sequence[str] | UnsetType = UNSET
    refused: Sequence[str] | UnsetType = UNSET
    lost: Mapping[str, Any] | UnsetType = UNSET
    pause: Sequence[str] | UnsetType = UNSET
    retries: bool | UnsetType = UNSET
    settled: Sequence[str] | UnsetType = UNSET
    shared_process: bool | UnsetType = UNSET
    crashed: bool | UnsetType = UNSET
    cut_until: float | UnsetType = UNSET
    changes: Sequence[str] | UnsetType = UNSET
    field_changes: Mapping[str, Any] | UnsetType = UNSET
    renamed: Mapping[str, Any] | UnsetType = UNSET
    moved: Mapping[str, str] | UnsetType = UNSET
    asks: Sequence[str] | UnsetType = UNSET
    after: str | UnsetType = UNSET


class Waypoint(Part):
    """A step in short: its node, and the edge it took.

    Attributes:
        seq: Its number in the run, from 1.
        path: Its node, as `article/review`.
        kind: What happened: `node`, `attempt`, `failed`, `waiting`, …
        node: The node's name; "" for the run itself.
        visit: Which visit of the node, from 1.
        attempt: Which attempt of the visit, from 1.
        edge: The label of the edge it took.
        targets: The nodes that the edge leads to.
    """

    seq: int
    path: str
    kind: str
    node: str
    visit: int
    attempt: int
    edge: str | None
    targets: Sequence[str]


class Step(Waypoint):
    """One recorded step.

    Attributes:
        update: Operations on fields, as `["set", "draft", "…"]`; `graphengine.engine.steps` lists them.
        why: How the conditions evaluated, with their values.
        error: The error, if it failed.
        detail: Keys of this kind of step.
        usage: The usage of models for it.
        started_at: When its work began.
        finished_at: When it was recorded.
    """

    update: Sequence[Any]
    why: str | None
    error: Failure | None
    detail: Detail
    usage: Usage | None
    started_at: float
    finished_at: float


class OneStep(Document):
    """One step of a run.

    Attributes:
        run_id: The run.
        step: The step.
        asked: recorded: what the model was asked that answered: `system`, the instructions, and `messages`, oldest
            first, each with `role`, `text`, `calls`, and more where it is set.
        failed_calls: attempt, failed, node: what models were asked in its calls that failed: each with `agent`,
            `model`, `system` and `messages`.
    """

    run_id: str
    step: Step
    asked: Mapping[str, Any] | UnsetType = UNSET
    failed_calls: Sequence[Mapping[str, Any]] | UnsetType = UNSET


def for_clients(part: T) -> T:
    """Return a document, or a part of one, without what only those who run the program should see.

    That is where an exception came from: its traceback, which has paths, and the module in its code.
    """
    if isinstance(part, Detail) and isinstance(part.value, dict) and "traceback" in part.value:  # of a tool that failed
        value = {name: each for name, each in part.value.items() if name != "traceback"}
        return msgspec.structs.replace(part, value=value)
    if isinstance(part, Failure):
        return msgspec.structs.replace(part, code=part.code.rpartition(".")[2], traceback=UNSET)
    if isinstance(part, Part):
        parts = {name: for_clients(getattr(part, name)) for name in part.__struct_fields__}
        return msgspec.structs.replace(part, **parts)
    if isinstance(part, (list, tuple)) and any(isinstance(each, Part) for each in part):
        return cast("T", type(part)(map(for_clients, part)))
    return part


def step_document(step: RecordedStep, why: str = "") -> Step:
    """Return the document of one step; `why` are the reasons for its edge in words."""
    outcome, failed, usage = outcome_of(step), step.data.error, usage_of(step)
    return Step(
        seq=step.seq,
        path=step.path,
        kind=step.kind,
        node=step.node,
        visit=step.visit,
        attempt=step.attempt,
        update=step.update,
        edge=outcome.edge or None,
        targets=outcome.to,
        why=why or None,
        error=failure_document(failed) if failed is not None else None,
        detail=_detail(step),
        usage=usage_from(usage) if usage else None,
        started_at=step.began or step.at,
        finished_at=step.at,
    )


def _detail(step: RecordedStep) -> Detail:
    facts = step.data
    record = facts_record(facts)
    found: dict[str, Any] = {name: record[name] for name in Detail.__struct_fields__ if name in record}
    if isinstance(facts, Waiting):
        waits = [(name, wait, wait.id or f"{name}@{step.seq}") for name, wait in facts.waits.items()]
        found["waits"] = [replace(wait_of(name, wait), id=wait_id) for name, wait, wait_id in waits]
    if "by" in found and "answer" in found:  # recorded so that None is an answer too
        given = found["answer"]
        found |= {"answer": given.get("value"), "id": given.get("id", UNSET)}
    return Detail(**found)


def facts_record(facts: Struct) -> dict[str, Any]:
    """Return the facts of a step as JSON values, without empty ones."""
    record: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(facts))
    return record
