"""The whole Context of a node that runs in another process: its calls travel to the Runner, whose Context decides.

A request is a message `(number, inside, what, body)`: `inside` is the number of the `ctx.step` in which the code runs,
0 for none. Every request but an `emit` is replied to with `(number, kind, time, body)`:

- `call` calls a method of the Context there.
- `step` asks for recorded work. The reply is its record, or `make`. Then the function runs here, and `made` sends its
  record, whose reply comes when it is durable; or `failed` reports that it raised.
- `cancel` cancels what was requested under this number.
- `settled` reports that the node's code has taken in all replies, and has nothing left to do but to wait. Only then may
  the attempt end because it waits: otherwise `asyncio.wait` of a step and a question, for instance, would end it before
  the loser is cancelled.
"""

from __future__ import annotations

import asyncio
import pickle
import threading
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from graphengine.engine.steps import own_name
from graphengine.errors import DefinitionError, NotPicklable
from graphengine.executors.detached import DetachedContext
from graphengine.runner.call_records import call_key, returned
from graphengine.runner.recorded_work import called, check_awaited
from graphengine.runner.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence

    from graphengine.executors.calls import Channel
    from graphengine.executors.detached import Facts
    from graphengine.graph.definition import GraphDefinition
    from graphengine.runner.previous_runs import PastRun

_TURNS: Final = 8
"""Turns of the event loop after which the node's code has taken in a reply; see `recorded_work`, which needs four."""
_THREADS: Final = Threads()
_INSIDE: Final[ContextVar[int]] = ContextVar("graphengine_child_step", default=0)


@dataclass(frozen=True, slots=True)
class NamedGraph:
    """What `ctx.runs` needs of a graph."""

    name: str
    model_fields: tuple[str, ...]

    @property
    def state(self) -> NamedGraph:
        """What has the names of the fields."""
        return self


