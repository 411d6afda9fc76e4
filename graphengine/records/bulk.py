"""Apply one action to all runs that a search finds: stop, cancel, resume, retry, answer, tag, untag, prune or fill.

Each run is changed separately. A run that was changed no longer meets the conditions of the action: a stopped run
cannot be stopped again. If a call is interrupted, any process can repeat the call, and only the remaining runs are
changed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence  # noqa: TC003 - of a document
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

from msgspec import UNSET, UnsetType, structs

from graphengine.errors import GraphEngineError, InputError, RunNotResumable
from graphengine.kernel.extension import did_you_mean
from graphengine.kernel.inside import check_tags, graphs_by_name
from graphengine.kernel.reader import status_of
from graphengine.kernel.store import sought_words
from graphengine.records.base_documents import Document
from graphengine.records.filling import fill_fields, lacks_fields
from graphengine.records.retention import DRIVEN, ENDED, remove
from graphengine.records.search import wanted_of
from graphengine.records.selection import Found, Wanted, find_runs
from graphengine.wings import wings

if TYPE_CHECKING:
    from graphengine.kernel.extension import GraphDefinition
    from graphengine.kernel.store import RunInfo, Store
    from graphengine.records.records import Records
    from graphengine.records.run_waits import RunWait

Action: TypeAlias = Literal["stop", "cancel", "resume", "retry", "tag", "untag", "prune", "fill"]
"""The actions that need no value."""
ACTIONS: Final[Sequence[str]] = (*get_args(Action), "answer")

_FOR: Final[Mapping[str, Sequence[str]]] = {
    "stop": ("queued", "running", "interrupted", "waiting"),
    "cancel": ("queued", "running", "interrupted", "waiting", "stopped", "failed"),
    "resume": ("stopped",),
    "retry": ("failed",),
    "answer": ("waiting",),
    "prune": ENDED,
}
"""The statuses of the runs that an action is for; tags are for all."""
_AT_ONCE: Final = 16


class Bulk(Document):
    """The result of applying one action to all runs that a search found.

    Attributes:
        action: The action.
        runs: The ids of the runs that were changed. In a dry run, the ids of the runs that would be changed.
        refused: Why runs could not be changed: the reasons, by the ids of the runs.
        dry_run: Whether this was a dry run, which changes nothing.
        looked_at: How many states were read to find the runs; omitted if the search compares no field of a state.
        unseen: How many runs the search could not judge, because they lack a field of the search that other runs of
            their graph have.
    """

    action: Literal[Action, "answer"]
    runs: Sequence[str]
    refused: Mapping[str, str]
    dry_run: bool = False
    looked_at: int | UnsetType = UNSET
    unseen: int | UnsetType | None = UNSET


@dataclass(frozen=True, slots=True)
class Order:
    """An action to apply to many runs, such as a stop or an answer, with its arguments as in `Admin.bulk`.

    `search` selects the runs. If it is None, the caller of `bulk` passes the runs.
    """

    action: Literal[Action, "answer"]
    search: str | None
    graphs: Sequence[GraphDefinition[Any]] = ()
    tag: str | None = None
    why: str = "asked"
    value: object = None
    wait: str | None = None
    by: str = ""

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            repair = did_you_mean(self.action, ACTIONS)
            raise InputError(f"bulk has no action {self.action!r}", where="bulk", repair=repair)
        wanted = wanted_of(self.search or "", Wanted(sys.maxsize))
        # Words without a letter or a digit find every run.
        is_all = wanted == Wanted(sys.maxsize) or not (wanted.text is None or sought_words(wanted.text))
        if is_all and self.search is not None:
            text = f"the action {self.action!r} has no search that says which runs it changes"
            repair = 'write a search such as "graph:review since:1d", or "since:9999d" for all runs'
            raise InputError(text, where=f"bulk {self.action}", repair=repair)
        if (self.tag is not None) != (self.action in ("tag", "untag")):
            text = f"tag={self.tag!r}: the action {self.action!r} accepts no tag"
            if self.tag is None:
                text = f"the action {self.action!r} needs a tag, but got none"
            repair = "give a tag such as 'checked' with the actions tag and untag, and with no other action"
            raise InputError(text, where=f"bulk {self.action}", repair=repair)
        if (self.value is not None) != (self.action == "answer"):
            text = f"value={self.value!r}: the action {self.action!r} accepts no value"
            if self.value is None:
                text = "the action 'answer' needs a value, but got none"
            repair = "give a value with the action answer, and with no other action"
            raise InputError(text, where=f"bulk {self.action}", repair=repair)
        check_tags([] if self.tag is None else [self.tag], "tag=")
        graphs_by_name(self.graphs, "bulk(graphs=")


async def bulk(runner: Records, order: Order, chosen: Sequence[RunInfo] | None = None, *, dry_run: bool) -> Bulk:
    """Apply an action to many runs, and return which runs were changed and which runs refused the action.

    The runs are those in `chosen`, or those that the search of the order finds. Runs to which the action does not
    apply, such as finished runs for a stop, are skipped.
    """
    seen = Found(chosen or ())
    if chosen is None:
        seen = await find_runs(runner.store, wanted_of(order.search or "", Wanted(sys.maxsize)))
    done = await _bulk(runner, order, seen.runs, dry_run=dry_run)
    return structs.replace(done, looked_at=seen.looked_at, unseen=seen.unseen)


async def _bulk(runner: Records, order: Order, chosen: Sequence[RunInfo], *, dry_run: bool) -> Bulk:
    found = await _select_actionable(runner.store, order, chosen)
    if order.action == "prune":
        kept = {info.id: DRIVEN for info in found if info.driver is not None}
        actionable = {info.id: info for info in found if info.driver is None}
        removed = await remove(runner.store, actionable, kept, dry_run=dry_run)
        return Bulk(order.action, tuple(removed), kept, dry_run)
    graphs = graphs_by_name(order.graphs, "bulk(graphs=")
    refused: dict[str, str] = {}
    if order.action == "answer":
        questions = await asyncio.gather(*(_list_questions(runner, order, info.id) for info in found))
        found = [info for info, asked in zip(found, questions, strict=True) if asked]
    if order.action in ("resume", "retry", "fill"):
        refused = {i.id: f"its graph {i.graph!r} was not passed" for i in found if i.graph not in graphs}
    actionable = {info.id: info for info in found if info.id not in refused}
    if not dry_run:
        refused |= await _act_on_all(runner, order, [*actionable.values()], graphs)
    return Bulk(order.action, [run_id for run_id in actionable if run_id not in refused], refused, dry_run)


async def _select_actionable(store: Store, order: Order, chosen: Sequence[RunInfo]) -> Sequence[RunInfo]:
    """Return those of the given runs to which an action can be applied.

    For example, these are the waiting runs for an answer.
    """
    statuses, tag = _FOR.get(order.action), order.tag
    of_wings = {run_id for wing in wings() for run_id in wing.runs}
    found = [
        info
        for info in chosen
        if info.id not in of_wings
        and (statuses is None or status_of(info) in statuses)
        and (tag is None or (tag in info.tags) is (order.action == "untag"))
    ]
    if order.action == "fill":
        graphs = graphs_by_name(order.graphs, "bulk(graphs=")
        return [info for info in found if info.graph in graphs and lacks_fields(info, graphs[info.graph])]
    if order.action != "stop":
        return found
    # A run that is not at rest is stopped by its process, or by the worker that takes it: these are asked once.
    going_on = [info.id for info in found if info.status == "running"]
    asked = {message.run_id for message in await store.inbox(going_on) if message.kind == "stop"}
    return [info for info in found if info.id not in asked]


async def _act_on_all(
    runner: Records, order: Order, runs: Sequence[RunInfo], graphs: Mapping[str, GraphDefinition[Any]]
) -> dict[str, str]:
    """Apply an action to the given runs, to 16 of them at a time.

    Return the errors of the runs that refused the action, by run id.
    """
    refused: dict[str, str] = {}
    for at in range(0, len(runs), _AT_ONCE):
        batch = runs[at : at + _AT_ONCE]
        done = await asyncio.gather(*(_act(runner, order, info, graphs) for info in batch), return_exceptions=True)
        for info, error in zip(batch, done, strict=True):
            if isinstance(error, GraphEngineError):
                refused[info.id] = error.message
            elif error is not None:
                raise error
    return refused


async def _list_questions(runner: Records, order: Order, run_id: str) -> Sequence[RunWait]:
    """Return those open questions of a run that an answer to many runs is meant for.

    These are the questions with the given name. If no name is given, they are the questions whether an interrupted side
    effect happened.
    """
    waits = [wait for wait in await runner.waits(run_id) if wait.answerable]
    return [wait for wait in waits if (wait.kind == "unknown" if order.wait is None else wait.name == order.wait)]


async def _act(runner: Records, order: Order, info: RunInfo, graphs: Mapping[str, GraphDefinition[Any]]) -> None:
    tags = [] if order.tag is None else [order.tag]
    match order.action:
        case "stop":
            await runner.stop(info.id, order.why)
        case "cancel":
            await runner.stop(info.id, order.why, final=True)
        case "fill":
            await fill_fields(runner.store, info, graphs[info.graph])
        case "tag":
            await runner.tag(info.id, add=tags)
        case "untag":
            await runner.tag(info.id, remove=tags)
        case "answer":
            for wait in await _list_questions(runner, order, info.id):
                await runner.answer(info.id, order.value, wait=wait, by=order.by, through="bulk")
        case _:
            now = status_of(await runner.store.info(info.id))
            if now != status_of(info):  # another process was faster
                raise RunNotResumable(f"the run is {now} by now, because another process was faster")
            run = runner.resume(info.id, graphs[info.graph], retry_failed=order.action == "retry")
            await runner.release(info.id)  # the resume is recorded, and no node begins here
            await run.result()


__all__ = ["ACTIONS", "Action", "Bulk", "Order", "bulk"]
