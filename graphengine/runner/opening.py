"""Opening a run: it is begun, resumed or branched off, or stopped without being driven.

Each function here records the first step of one process's claim on a run. What it returns, the life of the run drives.
"""

from __future__ import annotations

import contextlib
import math
import secrets
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from graphengine.engine.events import Begun, BranchedOff, Resumed, StopAsked
from graphengine.engine.lookup import plan_of
from graphengine.engine.ready import next_due, runnable_frame
from graphengine.engine.redaction import check_secrets, words_for
from graphengine.engine.rules.map import settled_maps
from graphengine.engine.rules.run import has_failed_parts, wants_alone
from graphengine.engine.session import Session
from graphengine.engine.snapshot import Frame, Snapshot
from graphengine.engine.steps import Branched, Shift
from graphengine.errors import (
    GraphChanged,
    GraphEngineError,
    InputError,
    InvalidUpdate,
    NotRecordable,
    RunIsDriven,
    RunNotResumable,
    StoreError,
    TooLarge,
)
from graphengine.history.load import graph_spec_of, load_snapshot, snapshot_of
from graphengine.runner.cached_snapshots import CachedSnapshot
from graphengine.runner.extensions import OpenRun
from graphengine.runner.result import Result, result_of
from graphengine.state.declared import given_in, values_of
from graphengine.state.path import did_you_mean
from graphengine.state.secret import is_sealed
from graphengine.state.view import View
from graphengine.stores.base import Append, RunInfo
from graphengine.stores.summaries import summary_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from graphengine.engine.plan import Plan
    from graphengine.engine.steps import Decided
    from graphengine.history.load import At
    from graphengine.runner.driving import Driving
    from graphengine.runner.life import Life
    from graphengine.runner.shared import Shared
    from graphengine.state.amounts import LimitsRecord
    from graphengine.state.json_values import JsonValue
    from graphengine.state.schema import Initial
    from graphengine.stores.base import ClaimedRun, Message, RunStore

S = TypeVar("S")


class InQueue(NamedTuple):
    """Where a run is queued: its queue, its priority, and its tenant."""

    queue: str
    priority: int
    tenant: str | None


# --- a new run ----------------------------------------------------------------------------------------------------


async def begin(  # noqa: PLR0913 - what a run begins with
    life: Life[S],
    *,
    initial: Initial | None,
    given: object,
    limits: LimitsRecord,
    after: str | None,
    pause: Sequence[str],
    tags: tuple[str, ...],
    place: InQueue | None,
) -> Driving | Result[S]:
    """Record the first step of a new run. Return its result so far if it begins in a queue, for a worker.

    Raises:
        RunExists; InputError: The run in `after` is not over.
    """
    shared, plan = life.shared, life.plan
    await shared.store.open()
    if initial is None:
        initial = await _continued(shared, plan, str(after), given)
    most = shared.sizes.state_bytes
    if most is not None and initial.size_bytes > most:
        text = f"the state takes {initial.size_bytes:,} bytes, {most:,} are allowed"
        repair = "give less, or raise Sizes(state_bytes=…)"
        raise InputError(text, where=f"run {life.id}", repair=repair, code=TooLarge.code)
    driving = await life.claimed(Snapshot(), initial.size_bytes)
    event = Begun(
        now=driving.time.now(),
        run_id=life.id,
        values=initial.values,
        typed=initial.typed,
        limits=limits,
        given=initial.given,
        after=after or "",
        pause=pause,
    )
    await driving.commit([event], partial(_create, life, driving, tags, place))
    return driving if place is None else replace(result_of(plan, driving.snapshot), status="queued")


async def _create(
    life: Life[Any], driving: Driving, tags: tuple[str, ...], place: InQueue | None, steps: Sequence[Decided]
) -> None:
    """Record a run with its first step, and claim it."""
    plan, snapshot, first = life.plan, driving.snapshot, steps[0]
    first.typed = None  # as in `Driving.append`
    info = RunInfo(
        id=life.id,
        graph=plan.graph,
        fingerprint=plan.fingerprint,
        status=snapshot.status,
        seq=first.seq,
        created_at=first.at,
        updated_at=first.at,
        due_at=next_due(snapshot) if snapshot.waiting else None,
        tags=tags,
        summary=summary_of(snapshot) if snapshot.status != "running" else None,
    )
    if isinstance(first.data, Branched):
        info = replace(info, parent=first.data.parent, parent_seq=first.seq - 1)
    if place is not None:
        info = replace(info, queue=place.queue, priority=place.priority, tenant=place.tenant, queued=True)
    driving.fence = await life.shared.store.create(info, steps, plan.graph_spec)


