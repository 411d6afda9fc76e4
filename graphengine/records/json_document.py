"""The JSON documents of runs that other programs read, and how each is made: `--json`, the service, the inspector.

These structs are what is encoded, and what `graphengine schema` and the service's OpenAPI are generated from
(`graphengine.records.json_schema`); a docstring's `Attributes` are the descriptions there. A key that is UNSET is left
out. Times are epoch seconds. Readers should ignore unknown keys: the number under `schema` rises only when a reader of
the old documents would misread the new ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from graphengine.history.usage import Usage
from graphengine.kernel.extension import Ending
from graphengine.kernel.inside import (
    InForce,
    MapProgress,
    RefusedMessage,
    list_lost_parts,
    opened,
    progress_in,
    refusals_in,
    values_in,
)
from graphengine.kernel.reader import RunStatus, Wait, losses_of, status_of, usage_from, waits_of
from graphengine.kernel.store import Status, Summary
from graphengine.records.at_work import AtWork
from graphengine.records.base_documents import SCHEMA, Document, Part
from graphengine.records.branches import BranchResult
from graphengine.records.run_diff import Difference, Shared
from graphengine.records.spending import SpentBelow, spending
from graphengine.records.step_document import Failure, Step, Waypoint, failure_document, step_document
from graphengine.records.words import compact

if TYPE_CHECKING:
    from graphengine.kernel.reader import GraphSpec, Snapshot
    from graphengine.kernel.reader import Step as RecordedStep
    from graphengine.kernel.reader import Usage as UsageRecord
    from graphengine.kernel.store import RunInfo
    from graphengine.records import run_diff
    from graphengine.records.spending import Spent

_VALUES: Final = 20
"""How many published values a run's document has: it is sent with each step."""
_LONGEST: Final = 2000
"""How many characters one of them may have."""

# --- Runs ------------------------------------------------------------------------------------------------------------


class Parent(Part):
    """The run that a branch started from, and the step.

    Attributes:
        run_id: The run.
        seq: The last step that both share.
    """

    run_id: str
    seq: int


class Spending(Usage, frozen=True, kw_only=True):
    """What one agent spent at one node on one model.

    Attributes:
        agent: The agent; "" if rules answered for it.
        model: The model; "" if it is not recorded.
        node: The node's path.
        inherited: Whether it was spent before the run branched off.
    """

    agent: str
    model: str
    node: str
    inherited: bool


class SpendingOfRun(Document):
    """What a run spent on models.

    Attributes:
        run_id: The run.
        usage: All of it.
        inherited: The part of it that was spent before it branched off.
        children: What its child runs cost. No other figure of this document contains that.
        spending: The same as `usage` by agent, model and node.
    """

    run_id: str
    usage: Usage
    inherited: Usage
    children: SpentBelow
    spending: Sequence[Spending]


class PublishedPart(Part, kw_only=True):
    """A value that a run published.

    Attributes:
        name: Its name.
        value: The value; left out if it takes more than 2,000 characters: its step has it.
        seq: The step that has it.
        at: When it was published, epoch seconds.
        path: The path of the node.
        item: The item of a map in which it was published; "" outside of maps.
    """

    name: str
    value: Any = UNSET
    seq: int
    at: float
    path: str
    item: str


class RunHead(Document):
    """A run after a step, without its state and its steps.

    Attributes:
        run_id: Its id.
        graph: The name of its graph.
        status: Its status; a running one that no process has driven is `queued`, one that none drives `interrupted`.
        parent: The run it was branched from.
        tags: Its tags.
        ending: Why it ended.
        error: What it failed with.
        waits: What it waits for.
        usage: Its usage of models, including what it inherited.
        inherited: The part of it that was spent before it branched off.
        losses: What was lost on the way: `failed_items`, `failed_children`, `unused_results`, `fallbacks`, `retries`,
            `rejected_answers`, `failed_tools`.
        deaths: How often its process died with nodes in flight: their calls of models are in no usage.
        published: What its nodes published, the newest value of each name and item of a map; the newest 20.
        progress: How far each of its maps is that runs.
        refused: The messages that its nodes refused, since they were of another type; the newest 10.
        at_work: What it is doing; null unless a live process drives it now.
    """

    run_id: str
    graph: str
    status: Status
    parent: Parent | None
    tags: Sequence[str]
    ending: Ending | None
    error: Failure | None
    waits: Sequence[Wait]
    usage: Usage
    inherited: Usage
    losses: Mapping[str, int]
    deaths: int
    published: Sequence[PublishedPart]
    progress: Sequence[MapProgress]
    refused: Sequence[RefusedMessage]
    at_work: AtWork | None


