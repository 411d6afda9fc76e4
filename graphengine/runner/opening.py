"""Opening a run: a run is begun, resumed or branched off, or stopped without being driven.

Each function here records the first step of one process's claim on a run. The life of the run drives the returned
`Driving`.

    begin         the run exists once its first step is stored: row, step and claim are one write (`Store.create`)
    branch_off    the same; its first step names its parent, whose steps up to that step it shares
    resume        looks at a run, claims it, looks again, and records that it is resumed

A resume reads before it claims. A run that is over, still waits, or belongs to another graph is not claimed. The data
that was read may have changed when the process has the claim:

1. A run waits. This process reads its row: seq 7, nothing to do.
2. Another process records an answer, seq 8, and dies.
3. This process claims the run. The loaded snapshot ends at seq 7, so the first step of this process would be refused as
   a second step 8.

So this process compares the seq of the row under the claim, and starts again from the top if it has moved, but keeps
the claim. A run that is given back and claimed again would look as if no process had died with it, and the crash would
not be counted.

A worker takes runs in batches, and comes here with the claim, the steps and the inbox of a run (`ClaimedRun`), so there
is nothing to compare.

The caller of a resume decides about stops. A person or program that asks for a resume takes back the stops that apply
to the run, except a final stop. A process that continues a run which another process left obeys the stops. A stop of a
tree of runs first marks the run at its top, so that no run below it is created while its members are stopped one by
one.
"""

from __future__ import annotations

import contextlib
import logging
import math
import secrets
from dataclasses import replace
from functools import partial
from itertools import chain, takewhile
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from msgspec import Raw, structs

from graphengine.compile.code import code_of, nodes_with_work, other_code
from graphengine.engine.claim import Moved, Stop
from graphengine.engine.events import BranchedOff, RunResumed, RunStarted, StopAsked
from graphengine.engine.field_ops import apply_ops
from graphengine.engine.lookup import plan_of
from graphengine.engine.ready import next_due, runnable_frame
from graphengine.engine.redaction import Redactor, check_secrets, words_for
from graphengine.engine.rules.map import find_settled_maps
from graphengine.engine.rules.run import has_failed_parts, wants_alone
from graphengine.engine.session import Session
from graphengine.engine.snapshot import Frame, Snapshot
from graphengine.engine.steps import FINAL, Branched, Resumed, Shift
from graphengine.errors import (
    UNREADABLE,
    GraphChanged,
    GraphEngineError,
    InputError,
    InvalidUpdate,
    NotRecordable,
    RunIsDriven,
    RunNotResumable,
    StoreError,
    TooLarge,
    UnknownRun,
)
from graphengine.graph.question import fill_question
from graphengine.history.load import graph_spec_of, load_snapshot, snapshot_of
from graphengine.runner import ids
from graphengine.runner.cached_snapshots import CachedSnapshot
from graphengine.runner.driving import stop_in
from graphengine.runner.extensions import OpenRun
from graphengine.runner.other_forms import StateOf, read_result
from graphengine.runner.result import Result, result_of
from graphengine.runner.starters import looks_after
from graphengine.state.declared import given_in, values_of
from graphengine.state.encoded import encode, items_of
from graphengine.state.given import utf8_value
from graphengine.state.path import did_you_mean
from graphengine.state.schema import Initial
from graphengine.state.searched import is_input
from graphengine.state.secret import is_sealed
from graphengine.state.view import View
from graphengine.stores.base import Append, RunInfo
from graphengine.stores.refusals import check_not_cancelled, unknown_run
from graphengine.stores.summaries import NO_FIELDS, begun_as, summary_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from graphengine.engine.plan import Plan
    from graphengine.engine.steps import Decided, OriginRecord, Started
    from graphengine.history.load import At
    from graphengine.runner.driving import Driving
    from graphengine.runner.life import Life
    from graphengine.runner.shared import Shared
    from graphengine.state.amounts import LimitsRecord
    from graphengine.state.json_values import JsonValue
    from graphengine.state.schema import Change
    from graphengine.stores.base import ClaimedRun, InboxMessage, RunStore

log = logging.getLogger("graphengine.runner")

S = TypeVar("S")

_TITLE_CHARACTERS: Final = 1000
"""The maximum number of characters of a title that a graph gives to a run."""


class InQueue(NamedTuple):
    """The queue in which a run waits for a worker, and the tenant and the user for whom it runs.

    Attributes:
        queue: The queue; None if the run is driven at once.
        priority: The priority in the queue.
        tenant: The tenant of the run.
        user: The user of the run.
    """

    queue: str | None
    priority: int
    tenant: str | None
    user: str | None = None


# --- a new run ----------------------------------------------------------------------------------------------------


