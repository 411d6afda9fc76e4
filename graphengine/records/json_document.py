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
    """The run from which a branch was started.

    Attributes:
        run_id: The id of the parent run.
        seq: The number of the last step that the branch shares with its parent.
    """

    run_id: str
    seq: int


class Spending(Usage, frozen=True, kw_only=True):
    """The model calls of one agent at one node with one model: their number, tokens and cost.

    Attributes:
        agent: The name of the agent; "" if rules answered in its place.
        model: The model that answered; "" if it is not recorded.
        node: The path of the node.
        inherited: Whether the calls were made before the run branched off from its parent.
    """

    agent: str
    model: str
    node: str
    inherited: bool


class SpendingOfRun(Document):
    """What the model calls of a run cost.

    Attributes:
        run_id: The id of the run.
        usage: The usage of all model calls of the run.
        inherited: The part of `usage` from before the run branched off from its parent.
        children: What the child runs of the run cost. The other figures of this document do not include this cost.
        spending: The same calls as in `usage`, by agent, model and node.
    """

    run_id: str
    usage: Usage
    inherited: Usage
    children: SpentBelow
    spending: Sequence[Spending]


class PublishedPart(Part, kw_only=True):
    """A value that a node of a run published.

    Attributes:
        name: The name under which the value was published.
        value: The value; omitted if it has more than 2,000 characters as JSON. The step contains the whole value.
        seq: The number of the step that contains the value.
        at: When the value was published, epoch seconds.
        path: The path of the node.
        item: The item of a map in which the value was published; "" outside of maps.
    """

    name: str
    value: Any = UNSET
    seq: int
    at: float
    path: str
    item: str