class FailedPart(Part):
    """An item of a map, or an arm of a fork, that failed for good.

    Attributes:
        item: The item's value, by its name in `each`; empty for an arm.
        error: The failure; `path` has the item's position, as in `research[3]`.
    """

    item: Mapping[str, Any]
    error: Failure


class Run(RunHead, kw_only=True):
    """A run.

    Attributes:
        state: Its fields, as they were recorded.
        version: The version of the graph that recorded them; omitted if the store does not have the spec of that graph.
        failures: The parts of maps and forks that failed and were not repeated since.
        output: The value of the graph's `result=`; omitted if the graph has none, and always by `show`.
        children: What its child runs cost. No other figure of this document contains that.
        spending: Its usage by agent, model and node.
        steps: Its steps, those shared with its parents included.
        branches: The runs that were branched off from it, the newest first, with their results; at most 20.
    """

    state: Mapping[str, Any]
    version: int | UnsetType = UNSET
    failures: Sequence[FailedPart]
    output: Any = UNSET
    children: SpentBelow
    spending: Sequence[Spending]
    steps: Sequence[Step]
    branches: Sequence[BranchResult]


def _fields_of_place(info: RunInfo, snapshot: Snapshot) -> dict[str, Any]:
    """Return the fields that all documents about where a run is have."""
    return {
        "run_id": info.id,
        "graph": info.graph,
        "status": status_of(info) if snapshot.seq == info.seq else snapshot.status,
        "ending": snapshot.ending,
        "error": failure_document(snapshot.failure) if snapshot.failure is not None else None,
        "waits": waits_of(snapshot),
        "usage": usage_from(snapshot.usage),
    }


def _failures(snapshot: Snapshot) -> list[FailedPart]:
    return [FailedPart(opened(lost.values), failure_document(lost.error)) for lost in list_lost_parts(snapshot)]


def head_facts(info: RunInfo, snapshot: Snapshot, at_work: AtWork | None) -> dict[str, Any]:
    """Return the fields of a run's `RunHead` at a snapshot."""
    return {
        **_fields_of_place(info, snapshot),
        "parent": _parent_of(info),
        "tags": info.tags,
        "inherited": usage_from(snapshot.inherited),
        "losses": losses_of(snapshot.usage, snapshot.losses),
        "deaths": snapshot.deaths,
        "at_work": at_work,
        **_fields_in_progress(snapshot),
    }


def _fields_in_progress(snapshot: Snapshot) -> dict[str, Any]:
    """Return what a run shows while it goes on."""
    values = [
        PublishedPart(
            name=each.name,
            value=each.value if len(compact(each.value, _LONGEST + 1)) <= _LONGEST else UNSET,
            seq=each.seq,
            at=each.at,
            path=each.path,
            item=each.item,
        )
        for each in values_in(snapshot, _VALUES)
    ]
    return {"published": values, "progress": progress_in(snapshot), "refused": refusals_in(snapshot)}


def run_document(  # noqa: PLR0913 - what a run's document is made of
    info: RunInfo,
    snapshot: Snapshot,
    steps: Iterable[RecordedStep],
    below: SpentBelow | None,
    output: object = UNSET,
    specs: Mapping[str, GraphSpec] | None = None,
    at_work: AtWork | None = None,
    branches: Sequence[BranchResult] = (),
) -> Run:
    """Return the document of a run at a snapshot.

    Args:
        info: The store's facts about the run.
        snapshot: Its snapshot, the last one or an earlier one.
        steps: Its steps up to there, including those that it shares with its parents.
        below: What its child runs cost; None for nothing.
        output: The value of the graph's `result=`, as JSON.
        specs: The specs of its graph by fingerprint, in which its version and the reasons for edges are read.
        at_work: What it is doing.
        branches: Its branches.
    """
    taken, reasons = list(steps), InForce(specs or {})
    return Run(
        **head_facts(info, snapshot, at_work),
        state=snapshot.root.values,
        version=_version_in((specs or {}).get(snapshot.fingerprint)),
        failures=_failures(snapshot),
        output=output,
        children=below or SpentBelow(),
        spending=spending_document(spending(taken, info.parent_seq)),
        steps=[step_document(step, reasons.why(step)) for step in taken],
        branches=branches,
    )


