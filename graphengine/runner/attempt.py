"""One attempt of a node: runs the code of the node, and turns its outcome into an event for the engine.

Every exception of a node becomes a `NodeFailed`, except a cancellation from outside and an interrupt of the process.
This module also detects a node that changes its input in place: digests of mutable fields are computed before and after
the node runs, and the typed value of a changed field is dropped, so that it is built again from the record.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import random
from dataclasses import replace
from types import CoroutineType, coroutine
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import ref

from graphengine.engine.events import (
    LimitMet,
    NodeEntered,
    NodeFailed,
    NodeFinished,
    NodeLeft,
    Noted,
    Settled,
    WaitOver,
)
from graphengine.engine.failures import failure_record, text_of
from graphengine.engine.lookup import plan_of, view_of
from graphengine.engine.plan import Remembered
from graphengine.engine.size_limits import check_room
from graphengine.engine.steps import Node, Waiting, WaitRecord, own_name
from graphengine.engine.work_keys import OF_NODE, STARTS, WorkKey
from graphengine.errors import CrashLoop, MutatedInput, NoChoice, NodeTimeout, NotAwaited, NotRecordable, TooLarge
from graphengine.graph.effect import taken_by
from graphengine.graph.question import NO_ANSWER, AskBody
from graphengine.graph.runnable import is_async
from graphengine.graph.transaction import TRANSACTION
from graphengine.runner.call_records import digest_of_call
from graphengine.runner.context import Context
from graphengine.runner.once_effects import Effecting
from graphengine.runner.recorded_work import journal_of
from graphengine.runner.result import itself
from graphengine.runner.scope import CURRENT, AttemptFacts
from graphengine.runner.threads import TimeLimit, in_thread
from graphengine.state.declared import values_of
from graphengine.state.failure import Failure
from graphengine.state.given import as_record, in_utf8
from graphengine.state.immutable import digest_of
from graphengine.state.interrupts import reraise_interrupt
from graphengine.state.json_values import utf8_text
from graphengine.state.recorded_text import to_show
from graphengine.state.view import View

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable, Coroutine, Generator, Sequence

    from graphengine.engine.events import Event
    from graphengine.engine.plan import Call
    from graphengine.engine.snapshot import Frame, Task
    from graphengine.engine.steps import FailureRecord
    from graphengine.graph.effect import Once
    from graphengine.runner.recorded_work import StepJournal


log = logging.getLogger("graphengine.runner")

_OTHERWISE: Final = (
    "%s (run %s) ran again after a wait, and did not ask for work that it had recorded, first for %s\n"
    "  repair: let what it does depend on its inputs and its records alone: ctx.now() and ctx.random instead of the "
    "clock and chance, ctx.call for what else differs"
)
_UNUSED: Final = (
    "%s (run %s): its code has changed since it recorded results, and it did not ask again for those of: %s\n"
    "  repair: nothing, if the code was to change so; otherwise put the calls back, and branch off before this node"
)
_WITHOUT_RESULT: Final = ("sleep", STARTS)


class _RestartedNode(NamedTuple):
    """Wraps the result of a node that had begun as a side effect, and that a deployment has changed to another kind.

    If the node is a graph, a map or a question now, it is no side effect any more, so it begins again. The wrapper
    tells the caller that the result must not be recorded as the result of the effect.
    """

    result: object


class Attempt(AttemptFacts):
    """One task of a run, from the moment when it can start to the event that ends it.

    Usually it is an attempt of a node. Other tasks, such as the end of a wait, run no code of the graph.
    """

    __slots__ = ()

    def moved(self) -> Event | None:
        """Return the event that ends this task, if the task runs no code of the graph; None if it runs a node.

        For example, the end of a wait needs no code. For a node, the node, its body and its input are looked up here,
        and `run` then runs the node.
        """
        task, run = self.task, self.services.run
        mode, frame = task.mode, run.snapshot.frames[task.frame]
        self.frame = frame
        if mode == "crash_loop":
            return None
        if mode not in ("run", "fallback"):
            return self._of_frame(self.services.now())
        try:
            plan = self.plan = run.plan if frame.up is None else plan_of(run.plan, frame)
            node = self.node = plan.nodes[task.node]
            if frame.kind == "item" and run.map_bytes.get(frame.parent, 1) and not frame.recorded_results:
                check_room(run, frame)
        except (KeyError, NoChoice, TooLarge) as error:  # the graph was changed, or the item must not begin
            self.began = self.services.now()
            return self._fail_node(error)
        if mode == "fallback" and node.fallback is not None:
            self.call = node.fallback.call
        if self.call is None:
            self.call = node.call
            is_map = node.each is not None and frame.kind != "item"
            if not node.plain and (is_map or (node.call is not None and node.call.graph is not None)):
                if not (frame.recorded_results and self._has_left_effects()):
                    return self._enter_node()
                self.call = self.call or node.calls[0]
        checks = run.checks
        self.view = View(plan.state, frame, checks) if frame.up is None else view_of(plan, frame, checks=checks)
        return None

    @coroutine
    def run_in(self, context: contextvars.Context) -> Generator[Any, Any, Event | None]:
        """Run the task as `run` does, but with the context variables in `context`.

        Context variables that the node sets are set only there. The task still runs in the caller's asyncio task, so a
        cancellation of that asyncio task reaches the node.
        """
        work = self.run()
        step: Callable[[Any], Any] = work.send
        sent: object = None
        while True:
            try:
                awaited = context.run(step, sent)
            except StopIteration as end:
                value: Event | None = end.value
                return value
            try:
                step, sent = work.send, (yield awaited)
            except BaseException as error:  # noqa: BLE001 - it is thrown into the coroutine, which may handle it
                step, sent = work.throw, error

    async def run(self) -> Event | None:  # noqa: C901, PLR0911, PLR0912 - an attempt in the order it happens
        """Run one attempt of the node, and return the event that ends it: the node finished, failed or waits.

        Returns:
            The event; None if the node was interrupted without a result and will run again when the run is resumed.
        """
        task, services, frame = self.task, self.services, self.frame
        if services.is_shared and services.may_be_lost and not await self._may_begin():
            return None
        self.began = services.now()
        _SET_CURRENT(self)  # The variable is never reset, because each task has its own asyncio task.
        for entered in services.following.entered:
            entered(frame)
        try:
            if task.mode == "crash_loop":
                return self._fail_node(_crash_loop(task, frame))
            has_begun = await self._settle_earlier_effects() if frame.recorded_results else False
            call = self.call
            if call is None:
                call, self.choice = self.node.pick(self.view)
            if frame.recorded_results:
                if not has_begun and self._enters_graph(call):
                    return await self._enter_after_effects(call)
            elif call.graph is not None:
                return self._enter_node()
            if frame.recorded_results or self.node.effect is not None:
                result = self._start(call, has_begun=has_begun)
            else:  # without a further call, because most nodes take this path
                self.call, result = call, self._begin(call)
            if isinstance(result, CoroutineType) or inspect.isawaitable(result):  # the faster check first
                result = await result
            if self.journal is not None:
                self._check_awaited(journal_of(self))
            if isinstance(result, _RestartedNode):
                if self._enters_graph(call):
                    return self._enter_node()
                result, has_begun = result.result, False
            if frame.recorded_results:
                result = await self._end_with_rest(call, result, has_begun=has_begun)
            if not self.node.plain and isinstance(call.body, AskBody) and not has_begun:
                return self._make_question(call, call.body, result)
        except asyncio.CancelledError as error:
            return self._end_cancelled(error)
        except BaseException as error:  # noqa: BLE001 - a node may raise anything
            return self._end_raised(error)
        finally:
            state_before, self.state = self.state, "over"
            if self.journal is not None:
                await self.journal.in_flight.end()
                for ended in services.following.ended:
                    ended(frame)
        if self.journal is not None or self.outputs is not None or frame.recorded_results:
            return self._end_with_records(result, state_before)
        chance = 1 + random.random()  # noqa: S311 - jitter, should the update not fit
        return NodeFinished(task, self.began, services.now(), result, self.usage, self.choice, chance)

    def _end_with_records(self, result: object, state_before: str) -> Event | None:
        """Return the event that ends the attempt of a node that has returned, if the node used `ctx`.

        Such a node may have recorded calls, sent messages or begun to wait. If it was about to wait, the event begins
        the waits, and the returned value is ignored. The result is None if the attempt is suspended.
        """
        if state_before == "suspended":
            return None
        if state_before == "ending" and _take_back_cancellation():
            return self._make_waits()
        more, now = self._list_further_facts(), self.services.now()
        self._compare()
        answer = _answer_in(result, journal_of(self)) if self.journal is not None else ""
        chance = 1 + random.random()  # noqa: S311 - as in `run`
        return NodeFinished(
            self.task, self.began, now, result, self.usage, self.choice, chance, more=more, answer=answer
        )

    async def _may_begin(self) -> bool:
        """Return whether the node may begin, after asking the store whether this process still owns the run.

        This is needed if the last write was long ago, because another process may have taken the run since.
        """
        # A node that only reads does harm in no process, and a process that lost the run cannot commit a transaction.
        reads = self.task.mode == "run" and self.node.effect in ("read", TRANSACTION)
        return await self.services.host.may_begin(reads=reads)

    def _start(self, call: Call, *, has_begun: bool) -> object:
        """Start the work of a node, and return its result or an awaitable of the result.

        If this visit of the node has already recorded work, for example before a crash, the record decides what
        happens:

        - A database transaction that was committed in this visit is not made again; its recorded result is returned.
        - A side effect that began in this visit is treated as a side effect, even if the current code of the node does
          not declare it as one.
        """
        node, is_run = self.node, self.task.mode == "run"
        acts = has_begun or (node.effect is not None and is_run)
        self.call = call = self._replace_function(call, has_begun=has_begun) if acts else call
        if self.frame.recorded_results and is_run:
            # A committed transaction is never repeated, even if the node reads other values by now, or its function or
            # declared effect has changed.
            if call.body.kind == "function" and (committed := journal_of(self).committed()):
                return journal_of(self).reread(committed, call.body.call)
            if (outcome := journal_of(self).read_outcome(call.body.call)) is not None:
                return outcome[0]
        if acts and (node.once is not None or has_begun) and self.services.effects == "act":
            return self._do_once(node.once, call)
        return self._begin(call)

    def _replace_function(self, call: Call, *, has_begun: bool) -> Call:
        """Replace the function of an effect by its substitute, for example in a test that must not act outside the run.

        The call is returned unchanged if the function has no substitute. A function with `effect="transaction"` is
        wrapped so that it runs in a database transaction.
        """
        node = self.node
        replacement = self.acting("once" if has_begun else node.effect, call.body.name)
        if replacement is not None:
            extras = tuple(taken_by(replacement, call.extras))
            return replace(call, function=replacement, extras=extras, thread=not is_async(replacement), on="")
        if node.effect == TRANSACTION and call.handle:
            return replace(call, function=functools.partial(self._call_in_transaction, call), thread=False)
        return call

    # --- how it ends by an exception, called while that is handled -------------------------------------------------

    def _end_cancelled(self, error: asyncio.CancelledError) -> Event | None:
        """Return the event that ends an attempt which was cancelled.

        There are three possible causes, of which only the last is a failure of the node:

        1. The attempt has to wait, which ends it by a cancellation.
        2. The Runner, or a limit, cancels everything that is in flight.
        3. The code cancels its own task, or awaits a task that was cancelled.

        Raises:
            CancelledError: The Runner or a limit cancelled the attempt, so there is no event to record.
        """
        if self.state == "suspended":
            return None  # The wait is already recorded.
        if self.state == "ending" and _take_back_cancellation():
            return self._make_waits()
        current = asyncio.current_task()
        if current is not None and current.cancelling():
            if self.services.host.note_cut_off(self):
                raise error
            text = f"the code of node {self.task.node!r} cancelled the asyncio task in which the node ran"
            error = asyncio.CancelledError(text).with_traceback(error.__traceback__)
        return self._fail_node(error)

    def _end_raised(self, error: BaseException) -> Event | None:
        """Return the event that ends an attempt whose code raised an exception; None if the attempt is suspended.

        If the attempt was about to wait, the event begins the waits instead of recording a failure. An interrupt such
        as Ctrl-C is raised again.
        """
        reraise_interrupt(error)
        if self.state == "suspended":
            return None
        if self.state == "ending" and _take_back_cancellation():
            return self._make_waits()  # The code raised an error of its own instead of the cancellation.
        if self.journal and isinstance(error, AttributeError | TypeError) and "coroutine" in text_of(error):
            try:
                journal_of(self).check_awaited()
            except NotAwaited as forgotten:  # clearer than "'coroutine' object has no attribute 'result'"
                error = forgotten
        return self._fail_node(error)

    # --- its events ----------------------------------------------------------------------------------------------

    def _of_frame(self, now: float) -> Event:
        task = self.task
        if task.mode == "leave":
            return NodeLeft(task.frame, now)
        if task.mode == "limit":
            return LimitMet(task.frame, now)
        if task.mode in ("wake", "deliver"):
            return WaitOver(task.frame, task.wait, max(now, task.due), delivered=task.mode == "deliver")
        error = self._find_change_by_items() if task.mode == "collect" and self.services.run.checks else None
        return Settled(task.frame, now, error, 1 + random.random())  # noqa: S311 - jitter, should there be a retry

    async def _end_with_rest(self, call: Call, result: object, *, has_begun: bool) -> object:
        """Ask a person about side effects that only the old code of the node did, before the node ends.

        After a deployment, the new code may no longer contain a side effect that the old code began in this visit.
        Nobody is asked if the node itself is an effect that must not be repeated, because the question was then asked
        before the node began. Returns the result of the node.
        """
        if has_begun or self.node.once is not None or self.node.effect == TRANSACTION:
            return result
        return await journal_of(self).end_with_rest(call.body, result)

    async def _enter_after_effects(self, call: Call) -> NodeEntered:
        """Enter a graph or a map, after a person has been asked about the side effects of the old code of this node."""
        await journal_of(self).effects.ask_about_rest(f"the graph or map {call.body.name}")
        return self._enter_node()

    def _enter_node(self) -> NodeEntered:
        return NodeEntered(self.task, self.services.now(), 1 + random.random())  # noqa: S311 - jitter

    def _make_question(self, call: Call, body: AskBody, question: object) -> Noted:
        ask, now = body.ask, self.services.now()
        shown: Any = as_record(ask.facts_in(call.values(self.view)), "what the question shows")
        text = utf8_text(str(question))
        wait = WaitRecord(kind="ask", question=to_show(text), schema=ask.answers.schema, choice=self.choice, **shown)
        if ask.timeout_seconds is not None:
            wait.due = self.services.wall() + ask.timeout_seconds
        if ask.default is not NO_ANSWER:
            wait.default = in_utf8(ask.answers.record, ask.default)
        self.refuse_secrets([wait.question, wait.schema, wait.default, shown], "the question")
        return Noted(self.task, self.began, now, Waiting(waits={self.path: wait}))

    def _compare(self) -> None:
        """Warn about recorded work that a node did not ask for when it ran again after a wait (`run_again=True`).

        A node that does not ask for the same work again does something else each time that it runs. After a crash, such
        a node would lose or repeat work.
        """
        if (
            self.journal is not None
            and (work := journal_of(self)).has_run
            and not self.settles
            and self.services.host.runs_again
            and (unused := work.unused)
        ):
            log.warning(_OTHERWISE, self.where, self.services.run_id, unused[0], extra={"run": self.services.run_id})

    def _make_waits(self) -> Noted | None:
        self._compare()
        waits = journal_of(self).in_flight.waits
        facts = Waiting(waits=dict(waits), usage=self.usage or {})
        return Noted(self.task, self.began, self.services.now(), facts) if waits else None

    def _fail_node(self, error: BaseException) -> NodeFailed:
        chance = 1 + random.random()  # noqa: S311 - jitter
        ended = self.services.now()
        record = failure_record(error, self.path, self.task.attempt)
        failed = NodeFailed(self.task, self.began, ended, record, self.usage, self.choice, chance)
        if self.journal is not None:
            work = journal_of(self)
            failed.refused, failed.lost = work.refused(error), work.lost
        return failed

    def _find_change_by_items(self) -> FailureRecord | None:
        """Check whether an item of a map has changed an input in place that all items share.

        Returns:
            The failure with which the node ends in this case; None if nothing was changed.
        """
        task, frame = self.task, self.frame
        plan = plan_of(self.services.run.plan, frame)
        view = View(plan.state, frame)
        node = plan.nodes[task.node]
        names = sorted({name for call in node.calls for name in call.watched if name in plan.state.fields})
        changed = view.changed(names)
        if not changed:
            return None
        view.forget(changed)
        text = f"an item of node {task.node!r} changed its input {', '.join(map(repr, changed))} in place"
        repair = "return a new value instead; the input of a node belongs to the run and must not be changed"
        return failure_record(MutatedInput(text, where=self.where, repair=repair), self.path, task.attempt)

    def _list_further_facts(self) -> Node | None:
        """Return what the step of a node records besides the result of the node; None if there is nothing.

        This consists of messages and live data, of recorded results that the node did not use, and of calls and waits
        that the node began but did not await to their end.
        """
        outputs = self.outputs or {}
        found = Node(sent=outputs.get("sent", ()), emitted=outputs.get("emitted", ()))
        if self.frame.recorded_results:
            found.unused = list(journal_of(self).unused) or ()
            self._note_results_of_earlier_code(found.unused)
        if self.journal is not None:
            left = self.journal.in_flight  # began, but was not awaited to the end
            found.unawaited = sorted((*left.waits, *left.cut_short)) or ()
        return found if outputs or found.unused or found.unawaited else None

    def _note_results_of_earlier_code(self, unused: Sequence[str]) -> None:
        """Warn about results that an earlier version of the node's code recorded and the current code no longer uses.

        The warning does not list side effects, because a person was asked about them, and it does not list sleeps,
        because they have no result.
        """
        found = self.frame.recorded_results
        plain = [
            key
            for key in unused
            if found[key].recoded and not found[key].begun and WorkKey.read(key).name not in _WITHOUT_RESULT
        ]
        if plain:
            self.count({"unused_results": len(plain)})
            names = ", ".join(dict.fromkeys(own_name(WorkKey.read(key).name) for key in plain))
            log.warning(_UNUSED, self.where, self.services.run_id, names, extra={"run": self.services.run_id})

    @property
    def acts(self) -> bool:
        """Whether cancelling this attempt now would interrupt a side effect that is in progress.

        A side effect in a thread does not count, because a thread cannot be interrupted.
        """
        if self.journal is not None and self.journal.in_flight.acting:
            return True
        if self.state != "running" or self.task.mode != "run":
            return False
        node, call = self.node, self.call
        return node.effect not in (None, "read") and call is not None and (bool(call.on) or not call.thread)

    # --- its node's code -----------------------------------------------------------------------------------------

    def _has_begun(self) -> bool:
        """Return whether the node itself is an effect that must not be repeated, and began earlier in this visit."""
        return journal_of(self).effects.concerns(self.visit_key, "")

    def _has_left_effects(self) -> bool:
        """Return whether a person must be asked about earlier effects before this node enters a graph or a map."""
        effects = journal_of(self).effects
        return self._has_begun() or bool(effects.unsettled) or effects.has_rest

    async def _settle_earlier_effects(self) -> bool:
        """Before a node runs, find out how the unfinished side effects of earlier code of the node ended.

        Returns:
            Whether the node itself is an effect that must not be repeated, and has begun in this visit before.
        """
        if journal_of(self).is_recoded:
            self.settles = True
            await journal_of(self).prepare()
            self.settles = False
        return self.task.mode == "run" and self._has_begun()

    def _check_awaited(self, work: StepJournal) -> None:
        if self.state == "running":  # otherwise a wait has ended the attempt
            work.check_awaited()

    def _enters_graph(self, call: Call) -> bool:
        """Return whether running the node means entering a nested graph, or a map that runs a body for each item.

        The fallback of a mapped node is not a map, because it runs only once.
        """
        is_map = self.node.each is not None and self.frame.kind != "item" and self.task.mode == "run"
        return call.graph is not None or is_map

    async def _do_once(self, once: Once | None, call: Call) -> object:
        """Run a node that is itself a side effect that must not be repeated, such as a payment.

        If the effect had begun before, in this visit, find out how it ended instead. A deployment may have changed the
        node to a graph, a map or a question since then. If such a node has to begin again, its result is a
        `_RestartedNode`, because it is not an effect any more.
        """
        is_code = not self._enters_graph(call) and not isinstance(call.body, AskBody)

        async def act(_: str) -> object:
            if not is_code:
                await journal_of(self).effects.forget("", self.visit_key)
            result = None if self._enters_graph(call) else self._begin(call)
            result = await result if inspect.isawaitable(result) else result
            return result if is_code else _RestartedNode(result)

        values = call.values(self.view) if once is not None and once.reconcile is not None else {}
        resources = self.services.resources.get(id(self.plan), {}) if once is not None and once.reconcile else {}
        name, is_now = call.body.name, once is not None
        effect = Effecting(
            once,
            "",
            self.visit_key,
            name,
            values,
            act,
            itself,
            itself,
            given=resources,
            may_wait=not is_now,
            is_async=bool(call.on) or not call.thread,
        )
        return await journal_of(self).effects.once(effect)

    def _call_in_transaction(self, call: Call, **values: object) -> Coroutine[Any, Any, object]:
        """Call the function of a node in a database transaction, and record the call in the same transaction.

        The call is identified by the values that the function reads from the state. If the node runs again with the
        same values, it gets the recorded result.
        """
        names = [name for name in values if name not in call.extras or name == "state"]
        try:
            key = digest_of_call(call.body.name, (), {name: values[name] for name in names})
        except NotRecordable:  # A visit makes only one such call.
            key = ""
        return journal_of(self).call(call.body.call, (), values, OF_NODE + key, TRANSACTION)

    def _begin(self, call: Call) -> object:
        """Read the arguments of the node's body from the state, and call the body, for example the node's function.

        Returns:
            The result, or an awaitable of the result.
        """
        view, readers, checks = self.view, self.services.readers, self.services.run.checks
        if call.watched or call.parts:
            if checks and (readers or call.parts) and self.frame.kind != "item":
                self._refresh(call)
            readers.add(ref(self, readers.discard))
        values = call.values(view)
        for name in call.extras:
            values[name] = self._extra(name)
        for name in call.watched:
            view.holder(name).growing.discard(name)
        if checks and (call.watched or call.parts or "state" in call.extras):
            return self._call_watched(call, values)
        if call.thread or call.on or self.node.timeout_seconds is not None:
            return self._call_bounded(call, values)
        return call.function(**values)

    def _refresh(self, call: Call) -> None:
        """Undo changes that code left over from an earlier node has made, in place, to fields of the state.

        A node may leave a task, a timer or a thread running when it ends, and this task can still hold a value of the
        state. If it has changed a field that the next node reads, the next node gets the recorded value, and a warning
        is logged.

        Leftover tasks are noticed by the context variables that they keep of their node. If there are none, only parts
        of fields are compared: a node's own changes of its fields are found by their digests.
        """
        paths = [a.reading.path for a in call.arguments if a.reading.path is not None and a.name in call.parts]
        late = self.view.refresh(call.watched if self.services.readers else (), paths)
        if late:
            log.warning(
                "%s was changed in place after the node that had read it ended; %s (run %s) gets the recorded "
                "value\n  repair: let a node await or cancel what it starts, and keep no part of its input elsewhere",
                ", ".join(late),
                self.where,
                self.services.run_id,
            )

    async def _call_watched(self, call: Call, values: dict[str, object]) -> object:
        """Call the body of the node, and fail if the node changes its input in place instead of returning a new value.

        Inputs that all items of a map share are checked when all items are done.
        """
        view, frame = self.view, self.frame
        own = call.watched if frame.kind != "item" else [name for name in call.watched if name in frame.values]
        parts = {name: digest_of(values[name]) for name in call.parts}
        try:
            bounded = call.thread or call.on or self.node.timeout_seconds is not None
            result = self._call_bounded(call, values) if bounded else call.function(**values)
            if inspect.isawaitable(result):
                result = await result
        finally:
            changed = view.changed(own)
            replaced = _list_assigned_fields(values["state"], view) if "state" in values else []
            view.forget(changed)
        changed += [name for name, digest in parts.items() if digest_of(values[name]) != digest]
        if parts and changed:
            view.forget(view.names)
        changed += [name for name in replaced if name not in changed]
        if changed:
            raise MutatedInput(
                f"{call.body.name} changed its input {', '.join(map(repr, changed))} in place",
                where=self.where,
                repair="return a new value instead; the input of a node belongs to the run and must not be changed",
            )
        return result

    async def _call_bounded(self, call: Call, values: dict[str, object]) -> object:
        """Call the body of the node as the node declares: with its timeout, on its executor, or in a thread.

        A thread is used for a sync function, which could block the event loop.
        """
        timeout_seconds, threads = self.node.timeout_seconds, self.services.threads
        executors = self.services.executors if call.on else None
        function = functools.partial(call.function, **values)
        if call.thread and executors is None and timeout_seconds is None:
            # Nothing can end a function in a thread, so a release waits for it. Its result is kept then: otherwise the
            # effects of the function would happen twice.
            result = await in_thread(threads, function, keeps=lambda: self.services.host.is_released)
            return await result if inspect.isawaitable(result) else result
        limit = TimeLimit(None if executors is not None and executors.counts_time(call.on) else timeout_seconds)
        try:
            async with limit:
                if executors is not None:
                    return await executors.call(call, values, Context(self), timeout_seconds)
                result = await in_thread(threads, function) if call.thread else function()
                if inspect.isawaitable(result):
                    result = await result
                return result
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise NodeTimeout(
                f"{call.body.name} ran longer than {timeout_seconds} s",
                where=f"node {call.body.name}",
                repair="raise timeout_seconds, or make the node faster; with retry= the node is tried again",
            ) from error

    def _extra(self, name: str) -> object:
        if name == "ctx":
            journal_of(self)
            return Context(self)
        if name == "error":
            failure = self.frame.cause or self.frame.error
            return Failure.of(failure) if failure else None
        if name == "state":
            return self.view.instance()
        return self.services.resources[id(self.plan)][name]


_SET_CURRENT: Final = CURRENT.set


def _answer_in(result: object, work: StepJournal) -> str:
    """Return the key under which the answer of a person is recorded, if the node returned exactly this answer.

    The step of the node then records that its value came from the person. The result is "" if the node returned
    something else.
    """
    key, answer = work.answer if work.answer is not None else ("", None)
    value = result.value if type(result) is Remembered else result
    return key if value is answer else ""


def _take_back_cancellation() -> bool:
    """Remove one request to cancel the node's asyncio task, which the engine had made to end the attempt for a wait.

    Returns False if the task has further requests, because it was also cancelled for another reason.
    """
    current = asyncio.current_task()
    return current is not None and not current.uncancel()


def _list_assigned_fields(state: object, view: View) -> list[str]:
    """Return the names of the fields that a node has assigned in its `state` argument.

    A node must not change its input but return new values, so a node with such fields fails.
    """
    held = values_of(state)
    return [name for name in view.names if held.get(name) is not view.get(name)]


def _crash_loop(task: Task, frame: Frame) -> CrashLoop:
    return CrashLoop(
        f"the process died {frame.crashes} times in a row while node {task.node!r} was running",
        where=f"node {task.node}",
        repair="find out why the node ends the process, then resume the run",
    )
