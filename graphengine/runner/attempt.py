"""One attempt of a node: from a Task to the event that ends it.

Every exception of a node becomes a `NodeFailed`, except a cancellation from outside and an interrupt of the process. A
node that changes its input in place is detected here: mutable fields are digested before and after, and the typed value
of a changed field is dropped, so that it is built again from the record.

Each step of a node's coroutine is timed: while it blocks the event loop, nothing else in its process moves: no other
run, no timer, no stop. Nothing is lost, since the lease is renewed from a thread, but the user should know.
"""
# ruff: noqa: SLF001 - it makes the Context of each attempt, and ends it

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import random
from dataclasses import replace
from time import monotonic
from types import CoroutineType, coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import ref

from graphengine.engine.events import (
    LimitMet,
    NodeEntered,
    NodeFailed,
    NodeFinished,
    NodeLeft,
    NodeWaits,
    Settled,
    WaitOver,
)
from graphengine.engine.failures import failure_record
from graphengine.engine.lookup import plan_of, view_of
from graphengine.engine.plan import Remembered
from graphengine.engine.steps import WaitRecord, path_of
from graphengine.errors import CrashLoop, MutatedInput, NoChoice, NodeTimeout
from graphengine.graph.effect import acting
from graphengine.graph.question import NO_ANSWER, AskBody
from graphengine.graph.runnable import is_async
from graphengine.runner.context import Context
from graphengine.runner.recorded_work import Effecting
from graphengine.runner.scope import CURRENT
from graphengine.runner.threads import TimeLimit, in_thread
from graphengine.state.declared import values_of
from graphengine.state.failure import Failure
from graphengine.state.immutable import digest_of
from graphengine.state.interrupts import reraise_interrupt
from graphengine.state.view import View

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable, Generator

    from graphengine.engine.events import Event
    from graphengine.engine.plan import Call, NodePlan
    from graphengine.engine.snapshot import Frame, Task
    from graphengine.engine.steps import FailureRecord
    from graphengine.graph.effect import Once
    from graphengine.runner.context import NodeServices
    from graphengine.runner.recorded_work import StepJournal


_RECENT_SECONDS: Final = 1.0
"""Much shorter than a lease; most nodes begin within a millisecond of the step that causes them."""

log = logging.getLogger("graphengine.runner")

T = TypeVar("T")

BLOCKED_SECONDS: Final = 2.0
"""A step that takes longer blocks the loop: well above the pauses of a busy but healthy one."""