async def begin(  # noqa: PLR0913 - what a run begins with
    life: Life[S],
    *,
    initial: Initial | None,
    given: object,
    facts: Started,
    tags: tuple[str, ...],
    place: InQueue | None,
    above: OriginRecord | None = None,
) -> Driving | Result[S, Any]:
    """Record the first step of a new run, so that this process can drive the run or a worker can take it.

    A child run begins with the models of its parent run.

    Args:
        life: The life of the run to begin, with its id and its compiled graph.
        initial: The state with which the run begins; None if the run continues the state of the run in `facts.after`.
        given: The fields that replace fields of the continued state.
        facts: The facts about the start that the first step records.
        tags: The tags of the run.
        place: The queue in which the run begins for a worker; None, or a place without a queue, if it is driven here.
        above: The origin of the parent run; None if the run has no parent.

    Returns:
        The object that drives the run in this process. If the run begins in a queue, its result so far.

    Raises:
        RunExists: Another run has the id.
        InputError: The run in `facts.after` has not ended, or the state is too large.
        GraphChanged: The run in `facts.after` was recorded under another version of the graph, and its state does not
            fit this graph.
    """
    shared, plan = life.shared, life.plan
    await shared.store.open()
    if initial is None:
        initial, facts.written = await _continue_state(shared, plan, facts.after, given)
    elif facts.starter is not None:  # the node that starts the run gives its input
        facts.written = tuple(initial.given)
    most = shared.sizes.state_bytes
    if most is not None and initial.size_bytes > most:
        text = f"the state has {initial.size_bytes:,} bytes, but at most {most:,} are allowed"
        repair = "give a smaller input, or raise Sizes(state_bytes=…)"
        raise InputError(text, where=f"run {life.id}", repair=repair, code=TooLarge.code)
    is_queued = place is not None and place.queue is not None
    origin = shared.origin(plan, None if place is None else place.user, above)
    driving = await life.claimed(Snapshot(origin=origin), initial.size_bytes, is_queued=is_queued)
    facts.origin, facts.nonce = origin, ids.new_nonce()
    if plan.title:
        facts.title = fill_question(plan.title, plan.state.read_initial(initial))[:_TITLE_CHARACTERS]
    event = RunStarted(driving.time.now(), facts, initial.values, initial.typed, initial.given)
    await driving.commit([event], partial(_create, life, driving, tags, place))
    return replace(result_of(plan, driving.snapshot), status="queued") if is_queued else driving


async def _create(
    life: Life[Any], driving: Driving, tags: tuple[str, ...], place: InQueue | None, steps: Sequence[Decided]
) -> None:
    """Store a new run: the row that describes it, its first step and the claim of this process, in one transaction."""
    plan, snapshot, first = life.plan, driving.snapshot, steps[0]
    for step in steps:  # as in `Driving.append`
        step.typed = None
        if step.data.error is not None:
            driving.take_failure(step, step.data.error)
    origin = snapshot.origin
    if isinstance(first.data, Branched) and not first.frame and plan.search:  # the frame of the whole run
        changed = plan.fields_of(snapshot.root.values, at_end=False, only={op[1] for op in first.update})
        driving.fields = {**driving.fields, **changed}  # the other fields are those of the parent's input
    fields = driving.fields_at(snapshot.status, begins=first.kind == "started") if plan.search else driving.fields
    info = RunInfo(
        life.id,
        plan.graph,
        plan.fingerprint,
        snapshot.status,
        first.seq,
        first.at,
        first.at,
        due_at=next_due(snapshot) if snapshot.waiting else None,
        tags=tags,
        summary=summary_of(snapshot, None, fields) if fields or snapshot.status != "running" else None,
        tenant=None if place is None else place.tenant,
        title=snapshot.title,
        user=origin.user or None if origin is not None else None,
        deploy=origin.deploy if origin is not None else "",
        began_with=snapshot.began_with,
        code=snapshot.code,
        nonce=snapshot.nonce,
    )
    if snapshot.starter is not None:
        info = structs.replace(info, **begun_as(snapshot))
    if isinstance(first.data, Branched):
        info = structs.replace(info, parent=first.data.parent, parent_seq=first.seq - 1)
    # A branch gets the queue of its parent, because the workers of this queue have the graph.
    if place is not None and place.queue is not None:
        info = structs.replace(info, queue=place.queue, priority=place.priority, queued=info.parent is None)
    code = plan.code.body if info.code and plan.code is not None and plan.code.id == info.code else None
    driving.fence = await life.shared.store.create(info, steps, plan.graph_spec, code)
    for post in life.shared.posts(snapshot, snapshot.status):  # the first step can be the last one
        with contextlib.suppress(UnknownRun):
            await life.shared.store.post(*post[:-1], nonce=post.nonce)


