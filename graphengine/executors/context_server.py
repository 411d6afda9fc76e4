"""Serves a node in another process with its Context: see `child_context` for the messages."""

from __future__ import annotations

import asyncio
import pickle
from contextvars import Context as Variables
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final, cast

from graphengine.calls.interrupts import reraise_interrupt
from graphengine.runner.scope import Piece

if TYPE_CHECKING:
    from concurrent.futures import Future

    from graphengine.executors.base import ChannelExecutor
    from graphengine.runner.context import Context
    from graphengine.runner.recorded_work import Work

_UNWIND_SECONDS: Final = 5.0
"""How long a node may take to unwind when its attempt ends because it waits. Then its process is ended."""


class FailedThere(Exception):
    """The function of a `ctx.step` raised in the other process, which has the exception."""


class ContextServer:
    """Makes the calls of a node in another process on the Context of its attempt.

    Args:
        context: The Context.
        executor: Where the node runs.
    """

    def __init__(self, context: Context, executor: ChannelExecutor[Any]) -> None:
        self._context = context
        self._executor = executor
        self._work: Work = context.work or context.own()
        self._work.is_quiet = self._is_quiet
        self._loop = asyncio.get_running_loop()
        self._variables = copy_context()
        self._future: Future[bytes] | None = None
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._inside: dict[int, Variables] = {}
        self._made: dict[int, asyncio.Future[Piece]] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._received = 0
        self._replied = 0
        self._settled = (0, 0)

    def begin(self, packed: bytes, timeout_seconds: float | None) -> Future[bytes]:
        """Begin a packed call on the executor."""

        def on_message(message: bytes) -> None:
            self._loop.call_soon_threadsafe(self._receive, message)

        self._future = self._executor.begin(packed, timeout_seconds, on_message)
        return self._future

    async def unwind(self, waiting: asyncio.Future[bytes]) -> None:
        """Give the node's code a few seconds to unwind, if the attempt ends because it waits."""
        if self._work.ending:
            self._send(0, "unwind", b"")
            await asyncio.wait((waiting,), timeout=_UNWIND_SECONDS)

    async def cut_off(self) -> None:
        """Cancel what is in flight, since the process has ended."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def close(self) -> None:
        """Ignore what still arrives."""
        self._future = None

    def _is_quiet(self) -> bool:
        return self._future is None or self._settled == (self._received, self._replied)

    def _receive(self, message: bytes) -> None:
        if self._future is None:
            return
        number, inside, what, body = pickle.loads(message)  # noqa: S301 - from our own process, through the executor
        if what == "settled":
            self._settled = pickle.loads(body)  # noqa: S301 - as above
            self._work.end_soon()
            return
        self._received += 1
        variables = self._inside.get(inside, self._variables).copy()
        if what in ("call", "step"):
            task = self._loop.create_task(self._answer(number, what, body), context=variables)
            if number:
                self._tasks[number] = task
                task.add_done_callback(lambda _: self._tasks.pop(number, None))
            else:
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)
        elif what == "cancel" and number in self._tasks:
            self._tasks[number].cancel()
        elif number in self._made and not self._made[number].done():
            if what == "made":
                self._made[number].set_result(Piece(*pickle.loads(body)))  # noqa: S301 - as above
            else:
                self._made[number].set_exception(FailedThere())

    async def _answer(self, number: int, what: str, body: bytes) -> None:
        """Do what was requested, and reply."""
        kind, found = "value", None
        try:
            given = pickle.loads(body)  # noqa: S301 - as above
            found = await (self._step(number, *given) if what == "step" else self._call(*given))
        except asyncio.CancelledError:
            kind = "cancelled"
        except BaseException as error:  # noqa: BLE001 - it is raised there
            reraise_interrupt(error)
            kind, found = "error", error
        if number:
            self._reply(number, kind, found)

    async def _call(self, method: str, args: tuple[Any, ...], options: dict[str, Any]) -> object:
        made = getattr(self._context, method)(*args, **options)
        return await made if asyncio.iscoroutine(made) else made

    async def _step(self, number: int, name: str, what: str, identity: int | None) -> tuple[object] | None:
        """Return the record of a recorded call; None if it was made now, and is recorded."""

        async def make() -> tuple[Piece, object]:
            self._inside[number] = copy_context()
            made = self._made[number] = self._loop.create_future()
            self._reply(number, "value", None)
            try:
                return await made, None
            finally:
                del self._inside[number], self._made[number]

        def known(record: object) -> tuple[object]:
            return (record,)

        return cast("tuple[object] | None", await self._work.recorded_call(name, what, identity, known, make))

    def _reply(self, number: int, kind: str, value: object) -> None:
        self._replied += 1
        try:
            body = self._executor.dumps(value)
            if kind == "error":
                pickle.loads(body)  # noqa: S301 - an exception may be written and yet not be readable
        except Exception as error:  # noqa: BLE001 - pickling calls code of any kind
            found = value if kind == "error" else error
            kind, body = "error", pickle.dumps(RuntimeError(f"{type(found).__name__}: {found}"))
        self._send(number, kind, body)

    def _send(self, number: int, kind: str, body: bytes) -> None:
        """Send a message in a thread, since the process may be busy or stopped."""
        if self._future is None:
            return
        message = pickle.dumps((number, kind, self._context.now(), body))
        task = asyncio.ensure_future(asyncio.to_thread(self._executor.send, self._future, message))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)


__all__ = ["ContextServer"]
