"""Load snapshots of recorded runs, and describe their waits.

Nothing here advances a run or calls the user's code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from msgspec import UNSET, convert

from graphengine.engine.fold import fold
from graphengine.engine.graph_spec import check_graph_spec
from graphengine.engine.open_waits import has_failed
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.steps import ANSWERABLE, AnswerRecord, Failed, Left, Node, Shift, is_removed, path_of
from graphengine.engine.stored import decode_snapshot
from graphengine.errors import InputError, StoreCorrupt, StoreTooNew, UnknownStep
from graphengine.state.recorded_text import show
from graphengine.stores.refusals import step_removed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graphengine.engine.graph_spec import GraphSpec
    from graphengine.engine.steps import Step, WaitRecord
    from graphengine.stores.base import InboxMessage, Loaded, RunInfo, RunStore

At: TypeAlias = "int | str | tuple[str, int]"
"""A step of a run: the number of the step, or the path and visit number of a node.

`("review", 2)` and `"review:2"` both mean the step that completed the second visit of the node `review`.
"""
_VISIT: Final = re.compile(r"(.+):([0-9]{1,9})")

_LISTED: Final = 20

LET_GO_LATER: Final = ("waiting", "failed")
"""The statuses of a run's log while its row may still say `running`.

The row changes when the work in flight has ended and the process releases the run.
"""


@dataclass(frozen=True, slots=True)
class PostedAnswer:
    """An answer that was given to a run and that the run has not processed yet.

    Attributes:
        value: The answer, as JSON.
        by: The person who answered; "" if the person is not known.
        at: When the answer was given, in epoch seconds.
        through: The interface through which the answer came, such as `cli`; "" for a program's own call.
        reason: The reason that the person gave.
    """

    value: Any
    by: str
    at: float
    through: str
    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait of a run: a question, a message, a time or another event for which the run waits.

    Attributes:
        name: The name of the wait. If the run has asked only one question with this name so far, the name is enough to
            answer the question. Otherwise the `id` is needed.
        kind: The kind of event for which the run waits: `ask` (an answer), `tool` (the result of a call that another
            program executes), `receive` (a message), `sleep` (a time), `pause` (the answer True to continue), or
            `unknown` (a person must say how an effect ended that had begun).
        question: The question, as text.
        schema: The JSON Schema of the answer; None if the wait is not ended by an answer.
        topic: The topic of the message.
        due_at: When the wait times out, epoch seconds. None if it never times out, or if the part of the run that waits
            has failed and is not tried again yet.
        answered: The answer that is recorded and that no worker or resume has taken up yet; None while the question is
            open. When the answer is taken up, the log contains it and the wait is over.
        facts: The values that a person needs to answer. For a question, the values that `ask(facts=…)` names, by path.
            For a `tool`, the name of the tool (`tool`), the `arguments`, and the schema of the arguments
            (`parameters`).
        proposed: The value that `ask(proposed=…)` names; left out if the question proposes no value.
        old: The value that the proposed value would replace, which `ask(was=…)` names; left out if none is named.
        id: The id of the question, for `runner.answer(run_id, value, wait=wait)`, which reads the id from the wait, and
            for `graphengine answer RUN_ID VALUE --wait ID`. The id stays the same as long as a visit asks the same
            question. It has no use for waits that are not ended by an answer.
    """

    name: str
    kind: Literal["ask", "receive", "sleep", "pause", "unknown", "tool"]
    question: str
    schema: Mapping[str, Any] | None = None
    topic: str | None = None
    due_at: float | None = None
    answered: PostedAnswer | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    proposed: Any = UNSET
    old: Any = UNSET
    id: str = ""

    @property
    def answerable(self) -> bool:
        """Whether the wait ends with an answer that a person or a program gives."""
        return self.kind in ANSWERABLE


def wait_of(name: str, record: WaitRecord, given: AnswerRecord | None = None) -> Wait:
    """Describe a recorded wait for callers, with the answer that was given but not processed yet, if there is one."""
    answer = None if given is None else PostedAnswer(given.value, given.by, given.at, given.through, show(given.reason))
    beside = record.facts, record.proposed, record.old, record.id
    return Wait(name, record.kind, show(record.question), record.schema, record.topic, record.due, answer, *beside)