def _version_in(graph_spec: GraphSpec | None) -> int | UnsetType:
    return UNSET if graph_spec is None else graph_spec.get("version", 1)


def _parent_of(info: RunInfo) -> Parent | None:
    return Parent(run_id=info.parent, seq=info.parent_seq) if info.parent is not None else None


def spending_of_run(
    info: RunInfo, snapshot: Snapshot, steps: Iterable[RecordedStep], below: SpentBelow | None
) -> SpendingOfRun:
    """Return what a run spent on models up to a snapshot, and what its child runs cost."""
    return SpendingOfRun(
        run_id=info.id,
        usage=usage_from(snapshot.usage),
        inherited=usage_from(snapshot.inherited),
        children=below or SpentBelow(),
        spending=spending_document(spending(steps, info.parent_seq)),
    )


def spending_document(spent: Iterable[Spent]) -> Sequence[Spending]:
    """Return what was spent on models, by agent, model and node."""
    return [
        Spending(
            agent=each.agent,
            model=each.model,
            node=each.node,
            inherited=each.inherited,
            **msgspec.structs.asdict(usage_from(each.usage)),
        )
        for each in spent
    ]


# --- Lists of runs ---------------------------------------------------------------------------------------------------


class ListedRun(Part):
    """A run in a list.

    Attributes:
        run_id: Its id.
        graph: The name of its graph.
        status: Its status; a running one that no process has driven is `queued`, one that none drives `interrupted`.
        seq: The number of its last step.
        created_at: When it began.
        updated_at: When its last step was recorded.
        parent: The run it was branched from.
        tags: Its tags.
        driver: The process that drives it now.
        due_at: When its first timer is due.
        queue: The queue from which workers take it.
        priority: The higher, the sooner it is taken.
        tenant: For whom it runs; the tenants of a queue take turns.
        queued: Whether no process has driven it yet.
        title: What it is about.
        user: Who started it; null if no user did.
        starter: The run whose node started it; null if none did.
        root: The run at the top of its tree of child runs, with which it is stopped; null if that is itself.
        depth: How many runs are above it in that tree.
        began_with: The fingerprint of the graph with which it began.
        deploy: The label of the deploy that began it; "" for none.
        ended_at: When it ended; null while it has not.
        summary: What a list shows of it; null before its status first changed.
        waits: What it waits for.
        at_work: What it is doing; null unless a live process drives it now.
    """

    run_id: str
    graph: str
    status: Status
    seq: int
    created_at: float
    updated_at: float
    parent: Parent | None
    tags: Sequence[str]
    driver: str | None
    due_at: float | None
    queue: str
    priority: int
    tenant: str | None
    queued: bool
    title: str
    user: str | None
    starter: str | None
    root: str | None
    depth: int
    began_with: str
    deploy: str
    ended_at: float | None
    summary: Summary | None
    waits: Sequence[Wait]
    at_work: AtWork | None


class RunNow(ListedRun, tag_field="schema", tag=SCHEMA, kw_only=True):
    """A run as the HTTP service returns it, without its steps.

    Attributes:
        ending: Why it ended.
        error: What it failed with.
        state: Its fields, as they were recorded; secret ones are encrypted.
        version: The version of the graph that recorded them; omitted if the store does not have the spec of that graph.
        failures: The parts of maps and forks that failed and were not repeated since.
        output: The value of the graph's `result=`, once it is finished; omitted without one.
        usage: Its usage of models.
        published: What its nodes published, the newest value of each name and item of a map; the newest 20.
        progress: For each map that is running, how many of its items are done.
        refused: The newest 10 messages that its nodes refused because they were of another type.
        cursor: The place of its last step, to give as `after`. A later run with the same id refuses this cursor.
    """

    ending: Ending | None
    error: Failure | None
    state: Mapping[str, Any]
    version: int | UnsetType = UNSET
    failures: Sequence[FailedPart]
    output: Any = UNSET
    usage: Usage
    published: Sequence[PublishedPart]
    progress: Sequence[MapProgress]
    refused: Sequence[RefusedMessage]
    cursor: str


