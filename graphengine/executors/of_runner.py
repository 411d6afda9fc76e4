"""The executors of a Runner: where the nodes with `on=` run."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from graphengine.errors import DefinitionError, ExecutorUnreachable, InputError, NodeTimeout, WorkerDied
from graphengine.kernel.extension import Extension, did_you_mean
from graphengine.kernel.inside import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

    from graphengine.executors.base import NodeExecutor
    from graphengine.kernel.extension import Call, Context, Plan

# The other modules of this package are imported when a graph with heavy nodes is first run: most programs have none.


class ExecutorsByName(Extension):
    """The executors of one Runner, by the names that nodes use in `on=`. This is an extension of the Runner.

    Args:
        given: Executors, or functions that make an executor when it is first needed. The owner of a given executor
            shuts it down. The Runner shuts down the executors that it has made.
    """

    def __init__(self, given: Mapping[str, Executor | Callable[[], Executor]]) -> None:
        self._given = dict(given)
        self._used: dict[str, ThreadPoolExecutor | NodeExecutor] = {}
        self._ours: list[Executor] = []
        self._opening: dict[str, asyncio.Task[None]] = {}
        for name, executor in self._given.items():
            if not isinstance(executor, Executor) and not callable(executor):
                raise _not_an_executor(name, f"is {executor!r}")

    @property
    def executors(self) -> Self:
        """This object, under the name by which the Runner finds the executors among its extensions."""
        return self

    @property
    def is_used(self) -> bool:
        return bool(self._used)

    def checked(self, plan: Plan[Any], *, is_queued: bool) -> None:
        """Check that the heavy nodes of a graph, and of the graphs inside it, can run with these executors.

        For a queued run nothing is checked, because the worker that takes the run checks it.

        Raises:
            InputError: The Runner has no executor with the name that a node uses.
            DefinitionError: A node's function cannot be pickled for its executor, or the function must not be repeated
                and the executor may repeat calls.
        """
        for each in plan.nest if (plan.heavy or plan.graphs) and not is_queued else ():
            for node, on, call in each.heavy:
                is_once = each.nodes[node].once is not None
                self._check(on, call, f"node {node} of graph {each.graph}", is_once=is_once)

    def _check(self, on: str, call: Call, where: str, *, is_once: bool) -> None:
        if on not in self._given:
            near = did_you_mean(on, self._given)
            add = f"Runner(executors={{{on!r}: …}}), or [tool.graphengine.executors] for the command line"
            repair = near if near.startswith("did you mean") else f"add the executor: {add}"
            names = f"only {', '.join(map(repr, self._given))}" if self._given else "no executors"
            raise InputError(f"there is no executor {on!r}; the Runner has {names}", where=where, repair=repair)
        executor = self._of(on)
        if isinstance(executor, ThreadPoolExecutor):
            return
        if is_once and executor.repeats:
            raise DefinitionError(
                f"{call.body.name!r} must not be repeated, but the executor {on!r} may run a call again by itself",
                where=where,
                repair="leave out on=, or choose an executor that never repeats a call and says so by its attribute "
                "repeats = False",
            )
        from graphengine.executors.calls import why_not_pickled  # noqa: PLC0415 - see above

        error = why_not_pickled(call.function, executor.dumps)
        if error is not None:
            raise DefinitionError(
                f"{call.body.name!r} cannot be pickled, but the executor {on!r} runs it in another process: {error}",
                where=where,
                repair="define the function with def at the top level of a module, not as a lambda or in a function",
            ) from error

    def counts_time(self, on: str) -> bool:
        """Return whether this executor measures the time of its calls itself. If not, the Runner measures it."""
        executor = self._of(on)
        return not isinstance(executor, ThreadPoolExecutor) and executor.counts_time

    async def call(self, call: Call, values: dict[str, object], context: Context, seconds: float | None) -> object:
        """Run the function of a node on its executor, and return its result.

        If the call is no longer wanted, the executor ends its process if it can. Otherwise this method waits for the
        end of the call, so that two attempts of a node never run at the same time.

        Raises:
            NodeTimeout: The call ran longer than `seconds`.
            ExecutorUnreachable: The call could not begin.
            WorkerDied: The process of the call died.
            FailedElsewhere: The function raised an exception.
        """
        from graphengine.executors import calls  # noqa: PLC0415 - see above
        from graphengine.executors.detached import DetachedContext  # noqa: PLC0415 - see above

        executor = self._of(call.on)
        if isinstance(executor, ThreadPoolExecutor):
            return await in_thread(executor, partial(calls.call_here, call.function, values))
        await self._open_once(call.on, executor)
        facts = DetachedContext(
            run_id=context.run_id,
            node=context.node,
            path=context.path,
            visit=context.visit,
            attempt=context.attempt,
            idempotency_key=context.idempotency_key,
            time=context.now(),
            on=call.on,
        )
        arguments = {**values, "ctx": facts} if "ctx" in call.extras else values
        packed = calls.pack_call(call.function, arguments, facts, executor.dumps)
        try:
            outcome = await _result_of(executor, executor.begin(packed, seconds))
        except TimeoutError as error:
            raise NodeTimeout(
                f"{call.body.name!r} ran longer than {seconds} s on the executor {call.on!r}, and was ended",
                where=f"node {call.body.name}",
                repair="raise timeout_seconds, make the function faster, or give retry= to try again",
            ) from error
        except ExecutorUnreachable as error:
            error.where = error.where or f"node {call.body.name}"
            raise
        except (Exception, SystemExit) as error:
            why = executor.why_died(error)
            if not why:
                raise
            raise WorkerDied(
                f"the process in which {call.body.name!r} ran on the executor {call.on!r} died: {why}",
                where=f"node {call.body.name}",
                repair="look for the reason in the output of the process, such as too little memory; retry= tries "
                "again in a new process",
            ) from error
        return calls.outcome_of(outcome, context.path)

    def _of(self, name: str) -> ThreadPoolExecutor | NodeExecutor:
        if name not in self._used:
            self._used[name] = self._make_executor(name, self._given[name])
        return self._used[name]

    def _make_executor(self, name: str, given: Executor | Callable[[], Executor]) -> ThreadPoolExecutor | NodeExecutor:
        from graphengine.executors.base import NodeExecutor, OtherExecutor, same_pool  # noqa: PLC0415 - see above

        executor = given if isinstance(given, Executor) else given()
        if not isinstance(executor, Executor):
            raise _not_an_executor(name, f"is a function that returned {executor!r}")
        self._ours += [executor] if executor is not given else []
        if isinstance(executor, NodeExecutor):
            return executor
        if isinstance(executor, ThreadPoolExecutor) and type(executor).__name__ != "InterpreterPoolExecutor":
            return executor
        wrapped = OtherExecutor(executor, same_pool(executor) if isinstance(given, Executor) else given)
        self._ours.append(wrapped)
        return wrapped

    async def _open_once(self, name: str, executor: NodeExecutor) -> None:
        if name not in self._opening:
            self._opening[name] = asyncio.create_task(asyncio.to_thread(executor.open), name="graphengine executor")
        try:
            await asyncio.shield(self._opening[name])
        except Exception:
            self._opening.pop(name, None)  # The next attempt of a node tries to open the executor again.
            raise

    async def closed(self) -> None:
        """Shut down the executors that the Runner has made, because the Runner closes."""
        if not self._ours:
            return
        from graphengine.executors.base import shut_down  # noqa: PLC0415 - see above

        for executor in self._ours:
            await asyncio.to_thread(partial(shut_down, executor, cancel_futures=True))


def _not_an_executor(name: str, what: str) -> DefinitionError:
    repair = "give a concurrent.futures.Executor, or a function that returns such an executor"
    text = f"the executor {name!r} {what}, which is not a concurrent.futures.Executor"
    return DefinitionError(text, where="Runner(executors=…)", repair=repair)


async def _result_of(executor: NodeExecutor, future: Future[bytes]) -> bytes:
    """Wait until an executor has run a call, and return the outcome.

    If the waiting task is cancelled, the executor first ends the call. The cancellation continues only after that, so
    that two attempts of a node never run at the same time.
    """
    waiting = asyncio.wrap_future(future)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        ending = asyncio.ensure_future(asyncio.to_thread(executor.end, future))
        while not ending.done():
            try:
                await asyncio.wait((ending,))
            except asyncio.CancelledError:
                continue
        if not waiting.cancel() and not waiting.cancelled():
            waiting.exception()  # Retrieve the exception, so that asyncio does not log it as never retrieved.
        raise