def waits_of(snapshot: Snapshot) -> Sequence[Wait]:
    """Return everything that a run is waiting for: questions, messages, times and other events."""
    found = list[Wait]()
    for frame in snapshot.frames.values():
        waits = [wait_of(name, wait, snapshot.posted.get(wait.id)) for name, wait in frame.waits.items()]
        found += [replace(wait, due_at=None) for wait in waits] if waits and has_failed(frame) else waits
    return found


def answer_in(payload: Mapping[str, Any]) -> AnswerRecord:
    """Read the answer out of a message in a run's inbox."""
    return convert({name: fact for name, fact in payload.items() if name != "wait"}, AnswerRecord)


def find_posted(inbox: Iterable[InboxMessage], run_id: str) -> Mapping[str, AnswerRecord]:
    """Return the answers in a run's inbox that the run has not processed yet, by the ids of the questions."""
    found = (each.payload for each in inbox if (each.run_id, each.kind) == (run_id, "answer"))
    return {payload["id"]: answer_in(payload) for payload in found}


async def graph_spec_of(store: RunStore, fingerprint: str) -> GraphSpec | None:
    """Load the description of a graph that a store has kept under this fingerprint; None if there is none.

    Raises:
        StoreCorrupt: The recorded value is not the description of a graph.
    """
    graph_spec = await store.graph_spec(fingerprint)
    try:
        check_graph_spec(graph_spec or {})
    except ValueError as error:
        raise StoreCorrupt(
            f"the recorded description (graph spec) of graph {fingerprint} cannot be read: {error}",
            where=f"the graph spec of graph {fingerprint}",
            repair="run `graphengine doctor` for details; runs of other graphs are usable",
        ) from error
    return graph_spec


async def load_snapshot(store: RunStore, run_id: str, at: At | None) -> Snapshot:
    """Load the state of a run after one of its steps, by default the last step.

    Raises:
        UnknownRun: The run does not exist.
        UnknownStep: The run has no such step or visit.
        InputError: `at` is not a valid way to name a step.
        StoreCorrupt: The log is damaged: its steps do not follow each other.
    """
    if isinstance(at, str) and (found := _VISIT.fullmatch(at)):
        at = (found[1], int(found[2]))
    match at:
        case [str() as node, int() as visit]:
            at = await seq_of_visit(store, run_id, node, visit)
    if isinstance(at, int | None):
        return snapshot_of(await store.load(run_id, at), run_id)
    steps = "the number of a step, such as 7 (step 1 is the input)"
    repair = f"give {steps}, or a node's path and visit, as ('review', 2) or 'review:2'"
    raise InputError(f"{at!r} does not name a step of run {run_id!r}", where=f"run {run_id}", repair=repair)


async def seq_of_visit(store: RunStore, run_id: str, node: str, visit: int) -> int:
    """Return the number of the step with which a visit of a node completed, so that the run can be inspected there.

    Args:
        store: The store that contains the run.
        run_id: The run.
        node: The node's path, such as `review`, `article/review` or `research[3]`.
        visit: The number of the visit, from 1, as `graphengine show` and the steps number visits.

    Raises:
        UnknownRun: The run does not exist.
        StoreCorrupt: The log is damaged.
        UnknownStep: No completed visit has this number, or several visits have it because the graph around the node was
            entered more than once.
    """
    done = _list_completed_visits(await store.steps(run_id))
    here = [(number, seq) for path, number, seq in done if path == node]
    found = [seq for number, seq in here if number == visit]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{number} (step {seq})" for number, seq in here[-_LISTED:])
    repair = f"choose a step; the visits of the node are {'… ' if len(here) > _LISTED else ''}{listed}"
    text = f"node {node!r} of run {run_id!r} has no completed visit {visit}"
    if found:
        text = f"node {node!r} of run {run_id!r} has {len(found)} completed visits with the number {visit}"
    if not here:
        from graphengine.state.path import did_you_mean  # noqa: PLC0415 - it needs pydantic, which a list of runs does not

        repair = did_you_mean(node, sorted({path for path, _, _ in done}))
    raise UnknownStep(text, where=f"run {run_id}", repair=repair)