async def _continued(shared: Shared[Any], plan: Plan[S], after: str, given: object) -> Initial:
    """Return the initial state of a run that begins with the final state of another one."""
    where = f"after run {after}"
    left = await load_snapshot(shared.store, after, None)
    if left.status in ("running", "waiting"):
        raise InputError(
            f"run {after} is not over, so it has no final state", where=where, repair="wait for it, or resume it"
        )
    earlier = values_of(plan.state.rebuild(_own_secrets(plan, left)))
    update = given_in(given)
    written = sorted(update)
    kept = plan.carry_over if plan.carry_over is not None else tuple(plan.state.fields)
    base: dict[str, Any] = {name: earlier[name] for name in kept if name in earlier}
    for name, field in plan.state.fields.items():
        if name not in base and field.info.is_required() and name in update:
            base[name] = update.pop(name)
    begun = plan.state.initial(base, where)
    view = View(plan.state, Frame(values=begun.values, typed=begun.typed))
    _apply_update(plan, view, update, where)
    whole = plan.state.initial({name: view.get(name) for name in plan.state.fields}, where)
    return whole._replace(given=written)


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
) -> Driving:
    """Record the first step of a child run.

    Raises:
        UnknownRun, UnknownStep, RunNotResumable, GraphChanged; InputError: The update does not fit.
    """
    store, plan = life.shared.store, life.plan
    await store.open()
    snapshot = await load_snapshot(store, parent, at)
    seq = snapshot.seq
    _check_name(plan, snapshot.graph, parent)
    check_secrets(plan, snapshot)
    if snapshot.status == "finished":
        raise RunNotResumable(
            f"run {parent} had finished at step {seq}, so nothing is left to run there",
            where=f"run {parent}, step {seq}",
            repair=f"branch at step {seq - 1} or before",
        )
    shift, after = await _fitted(life.shared, plan, snapshot)
    driving = await life.claimed(snapshot, parent=parent)
    where = f"branch of {parent} at step {seq}"
    frame = _frame_at(after, path if update else "", where)
    _check_fields(plan_of(plan, frame), update, where)
    event = BranchedOff(
        now=driving.time.now(),
        run_id=life.id,
        parent=parent,
        seq=seq,
        updates=list(update.items()),
        fingerprint=plan.fingerprint,
        limits=limits if limits is not None else await _limits_of(store, parent, snapshot),
        frame=frame.id,
        pause=pause,
        change=shift,
    )
    try:
        await driving.commit([event], partial(_create, life, driving, tags, None))
    except (InvalidUpdate, NotRecordable, TooLarge) as error:
        code = TooLarge.code if isinstance(error, TooLarge) else None
        raise InputError(error.message, where=where, repair=error.repair, code=code) from error
    return driving


async def _limits_of(store: RunStore, run_id: str, snapshot: Snapshot) -> LimitsRecord:
    """Return the limits last in force in a run; those of the snapshot if the run's end cannot be read."""
    try:
        return (await load_snapshot(store, run_id, None)).limits
    except StoreError:
        return snapshot.limits


# --- a recorded run -----------------------------------------------------------------------------------------------


class Found(NamedTuple):
    """A claimed run, and how it was found.

    Attributes:
        info: Its row.
        fence: The fencing number of the claim.
        held: Whether it was held before it was claimed: the process that held it has died.
        kept: Its snapshot, if it is loaded.
        inbox: Its messages, if they are loaded.
    """

    info: RunInfo
    fence: int
    held: bool
    kept: CachedSnapshot | None = None
    inbox: Sequence[Message] | None = None


