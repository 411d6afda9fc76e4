"""Reading recorded runs: snapshots, visits, and what a run waits for.

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
"""A step of a run: its seq, or a node's path and visit, as `("review", 2)` or `"review:2"`: the step that completed
that visit."""
_VISIT: Final = re.compile(r"(.+):([0-9]{1,9})")

_LISTED: Final = 20

LET_GO_LATER: Final = ("waiting", "failed")
"""Statuses that a run's log can have while its row has `running`: it is released once its work in flight has ended."""


@dataclass(frozen=True, slots=True)
class PostedAnswer:
    """An answer that is recorded, and that nothing which drives the run has taken up yet.

    Attributes:
        value: The answer, as JSON.
        by: Who gave it; "" if that is not known.
        at: When, epoch seconds.
        through: The door through which it came, such as `cli`; "" for a program's own call.
        reason: Why, in the words of the one who answered.
    """

    value: Any
    by: str
    at: float
    through: str
    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Something that a run waits for.

    Attributes:
        name: Its name. A question that the run has asked once can be answered by it.
        kind: `ask` (an answer), `tool` (the result of a call that another program executes), `receive` (a message),
            `sleep` (a time), `pause` (the answer True to continue), or `unknown` (how an effect ended that began).
        question: The question, as text.
        schema: The JSON Schema of the answer; None if it takes no answer.
        topic: The topic of the message.
        due_at: When it times out, epoch seconds; None for never, or not before its part, which failed, is tried again.
        answered: The answer that waits for a worker or a resume to take it up; None while it is open. Once that is
            taken up, the log has it, and the wait is over.
        facts: What the one who answers must know: by path what `ask(facts=…)` names; of a `tool` its name (`tool`), the
            `arguments`, and the schema of these (`parameters`).
        proposed: The value that `ask(proposed=…)` names; left out if it names none.
        old: The value that this would replace, which `ask(was=…)` names; left out if it names none.
        id: The id of this asking, to answer it by: `runner.answer(run_id, value, wait=wait)` takes it from the wait,
            and `graphengine answer RUN_ID VALUE --wait ID`. The same for as long as a visit asks it, unchanged; of
            what takes no answer it is of no use.
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
        """Whether an answer ends it."""
        return self.kind in ANSWERABLE


def wait_of(name: str, record: WaitRecord, given: AnswerRecord | None = None) -> Wait:
    """Return a wait as it is recorded under a name, with the answer that is posted to it."""
    answer = None if given is None else PostedAnswer(given.value, given.by, given.at, given.through, show(given.reason))
    beside = record.facts, record.proposed, record.old, record.id
    return Wait(name, record.kind, show(record.question), record.schema, record.topic, record.due, answer, *beside)


def waits_of(snapshot: Snapshot) -> Sequence[Wait]:
    """Return all waits of a run."""
    found = list[Wait]()
    for frame in snapshot.frames.values():
        waits = [wait_of(name, wait, snapshot.posted.get(wait.id)) for name, wait in frame.waits.items()]
        found += [replace(wait, due_at=None) for wait in waits] if waits and has_failed(frame) else waits
    return found


def answer_in(payload: Mapping[str, Any]) -> AnswerRecord:
    """Return the answer that a message of an inbox brings."""
    return convert({name: fact for name, fact in payload.items() if name != "wait"}, AnswerRecord)


def find_posted(inbox: Iterable[InboxMessage], run_id: str) -> Mapping[str, AnswerRecord]:
    """Return the answers to a run that are in an inbox, by the ids of their waits."""
    found = (each.payload for each in inbox if (each.run_id, each.kind) == (run_id, "answer"))
    return {payload["id"]: answer_in(payload) for payload in found}


async def graph_spec_of(store: RunStore, fingerprint: str) -> GraphSpec | None:
    """Return the graph spec recorded under this fingerprint, or None.

    Raises:
        StoreCorrupt: It is not the spec of a graph.
    """
    graph_spec = await store.graph_spec(fingerprint)
    try:
        check_graph_spec(graph_spec or {})
    except ValueError as error:
        raise StoreCorrupt(
            f"the graph spec of graph {fingerprint} cannot be read: {error}",
            where=f"the graph spec of graph {fingerprint}",
            repair="run `graphengine doctor` for details; runs of other graphs are usable",
        ) from error
    return graph_spec