def _list_completed_visits(steps: Iterable[Step]) -> Sequence[tuple[str, int, int]]:
    """Return the completed visits of a run: for each, the path of the node, the number of the visit, and its last step.

    If a later version of the graph renamed nodes, the path contains the new names.
    """
    done: list[tuple[str, int, int]] = []
    left: dict[tuple[str, str, int], int] = {}
    for step in steps:
        place = step.frame, step.node, step.visit
        if isinstance(step.data, Node) or (isinstance(step.data, Failed) and not step.data.has_failed):
            left[place] = len(done)
            done.append((step.path, step.visit, step.seq))
        elif isinstance(step.data, Left) and place in left:  # The edge of the visit was chosen in this later step.
            done[left[place]] = (step.path, step.visit, step.seq)
        elif isinstance(step.data, Shift):
            names = {
                path_of(at, was): path_of(at, new)
                for at, all_ in step.data.renamed.items()
                for was, new in all_.items()
            }
            done = [(_rename_path(path, names), number, seq) for path, number, seq in done]
    return done


def _rename_path(path: str, names: Mapping[str, str]) -> str:
    """Return the path of a node under its present name, given the present paths by the recorded ones."""
    was = next((each for each in names if re.match(rf"{re.escape(each)}([/\[]|$)", path)), "")
    return names.get(was, "") + path[len(was) :]


def snapshot_of(loaded: Loaded, run_id: str) -> Snapshot:
    """Return the snapshot of a run after the last step that the store has loaded.

    The stored snapshot is taken as the beginning, and the steps after it are applied.

    Raises:
        StoreCorrupt: The log is damaged: its steps do not follow each other.
    """
    if loaded.steps and is_removed(loaded.steps[-1]):
        raise step_removed(run_id, loaded.steps[-1].seq)
    try:
        start = decode_snapshot(loaded.snapshot) if loaded.snapshot is not None else Snapshot()
        found = fold(loaded.steps, start)
        found.check_sound()
    except StoreTooNew:
        raise
    except Exception as error:
        raise unfoldable(run_id, error) from error
    _check_row(found, loaded.info)
    return found


def unfoldable(run_id: str, error: Exception) -> StoreCorrupt:
    return StoreCorrupt(
        f"the steps of run {run_id!r} do not follow from each other: {type(error).__name__}: {error}",
        where=f"run {run_id}",
        repair="restore this run from a backup, other runs are not affected; `graphengine doctor` shows the details",
    )


def _check_row(found: Snapshot, info: RunInfo) -> None:
    """Check that the row about a run in the database agrees with the run's log.

    Only what the loaded part of the log shows is compared: the graph and, if the whole log is loaded, the run's id,
    status and fingerprint.

    Raises:
        StoreCorrupt: The row does not agree with the log.
    """
    if info.seq <= info.parent_seq:
        raise StoreCorrupt(
            f"run {info.id!r} is damaged: the database contains none of its own steps",
            where=f"run {info.id}",
            repair="run `graphengine doctor` for details; `graphengine doctor --repair` saves what can be read",
        )
    pairs = [("graph", info.graph, found.graph)] if found.seq > info.parent_seq else []
    if found.seq == info.seq:
        pairs += [("id", info.id, found.run_id), ("fingerprint", info.fingerprint, found.fingerprint)]
        if info.status != "running" or found.status not in LET_GO_LATER:
            pairs.append(("status", info.status, found.status))
    mismatches = [
        f"{name} is {stored!r} there and {logged!r} in the log" for name, stored, logged in pairs if stored != logged
    ]
    if mismatches:
        raise StoreCorrupt(
            f"the row of run {info.id!r} in the database was changed since it was written: {'; '.join(mismatches)}",
            where=f"run {info.id}",
            repair="`graphengine doctor --repair` restores the row from the log",
        )