async def _continue_state(
    shared: Shared[Any], plan: Plan[S], after: str, given: object
) -> tuple[Initial, tuple[str, ...]]:
    """Return the state with which a run begins that continues the state of an earlier run (`after=`).

    This is the final state of the earlier run, changed by the given fields. The names of those fields that nodes wrote,
    and not callers, are returned too.
    """
    where = f"after run {after}"
    left = await load_snapshot(shared.store, after, None)
    if left.status in ("running", "waiting"):
        raise InputError(
            f"run {after} is not over, so it has no final state",
            where=where,
            repair="wait until the run is over, or resume the run",
        )
    if left.graph == plan.graph and left.fingerprint != plan.fingerprint:
        migrated = await StateOf.last_of(left).migrate_to(plan, shared.store, shared.extensions)
        left.root.values = {**migrated}
    records = _own_secrets(plan, left)
    update = utf8_value(given_in(given))
    written = sorted(update)
    kept = plan.carry_over if plan.carry_over is not None else tuple(plan.state.fields)
    encoded = {name: _encode_items(plan, name, record) for name, record in records.items()}
    built = values_of(plan.state.rebuild(encoded))
    earlier = {
        name: records[name] if name in records and value is encoded[name] else value for name, value in built.items()
    }
    carried: dict[str, object] = {}
    if left.fingerprint == plan.fingerprint and not plan.state.whole:
        carried = {name: earlier[name] for name in kept if _is_carried(plan, name, records, earlier)}
    base: dict[str, Any] = {name: earlier[name] for name in kept if name in earlier and name not in carried}
    for name, field in plan.state.fields.items():
        if name not in base and field.info.is_required() and name in update:
            base[name] = update.pop(name)
    start = plan.state.initial(base, where)
    frame = Frame(values=start.values | {name: encoded[name] for name in carried}, typed=start.typed | carried)
    change = _apply_update(plan, View(plan.state, frame), update, where)
    apply_ops(frame, change.ops, change.typed)
    anew = {name for name in written if name not in update} | {op[1] for op in change.ops if op[0] == "set"}
    by_nodes = tuple(name for name in left.root.written if name in frame.values and name not in anew)
    return Initial(frame.values, frame.typed, written, len(encode(frame.values))), by_nodes


def _encode_items(plan: Plan[Any], name: str, record: JsonValue) -> JsonValue:
    """Encode the items of a list, so that items which the new run keeps are encoded only once."""
    is_list = isinstance(record, list) and name not in plan.state.secrets
    return items_of(Raw(encode(record))) if is_list else record


def _is_carried(plan: Plan[Any], name: str, records: Mapping[str, JsonValue], earlier: Mapping[str, object]) -> bool:
    """Return whether a new run can take over a list or dict of an earlier run without validating it again.

    This saves time for large values. The field must have no rules other than its type, and the recorded value must fit
    it.
    """
    field, record = plan.state.fields[name], records.get(name)
    has_rules = field.own or field.dumped or field.constrained or field.secret or field.info.is_required()
    return isinstance(record, (list, dict)) and not has_rules and earlier.get(name, record) is not record


async def branch_off(  # noqa: PLR0913 - what a branch begins with
    life: Life[S],
    *,
    parent: str,
    at: At,
    update: Mapping[str, object],
    path: str | None,
    limits: LimitsRecord | None,
    pause: Sequence[str] | None,
    tags: tuple[str, ...],
    instructions: Mapping[str, str],
    user: str | None = None,
) -> Driving:
    """Record the first step of a branch, which continues after a step of its parent run.

    Raises:
        UnknownRun: No run with the id of the parent is recorded.
        UnknownStep: The parent has no such step.
        RunNotResumable: The parent had finished at this step.
        GraphChanged: The parent does not fit the graph.
        InputError: The update does not fit.
    """
    store, plan = life.shared.store, life.plan
    await store.open()
    snapshot = await load_snapshot(store, parent, at)
    seq = snapshot.seq
    _check_graph_of_run(plan, snapshot.graph, parent)
    check_secrets(plan, snapshot)
    if snapshot.status == "finished":
        raise RunNotResumable(
            f"run {parent} had finished at step {seq}, so a branch at this step has nothing left to run",
            where=f"run {parent}, step {seq}",
            repair=f"branch at step {seq - 1} or before",
        )
    shift, after = await _fit_to_plan(life.shared, plan, snapshot)
    changed = snapshot.fingerprint != plan.fingerprint
    code, recoded = await _find_other_code(store, plan, after, changed=changed)
    driving = await life.claimed(snapshot, parent=parent)
    where = f"branch of {parent} at step {seq}"
    frame = _frame_at(after, path if update else "", where)
    _check_update_fields(plan_of(plan, frame), update, where)
    facts = Branched(
        run_id=life.id,
        parent=parent,
        fingerprint=plan.fingerprint,
        limits=limits if limits is not None else await _limits_of(store, parent, snapshot),
        pause=pause,
        instructions=instructions,
        origin=life.shared.origin(plan, user, snapshot.origin),
        code=code,
        recoded=recoded,
        nonce=ids.new_nonce(),
    )
    event = BranchedOff(driving.time.now(), facts, list(utf8_value(update).items()), frame.id, shift)
    try:
        if plan.secret:
            Redactor(plan, after).refuse(dict(instructions), "instructions", where)
        above = await store.info(parent)
        place = InQueue(above.queue, above.priority, above.tenant, user)
        fields = NO_FIELDS if above.summary is None else above.summary.fields
        driving.fields = {name: text for name, text in fields.items() if is_input(name)}
        await driving.commit([event], partial(_create, life, driving, tags, place))
        await looks_after(store, driving.snapshot)
    except (InvalidUpdate, NotRecordable, TooLarge) as error:
        kind = TooLarge.code if isinstance(error, TooLarge) else None
        raise InputError(error.message, where=where, repair=error.repair, code=kind) from error
    return driving


