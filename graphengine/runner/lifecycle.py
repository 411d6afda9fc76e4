"""Opening a run: it is begun, resumed or branched off. `runner.supervisor` then drives it."""

from __future__ import annotations

import contextlib
import math
import secrets
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import WeakValueDictionary

from graphengine.engine.events import Begun, BranchedOff, Resumed, StopAsked
from graphengine.engine.fold import evolve
from graphengine.engine.lookup import plan_of
from graphengine.engine.ready import mover_of, next_due
from graphengine.engine.redaction import check_secrets, words_for
from graphengine.engine.rules.run import has_failed_parts, wants_alone
from graphengine.engine.session import Session
from graphengine.engine.snapshot import Frame, Snapshot
from graphengine.engine.steps import Branched
from graphengine.errors import (
    DefinitionError,
    GraphChanged,
    GraphEngineError,
    InputError,
    InvalidUpdate,
    NotRecordable,
    RunIsDriven,
    RunNotResumable,
    SecretKeyWrong,
    StoreError,
    TooLarge,
)
from graphengine.graph.definition import Limits
from graphengine.history.load import load_snapshot, outline_of, snapshot_of
from graphengine.runner.kept import Kept, KeptSnapshots
from graphengine.runner.loop import Driver
from graphengine.runner.migration.compatibility import Refit, check_name, frame_at, misfit_error, refit
from graphengine.runner.result import Result, result_of
from graphengine.runner.turns import Turns
from graphengine.state.declared import given_in, values_of
from graphengine.state.json_values import TooLargeInput
from graphengine.state.path import did_you_mean
from graphengine.state.secret import is_sealed
from graphengine.state.view import View
from graphengine.stores.base import Append, RunInfo
from graphengine.stores.summaries import summary_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from graphengine.engine.plan import Plan
    from graphengine.engine.steps import Decided
    from graphengine.graph.options import Sizes
    from graphengine.runner.clock import Clock
    from graphengine.runner.run import Run
    from graphengine.state.amounts import LimitsRecord
    from graphengine.state.json_values import JsonValue
    from graphengine.state.schema import Initial
    from graphengine.stores.base import Store, Taken
    from graphengine.telemetry import RunTrace, Telemetry

S = TypeVar("S")

_LOOKED_AT: Final = 64
"""How many of the last steps to search for one at which a run still fits a changed graph. It only adds a hint to an
error, so the search is bounded: each step is checked against the graph."""