class Wanted(NamedTuple):
    """What a run is resumed with."""

    limits: LimitsRecord | None = None
    pause: Sequence[str] | None = None
    retry_failed: bool = False


_AS_IT_WAS: Final = Wanted()


async def resume(
    life: Life[S], wanted: Wanted = _AS_IT_WAS, taken: ClaimedRun | None = None, *, gives_way: bool = False
) -> Driving | Result[S]:
    """Claim a run and record that it is resumed; if there is nothing to resume, return its result unchanged.

    A run that failed or was stopped is resumed too, if a caller asked for that. One that gives way is released at once
    if it should be driven alone and other runs are driven here: then the life is held back.

    Raises:
        UnknownRun, RunIsDriven, GraphChanged.
    """
    shared = life.shared
    shared.opening += 1
    try:
        await shared.store.open()
        if taken is not None and taken.fence is not None:
            opened = await _of_taken(life, taken, taken.fence)
        else:
            opened = await _claimed(life, wanted)
    finally:
        shared.opening -= 1
        shared.quieter.set()  # also if it was refused: a run that is to be driven alone may wait for that
    if gives_way and not isinstance(opened, Result) and opened.snapshot.shared_process:
        # 1. After a run's first crash, this process looks at it (`is_better_alone`): it may be driven beside others. 2.
        # Another process claims it and crashes, for the second time. 3. This process claims it. Only what it has
        # recorded now is certain: both crashes. So it looks here once more, and starts no node. Released without that
        # step, the run would no longer be held, and the second crash would not count.
        life.is_held_back = True
        opened.release()
    return opened


async def _claimed(life: Life[S], wanted: Wanted, *, was_held: bool = False) -> Driving | Result[S]:
    shared, plan, store = life.shared, life.plan, life.shared.store
    info = await store.info(life.id)
    _check_name(plan, info.graph, life.id)
    if plan.secret:  # a wrong key must not touch the run
        check_secrets(plan, await shared.kept.read(life.id))
    is_over = info.status == "finished" or (not life.is_asked and info.status not in ("running", "waiting"))
    waits = info.status == "waiting" and wanted == _AS_IT_WAS
    if is_over or (waits and await _still_waits(life, info)):
        there = await shared.kept.read(life.id)
        # If another process has moved it since `info` was read, it is claimed, and all is checked again below.
        if there.seq == info.seq and (
            is_over or not life.is_asked or not has_failed_parts(there, settled_maps(plan, there))
        ):
            return result_of(plan, there)
    _check_free(life)
    if info.fingerprint != plan.fingerprint:  # a graph that no longer fits must not touch the run
        await _fitted(shared, plan, await shared.kept.read(life.id))
    fence = await store.claim(life.id)
    try:
        claimed = await store.info(life.id)
        if claimed.seq == info.seq:
            return await _resumed(life, wanted, Found(claimed, fence, info.held or was_held))
        last = await store.steps(life.id, claimed.seq - 1, claimed.seq)
    except BaseException:
        await release(store, life.id, fence)
        raise
    # 1. `info` was read at seq 5. 2. Another process claimed the run, recorded step 6, and released it or died. 3.
    # The claim succeeded. The checks above were made for step 5, so they are repeated. If a process had died at 1,
    # and the other one has only resumed the run, it died as well: a node that kills its process does that.
    was_held = (info.held or was_held) and any(step.kind == "resumed" for step in last)
    await release(store, life.id, fence)
    return await _claimed(life, wanted, was_held=was_held)


async def _of_taken(life: Life[S], taken: ClaimedRun, fence: int) -> Driving | Result[S]:
    """Resume a run that was claimed when it was taken; release it if it cannot be resumed, or still waits."""
    shared, plan, info = life.shared, life.plan, taken.info
    try:
        _check_free(life)
        _check_name(plan, info.graph, life.id)
        loaded = taken.loaded
        kept = await shared.kept.take(life.id) if loaded is None else CachedSnapshot(snapshot_of(loaded, life.id))
        if plan.secret:
            check_secrets(plan, kept.snapshot)
        due = info.due_at is not None and info.due_at <= shared.clock.now()
        if info.status == "waiting" and not due and not taken.inbox and info.fingerprint == plan.fingerprint:
            await release(shared.store, life.id, fence)
            shared.kept.keep(*kept)
            return result_of(plan, kept.snapshot)
        return await _resumed(life, _AS_IT_WAS, Found(info, fence, held=False, kept=kept, inbox=taken.inbox))
    except BaseException:
        await release(shared.store, life.id, fence)
        raise