class ChildContext(DetachedContext):
    """The Context in another process.

    Args:
        facts: The facts of the attempt.
        channel: The channel to the Runner.
    """

    usage = None

    def __init__(self, facts: Facts, channel: Channel) -> None:
        super().__init__(facts)
        self._channel = channel
        self._time = facts.time
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[Any] | None = None
        self._over = False
        self._lock = threading.Lock()
        self._sent = 0
        self._got = 0
        self._numbers = 0
        self._waits = 0
        self._waiting: dict[int, Future[tuple[str, bytes]]] = {}
        self._tracked: list[tuple[str, Coroutine[Any, Any, Any]]] = []
        self._identities: dict[object, int] = {}
        channel.on_message = self._receive

    def now(self) -> float:
        """Return the time in the log: when this attempt could begin, or the last recorded work was done."""
        return self._time

    def step(
        self, function: Callable[..., Any], *args: object, key: str | None = None, **kwargs: object
    ) -> Coroutine[Any, Any, Any]:
        """Call a function in this process, and record its result, as `Context.step` does."""
        return self._track("step", self._step(function, args, kwargs, key))

    def ask(self, question: str, output: object = str, **options: object) -> Coroutine[Any, Any, Any]:
        """Wait for an answer, as `Context.ask` does."""
        return self._track("ask", self._wait("ask", question, output, **options))

    def receive(self, topic: str, output: object = Any, **options: object) -> Coroutine[Any, Any, Any]:
        """Receive the next message of a topic, as `Context.receive` does."""
        return self._track("receive", self._wait("receive", topic, output, **options))

    def sleep(self, seconds: float) -> Coroutine[Any, Any, None]:
        """Wait for a number of seconds, as `Context.sleep` does."""
        return self._track("sleep", self._wait("sleep", seconds))

    def sleep_until(self, when: float) -> Coroutine[Any, Any, None]:
        """Wait until a time, as `Context.sleep_until` does."""
        return self._track("sleep_until", self._wait("sleep_until", when))

    def runs(
        self, graph: GraphDefinition[Any] | str, last: int = 20, *, fields: Collection[str] | None = None
    ) -> Coroutine[Any, Any, Sequence[PastRun]]:
        """Return earlier finished runs of a graph, as `Context.runs` does."""
        named = graph if isinstance(graph, str) else NamedGraph(graph.name, tuple(graph.state.model_fields))
        return self._track("runs", self._call("runs", named, last, fields=fields))

    def send(self, topic: str, payload: object) -> None:
        """Send a message to a topic of this run, as `Context.send` does."""
        self._call_now("send", topic, payload)

    def emit(self, data: object, *, record: bool = False) -> None:
        """Show data to the live watchers of the run, as `Context.emit` does."""
        if record:
            self._call_now("emit", data, record=True)
        else:
            self._check_not_over("ctx.emit")
            self._send(0, "call", self._packed("emit", ("emit", (data,), {})))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Mark where the node's code runs in its event loop."""
        self._loop, self._main = asyncio.get_running_loop(), asyncio.current_task()
        try:
            yield
        finally:
            self._over = True  # what is left in flight is cancelled, which the Runner's side does itself

    def end(self, *, failed: bool = False) -> None:
        """End the attempt.

        Raises:
            NotAwaited: A coroutine of this context was not awaited, and the attempt has not `failed`.
        """
        self._over = True
        if not failed and not (self._main is not None and self._main.cancelling()):
            check_awaited(self._tracked, self.path)

    async def _step(
        self, function: Callable[..., Any], args: Sequence[object], kwargs: dict[str, object], key: str | None
    ) -> object:
        name, what, identity = call_key(function, args, kwargs, key)
        kind = returned(function, own_name(name))
        self._check_not_over(f"ctx.step({own_name(name)})")
        token = None if identity is None else self._identities.setdefault(identity, len(self._identities))
        number = self._number()
        record = await self._asked(number, "step", pickle.dumps((name, what, token)))
        if record is not None:
            return kind.read(record[0])
        around = _INSIDE.get()
        _INSIDE.set(number)
        try:
            result = await called(function, args, kwargs, _THREADS)
            made, back, size_bytes = kind.record(result, own_name(name))
            body = pickle.dumps((made, size_bytes))
        except BaseException as error:
            self._tell(number, "cancel" if isinstance(error, asyncio.CancelledError) else "failed")
            raise
        finally:
            _INSIDE.set(around)
        await self._asked(number, "made", body)
        return back

    async def _wait(self, method: str, *args: object, **options: object) -> object:
        self._waits += 1
        try:
            return await self._call(method, *args, **options)
        finally:
            self._waits -= 1

    async def _call(self, method: str, *args: object, **options: object) -> Any:  # noqa: ANN401 - of any method
        self._check_not_over(f"ctx.{method}")
        return await self._asked(self._number(), "call", self._packed(method, (method, args, options)))

    def _call_now(self, method: str, *args: object, **options: object) -> None:
        self._check_not_over(f"ctx.{method}")
        number = self._number()
        reply = self._request(number, "call", self._packed(method, (method, args, options)))
        self._read(*reply.result())

    async def _asked(self, number: int, what: str, body: bytes) -> Any:  # noqa: ANN401 - of any method
        try:
            found = await asyncio.wrap_future(self._request(number, what, body))
        except asyncio.CancelledError:
            self._tell(number, "cancel")
            raise
        return self._read(*found)

    def _read(self, kind: str, body: bytes) -> object:
        if kind == "cancelled":
            raise asyncio.CancelledError
        value = pickle.loads(body)  # noqa: S301 - from the Runner
        if kind == "error":
            raise value
        return value

    def _request(self, number: int, what: str, body: bytes) -> Future[tuple[str, bytes]]:
        waiting = self._waiting[number] = Future()
        self._send(number, what, body)
        return waiting

    def _tell(self, number: int, what: str) -> None:
        """Report what needs no reply, unless the attempt has ended."""
        self._waiting.pop(number, None)
        if not self._over:
            self._send(number, what, b"")

    def _send(self, number: int, what: str, body: bytes) -> None:
        with self._lock:
            self._sent += 1
            self._channel.send(pickle.dumps((number, _INSIDE.get(), what, body)))
        self._settle_soon()

    def _receive(self, message: bytes) -> None:
        """Hand a reply to who waits for it. Called in the thread that reads the channel."""
        number, kind, time, body = pickle.loads(message)  # noqa: S301 - from the Runner
        if kind == "unwind":
            if self._loop is not None and self._main is not None:
                with suppress(RuntimeError):  # the loop has ended
                    self._loop.call_soon_threadsafe(self._main.cancel)
            return
        self._time = max(self._time, time)
        waiting = self._waiting.pop(number, None)
        if waiting is not None:
            with suppress(InvalidStateError):  # it was cancelled
                waiting.set_result((kind, body))
        with self._lock:
            self._got += 1
        self._settle_soon()

    def _settle_soon(self) -> None:
        """Report in a few turns of the event loop that the node's code only waits, if it does."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._settle, _TURNS, self._sent, self._got)

    def _settle(self, turns: int, sent: int, got: int) -> None:
        if not self._waits or self._over or (sent, got) != (self._sent, self._got):
            return
        if turns and self._loop is not None:
            self._loop.call_soon(self._settle, turns - 1, sent, got)
            return
        with self._lock:
            self._channel.send(pickle.dumps((0, 0, "settled", pickle.dumps((sent, got)))))

    def _number(self) -> int:
        with self._lock:
            self._numbers += 1
            return self._numbers

    def _track(self, what: str, made: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        if loop is None or loop is not self._loop:
            made.close()
            raise DefinitionError(
                f"ctx.{what} was called outside the event loop of the node",
                where=f"node {self.path}",
                repair=f"make the node async, and await ctx.{what}(…)",
            )
        self._tracked.append((what, made))
        return made

    def _check_not_over(self, what: str) -> None:
        if self._over:
            raise DefinitionError(
                f"{what} was called after its node had ended",
                where=f"node {self.path}",
                repair="await what the node begins before it returns",
            )

    def _packed(self, method: str, call: object) -> bytes:
        try:
            return self._channel.dumps(call)
        except Exception as error:
            raise NotPicklable(
                f"an argument of ctx.{method} cannot be pickled, and {self.node} runs in another process: {error}",
                where=f"node {self.path}",
                repair="pass plain values, and types that are defined at the top level of a module",
            ) from error


__all__ = ["ChildContext", "NamedGraph"]