async def _limits_of(store: RunStore, run_id: str, snapshot: Snapshot) -> LimitsRecord:
    """Return the limits that a run has at its last step, which a branch of the run takes over.

    The given snapshot may show the run after an earlier step. If the last step cannot be read, the limits in this
    snapshot are returned.
    """
    try:
        return (await load_snapshot(store, run_id, None)).limits
    except StoreError:
        return snapshot.limits


# --- a recorded run -----------------------------------------------------------------------------------------------


_CUT_OFF: Final = (
    "run %s was taken from a process that is not known to be dead, only out of reach: what was in flight begins in "
    "%.0f s, when that one can act no more"
)


class Look(NamedTuple):
    """What was read about a recorded run that is about to be resumed, and the claim of this process on the run.

    Attributes:
        info: The row of the run.
        kept: The snapshot of the run, if it is loaded.
        inbox: The messages in the inbox of the run, if they are loaded.
        fence: The number of the claim, with which the store refuses writes of processes that claimed the run earlier.
        held: Whether the run was still held by another process, which has died, when this process claimed it.
        former: For how many seconds the former process may still act, if it is not known to be dead but may be cut off.
    """

    info: RunInfo
    kept: CachedSnapshot | None = None
    inbox: Sequence[InboxMessage] | None = None
    fence: int | None = None
    held: bool = False
    former: float | None = None


async def resume(  # noqa: PLR0913 - what a caller can ask of a resume
    life: Life[S],
    *,
    limits: LimitsRecord | None = None,
    pause: Sequence[str] | None = None,
    retry_failed: bool = False,
    user: str | None = None,
    taken: ClaimedRun | None = None,
    by_starter: bool = False,
) -> Driving | Result[S, Any]:
    """Claim a recorded run and record that it is resumed.

    If there is nothing to do, return the result of the run instead. A run that failed or was stopped is resumed only if
    a caller asked for that, or the node that started the run (`by_starter`). For a run that a worker has already
    claimed, `taken` contains the claim and the loaded data.

    Raises:
        UnknownRun: No run with this id is recorded.
        RunIsDriven: The run is driven already.
        GraphChanged: The run does not fit the graph.
        RunCancelled: The run was cancelled, and a caller asked to resume it.
    """
    shared, store = life.shared, life.shared.store
    shared.opening += 1
    fence = None if taken is None else taken.fence
    is_claimed = False  # whether this call has claimed the run, and not the caller when it took the run
    left: float | None = None  # the rest of the lease of a process that has the run and is not known to be dead
    try:
        await store.open()
        while True:
            look = await _look_at_run(life, taken)
            as_it_was = limits is None and pause is None and not retry_failed
            if (result := await _find_reason_to_leave(life, look, as_it_was=as_it_was)) is not None:
                if fence is not None:
                    await release(store, life.id, fence)
                return result
            if is_claimed:
                look = look._replace(held=life.claim.was_held)
            elif fence is None:
                if look.info.held and store.shared:
                    left = await store.former_lease(life.id)
                fence = await store.claim(life.id)
                is_claimed = True
                claimed = await store.info(life.id)
                if claimed.seq != look.info.seq:
                    last = await store.steps(life.id, claimed.seq - 1, claimed.seq)
                    life.claim.step(Moved(look.info.held, any(step.kind == "resumed" for step in last)))
                    # The claim is kept, because a run that is given back looks as if no process had died with it.
                    continue
                look = look._replace(info=claimed, held=look.info.held)
            await _settle_stop(life, look.info, by_starter=by_starter)
            look = look._replace(fence=fence, former=left)
            return await _record_resume(life, look, limits, pause, user, retry_failed=retry_failed)
    except BaseException:
        if fence is not None:
            await release(store, life.id, fence)
        raise
    finally:
        shared.opening -= 1
        # This is done even if the resume was refused, because a run that must be driven alone may wait for it.
        shared.note_fewer()