class Opener:
    """Opens the runs of one Runner.

    Args:
        store: The store of the runs.
        clock: The clock.
        driven: The drivers of the runs that are driven here, by run id.
        sizes: The size limits.
        checks: Whether to detect functions that change their arguments in place.
    """

    def __init__(self, store: Store, clock: Clock, driven: Mapping[str, Driver], sizes: Sizes, *, checks: bool) -> None:
        self._store = store
        self._clock = clock
        self._driven = driven
        self._sizes = sizes
        self._checks = checks
        self.turns = Turns()
        self.kept = KeptSnapshots(store)
        self.telemetry: Telemetry | None = None  # set by the Runner
        self._opening = 0  # how many runs are being resumed

    @cached_property
    def _plans(self) -> WeakValueDictionary[str, Plan[Any]]:
        """The plans of runs that were opened here, by fingerprint."""
        return WeakValueDictionary()

    async def begin(  # noqa: PLR0913 - what a run begins with
        self,
        run: Run[S],
        plan: Plan[S],
        initial: Initial | None,
        given: object,
        limits: Limits,
        after: str | None,
        pause: Sequence[str],
    ) -> Driver | Result[S]:
        """Record the first step of a new run. Return its result so far if it begins in a queue, for a worker.

        Raises:
            RunExists; InputError: The run in `after` is not over.
        """
        await self._store.open()
        if initial is None:
            initial = await self._continued(plan, str(after), given)
        most = self._sizes.state_bytes
        if most is not None and initial.size_bytes > most:
            text = f"the state takes {initial.size_bytes:,} bytes, {most:,} are allowed"
            raise TooLargeInput(text, where=f"run {run.id}", repair="give less, or raise Sizes(state_bytes=…)")
        driver = self._driver(run, plan, Snapshot())
        driver.trace = await self._trace(run, driver.snapshot)
        driver.session.size_bytes = initial.size_bytes
        now = driver.time.now()
        event = Begun(now, run.id, initial.values, initial.typed, as_limits(limits), initial.given, after or "", pause)
        await driver.commit([event], partial(self._create, driver))
        if run.place is not None:
            run.recorded(driver.snapshot.seq)
            return result_of(plan, driver.snapshot)
        return driver

    async def _create(self, driver: Driver, steps: Sequence[Decided]) -> None:
        """Record a run with its first step, and claim it."""
        run, plan, snapshot, first = driver.run, driver.plan, driver.snapshot, steps[0]
        first.typed = None  # as in `Driver.append`
        facts = run.id, plan.graph, plan.fingerprint, snapshot.status, first.seq, first.at, first.at
        info = RunInfo(*facts, due_at=next_due(snapshot) if snapshot.waiting else None, tags=run.tags)
        if isinstance(first.data, Branched):
            info = replace(info, parent=first.data.parent, parent_seq=first.seq - 1)
        if snapshot.status != "running":
            info = replace(info, summary=summary_of(snapshot))
        place = run.place
        if place is not None:
            info = replace(info, queue=place.queue, priority=place.priority, key=place.key, queued=True)
        driver.fence = await self._store.create(info, steps, plan.outline)

    async def _continued(self, plan: Plan[S], after: str, given: object) -> Initial:
        """Return the initial state of a run that begins with the final state of another one."""
        where = f"after run {after}"
        left = await load_snapshot(self._store, after, None)
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
        self._apply_update(plan, view, update, where)
        whole = plan.state.initial({name: view.get(name) for name in plan.state.fields}, where)
        return whole._replace(given=written)

    async def resume(
        self, run: Run[S], plan: Plan[S], limits: Limits | None = None, pause: Sequence[str] | None = None
    ) -> Driver | Result[S]:
        """Claim a run and record that it is resumed; if there is nothing to resume, return its result unchanged.

        A run that failed or was stopped is resumed too, unless it is `due_only`.

        Raises:
            UnknownRun, RunIsDriven, GraphChanged.
        """
        self._opening += 1
        try:
            return await self._claimed(run, plan, limits, pause)
        finally:
            self._opening -= 1

    async def _claimed(
        self, run: Run[S], plan: Plan[S], limits: Limits | None, pause: Sequence[str] | None, *, was_held: bool = False
    ) -> Driver | Result[S]:
        await self._store.open()
        taken, run.taken = run.taken, None  # if the run waits and is resumed here again, it has to be claimed
        if taken is not None and taken.fence is not None:
            return await self._of_taken(run, plan, taken, taken.fence)
        info = await self._store.info(run.id)
        check_name(plan, info.graph, run.id)
        if plan.secret:  # a wrong key must not touch the run
            check_secrets(plan, await self.kept.read(run.id))
        is_over = info.status == "finished" or (run.due_only and info.status not in ("running", "waiting"))
        waits = info.status == "waiting" and limits is None and pause is None
        if is_over or (waits and await self._still_waits(info, plan)):
            there = await self.kept.read(run.id)
            # If another process has moved it since `info` was read, it is claimed, and all is checked again below.
            if there.seq == info.seq and (is_over or run.due_only or not has_failed_parts(there)):
                run.recorded(there.seq)
                return result_of(plan, there)
        self._check_free(run)
        if info.fingerprint != plan.fingerprint:  # a graph that no longer fits must not touch the run
            await self._refit(plan, await self.kept.read(run.id))
        fence = await self._store.claim(run.id)
        try:
            seq = (await self._store.info(run.id)).seq
            if seq == info.seq:
                return await self._resumed(run, plan, fence, limits, pause, held=info.held or was_held)
            last = await self._store.steps(run.id, seq - 1, seq)
        except BaseException:
            await release(self._store, run.id, fence)
            raise
        # 1. `info` was read at seq 5. 2. Another process claimed the run, recorded step 6, and released it or died. 3.
        # The claim succeeded. The checks above were made for step 5, so they are repeated. If a process had died at 1,
        # and the other one has only resumed the run, it died as well: a node that kills its process does that.
        was_held = (info.held or was_held) and any(step.kind == "resumed" for step in last)
        await release(self._store, run.id, fence)
        return await self._claimed(run, plan, limits, pause, was_held=was_held)

    async def _of_taken(self, run: Run[S], plan: Plan[S], taken: Taken, fence: int) -> Driver | Result[S]:
        """Resume a run that was claimed when it was taken; release it if it cannot be resumed, or still waits."""
        info = taken.info
        try:
            self._check_free(run)
            check_name(plan, info.graph, run.id)
            kept = await self._kept(taken)
            if plan.secret:
                check_secrets(plan, kept.snapshot)
            due = info.due_at is not None and info.due_at <= self._clock.now()
            if info.status == "waiting" and not due and not taken.inbox and info.fingerprint == plan.fingerprint:
                await release(self._store, run.id, fence)
                run.recorded(kept.snapshot.seq)
                self.kept.keep(*kept)
                return result_of(plan, kept.snapshot)
            return await self._resumed(run, plan, fence, None, None, held=False, taken=taken, kept=kept)
        except BaseException:
            await release(self._store, run.id, fence)
            raise

    def _check_free(self, run: Run[Any]) -> None:
        """Raise RunIsDriven if the run is driven here."""
        if run.id in self._driven:
            raise RunIsDriven(run.id, "this Runner", math.inf)

    async def _kept(self, taken: Taken) -> Kept:
        run_id = taken.info.id
        return await self.kept.take(run_id) if taken.loaded is None else Kept(snapshot_of(taken.loaded, run_id))

    async def _still_waits(self, info: RunInfo, plan: Plan[Any]) -> bool:
        """Return whether there is no reason to resume: no answer or message, no time that has come, the same graph."""
        due = info.due_at is not None and info.due_at <= self._clock.now()
        return not due and info.fingerprint == plan.fingerprint and not await self._store.inbox([info.id])

    async def _resumed(  # noqa: PLR0913 - what a run is resumed with
        self,
        run: Run[S],
        plan: Plan[S],
        fence: int,
        limits: Limits | None,
        pause: Sequence[str] | None,
        *,
        held: bool,
        taken: Taken | None = None,
        kept: Kept | None = None,
    ) -> Driver:
        """Record the resume of a claimed run, and return its driver.

        If a caller asked to resume it, earlier requests to stop it are discarded. Otherwise they stop it now: the
        process that was to stop it died, or released it, before it saw them.

        If the run was `held` before it was claimed, the process that held it has died.
        """
        snapshot, size_bytes = kept or await self.kept.take(run.id)
        changed = snapshot.fingerprint != plan.fingerprint
        fitted = await self._refit(plan, snapshot)
        driver = self._driver(run, plan, snapshot)
        driver.session.size_bytes = size_bytes
        if self.telemetry is not None:
            info = await self._store.info(run.id) if taken is None else taken.info
            driver.trace = await self._trace(run, snapshot, info)
        driver.fence = fence
        wanted = as_limits(limits) if limits is not None else snapshot.limits
        crashed = snapshot.status == "running" and held
        facts = driver.time.now(), crashed, wanted, plan.fingerprint, pause, fitted.shift
        company = self._opening > 1 or bool(self._driven.keys() - {run.id})
        inbox = await self._store.inbox([run.id]) if taken is None else taken.inbox
        stale = [message.id for message in inbox if message.kind == "stop" and not run.due_only]
        news = [message for message in inbox if message.id not in stale]
        # What moves now, or what an answer lets end, may handle a part that failed, as by a fallback or an edge.
        due = next_due(snapshot)
        is_idle = mover_of(snapshot) is None and not news and (due is None or due > self._clock.now())
        event = Resumed(*facts, company=company, asked=is_idle and not run.due_only)
        driver.deliver(news)
        await driver.commit([event], partial(driver.append, consume=stale, changed=changed))
        return driver

    async def _refit(self, plan: Plan[Any], snapshot: Snapshot) -> Refit:
        """Return how a run continues under this plan.

        Raises:
            GraphChanged: The run does not fit the plan.
        """
        same = snapshot.fingerprint == plan.fingerprint
        found = refit(plan, snapshot, None if same else await outline_of(self._store, snapshot.fingerprint))
        if found.misfits:
            raise misfit_error(plan, snapshot, found, await self._last_fit(plan, snapshot))
        return found

    async def _last_fit(self, plan: Plan[Any], snapshot: Snapshot) -> int | None:
        """Return the last of a run's newest steps at which it fits this plan; None if there is none."""
        first = max(1, snapshot.seq - _LOOKED_AT)
        found: int | None = None
        with contextlib.suppress(StoreError):
            there = await load_snapshot(self._store, snapshot.run_id, first)
            steps = await self._store.steps(snapshot.run_id, first, snapshot.seq - 1)
            for step in (None, *steps):
                if step is not None:
                    evolve(there, step)
                if there.status == "finished":
                    continue
                with contextlib.suppress(GraphChanged, SecretKeyWrong):  # older steps may need older keys
                    outline = await outline_of(self._store, there.fingerprint)
                    if not refit(plan, there, outline).misfits:
                        found = there.seq
        return found

    async def branch_off(  # noqa: PLR0913 - what a branch begins with
        self,
        run: Run[S],
        plan: Plan[S],
        parent: str,
        at: int,
        update: Mapping[str, object],
        path: str | None,
        limits: Limits | None,
        pause: Sequence[str] | None,
    ) -> Driver:
        """Record the first step of a child run.

        Raises:
            UnknownRun, UnknownStep, RunNotResumable, GraphChanged; InputError: The update does not fit.
        """
        await self._store.open()
        snapshot = await load_snapshot(self._store, parent, at)
        check_name(plan, snapshot.graph, parent)
        check_secrets(plan, snapshot)
        if snapshot.status == "finished":
            raise RunNotResumable(
                f"run {parent} had finished at step {at}, so nothing is left to run there",
                where=f"run {parent}, step {at}",
                repair=f"branch at step {at - 1} or before",
            )
        fitted = await self._refit(plan, snapshot)
        driver = self._driver(run, plan, snapshot)
        driver.trace = await self._trace(run, snapshot, parent=parent)
        where = f"branch of {parent} at step {at}"
        frame = frame_at(fitted.after or snapshot, path if update else "", where)
        self._check_fields(plan_of(plan, frame), update, where)
        wanted = as_limits(limits) if limits is not None else await self._limits_of(parent, snapshot)
        event = BranchedOff(
            driver.time.now(),
            run.id,
            parent,
            at,
            list(update.items()),
            plan.fingerprint,
            wanted,
            frame.id,
            pause,
            fitted.shift,
        )
        try:
            await driver.commit([event], partial(self._create, driver))
        except (InvalidUpdate, NotRecordable, TooLarge) as error:
            kind = TooLargeInput if isinstance(error, TooLarge) else InputError
            raise kind(error.message, where=where, repair=error.repair) from error
        return driver

    async def _limits_of(self, run_id: str, snapshot: Snapshot) -> LimitsRecord:
        """Return the limits last in force in a run; those of the snapshot if the run's end cannot be read."""
        try:
            return (await load_snapshot(self._store, run_id, None)).limits
        except StoreError:
            return snapshot.limits

    @property
    def is_idle(self) -> bool:
        """Whether no run is driven or being resumed here."""
        return not self._opening and not self._driven

    def plan_by(self, fingerprint: str) -> Plan[Any] | None:
        """Return the plan of a graph whose runs were opened here, while any of them or the graph is in use."""
        return self._plans.get(fingerprint)

    async def wants_alone(self, info: RunInfo) -> bool:
        """Return whether a run should be alone in its process, because one of its nodes was in flight at crashes."""
        if info.status != "running":
            return False
        try:
            return wants_alone(await load_snapshot(self._store, info.id, None), crashed=info.held)
        except GraphEngineError:  # it was removed, or cannot be read; a resume reports that
            return False

    async def stop(self, run_id: str, why: str, consume: Sequence[int] = (), *, now: bool = False) -> None:
        """Stop a run that is not driven here: at once if it waits or is queued, else by a message to its driver."""
        info = await self._store.info(run_id)
        if info.status not in ("running", "waiting"):
            return
        plan = self._plans.get(info.fingerprint)
        if info.status == "running" and not info.queued:
            await self._post_stop(plan, run_id, f"{why} by another process" if why == "asked" else why, now=now)
            return
        try:
            fence = await self._store.claim(run_id)
        except RunIsDriven:  # another process has just resumed it
            await self._post_stop(plan, run_id, why, now=now)
            return
        try:
            snapshot = await load_snapshot(self._store, run_id, None)
            if snapshot.status == "waiting" or info.queued:
                trace = None
                if self.telemetry is not None:
                    trace = await self.telemetry.trace(self._store, snapshot, info)
                stop = StopAsked(self._clock.now(), "asked", why)

                def append(steps: Sequence[Decided]) -> Awaitable[None] | None:
                    summary = summary_of(snapshot)
                    batch = Append(run_id, fence, steps, snapshot.status, consume, summary=summary)
                    return self._store.append(batch)

                done = Session(plan, snapshot).commit([stop], append)
                if done.durable is not None:
                    await done.durable
                if trace is not None:
                    trace.seen(done.steps)
                    await trace.left(self._store)
        finally:
            await release(self._store, run_id, fence)

    async def _post_stop(self, plan: Plan[Any] | None, run_id: str, why: str, *, now: bool) -> None:
        reason = words_for(plan, await load_snapshot(self._store, run_id, None), why)
        payload: JsonValue = {"why": reason, "now": True} if now else reason
        await self._store.post(run_id, "stop", payload, key=f"stop {secrets.token_hex(8)}")

    async def _trace(
        self, run: Run[Any], snapshot: Snapshot, info: RunInfo | None = None, *, parent: str | None = None
    ) -> RunTrace | None:
        """Return the trace of a run that is about to be opened; None without telemetry."""
        if self.telemetry is None:
            return None
        caller = None if run.is_recorded else run.context  # a run that wakes up here has no caller
        return await self.telemetry.trace(self._store, snapshot, info, parent=parent, caller=caller)

    def _driver(self, run: Run[Any], plan: Plan[Any], snapshot: Snapshot) -> Driver:
        if not run.is_hidden:
            self._plans[plan.fingerprint] = plan
        facts = plan, snapshot, self._store, self._clock, run, self.turns
        return Driver(*facts, sizes=self._sizes, checks=self._checks)

    def _check_fields(self, plan: Plan[Any], update: Mapping[str, object], where: str) -> None:
        for name in update:
            if name not in plan.state.fields:
                near = did_you_mean(name, plan.state.fields)
                raise InputError(f"unknown field {name!r}", where=where, repair=near)

    def _apply_update(self, plan: Plan[Any], view: View, update: Mapping[str, object], where: str) -> None:
        self._check_fields(plan, update, where)
        try:
            plan.state.apply(view, list(update.items()))
        except (InvalidUpdate, NotRecordable) as error:
            raise InputError(error.message, where=where, repair=error.repair) from error


async def release(store: Store, run_id: str, fence: int) -> None:
    """Release a run for other processes. If the store fails, the lease expires anyway."""
    with contextlib.suppress(StoreError):
        await store.release(run_id, fence)


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


def as_limits(limits: Limits) -> LimitsRecord:
    """Return the limits that are set, as the engine keeps them.

    Raises:
        DefinitionError: The argument is not a Limits object.
    """
    given: object = limits
    if not isinstance(given, Limits):
        raise DefinitionError(f"limits={limits!r}", repair="write limits=Limits(steps=…)")
    return limits.given()
