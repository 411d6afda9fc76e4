"""An event loop in a thread of its own, for callers without one: scripts, threads of a web server, notebooks."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from graphengine.doors import without_frames
from graphengine.errors import DefinitionError, GraphEngineError, RunnerClosed
from graphengine.kernel.extension import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")


class Portal:
    """Lets code without an event loop call async functions. Any thread may use it.

    The functions run in an event loop in a thread of its own, and the caller waits for their results. The first call
    starts this thread. The thread is a daemon: if a program ends without calling `stop`, its work in flight is lost, as
    if the program had been killed.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._pid = os.getpid()
        self._stopped = False

    def call(self, function: Callable[[], Any]) -> Any:  # noqa: ANN401 - the result, after it was awaited if necessary
        """Call a function in the event loop of the portal, and wait for its result.

        If the function returns an awaitable, such as a coroutine, the result is what it yields when awaited. If the
        caller is interrupted, for example by Ctrl-C, the work in the event loop is cancelled.

        Raises:
            RunnerClosed: The portal is stopped, possibly while the caller waits, or belongs to another process.
            DefinitionError: The caller runs in this event loop, which would wait for itself.
        """

        async def called() -> object:
            result = function()
            # If a program awaits these by mistake, their errors explain it.
            if isinstance(result, Run | AsyncGenerator):
                return result
            return await result if inspect.isawaitable(result) else result

        self._check_caller()
        # Until the call is submitted, `stop` must not end the loop, which would never run the call.
        with self._starting:
            loop = self._ensure_started()
            future = asyncio.run_coroutine_threadsafe(called(), loop)
        try:
            return future.result()
        except CancelledError:
            if self._stopped:
                raise _error_of_closed() from None
            raise
        except BaseException as error:
            future.cancel()
            if not isinstance(error, GraphEngineError) or (refused := without_frames(error)) is None:
                raise
        raise refused

    def iterated(self, generator: AsyncGenerator[T, None]) -> Iterator[T]:
        """Return an iterator over the values of an async generator, for a caller without an event loop.

        The generator is closed together with the iterator.

        Raises:
            RunnerClosed: The portal is stopped, or belongs to another process.
            DefinitionError: The caller runs in this event loop.
        """
        try:
            while True:
                try:
                    item = self.call(generator.__anext__)
                except StopAsyncIteration:
                    return
                yield item
        finally:
            with suppress(RunnerClosed):
                self.call(generator.aclose)

    def stop(self) -> None:
        """End the event loop of the portal and its thread. It is safe to call this method several times."""
        self._stopped = True
        with self._starting:
            loop, thread, self._loop = self._loop, self._thread, None
        if loop is not None and thread is not None and self._pid == os.getpid():
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    def _check_caller(self) -> None:
        if self._pid != os.getpid():
            text = "this SyncRunner belongs to the process from which this process was forked"
            raise RunnerClosed(
                text, repair="create one in each process after the fork: with SyncRunner(path) as runner"
            )
        if self._thread is threading.current_thread():
            text = "a node called the SyncRunner that runs this node, so that both would wait for each other"
            raise DefinitionError(
                text,
                repair="start runs with ctx.start(…), add the graph as a node, or write the node with def",
            )

    def _ensure_started(self) -> asyncio.AbstractEventLoop:
        if self._stopped:
            raise _error_of_closed()
        if self._loop is None:
            started: Future[asyncio.AbstractEventLoop] = Future()
            self._thread = threading.Thread(target=_run_loop, args=(started,), name="graphengine loop", daemon=True)
            self._thread.start()
            self._loop = started.result()
        return self._loop


def _error_of_closed() -> RunnerClosed:
    return RunnerClosed("this SyncRunner is closed", repair="create a new one: with SyncRunner(path) as runner")


def _run_loop(started: Future[asyncio.AbstractEventLoop]) -> None:
    """Run the event loop of a portal in this thread until the portal is stopped, then cancel the loop's open tasks.

    `asyncio.run` ends its tasks in the same way.

    Args:
        started: Receives the event loop as soon as it exists, or the error that prevented it.
    """
    runner = asyncio.Runner()
    try:
        loop = runner.get_loop()
    except BaseException as error:  # noqa: BLE001 - such as a missing file descriptor; the caller waits for the error
        started.set_exception(error)
        return
    with runner:
        started.set_result(loop)
        loop.run_forever()