class PublishedValue(Document):
    """A value that a run published.

    Attributes:
        run_id: The run.
        name: Its name.
        value: The value.
        seq: The step that has it.
        at: When it was published, epoch seconds.
        path: The path of the node.
        item: The item of a map in which it was published; "" outside of maps.
        cursor: The place of that step. Give it as `after` to ask for a newer value. If another run has the id by then,
            the request is refused.
    """

    run_id: str
    name: str
    value: Any
    seq: int
    at: float
    path: str
    item: str
    cursor: str


class Runs(Document):
    """Recorded runs, the newest first.

    Attributes:
        runs: The runs.
        looked_at: How many states were read to find the runs; omitted if the search compares no field of a state.
        unseen: How many runs were not found because they lack a field of the search, which others of their graph have;
            null if no run has the field, omitted if the search names none.
    """

    runs: Sequence[ListedRun]
    looked_at: int | UnsetType = UNSET
    unseen: int | UnsetType | None = UNSET


class TreeRun(ListedRun):
    """A run in a tree.

    Attributes:
        after: The run whose state it began with.
        spent: What it spent itself; null if it cannot be read.
        spent_in_all: That, plus all branches below it.
    """

    after: str | None
    spent: Usage | None
    spent_in_all: Usage


class Tree(Document):
    """Recorded runs, and the runs they were branched from.

    Attributes:
        runs: The runs; `parent` is where each branched off.
    """

    runs: Sequence[TreeRun]


def _fields_of_listed(info: RunInfo, snapshot: Snapshot | None, at_work: AtWork | None) -> dict[str, Any]:
    """Return the fields of a run's `ListedRun`."""
    names = ("graph", "seq", "created_at", "updated_at", "tags", "driver", "due_at", "queue", "priority", "tenant")
    begun = ("title", "user", "starter", "root", "depth", "began_with", "deploy", "ended_at")
    return {
        "run_id": info.id,
        "status": status_of(info),
        **{name: getattr(info, name) for name in (*names, *begun, "queued", "summary")},
        "parent": _parent_of(info),
        "waits": [] if snapshot is None else waits_of(snapshot),
        "at_work": at_work,
    }


def runs_document(
    runs: Iterable[RunInfo],
    waiting: Mapping[str, Snapshot] | None = None,
    at_work: Mapping[str, AtWork] | None = None,
) -> Runs:
    """Return the document of a list of runs, without their steps.

    Args:
        runs: The runs.
        waiting: The snapshots of waiting runs by id; the others wait for nothing.
        at_work: What runs are doing, by id; see `load_at_work`.
    """
    waits, works = waiting or {}, at_work or {}
    return Runs(runs=[ListedRun(**_fields_of_listed(each, waits.get(each.id), works.get(each.id))) for each in runs])


def run_now_document(
    info: RunInfo,
    snapshot: Snapshot,
    at_work: AtWork | None,
    output: object = UNSET,
    graph_spec: GraphSpec | None = None,
) -> RunNow:
    """Return the document of a run as it is now, without its steps.

    Args:
        info: The store's facts about the run.
        snapshot: Its snapshot.
        at_work: What it is doing.
        output: The value of the graph's `result=`, as JSON.
        graph_spec: The spec of the graph under which its state was recorded; None if the store does not have the spec.
    """
    facts = {
        **_fields_of_listed(info, snapshot, at_work),
        **_fields_of_place(info, snapshot),
        **_fields_in_progress(snapshot),
        "seq": snapshot.seq,
        "cursor": info.cursor_at(snapshot.seq),
    }
    version = _version_in(graph_spec)
    return RunNow(**facts, failures=_failures(snapshot), state=snapshot.root.values, version=version, output=output)


def tree_document(
    runs: Iterable[RunInfo],
    waiting: Mapping[str, Snapshot],
    after: Mapping[str, str],
    spent: tuple[Mapping[str, UsageRecord], Mapping[str, UsageRecord]],
    at_work: Mapping[str, AtWork],
) -> Tree:
    """Return the document of runs and the runs they branched from.

    Args:
        runs: The runs.
        waiting: The snapshots of waiting runs by id.
        after: The run whose state a run started with, by id.
        spent: What each run spent on models itself, by id, and with all branches below it. Runs that cannot be read are
            missing from the first.
        at_work: What runs are doing, by id.
    """
    own, whole = spent
    lines = [
        TreeRun(
            **_fields_of_listed(info, waiting.get(info.id), at_work.get(info.id)),
            after=after.get(info.id),
            spent=usage_from(own[info.id]) if info.id in own else None,
            spent_in_all=usage_from(whole.get(info.id, {})),
        )
        for info in runs
    ]
    return Tree(runs=lines)