async def _resumed(life: Life[S], wanted: Wanted, found: Found) -> Driving:
    """Record the resume of a claimed run, and return what drives it.

    If a caller asked to resume it, earlier requests to stop it are discarded. Otherwise they stop it now: the process
    that was to stop it died, or released it, before it saw them.
    """
    shared, plan, store = life.shared, life.plan, life.shared.store
    snapshot, size_bytes = found.kept or await shared.kept.take(life.id)
    changed = snapshot.fingerprint != plan.fingerprint
    shift, _ = await _fitted(shared, plan, snapshot)
    driving = await life.claimed(snapshot, size_bytes, info=found.info)
    driving.fence = found.fence
    limits = wanted.limits if wanted.limits is not None else snapshot.limits
    crashed = snapshot.status == "running" and found.held
    shared_process = shared.opening > 1 or bool(shared.driven.keys() - {life.id})
    inbox = await store.inbox([life.id]) if found.inbox is None else found.inbox
    stale = [message.id for message in inbox if message.kind == "stop" and life.is_asked]
    news = [message for message in inbox if message.id not in stale]
    # What moves now, or what an answer lets end, may handle a part that failed, as by a fallback or an edge.
    due = next_due(snapshot)
    is_idle = runnable_frame(snapshot) is None and not news and (due is None or due > shared.clock.now())
    event = Resumed(
        now=driving.time.now(),
        crashed=crashed,
        limits=limits,
        fingerprint=plan.fingerprint,
        pause=wanted.pause,
        change=shift,
        shared_process=shared_process,
        asked=is_idle and life.is_asked,
        retry_failed=wanted.retry_failed,
    )
    driving.deliver(news)
    await driving.commit([event], partial(driving.append, consume=stale, changed=changed))
    return driving


def _check_free(life: Life[Any]) -> None:
    """Raise RunIsDriven if the run is driven here."""
    if life.id in life.shared.driven:
        raise RunIsDriven(life.id, "this Runner", math.inf)


async def _still_waits(life: Life[Any], info: RunInfo) -> bool:
    """Return whether there is no reason to resume: no answer or message, no time that has come, the same graph."""
    due = info.due_at is not None and info.due_at <= life.shared.clock.now()
    return not due and info.fingerprint == life.plan.fingerprint and not await life.shared.store.inbox([info.id])


def _check_name(plan: Plan[Any], graph: str, run_id: str) -> None:
    """Check that a run belongs to this graph, changed or not.

    Raises:
        GraphChanged: The run's graph has another name.
    """
    if graph != plan.graph:
        raise GraphChanged(
            f"run {run_id} is of graph {graph!r}, not {plan.graph!r}",
            where=f"run {run_id}",
            repair=f"give the graph named {graph!r}",
        )


async def _fitted(shared: Shared[Any], plan: Plan[Any], snapshot: Snapshot) -> tuple[Shift, Snapshot]:
    """Return the changes with which a run continues under this plan, if it does, and its snapshot after them.

    Raises:
        GraphChanged: The run does not fit the plan.
    """
    _check_name(plan, snapshot.graph, snapshot.run_id)
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
        repair="put it back, or use graphengine.Runner, which migrates runs",
    )


async def is_better_alone(store: RunStore, info: RunInfo) -> bool:
    """Return whether a run should be alone in its process, because one of its nodes was in flight at crashes.

    1. Two processes list an orphan. 2. The first one claims it and records `resumed`, with the crash. 3. The second one
    reads it: on top of that step the crash of `info` would count twice. So it reads the run as of `info`.
    """
    if info.status != "running":
        return False
    try:
        return wants_alone(await load_snapshot(store, info.id, info.seq), crashed=info.held)
    except GraphEngineError:  # it was removed, or cannot be read; a resume reports that
        return False


