"""Running one task of a node: from a Task to the event that ends it.

Whatever a node raises becomes a `NodeFailed`; only a cancellation from outside goes through. A node that changes in
place what it was given is caught here: mutable fields are digested before and after, and a changed one is forgotten,
so that it is built again from the record.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import random
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from graphengine.core.events import ArmsArrived, NodeFailed, NodeFinished, NodeLeft
from graphengine.core.failures import error_of
from graphengine.digests import digest_of
from graphengine.errors import CrashLoop, MutatedInput, NodeTimeout
from graphengine.failure import Failure
from graphengine.runner.context import Context, Surroundings
from graphengine.runner.threads import in_thread
from graphengine.scope import CURRENT
from graphengine.view import View

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor

    from graphengine.core.events import Event
    from graphengine.core.snapshot import Frame, Snapshot, Task
    from graphengine.models.base import Model
    from graphengine.plan import Call, Plan


class TaskRunner:
    """Runs the tasks of one run."""

    __slots__ = ("_check", "_now", "_plan", "_resources", "_snapshot", "_surroundings", "_threads")

    def __init__(  # noqa: PLR0913 - all that a node may need
        self,
        plan: Plan[Any],
        snapshot: Snapshot,
        *,
        resources: Mapping[str, object],
        models: Mapping[str, Model],
        threads: Callable[[], Executor],
        now: Callable[[], float],
        emit: Callable[[str, object], None],
        check: bool,
    ) -> None:
        self._plan = plan
        self._snapshot = snapshot
        self._resources = resources
        self._threads = threads
        self._now = now
        self._surroundings = Surroundings(snapshot.run_id, models, now, emit, threads, asyncio.get_running_loop())
        self._check = check

    async def run(self, task: Task) -> Event:
        """Do what the task says and tell what came of it."""
        began = self._now()
        if task.mode == "leave":
            return NodeLeft(task.frame, began)
        if task.mode == "join":
            return ArmsArrived(task.frame, began)
        frame = self._snapshot.frames[task.frame]
        context = Context(task, self._surroundings)
        choice = ""
        CURRENT.set(context)  # never reset: the next task sets its own, and the run's asyncio task takes it along
        try:
            if task.mode == "crash_loop":
                return self._failed(task, began, _crash_loop(task, frame), context, choice)
            node = self._plan.nodes[task.node]
            view = View(self._plan.state, frame)
            if task.mode == "fallback" and node.fallback is not None and node.fallback.call is not None:
                call = node.fallback.call
            else:
                call, choice = node.pick(view)
            result = self._begin(call, view, frame, context, node.timeout_seconds)
            if isinstance(result, CoroutineType) or inspect.isawaitable(result):  # the quick look first
                result = await result
        except asyncio.CancelledError as error:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            return self._failed(task, began, error, context, choice)
        except Exception as error:  # noqa: BLE001 - a node may raise anything
            return self._failed(task, began, error, context, choice)
        chance = random.random()  # noqa: S311 - jitter, should the update not fit
        ended = self._now()
        return NodeFinished(
            task.frame, task.node, task.visit, task.attempt, began, ended, result, context.usage, choice, chance
        )

    def _failed(self, task: Task, began: float, error: BaseException, context: Context, choice: str) -> NodeFailed:
        chance = random.random()  # noqa: S311 - jitter
        ended = self._now()
        told = error_of(error)
        return NodeFailed(
            task.frame, task.node, task.visit, task.attempt, began, ended, told, context.usage, choice, chance
        )

    def _begin(self, call: Call, view: View, frame: Frame, context: Context, timeout_seconds: float | None) -> object:
        """Call the body; gives its result, or an awaitable of it."""
        values = call.values(view)
        for name in call.extras:
            values[name] = self._extra(frame, context, view, name)
        for name in call.watched:
            view.holder(name).lent.add(name)
        if self._check and (call.watched or call.parts or "state" in call.extras):
            return self._watched(call, values, frame, context, timeout_seconds)
        if call.thread or timeout_seconds is not None:
            return self._bounded(call, values, timeout_seconds)
        return call.function(**values)

    async def _watched(
        self, call: Call, values: dict[str, object], frame: Frame, context: Context, timeout_seconds: float | None
    ) -> object:
        """Call the body; fails where it changes in place what it was given."""
        view = View(self._plan.state, frame)
        fields = self._plan.state.fields
        for name in call.watched:
            holder = view.holder(name)
            if name not in holder.digests:
                holder.digests[name] = fields[name].digest(view.get(name))
        parts = {name: digest_of(values[name]) for name in call.parts}
        try:
            bounded = call.thread or timeout_seconds is not None
            result = self._bounded(call, values, timeout_seconds) if bounded else call.function(**values)
            if inspect.isawaitable(result):
                result = await result
        finally:
            changed = self._mutated(call.watched, view)
        changed += [name for name, digest in parts.items() if digest_of(values[name]) != digest]
        if parts and changed:
            for name in fields:
                view.holder(name).typed.pop(name, None)
                view.holder(name).digests.pop(name, None)
        if "state" in values:
            changed += _replaced(values["state"], view, fields)
        if changed:
            raise MutatedInput(
                f"{call.body.name} changed {', '.join(changed)} in place",
                where=f"node {context.path}",
                repair="return the new value; what a node is given belongs to the run",
            )
        return result

    def _mutated(self, watched: tuple[str, ...], view: View) -> list[str]:
        found: list[str] = []
        for name in watched:
            holder = view.holder(name)
            known = holder.digests.get(name)
            if known is not None and self._plan.state.fields[name].digest(view.get(name)) != known:
                holder.typed.pop(name)
                holder.digests.pop(name)
                found.append(name)
        return found

    async def _bounded(self, call: Call, values: dict[str, object], timeout_seconds: float | None) -> object:
        """Call under a timeout, and in a thread if the body blocks."""
        limit = asyncio.timeout(timeout_seconds)
        function = functools.partial(call.function, **values)
        try:
            async with limit:
                result = await in_thread(self._threads(), function) if call.thread else function()
                if inspect.isawaitable(result):
                    result = await result
                return result
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise NodeTimeout(
                f"{call.body.name} ran longer than {timeout_seconds} s",
                where=f"node {call.body.name}",
                repair="raise timeout_seconds, or make it quicker; retry= tries it again",
            ) from error

    def _extra(self, frame: Frame, context: Context, view: View, name: str) -> object:
        if name == "ctx":
            return context
        if name == "error":
            failure = frame.cause or frame.error
            return Failure.of(failure) if failure else None
        if name == "state":
            return view.instance()
        return self._resources[name]


def _replaced(state: object, view: View, fields: Mapping[str, object]) -> list[str]:
    """The fields that were assigned on the instance a node was given."""
    held = vars(state)
    return [name for name in fields if held.get(name) is not view.get(name)]


def _crash_loop(task: Task, frame: Frame) -> CrashLoop:
    return CrashLoop(
        f"the process died {frame.crashes} times in a row while {task.node} was running",
        where=f"node {task.node}",
        repair="find out why it takes the process down, then resume",
    )