async def _look_at_run(life: Life[Any], taken: ClaimedRun | None) -> Look:
    """Read the row of a run that is about to be resumed.

    If a worker has claimed the run, return the row, snapshot and messages that were loaded with the claim, so that they
    are not read again.
    """
    shared = life.shared
    if taken is None or taken.fence is None:
        return Look(await shared.store.info(life.id))
    _check_free(life)
    _check_graph_of_run(life.plan, taken.info.graph, life.id)
    loaded = taken.loaded
    kept = await shared.kept.take(life.id) if loaded is None else CachedSnapshot(snapshot_of(loaded, life.id))
    return Look(taken.info, kept, taken.inbox)


async def _find_reason_to_leave(life: Life[S], look: Look, *, as_it_was: bool) -> Result[S, Any] | None:
    """Return the result of a run that need not be resumed, because the run is over or still waits; otherwise None.

    Raises:
        RunIsDriven: The run is driven here.
        GraphChanged: The run does not fit the graph.
        RunCancelled: The run was cancelled, and a caller asked to resume it.
    """
    shared, plan, asked = life.shared, life.plan, life.claim.asked
    info, kept = look.info, look.kept
    _check_graph_of_run(plan, info.graph, life.id)
    if plan.secret:  # a wrong key must not touch the run
        check_secrets(plan, kept.snapshot if kept is not None else await shared.kept.read(life.id))
    if asked:
        check_not_cancelled(info)
    is_over = info.status in FINAL or (not asked and info.status not in ("running", "waiting"))
    if is_over or (info.status == "waiting" and as_it_was and await _still_waits(life, look)):
        there = kept.snapshot if kept is not None else await shared.kept.read(life.id)
        # If another process has moved the run since `info` was read, the run is claimed, and everything is checked
        # again.
        stays = there.seq == info.seq and (is_over or not _sleeps_under_other_code(plan, there))
        stays = stays and (is_over or not asked or not has_failed_parts(there, find_settled_maps(plan, there)))
        if stays and (is_over or not asked or not await looks_after(shared.store, there)):
            if kept is not None:
                shared.kept.keep(*kept)
            return await read_result(shared, plan, there)
    if kept is None:
        _check_free(life)
        if info.fingerprint != plan.fingerprint:  # a graph that no longer fits must not touch the run
            await _fit_to_plan(shared, plan, await shared.kept.read(life.id))
    return None


async def _record_resume(  # noqa: PLR0913 - what was seen, and what a caller asks
    life: Life[S],
    look: Look,
    limits: LimitsRecord | None,
    pause: Sequence[str] | None,
    user: str | None,
    *,
    retry_failed: bool,
) -> Driving:
    """Record that a claimed run is resumed, and return the object that drives it.

    If a caller asked to resume the run, earlier requests to stop it are discarded. Otherwise they stop the run now,
    because the process that was to stop it died, or released it, before it saw them.
    """
    shared, plan, store = life.shared, life.plan, life.shared.store
    snapshot, size_bytes = look.kept or await shared.kept.take(life.id, look.info)
    changed = snapshot.fingerprint != plan.fingerprint
    shift, after = await _fit_to_plan(shared, plan, snapshot)
    code, recoded = await _find_other_code(store, plan, after, changed=changed)
    driving = await life.claimed(snapshot, size_bytes, info=look.info)
    driving.fence = look.fence or 0
    crashed = snapshot.status == "running" and look.held
    # A worker can begin other runs beside it at any time, unless the worker drives it alone.
    shared_process = life.claim.gives_way or shared.opening > 1 or bool(shared.driven.keys() - {life.id})
    # The child runs are checked even if there is other mail, or another part of the run can move.
    if life.claim.asked and await looks_after(store, snapshot):
        look = look._replace(inbox=None)
    inbox = await store.inbox([life.id]) if look.inbox is None else look.inbox
    stale = [each.id for each in inbox if each.kind == "stop" and life.claim.asked and not stop_in(each).final]
    news = [message for message in inbox if message.id not in stale]
    # A part that moves now, or that an answer lets end, may handle a failed part, for example by a fallback or an edge.
    due = next_due(snapshot)
    is_idle = runnable_frame(snapshot) is None and not news and (due is None or due > shared.clock.now())
    facts = Resumed(
        crashed=crashed,
        limits=limits if limits is not None else snapshot.limits,
        fingerprint=plan.fingerprint,
        pause=pause,
        shared_process=shared_process,
        origin=shared.origin(plan, user, snapshot.origin),
        code=code,
        recoded=recoded,
    )
    if crashed and look.former is not None:
        facts.cut_until = driving.time.now() + look.former
        if look.former:
            log.warning(_CUT_OFF, life.id, look.former)
    event = RunResumed(driving.time.now(), facts, shift, is_idle and life.claim.asked, retry_failed)
    # An attempt after a pause begins only when the pause is over. Its last attempt may have run in the earlier process.
    driving.resumed_at = max([event.now, *(frame.arrived for frame in snapshot.frames.values())])
    driving.deliver(news)
    events, ids = driving.arrived(() if life.claim.stop else takewhile(lambda each: each.kind == "message", news))
    await driving.commit(chain([event], events), partial(driving.append, consume=[*stale, *ids], changed=changed))
    return driving