# --- a run that is not driven here --------------------------------------------------------------------------------


async def stop(shared: Shared[Any], run_id: str, why: str, consume: Sequence[int] = (), *, now: bool = False) -> None:
    """Stop a run that is not driven here: at once if it waits or is queued, else by a message to its driver."""
    store = shared.store
    info = await store.info(run_id)
    if info.status not in ("running", "waiting"):
        return
    plan = shared.plans.get(info.fingerprint)
    if info.status == "running" and not info.queued:
        await _post_stop(store, plan, run_id, f"{why} by another process" if why == "asked" else why, now=now)
        return
    try:
        fence = await store.claim(run_id)
    except RunIsDriven:  # another process has just resumed it
        await _post_stop(store, plan, run_id, why, now=now)
        return
    try:
        snapshot = await load_snapshot(store, run_id, None)
        if snapshot.status == "waiting" or info.queued:
            followers = await shared.following(OpenRun(store, snapshot, info))
            event = StopAsked(shared.clock.now(), "asked", why)

            def append(steps: Sequence[Decided]) -> Awaitable[None] | None:
                summary = summary_of(snapshot)
                return store.append(Append(run_id, fence, steps, snapshot.status, consume, summary=summary))

            done = Session(plan, snapshot).commit([event], append)
            if done.durable is not None:
                await done.durable
            for recorded in followers.recorded:
                recorded(done.steps)
            await followers.leave()
    finally:
        await release(store, run_id, fence)


async def _post_stop(store: RunStore, plan: Plan[Any] | None, run_id: str, why: str, *, now: bool) -> None:
    reason = words_for(plan, await load_snapshot(store, run_id, None), why)
    payload: JsonValue = {"why": reason, "now": True} if now else reason
    await store.post(run_id, "stop", payload, key=f"stop {secrets.token_hex(8)}")


async def release(store: RunStore, run_id: str, fence: int) -> None:
    """Release a run for other processes. If the store fails, the lease expires anyway."""
    with contextlib.suppress(StoreError):
        await store.release(run_id, fence)


# --- values -------------------------------------------------------------------------------------------------------


def _check_fields(plan: Plan[Any], update: Mapping[str, object], where: str) -> None:
    for name in update:
        if name not in plan.state.fields:
            near = did_you_mean(name, plan.state.fields)
            raise InputError(f"unknown field {name!r}", where=where, repair=near)


def _frame_at(snapshot: Snapshot, path: str | None, where: str) -> Frame:
    """Return the frame whose fields a branch writes.

    Raises:
        InputError: No state is open at this path, or several are open and no path is given.
    """
    known = {"": snapshot.root}
    for frame in snapshot.frames.values():
        if frame.kind in ("sub", "arm"):
            known[frame.id.rstrip("/")] = frame
    listed = ", ".join(repr(key) for key in known)
    if path is None and len(known) > 1:
        text = "several states are open there, and no path selects the one to update"
        raise InputError(text, where=where, repair=f"name its path, one of: {listed} (path='' for the run's own)")
    found = known.get((path or "").rstrip("/"))
    if found is None:
        raise InputError(f"no state is open at {path!r}", where=where, repair=f"the paths are: {listed}")
    return found


def _apply_update(plan: Plan[Any], view: View, update: Mapping[str, object], where: str) -> None:
    _check_fields(plan, update, where)
    try:
        plan.state.apply(view, list(update.items()))
    except (InvalidUpdate, NotRecordable) as error:
        raise InputError(error.message, where=where, repair=error.repair) from error


def _own_secrets(plan: Plan[Any], left: Snapshot) -> Mapping[str, JsonValue]:
    """Return a run's final values. If it was of another graph, encrypt its secrets for this one, with the same key.

    Raises:
        SecretKeyWrong: The other graph had another key.
    """
    values = dict(left.root.values)
    for name in plan.state.secrets & values.keys() if left.graph != plan.graph else ():
        cipher = plan.state.fields[name].cipher
        if cipher is not None and is_sealed(values[name]):
            values[name] = cipher.seal(name, replace(cipher, graph=left.graph).unseal(name, values[name]))
    return values