class RunHead(Document):
    """What several JSON documents contain about a run after one of its steps.

    The state and the list of steps are left out, because only some of the documents contain them.

    Attributes:
        run_id: The id of the run.
        graph: The name of its graph.
        status: The status of the run. A running run is `queued` if no process has driven it yet, and `interrupted` if
            no process drives it any more.
        parent: The run from which it was branched; null if it is no branch.
        tags: The tags of the run.
        ending: Why the run ended; null before its end.
        error: The error with which the run failed.
        waits: What the run waits for.
        usage: The usage of models in all steps, including the steps that the run shares with its parent.
        inherited: The part of `usage` from the steps that the run shares with its parent.
        losses: The number of things that went wrong on the way, by kind: `failed_items`, `failed_children`,
            `unused_results`, `fallbacks`, `retries`, `rejected_answers`, `failed_tools`.
        deaths: How often a process died while nodes of the run were executing. The model calls of these nodes are not
            in `usage`.
        published: The values that nodes published, with the newest value of each name and item of a map; at most 20.
        progress: For each map that is running, how many of its items are done.
        refused: The newest 10 messages that nodes refused, because the messages had a wrong type.
        at_work: What the run is doing now; null unless a live process drives the run.
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
    """An item of a map, or an arm of a fork, that failed and was not tried again.

    Attributes:
        item: The values of the item, by their names in `each`; empty for an arm.
        error: The failure. Its `path` includes the position of the item, as in `research[3]`.
    """

    item: Mapping[str, Any]
    error: Failure


class Run(RunHead, kw_only=True):
    """A run with its state and all its steps.

    Attributes:
        state: The fields of the state, as they were recorded.
        version: The version of the graph that recorded the state; omitted if the store does not have the spec of that
            graph.
        failures: The items of maps and arms of forks that failed and were not repeated since.
        output: The value of the graph's `result=`; omitted if the graph has none, and always omitted by `graphengine
            show`.
        children: What the child runs of the run cost. The other figures of this document do not include this cost.
        spending: The usage of models by agent, model and node.
        steps: The steps of the run, including those that it shares with its parents.
        branches: The newest 20 branches that were started from the run, with their results.
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
    """Return the fields of a JSON document that describe the present state of a run. Several documents contain them."""
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
    """Return the fields of a JSON document that show the progress of a run.

    They contain the published values, the progress of maps, and refused messages.
    """
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
    """Build the JSON document of a run at one of its snapshots, with its state and steps.

    Args:
        info: The run's row in the store.
        snapshot: The last snapshot of the run, or an earlier one.
        steps: The steps up to this snapshot, including those that the run shares with its parents.
        below: What the child runs cost; None if there are none.
        output: The value of the graph's `result=`, as JSON.
        specs: The specs of the run's graph by fingerprint, from which the version and the reasons for edges are read.
        at_work: What the run is doing now.
        branches: The branches that were started from the run.
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
    """Build the JSON document of what a run's model calls cost up to a snapshot, and of what its child runs cost."""
    return SpendingOfRun(
        run_id=info.id,
        usage=usage_from(snapshot.usage),
        inherited=usage_from(snapshot.inherited),
        children=below or SpentBelow(),
        spending=spending_document(spending(steps, info.parent_seq)),
    )


def spending_document(spent: Iterable[Spent]) -> Sequence[Spending]:
    """Convert the usage of models by agent, model and node to JSON objects."""
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
    """A run in a list of runs.

    Attributes:
        run_id: The id of the run.
        graph: The name of its graph.
        status: The status of the run. A running run is `queued` if no process has driven it yet, and `interrupted` if
            no process drives it any more.
        seq: The number of its last step.
        created_at: When the run began, epoch seconds.
        updated_at: When its last step was recorded, epoch seconds.
        parent: The run from which it was branched; null if it is no branch.
        tags: The tags of the run.
        driver: The process that drives the run now; null if none does.
        due_at: When the first timer of the run is due, epoch seconds.
        queue: The queue from which workers take the run.
        priority: The priority in the queue; runs with a higher number are taken earlier.
        tenant: The tenant for whom the run is executed. The tenants of a queue take turns.
        queued: Whether no process has driven the run yet.
        title: What the run is about.
        user: The user who started the run; null if no user did.
        starter: The id of the run whose node started this run; null if no node did.
        root: The id of the run at the top of the tree of child runs; null if this run is the top. Stopping the top run
            stops the whole tree.
        depth: How many runs are above this run in the tree of child runs.
        began_with: The fingerprint of the graph with which the run began.
        deploy: The label of the deploy that began the run; "" for none.
        ended_at: When the run ended, epoch seconds; null before its end.
        summary: What lists show of the run's content and result; null before its status first changed.
        waits: What the run waits for.
        at_work: What the run is doing now; null unless a live process drives the run.
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
    """The present state of a run as the HTTP service returns it, without its steps.

    Attributes:
        ending: Why the run ended; null before its end.
        error: The error with which the run failed.
        state: The fields of the state, as they were recorded. Secret fields are encrypted.
        version: The version of the graph that recorded the state; omitted if the store does not have the spec of that
            graph.
        failures: The items of maps and arms of forks that failed and were not repeated since.
        output: The value of the graph's `result=` once the run has finished; omitted if there is none.
        usage: The usage of models.
        published: The values that nodes published, with the newest value of each name and item of a map; at most 20.
        progress: For each map that is running, how many of its items are done.
        refused: The newest 10 messages that nodes refused, because the messages had a wrong type.
        cursor: The position of the last step. Pass it as `after` to read only what follows. A later run with the same
            id refuses this cursor.
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
    """A value that a node of a run published.

    Attributes:
        run_id: The id of the run.
        name: The name under which the value was published.
        value: The value.
        seq: The number of the step that contains the value.
        at: When the value was published, epoch seconds.
        path: The path of the node.
        item: The item of a map in which the value was published; "" outside of maps.
        cursor: The position of that step. Pass it as `after` to wait for a newer value. If another run has the id by
            then, the request is refused.
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
        unseen: How many runs the search could not judge, because they lack a field of the search that other runs of
            their graph have. Null if no run has the field; omitted if the search names no such field.
    """

    runs: Sequence[ListedRun]
    looked_at: int | UnsetType = UNSET
    unseen: int | UnsetType | None = UNSET


class TreeRun(ListedRun):
    """A run in a tree of branches.

    Attributes:
        after: The id of the earlier run with whose final state this run began; null if it began otherwise.
        spent: The usage of models in the run's own steps; null if the run cannot be read.
        spent_in_all: The usage of models of the run and of all branches below it.
    """

    after: str | None
    spent: Usage | None
    spent_in_all: Usage


class Tree(Document):
    """Recorded runs together with the runs from which they were branched.

    Attributes:
        runs: The runs. `parent` names the run from which a run was branched.
    """

    runs: Sequence[TreeRun]


def _fields_of_listed(info: RunInfo, snapshot: Snapshot | None, at_work: AtWork | None) -> dict[str, Any]:
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
    """Build the JSON document of a list of runs.

    Args:
        runs: The rows of the runs.
        waiting: The snapshots of waiting runs by id. All other runs are listed without waits.
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
    """Build the JSON document of a run as it is now, without its steps.

    Args:
        info: The run's row in the store.
        snapshot: The run's last snapshot.
        at_work: What the run is doing now.
        output: The value of the graph's `result=`, as JSON.
        graph_spec: The spec of the graph under which the state was recorded; None if the store does not have the spec.
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
    """Build the JSON document of runs and the runs from which they were branched.

    Args:
        runs: The rows of the runs.
        waiting: The snapshots of waiting runs by id.
        after: For runs that began with the final state of an earlier run, the id of that run, by the id of the new run.
        spent: The usage of models by the id of the run: first that of the run's own steps, then that of the run with
            all branches below it. Runs that cannot be read are missing from the first.
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
    """What one of two compared runs did and spent after the point at which their paths diverged.

    Attributes:
        steps: The number of visits that the run completed since then.
        seconds: How many seconds processes drove the run since then.
    """

    steps: int
    seconds: float


class Side(Part):
    """One of two compared runs.

    Attributes:
        run_id: The id of the run.
        graph: The name of its graph.
        status: The status of the run at the compared step.
        seq: The number of the compared step.
        parted_at: The number of the first step that the other run did not take; null if there is none.
        begins: The changes of the state with which the run was branched, as operations on fields.
        changed: The same changes, as old and new values.
        way: The steps after the last shared step, without steps that choose no edge.
        usage: The usage of models of the whole run.
        spent: The usage of models after the last shared step.
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
    """Where the paths of two runs diverge, and how the runs differ.

    Attributes:
        shared: The last step that both runs share; null if there is none.
        alike: How many steps after the shared step are the same in both runs.
        first: The first run.
        second: The second run.
        differences: All differences between their states, however large.
        setup: How their graphs (with prompts), limits and models differ, one line each.
    """

    shared: Shared | None
    alike: int
    first: Side
    second: Side
    differences: Sequence[Difference]
    setup: Sequence[str]


def diff_document(found: run_diff.RunDiff) -> Compared:
    """Convert the comparison of two runs to its JSON document."""
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
    """One event of a run that is being watched, as one line of JSON.

    Attributes:
        event: The kind of the event.
        run_id: The id of the run.
        graph: The name of its graph.
    """

    run_id: str
    graph: str


class Stepped(WatchLine, kw_only=True):
    """The run recorded a step.

    Attributes:
        step: The step.
    """

    event: Literal["step"] = "step"
    step: Step


class StatusReported(WatchLine, kw_only=True):
    """The status of the run, its driver or its waits changed.

    Attributes:
        status: The status of the run. A running run is `queued` if no process has driven it yet, and `interrupted` if
            no process drives it any more.
        driver: The process that drives the run; null if none does.
        waits: What the run waits for.
    """

    # "stands" stays its name in JSON, which recorded documents have and their readers match.
    event: Literal["stands"] = "stands"
    status: Status
    driver: str | None
    waits: Sequence[Wait]


class WatchEnded(WatchLine, kw_only=True):
    """The run has ended, or watching it has ended.

    Attributes:
        status: The status of the run after its last step.
        driver: Always null, because no process drives the run.
        seq: The number of the last step.
        ending: Why the run ended.
        error: The error with which the run failed.
        waits: What the run waits for.
        state: The fields of the state.
        usage: The usage of models in all steps, including the steps that the run shares with its parent.
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
    """Build the last line that `watch --json` prints of a run that has ended, or that is no longer watched."""
    return WatchEnded(**_fields_of_place(info, snapshot), seq=snapshot.seq, state=snapshot.root.values)