async def _settle_stop(life: Life[Any], info: RunInfo, *, by_starter: bool) -> None:
    """Decide whether earlier requests to stop a run are cancelled or take effect, when the run is about to be resumed.

    If a caller resumes the run, the requests are cancelled, because the caller wants the run to continue. Otherwise
    they take effect, and the run stops now. A node that continues its child run cancels a request to stop the child,
    but not one to stop a run above the child. A final stop is never cancelled.
    """
    store, asked = life.shared.store, life.claim.asked
    if info.stop_asked and asked:
        await store.mark_stop(life.id, "")
    while info.root is not None or info.stop_asked == "cancel" or (info.stop_asked and not asked):
        stop_over = await store.stop_over(life.id)
        if stop_over is None:
            return
        is_final = stop_over.mark == "cancel"
        if by_starter or not asked or is_final:
            own = Stop(final=is_final)
            life.claim.step(own if stop_over.run_id == life.id else stopped_with(stop_over.run_id, own))
            return
        await store.mark_stop(stop_over.run_id, "")


def _check_free(life: Life[Any]) -> None:
    if life.id in life.shared.driven:
        raise RunIsDriven(life.id, "this Runner", math.inf)


async def _still_waits(life: Life[Any], look: Look) -> bool:
    """Return whether a waiting run has nothing to do yet, so that it need not be resumed.

    That is so if no message has arrived, no time for which it waits has come, and its graph is unchanged.
    """
    info = look.info
    is_due = info.due_at is not None and info.due_at <= life.shared.clock.now()
    if is_due or info.fingerprint != life.plan.fingerprint:
        return False
    return not (await life.shared.store.inbox([info.id]) if look.inbox is None else look.inbox)


def _sleeps_under_other_code(plan: Plan[Any], snapshot: Snapshot) -> bool:
    """Return whether a node sleeps and its code has changed, so that it may now sleep for another length of time."""
    waits = (asked for frame in snapshot.frames.values() for asked in frame.waits.values())
    return any(asked.kind == "sleep" and asked.key for asked in waits) and code_of(plan).id != snapshot.code


def _check_graph_of_run(plan: Plan[Any], graph: str, run_id: str) -> None:
    """Check that a run belongs to this graph, whose code and declaration may have changed since.

    Raises:
        GraphChanged: The run's graph has another name.
    """
    if graph != plan.graph:
        raise GraphChanged(
            f"run {run_id} belongs to the graph {graph!r}, but the graph {plan.graph!r} was given",
            where=f"run {run_id}",
            repair=f"give the graph named {graph!r}",
        )


async def _fit_to_plan(shared: Shared[Any], plan: Plan[Any], snapshot: Snapshot) -> tuple[Shift, Snapshot]:
    """Compute how a run must change to continue under this version of its graph.

    Returns:
        The changes that the resume must record, and the snapshot of the run after them.

    Raises:
        GraphChanged: The run does not fit this version of the graph.
    """
    _check_graph_of_run(plan, snapshot.graph, snapshot.run_id)
    if snapshot.fingerprint == plan.fingerprint:
        return Shift(), snapshot
    graph_spec = await graph_spec_of(shared.store, snapshot.fingerprint)
    for each in shared.extensions:
        found = each.fitted(plan, snapshot, graph_spec)
        if found is not None:
            return found
    raise GraphChanged(
        f"the graph {plan.graph!r} was changed since step {snapshot.seq} of run {snapshot.run_id}",
        where=f"run {snapshot.run_id}",
        repair="put the earlier graph back, or use graphengine.Runner, which migrates runs",
    )


async def _find_other_code(
    store: RunStore, plan: Plan[Any], snapshot: Snapshot, *, changed: bool
) -> tuple[str, Sequence[str]]:
    """Find the nodes that have recorded work under other code than the current code, and must deal with this work.

    Args:
        store: The store of the run.
        plan: The compiled current graph.
        snapshot: The snapshot of the run, with the names that its nodes have in the current graph.
        changed: Whether the declaration of the graph has changed too. Then all nodes with recorded work count.

    Returns:
        The id of the current code, and the paths of the nodes. The id is "" if the run has recorded the current code
        already, or if the run has no recorded work.
    """
    if not (nodes := nodes_with_work(snapshot)):
        return "", ()
    code = code_of(plan)
    is_same = code.id == snapshot.code
    before: Any = code.body if is_same else await store.code(snapshot.code)
    return "" if is_same else code.id, other_code(nodes, None if changed else before, code.body)