class TaskRunner:
    """Runs the tasks of one run.

    Args:
        services: The run, and what its attempts share.
    """

    __slots__ = ("_checks", "_plan", "_readers", "_services", "_snapshot")

    def __init__(self, services: NodeServices) -> None:
        self._services = services
        self._readers: set[ref[Context]] = set()  # of attempts that had mutable fields, while anything of them is left
        self._plan, self._snapshot, self._checks = services.run.plan, services.run.snapshot, services.run.checks

    @coroutine
    def run_in(self, context: contextvars.Context, task: Task) -> Generator[Any, Any, Event | None]:
        """Run a task as `run` does, log each step of it that blocks the loop, and keep its context variables apart.

        It runs in the caller's asyncio task, so a cancellation of that task reaches it. The context variables that it
        sets are set in `context` only.
        """
        work = self.run(task)
        step: Callable[[Any], Any] = work.send
        given: object = None
        while True:
            began = monotonic()
            try:
                awaited = context.run(step, given)
            except StopIteration as end:
                value: Event | None = end.value
                return value
            finally:
                held = monotonic() - began
                if held > BLOCKED_SECONDS:
                    log.warning(
                        "node %s (run %s) held the event loop for %.1f s, so that nothing else ran\n  repair: make it "
                        "a plain function (def, without thread=False), which runs in a thread, or await what blocks",
                        path_of(task.frame, task.node),
                        self._snapshot.run_id,
                        held,
                    )
            try:
                step, given = work.send, (yield awaited)
            except BaseException as error:  # noqa: BLE001 - it is thrown into the coroutine, which may handle it
                step, given = work.throw, error

    async def run(self, task: Task) -> Event | None:  # noqa: C901, PLR0911, PLR0912, PLR0915 - an attempt in the order it happens
        """Run a task and return its event; None if its node halted, to run again when the run is resumed."""
        services = self._services
        now = services.now
        began = now()
        mode = task.mode
        if mode != "run" and mode not in ("fallback", "crash_loop"):
            return self._moved(task, began)
        if services.is_shared and abs(services.wall() - services.host.wrote_at) > _RECENT_SECONDS:
            await services.host.check_owned()  # a clock that was set counts as time that has passed
            began = now()
        frame = self._snapshot.frames[task.frame]
        context = Context(task, frame, services)
        choice = ""
        _SET_CURRENT(context)  # never reset: each task has its own asyncio task
        for entered in services.following.entered:
            entered(frame)
        try:
            if mode == "crash_loop":
                return self._failed(task, began, _crash_loop(task, frame), context, choice)
            plan = self._plan if frame.up is None else plan_of(self._plan, frame)
            node = plan.nodes[task.node]
            checks = self._checks
            view = View(plan.state, frame, checks) if frame.up is None else view_of(plan, frame, checks=checks)
            plain = node.plain or (node.plain_items and frame.kind == "item")
            call = node.call if plain and mode == "run" else None
            if call is None:
                call = node.fallback.call if mode == "fallback" and node.fallback is not None else None
                if call is None:
                    other = self._other(task, frame, node, view)
                    if other is not None:
                        return other
                    call, choice = node.pick(view)
            result: object
            if node.effect is not None and mode == "run":
                stand_in = acting(node.effect, call.body.name, services.effects, f"node {context.path}")
                if stand_in is not None:
                    call = replace(call, function=stand_in, thread=not is_async(stand_in), on="")
            if node.once is not None and mode == "run" and services.effects == "act":
                result = self._once(node.once, call, view, context, node.timeout_seconds)
            else:
                result = self._begin(call, view, frame, context, node.timeout_seconds)
            if isinstance(result, CoroutineType) or inspect.isawaitable(result):  # the faster check first
                result = await result
            if context._journal is not None and not context._journal.ending:
                context._journal.check_awaited()
            if not plain and isinstance(call.body, AskBody):
                return self._asks(task, call.body, result, choice, began)
        except asyncio.CancelledError as error:
            current = asyncio.current_task()
            if (
                context._journal is not None
                and context._journal.ending
                and current is not None
                and not current.uncancel()
            ):
                return self._waits(task, began, context)
            cancelled = current is not None and current.cancelling()
            if cancelled and services.host.note_cut_off(task.frame, context.path, context._usage):
                raise
            if cancelled:
                text = f"the code of {task.node} cancelled the asyncio task in which it ran"
                error = asyncio.CancelledError(text).with_traceback(error.__traceback__)
            return self._failed(task, began, error, context, choice)
        except BaseException as error:  # noqa: BLE001 - a node may raise anything
            reraise_interrupt(error)
            if context._journal is not None and context._journal.ending and _uncancelled():
                return self._waits(task, began, context)  # it raised its own error instead of the cancellation
            return self._failed(task, began, error, context, choice)
        finally:
            context._over = True
            if context._journal is not None:
                await context._end()
        more, answer = None, ""
        if context._journal is not None or context._outputs is not None or frame.recorded_results:
            if context._journal is not None and context._journal.ending and _uncancelled():
                return self._waits(task, began, context)
            more = context._more()
            answer = _answer_in(result, context._journal)
        chance = random.random()  # noqa: S311 - jitter, should the update not fit
        ended = now()
        visit = (task.frame, task.node, task.visit, task.attempt)
        return NodeFinished(*visit, began, ended, result, context._usage, choice, chance, more, answer)

    def move(self, task: Task) -> Event | None:
        """Return the event of a task that runs no code of the graph, so that it needs no asyncio task; else None."""
        mode = task.mode
        if task.due or mode in ("fallback", "crash_loop"):
            return None
        if mode != "run":
            return self._moved(task, self._services.now())
        frame = self._snapshot.frames[task.frame]
        try:
            plan = self._plan if frame.up is None else plan_of(self._plan, frame)
        except (KeyError, NoChoice):  # the graph was changed: `run` reports it
            return None
        node = plan.nodes.get(task.node)
        if node is None or node.call is None or node.plain or (node.plain_items and frame.kind == "item"):
            return None
        return self._other(task, frame, node, view_of(plan, frame))

    def _moved(self, task: Task, now: float) -> Event:
        """Return the event of a task that runs no code of a node."""
        if task.mode == "leave":
            return NodeLeft(task.frame, now)
        if task.mode == "limit":
            return LimitMet(task.frame, now)
        if task.mode in ("wake", "deliver"):
            return WaitOver(task.frame, task.wait, max(now, task.due), delivered=task.mode == "deliver")
        error = self._changed_by_items(task) if task.mode == "collect" and self._checks else None
        return Settled(task.frame, now, error, random.random())  # noqa: S311 - jitter, should there be a retry

    def _other(self, task: Task, frame: Frame, node: NodePlan, view: View) -> Event | None:
        """Return the event that precedes or replaces running the node's call; None to run the call."""
        if node.plain:
            return None
        visit = (task.frame, task.node, task.visit, task.attempt, self._services.now())
        if (node.each is not None and frame.kind != "item") or node.pick(view)[0].graph is not None:
            return NodeEntered(*visit, random.random())  # noqa: S311 - jitter
        return None

    def _asks(self, task: Task, body: AskBody, question: object, choice: str, began: float) -> NodeWaits:
        ask, now = body.ask, self._services.now()
        wait = WaitRecord(kind="ask", question=str(question), schema=ask.answers.schema, choice=choice)
        if ask.timeout_seconds is not None:
            wait.due = self._services.wall() + ask.timeout_seconds
        if ask.default is not NO_ANSWER:
            wait.default = ask.answers.record(ask.default)
        name = path_of(task.frame, task.node)
        if self._services.guard is not None:
            self._services.guard.refuse([wait.question, wait.schema, wait.default], "the question", f"node {name}")
        return NodeWaits(task.frame, task.node, task.visit, task.attempt, began, now, {name: wait})

    def _waits(self, task: Task, began: float, context: Context) -> NodeWaits | None:
        waits = context._journal.waits if context._journal is not None else {}
        if not waits:
            return None
        visit = (task.frame, task.node, task.visit, task.attempt)
        return NodeWaits(*visit, began, self._services.now(), waits, context._usage)

    def _changed_by_items(self, task: Task) -> FailureRecord | None:
        """Return the error if an item of a map changed an input in place that all items share; None otherwise."""
        frame = self._snapshot.frames[task.frame]
        plan = plan_of(self._plan, frame)
        view = View(plan.state, frame)
        node = plan.nodes[task.node]
        names = sorted({name for call in node.calls for name in call.watched if name in plan.state.fields})
        changed = view.changed(names)
        if not changed:
            return None
        view.forget(changed)
        text = f"an item of {task.node} changed {', '.join(changed)} in place"
        repair = "return the new value; the input of a node belongs to the run"
        path = path_of(task.frame, task.node)
        return failure_record(MutatedInput(text, where=f"node {path}", repair=repair), path, task.attempt)

    def _failed(self, task: Task, began: float, error: BaseException, context: Context, choice: str) -> NodeFailed:
        chance = random.random()  # noqa: S311 - jitter
        ended = self._services.now()
        raised = failure_record(error, path_of(task.frame, task.node), task.attempt)
        refused = context._journal.refused(error) if context._journal is not None else ()
        visit = (task.frame, task.node, task.visit, task.attempt)
        return NodeFailed(*visit, began, ended, raised, context._usage, choice, chance, refused)

    async def _once(
        self, once: Once, call: Call, view: View, context: Context, timeout_seconds: float | None
    ) -> object:
        """Run a node that must not be repeated, or find out how it ended if it began before."""
        frame = context._frame

        async def made() -> object:
            result = self._begin(call, view, frame, context, timeout_seconds)
            return await result if inspect.isawaitable(result) else result

        journal = context._journal or context._own()
        values, key = call.values(view) if once.reconcile is not None else {}, journal.idempotency_key("")
        effect = Effecting(once, "", key, call.body.name, values, made, _as_it_is, _as_it_is)
        return await journal.once(effect)

    def _begin(self, call: Call, view: View, frame: Frame, context: Context, timeout_seconds: float | None) -> object:
        """Call the body, and return its result or an awaitable of it."""
        if call.watched or call.parts:
            if self._checks and (self._readers or call.parts) and frame.kind != "item":
                self._refresh(call, view, context)
            self._readers.add(ref(context, self._readers.discard))
        values = call.values(view)
        for name in call.extras:
            values[name] = self._extra(frame, context, view, name)
        for name in call.watched:
            view.holder(name).growing.discard(name)
        if self._checks and (call.watched or call.parts or "state" in call.extras):
            return self._watched(call, values, view, frame, context, timeout_seconds)
        if call.thread or call.on or timeout_seconds is not None:
            return self._bounded(call, values, context, timeout_seconds)
        return call.function(**values)

    def _refresh(self, call: Call, view: View, context: Context) -> None:
        """Let a node read what is recorded, even if a task that an earlier node left running has changed it since.

        A task, a timer and `asyncio.to_thread` keep the Context of the node that began them. While none is left of any
        node that read a field, only parts are compared: a node's own changes of those are found by their digests.
        """
        paths = [a.reading.path for a in call.arguments if a.reading.path is not None and a.name in call.parts]
        late = view.refresh(call.watched if self._readers else (), paths)
        if late:
            log.warning(
                "%s was changed in place after the node that had read it ended; node %s (run %s) gets the recorded "
                "value\n  repair: let a node await or cancel what it starts, and keep no part of its input elsewhere",
                ", ".join(late),
                context.path,
                self._snapshot.run_id,
            )

    async def _watched(  # noqa: PLR0913 - the parts of one attempt
        self,
        call: Call,
        values: dict[str, object],
        view: View,
        frame: Frame,
        context: Context,
        timeout_seconds: float | None,
    ) -> object:
        """Call the body, and fail if it changes its input in place.

        The inputs that all items of a map share are checked when all items are done.
        """
        own = call.watched if frame.kind != "item" else [name for name in call.watched if name in frame.values]
        parts = {name: digest_of(values[name]) for name in call.parts}
        try:
            bounded = call.thread or call.on or timeout_seconds is not None
            result = self._bounded(call, values, context, timeout_seconds) if bounded else call.function(**values)
            if inspect.isawaitable(result):
                result = await result
        finally:
            changed = view.changed(own)
            replaced = _replaced(values["state"], view) if "state" in values else []
            view.forget(changed)
        changed += [name for name, digest in parts.items() if digest_of(values[name]) != digest]
        if parts and changed:
            view.forget(view.names)
        changed += [name for name in replaced if name not in changed]
        if changed:
            raise MutatedInput(
                f"{call.body.name} changed {', '.join(changed)} in place",
                where=f"node {context.path}",
                repair="return the new value; the input of a node belongs to the run",
            )
        return result

    async def _bounded(
        self, call: Call, values: dict[str, object], context: Context, timeout_seconds: float | None
    ) -> object:
        """Call the body under a timeout, on its executor, or in a thread if it blocks."""
        executors = self._services.executors if call.on else None
        if call.thread and executors is None and timeout_seconds is None:
            result = await in_thread(self._services.threads(), functools.partial(call.function, **values))
            return await result if inspect.isawaitable(result) else result
        limit = TimeLimit(None if executors is not None and executors.counts_time(call.on) else timeout_seconds)
        function = functools.partial(call.function, **values)
        try:
            async with limit:
                if executors is not None:
                    return await executors.call(call, values, context, timeout_seconds)
                result = await in_thread(self._services.threads(), function) if call.thread else function()
                if inspect.isawaitable(result):
                    result = await result
                return result
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise NodeTimeout(
                f"{call.body.name} ran longer than {timeout_seconds} s",
                where=f"node {call.body.name}",
                repair="raise timeout_seconds, or make it faster; retry= tries it again",
            ) from error

    def _extra(self, frame: Frame, context: Context, view: View, name: str) -> object:
        if name == "ctx":
            if context._journal is None:
                context._own()
            return context
        if name == "error":
            failure = frame.cause or frame.error
            return Failure.of(failure) if failure else None
        if name == "state":
            return view.instance()
        return self._services.resources[id(plan_of(self._plan, frame))][name]


def _as_it_is(record: object) -> object:
    return record


_SET_CURRENT: Final = CURRENT.set


def _answer_in(result: object, work: StepJournal | None) -> str:
    """Return the key of the recorded answer of an agent that a node's result is; "" if it is none."""
    key, answer = work.answer if work is not None and work.answer is not None else ("", None)
    value = result.value if type(result) is Remembered else result
    return key if value is answer else ""


def _uncancelled() -> bool:
    """Take back a cancellation that the node suppressed; return False if something else cancelled the task too."""
    current = asyncio.current_task()
    return current is not None and not current.uncancel()


def _replaced(state: object, view: View) -> list[str]:
    """Return the fields that a node assigned on its `state` instance."""
    held = values_of(state)
    return [name for name in view.names if held.get(name) is not view.get(name)]


def _crash_loop(task: Task, frame: Frame) -> CrashLoop:
    return CrashLoop(
        f"the process died {frame.crashes} times in a row while {task.node} was running",
        where=f"node {task.node}",
        repair="find out why it ends the process, then resume",
    )