async def load_snapshot(store: RunStore, run_id: str, at: At | None) -> Snapshot:
    """Load a run's snapshot after a step, by default the last one.

    Raises:
        UnknownRun, UnknownStep; InputError: `at` is no step; StoreCorrupt: The log does not fold.
    """
    if isinstance(at, str) and (found := _VISIT.fullmatch(at)):
        at = (found[1], int(found[2]))
    match at:
        case [str() as node, int() as visit]:
            at = await seq_of_visit(store, run_id, node, visit)
    if isinstance(at, int | None):
        return snapshot_of(await store.load(run_id, at), run_id)
    repair = "give the seq of a step, or a node's path and visit, as ('review', 2) or 'review:2'"
    raise InputError(f"a step is given as {at!r}", where=f"run {run_id}", repair=repair)


async def seq_of_visit(store: RunStore, run_id: str, node: str, visit: int) -> int:
    """Return the seq of the step that completed a visit of a node.

    Args:
        store: The store that has the run.
        run_id: The run.
        node: The node's path, as `review`, `article/review` or `research[3]`.
        visit: Which visit of the node, from 1, as `show` and steps number them.

    Raises:
        UnknownRun, StoreCorrupt; UnknownStep: No such visit has completed, or several have, since the graph around the
            node was entered again.
    """
    done = _list_completed_visits(await store.steps(run_id))
    here = [(number, seq) for path, number, seq in done if path == node]
    found = [seq for number, seq in here if number == visit]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{number} (step {seq})" for number, seq in here[-_LISTED:])
    repair = f"give the step; its visits: {'… ' if len(here) > _LISTED else ''}{listed}"
    text = f"{len(found) or 'no'} completed visits of {node!r} in run {run_id} have the number {visit}"
    if not here:
        from graphengine.state.path import did_you_mean  # noqa: PLC0415 - it needs pydantic, which a list of runs does not

        repair = did_you_mean(node, sorted({path for path, _, _ in done}))
    raise UnknownStep(text, where=f"run {run_id}", repair=repair)


def _list_completed_visits(steps: Iterable[Step]) -> Sequence[tuple[str, int, int]]:
    """Return the present path and the number of each visit that has completed, and the seq of its last step."""
    done: list[tuple[str, int, int]] = []
    left: dict[tuple[str, str, int], int] = {}
    for step in steps:
        place = step.frame, step.node, step.visit
        if isinstance(step.data, Node) or (isinstance(step.data, Failed) and not step.data.has_failed):
            left[place] = len(done)
            done.append((step.path, step.visit, step.seq))
        elif isinstance(step.data, Left) and place in left:  # its edge was chosen later
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
    """Return the present path of a visit, given the new paths of nodes by the old ones."""
    was = next((each for each in names if re.match(rf"{re.escape(each)}([/\[]|$)", path)), "")
    return names.get(was, "") + path[len(was) :]


def snapshot_of(loaded: Loaded, run_id: str) -> Snapshot:
    """Fold what a store loaded into a snapshot.

    Raises:
        StoreCorrupt: The log does not fold.
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
    """Return the error of a log that does not fold."""
    return StoreCorrupt(
        f"the log of run {run_id} does not fold: {type(error).__name__}: {error}",
        where=f"run {run_id}",
        repair="run `graphengine doctor` for details; the other runs are usable; restore this one from a backup",
    )


def _check_row(found: Snapshot, info: RunInfo) -> None:
    """Check that a run's row agrees with its log, as far as this snapshot reaches.

    Raises:
        StoreCorrupt: It does not.
    """
    if info.seq <= info.parent_seq:
        raise StoreCorrupt(
            f"run {info.id} has none of its own steps",
            where=f"run {info.id}",
            repair="run `graphengine doctor` for details; `graphengine doctor --repair` saves what can be read",
        )
    pairs = [("graph", info.graph, found.graph)] if found.seq > info.parent_seq else []
    if found.seq == info.seq:
        pairs += [("id", info.id, found.run_id), ("fingerprint", info.fingerprint, found.fingerprint)]
        if info.status != "running" or found.status not in LET_GO_LATER:
            pairs.append(("status", info.status, found.status))
    mismatches = [f"{name} {stored!r}, its log {logged!r}" for name, stored, logged in pairs if stored != logged]
    if mismatches:
        raise StoreCorrupt(
            f"the row of run {info.id} was changed since it was written: it has {'; '.join(mismatches)}",
            where=f"run {info.id}",
            repair="`graphengine doctor --repair` restores the row from the log",
        )