# --- Two runs --------------------------------------------------------------------------------------------------------


class SpentSince(Usage, frozen=True, kw_only=True):
    """What one run spent since the two diverged.

    Attributes:
        steps: The number of its completed visits since.
        seconds: How long it was driven since.
    """

    steps: int
    seconds: float


class Side(Part):
    """One of the two compared runs.

    Attributes:
        run_id: The run.
        graph: The name of its graph.
        status: As of the compared step.
        seq: The compared step.
        parted_at: Its first step that the other run does not have; null if there is none.
        begins: The update that it branched off with.
        changed: What that update changed.
        way: The steps since that chose an edge.
        usage: All that it spent on models.
        spent: What it spent since they diverged.
    """

    run_id: str
    graph: str
    status: RunStatus
    seq: int
    parted_at: int | None
    begins: Sequence[Any] | None
    changed: Sequence[Difference]
    way: Sequence[Waypoint]
    usage: Usage
    spent: SpentSince


class Compared(Document):
    """Where two runs diverge, and how they differ.

    Attributes:
        shared: The last step that both have; null if there is none.
        alike: How many steps of both paths from there are equal.
        first: The first run.
        second: The second run.
        differences: All differences of their states, however large.
        setup: How their graphs (with prompts), limits and models differ, a line each.
    """

    shared: Shared | None
    alike: int
    first: Side
    second: Side
    differences: Sequence[Difference]
    setup: Sequence[str]


def diff_document(found: run_diff.RunDiff) -> Compared:
    """Return the document of where two runs diverge."""
    return Compared(
        shared=found.shared,
        alike=found.alike,
        first=_side(found.first),
        second=_side(found.second),
        differences=found.differences,
        setup=found.setup,
    )


def _side(side: run_diff.Side) -> Side:
    return Side(
        run_id=side.info.id,
        graph=side.info.graph,
        status=side.snapshot.status,
        seq=side.snapshot.seq,
        parted_at=side.parts_at,
        begins=side.begins.update if side.begins is not None else None,
        changed=side.changed,
        way=[msgspec.convert(step_document(step), Waypoint, from_attributes=True) for step in side.path],
        usage=usage_from(side.snapshot.usage),
        spent=SpentSince(**msgspec.structs.asdict(usage_from(side.spent)), steps=side.steps, seconds=side.seconds),
    )


# --- Watching a run --------------------------------------------------------------------------------------------------


class WatchLine(Document):
    """A line of a watched run.

    Attributes:
        event: The kind of this line.
        run_id: The run.
        graph: The name of its graph.
    """

    run_id: str
    graph: str


class Stepped(WatchLine, kw_only=True):
    """A step was recorded.

    Attributes:
        step: The step.
    """

    event: Literal["step"] = "step"
    step: Step


class StatusReported(WatchLine, kw_only=True):
    """The status of the run, whenever one of these values changes.

    Attributes:
        status: Its status; a running one that no process has driven is `queued`, one that none drives `interrupted`.
        driver: The process that drives it; null if none does.
        waits: What it waits for.
    """

    # "stands" stays its name in JSON, which recorded documents have and their readers match.
    event: Literal["stands"] = "stands"
    status: Status
    driver: str | None
    waits: Sequence[Wait]


class WatchEnded(WatchLine, kw_only=True):
    """The run is over, or is no longer watched.

    Attributes:
        status: As of the last step.
        driver: Null: no process drives it.
        seq: Its last step.
        ending: Why it ended.
        error: What it failed with.
        waits: What it waits for.
        state: Its fields.
        usage: Its usage of models, including what it inherited.
    """

    event: Literal["ended"] = "ended"
    status: RunStatus | Literal["queued"]
    driver: str | None = None
    seq: int
    ending: Ending | None
    error: Failure | None
    waits: Sequence[Wait]
    state: Mapping[str, Any]
    usage: Usage


def ended_document(info: RunInfo, snapshot: Snapshot) -> WatchEnded:
    """Return how a run ended, or where it is when it is no longer watched."""
    return WatchEnded(**_fields_of_place(info, snapshot), seq=snapshot.seq, state=snapshot.root.values)