async def asks_anew(shared: Shared[Any], plan: Plan[Any], run_id: str, wait_id: str) -> bool:
    """Return whether the open question of a run would be replaced if the run were resumed under this graph.

    Args:
        shared: The objects that the runs of the Runner share.
        plan: The compiled graph.
        run_id: The id of the run.
        wait_id: The id of the question that is open now.

    Raises:
        GraphChanged: The run does not fit this version of the graph.
    """
    info = await shared.store.info(run_id)
    if info.driver is not None or info.fingerprint == plan.fingerprint:
        return False
    _, after = await _fit_to_plan(shared, plan, await shared.kept.read(run_id))
    return not any(wait.id == wait_id for frame in after.frames.values() for wait in frame.waits.values())


async def is_better_alone(store: RunStore, info: RunInfo) -> bool:
    """Return whether a run should be the only run in its process, because one of its nodes was running at two crashes.

    Such a node may have caused the crashes, and must not end other runs with it. The run is read at the step that
    `info` names and not at its last step, because otherwise a crash could count twice:

    1. Two processes list a run whose process died.
    2. The first process claims it and records `resumed`, with the crash.
    3. The second process reads the run. With the step `resumed`, it would count the crash of that step and, once more,
       the crash in `info`.
    """
    if info.status != "running":
        return False
    try:
        return wants_alone(await load_snapshot(store, info.id, info.seq), crashed=info.held)
    except GraphEngineError:  # The run was removed, or cannot be read. A resume reports that.
        return False


# --- a run that is not driven here --------------------------------------------------------------------------------


def stopped_with(run_id: str, asked: Stop) -> Stop:
    """Return the stop for a child run of a run that is being stopped."""
    return Stop(f"stopped with run {run_id}", now=asked.now, final=asked.final, reason="above")


async def stop_tree(shared: Shared[Any], run_id: str, asked: Stop) -> None:
    """Stop a run and all runs below it: its child runs, their child runs, and so on.

    Parents are stopped before children.

    1. The run is marked. From then on no run below it is created, in any process.
    2. The run is stopped, then the runs that its nodes started, level by level. A process that dies in between leaves
       the mark: no run begins below, a worker that takes a run below stops it, and repeating the stop completes it. A
       run that cannot be read continues, and the log names it.
    """
    store = shared.store
    # The mark comes first: while something is read, a node could start a further child run.
    await store.mark_stop(run_id, "cancel" if asked.final else "stop")
    top = await store.info(run_id)
    await _stop_one(shared, top, asked)
    asked = stopped_with(run_id, asked)
    level, found = {run_id: top.nonce}, {run_id}
    while below := [
        info
        for info in await store.started([*level])
        if info.id not in found and info.starter_nonce == level[info.starter or ""]
    ]:
        level = {info.id: info.nonce for info in below}
        found.update(level)
        for info in below:
            try:
                with contextlib.suppress(UnknownRun):  # the run was removed meanwhile
                    await _stop_one(shared, info, asked)
            except UNREADABLE as error:
                log.warning("run %s below run %s is not stopped with it: %s", info.id, run_id, error)


async def _stop_one(shared: Shared[Any], run: RunInfo, asked: Stop) -> None:
    life = shared.driven.get(run.id)
    if life is not None and life.driving is not None:
        life.driving.ask(asked)
    else:
        await stop(shared, run.id, asked, run.nonce)
        shared.wake(run.id)


async def stop(shared: Shared[Any], run_id: str, asked: Stop, nonce: str | None = None) -> None:
    """Stop a run that this process does not drive.

    A run that waits or is queued is stopped at once. Otherwise a message is sent to the process that drives the run. A
    final stop also ends a run that failed or was stopped, or whose process died or released it, because nobody would
    resume such a run to read a message. The messages and answers that the run has not taken are dropped.

    Args:
        shared: The objects that the runs of the Runner share.
        run_id: The id of the run.
        asked: The stop.
        nonce: The nonce of the run, which distinguishes it from a later run with the same id; None for whatever run has
            the id.

    Raises:
        UnknownRun: The run was removed. If a later run has the same id, the later run is not stopped.
    """
    store, why = shared.store, asked.why
    info = await _load_row(store, run_id, nonce)
    plan = shared.plan_by(info.fingerprint)
    if _must_be_asked(info, asked):
        await _post_stop(store, plan, info, asked, f"{why} by another process" if why == "asked" else why)
        # If the run began to wait before that, nobody looks into its inbox.
        info = await _load_row(store, run_id, info.nonce)
    at_rest = ("waiting", "stopped", "failed", "running") if asked.final else ("waiting",)
    if _must_be_asked(info, asked) or info.status not in (*at_rest, "running"):
        return
    try:
        fence = await store.claim(run_id)
    except RunIsDriven:  # another process has just resumed the run
        await _post_stop(store, plan, info, asked, why)
        return
    try:
        snapshot = await load_snapshot(store, run_id, None)
        if snapshot.nonce != info.nonce:
            raise unknown_run(run_id)
        if snapshot.status in at_rest or (info.queued and snapshot.status == "running"):
            followers = await shared.following(OpenRun(store, snapshot, info))
            event = StopAsked(max(shared.clock.now(), snapshot.now), asked.reason, why, final=asked.final)
            taken = [message.id for message in await store.inbox([run_id])] if asked.final else asked.consume

            def append(steps: Sequence[Decided]) -> Awaitable[None] | None:
                fields = NO_FIELDS if info.summary is None else info.summary.fields
                summary = summary_of(snapshot, None, fields)
                batch = Append(run_id, fence, steps, snapshot.status, taken, summary=summary)
                batch.posts = shared.posts(snapshot, snapshot.status)
                return store.append(batch)

            done = Session(plan, snapshot).commit([event], append)
            if done.durable is not None:
                await done.durable
            for recorded in followers.recorded:
                recorded(done.steps)
            await followers.leave()
    finally:
        await release(store, run_id, fence)


