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
    """The error with which a node or a run failed.

    Attributes:
        path: The path of the node.
        attempt: The number of the attempt, from 1.
        traceback: The traceback of the exception, if it is recorded.
    """

    path: str
    attempt: int
    traceback: str | UnsetType = UNSET


def failure_document(failed: FailureRecord | RunFailure) -> Failure:
    """Convert a recorded failure of a node or a run to the JSON object that describes it."""
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
    """Keys that only some kinds of steps have. Each description begins with the kinds of steps that have the key.

    Attributes:
        choice: node, item: the choice that `choose` made.
        fallback: node, item: whether the node's fallback gave the result.
        then: attempt: `fallback`, if the fallback runs next.
        due_at: attempt: when the next attempt is due, epoch seconds.
        inside: node: how the graph inside this node ended.
        cancelled: joined: the arms that were still running and were cancelled.
        count: mapped: the number of items.
        concurrency: mapped: how many items run at a time.
        max_open: mapped: how many items may be started and not ended, if the number is not 1,000.
        writes: item: the updates that the item adds to the updates of the map.
        graph: started, entered: the graph that begins.
        name: recorded: the function that was called.
        value: recorded: the value that the function returned.
        waits: waiting: the questions, messages and times for which the run waits.
        withdrawn: waiting: the ids of questions that the node no longer asks.
        wait: answered, refused, node: the name of the wait that ended, or the topic of a refused message.
        id: answered, refused, node: the id of the answered question.
        by: answered, node: how the wait ended: `answer`, `message`, `time` or `default`; recorded: which `agent` called
            which `model`.
        answer: answered, refused, node: the answer.
        message: refused: why the answer or message was refused.
        topic: message: the topic of the message.
        payload: message: the payload of the message.
        sent: node, item: the messages that the node sent, as [topic, payload].
        emitted: node, item: the values that the node emitted to be recorded.
        outputs: recorded: the messages that the function `sent` and the values that it `emitted`. The step of its node
            repeats them, and they are delivered with that step.
        unused: node: results that an earlier attempt recorded and that the last attempt did not ask for again.
        refused: attempt, failed: recorded results that caused the failure. The next attempt does not use them.
        lost: attempt, failed, node: calls of models that failed, by their keys: which `agent` called which `model`, and
            the part of the request that cannot be made again from the graph and the state.
        pause: started, resumed, branched: the nodes before which the run pauses.
        retries: resumed: whether failed parts are retried although other parts wait.
        settled: resumed, branched: maps with `on_item_error="keep"` whose failed items are not retried.
        shared_process: resumed: whether the process also drove other runs, so that a third crash does not fail a node.
        crashed: resumed: whether a process died while nodes of the run were executing.
        cut_until: resumed: until when a process that is not known to be dead may still act, epoch seconds. Work that
            this process had begun starts again after that time.
        changes: resumed, branched: changes of the graph.
        field_changes: resumed, branched: updates by defaults and migrations, by frame.
        renamed: resumed, branched: renamed nodes, by the frame of their graph.
        moved: resumed, branched: frames that continue at another node.
        asks: resumed, branched: frames whose question is asked again.
        after: started: the earlier run with whose final state this run begins.
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
    """The short form of a recorded step: its node, and the edge that the run took after it.

    Attributes:
        seq: The number of the step in the run, from 1.
        path: The path of the node, such as `article/review`.
        kind: The kind of the step: `node`, `attempt`, `failed`, `waiting`, …
        node: The name of the node; "" for the run itself.
        visit: The number of the visit of the node, from 1.
        attempt: The number of the attempt of the visit, from 1.
        edge: The label of the edge that was taken.
        targets: The nodes to which the edge leads.
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
    """A recorded step of a run.

    Attributes:
        update: Operations on fields of the state, such as `["set", "draft", "…"]`; `graphengine.engine.steps` lists
            them.
        why: Why this edge was taken: the conditions with the values that they compared.
        error: The error, if the step failed.
        detail: The keys that only this kind of step has.
        usage: The usage of models in the step.
        started_at: When the work of the step began, epoch seconds.
        finished_at: When the step was recorded, epoch seconds.
    """

    update: Sequence[Any]
    why: str | None
    error: Failure | None
    detail: Detail
    usage: Usage | None
    started_at: float
    finished_at: float


class OneStep(Document):
    """A single step of a run, with the requests to models that lists of steps leave out.

    Attributes:
        run_id: The id of the run.
        step: The step.
        asked: For a recorded answer of a model, the request. `system` contains the instructions. `messages` lists the
            messages, the oldest first, each with `role`, `text`, `calls` and further keys that are set.
        failed_calls: For the end of an attempt, the requests to models that failed, each with `agent`, `model`,
            `system` and `messages`.
    """

    run_id: str
    step: Step
    asked: Mapping[str, Any] | UnsetType = UNSET
    failed_calls: Sequence[Mapping[str, Any]] | UnsetType = UNSET


def for_clients(part: T) -> T:
    """Remove from a JSON document what only the people who run the program should see.

    The copy leaves out tracebacks, which contain paths of the server, and the module names in error codes. The argument
    is a complete document or a part of one.
    """
    # The recorded value of a failed tool call contains a traceback.
    if isinstance(part, Detail) and isinstance(part.value, dict) and "traceback" in part.value:
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
    """Convert a step to its JSON object. `why` are the reasons for its edge in words."""
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
    if "by" in found and "answer" in found:  # The answer is recorded in an object, so that it can also be None.
        given = found["answer"]
        found |= {"answer": given.get("value"), "id": given.get("id", UNSET)}
    return Detail(**found)


def facts_record(facts: Struct) -> dict[str, Any]:
    """Convert the part of a step that depends on its kind (its facts) to JSON values. Empty values are left out."""
    record: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(facts))
    return record