def _must_be_asked(info: RunInfo, asked: Stop) -> bool:
    """Return whether only the process that drives the run can stop it, or the next process that will drive it."""
    return info.status == "running" and not info.queued and not (asked.final and info.driver is None)


async def _load_row(store: RunStore, run_id: str, nonce: str | None) -> RunInfo:
    """Return the row of a run, if it is still the run that the caller means.

    A run that was removed and started again has the same id, but another nonce.

    Raises:
        UnknownRun: No run with this id and nonce is recorded.
    """
    info = await store.info(run_id)
    if nonce not in (None, info.nonce):
        raise unknown_run(run_id)
    return info


async def _post_stop(store: RunStore, plan: Plan[Any] | None, info: RunInfo, asked: Stop, why: str) -> None:
    reason = words_for(plan, await load_snapshot(store, info.id, None), why)
    flags: dict[str, JsonValue] = {"now": True} if asked.now else {}
    flags |= {"final": True} if asked.final else {}
    flags |= {"above": True} if asked.reason == "above" else {}
    body: JsonValue = {"why": reason, **flags} if flags else reason
    await store.post(info.id, "stop", body, key=f"stop {secrets.token_hex(8)}", nonce=info.nonce)


async def release(store: RunStore, run_id: str, fence: int) -> None:
    """Give up the claim on a run, so that other processes can drive it.

    If the store fails, the lease expires by itself.
    """
    with contextlib.suppress(StoreError):
        await store.release(run_id, fence)


# --- values -------------------------------------------------------------------------------------------------------


def _check_update_fields(plan: Plan[Any], update: Mapping[str, object], where: str) -> None:
    for name in update:
        if name not in plan.state.fields:
            near = did_you_mean(name, plan.state.fields)
            raise InputError(f"unknown field {name!r}", where=where, repair=near)


def _frame_at(snapshot: Snapshot, path: str | None, where: str) -> Frame:
    """Return the place in the run whose state the update of a branch changes.

    This is the run itself, a nested graph or an arm of a fork. If only the state of the run is open, the path can be
    left out.

    Raises:
        InputError: No state is open at this path, or several are open and no path is given.
    """
    frames = {"": snapshot.root}
    for frame in snapshot.frames.values():
        if frame.kind in ("sub", "arm"):
            frames[frame.id.rstrip("/")] = frame
    listed = ", ".join(repr(key) for key in frames)
    if path is None and len(frames) > 1:
        text = "several states are open at this step, and no path= says which of them to update"
        raise InputError(text, where=where, repair=f"give path=, one of: {listed} (path='' is the run's own state)")
    found = frames.get((path or "").rstrip("/"))
    if found is None:
        raise InputError(f"no state is open at path={path!r}", where=where, repair=f"give one of the paths: {listed}")
    return found


def _apply_update(plan: Plan[Any], view: View, update: Mapping[str, object], where: str) -> Change:
    _check_update_fields(plan, update, where)
    try:
        return plan.state.apply(view, list(update.items()))
    except (InvalidUpdate, NotRecordable) as error:
        raise InputError(error.message, where=where, repair=error.repair) from error


def _own_secrets(plan: Plan[Any], left: Snapshot) -> Mapping[str, JsonValue]:
    """Return the final values of an earlier run, with its secrets encrypted for the new graph.

    Both graphs must have the same key.

    Raises:
        SecretKeyWrong: The other graph had another key.
    """
    values = dict(left.root.values)
    for name in plan.state.secrets & values.keys() if left.graph != plan.graph else ():
        cipher = plan.state.fields[name].cipher
        if cipher is not None and is_sealed(values[name]):
            values[name] = cipher.seal(name, replace(cipher, graph=left.graph).unseal(name, values[name]))
    return values
