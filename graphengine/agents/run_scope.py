"""What an agent needs from the run in which it is called: `InRun`. Outside a run it is `graphengine.agents.alone`."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from graphengine.runner.scope import FROM_THREAD, AsksPerson, Piece, as_outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager

    from graphengine.agents.live_events import Live
    from graphengine.errors import ModelTransient
    from graphengine.models.base import Model, Request
    from graphengine.models.limiter import Waits
    from graphengine.state.amounts import Usage
    from graphengine.state.json_values import JsonValue

T = TypeVar("T")


class Opens(Protocol):
    """A resource that is opened before use, and closed after it."""

    async def open(self) -> Sequence[Any]:
        """Open it. Return its content."""
        ...

    async def close(self) -> None:
        """Close it."""
        ...


class Scope(Protocol):
    """The run's side of an agent's call."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the run: everything here but `blocking` is called in it."""
        ...

    def model_for(self, agent: str, own: str | Model) -> Model:
        """Return the model that answers for this agent: the run's choice, or the agent's own."""
        ...

    async def blocking(self, function: Callable[[], object], threads: Executor | None = None) -> object:
        """Call a blocking function in a thread, of the run if none are given, and wait for it even if cancelled."""
        ...

    def paid(self, usage: Usage) -> None:
        """Count the usage of a call that is not recorded as a piece of work."""
        ...

    def given(self) -> Mapping[str, object]:
        """Return what tools can read by name: `ctx`, and the resources of the graph."""
        ...

    def place(self, name: str, what: Callable[[], str]) -> str:
        """Return a unique key for an activity of several pieces of work, independent of concurrent activities.

        Args:
            name: The kind of activity.
            what: Returns a text that distinguishes it from others of that name; not called if nothing is recorded.
        """
        ...

    def recorded(self, place: str) -> Sequence[JsonValue]:
        """Return the records directly below this key."""
        ...

    def group(self, place: str) -> AbstractContextManager[None]:
        """Put the keys of pieces recorded inside the block below this one."""
        ...

    def may_record(self, text: str) -> bool:
        """Return whether a text contains no secret."""
        ...

    def call(self, key: str) -> AbstractContextManager[None]:
        """Mark the block as a tool call, whose idempotency key ends with this one."""
        ...

    async def piece(self, name: str, what: str, make: Callable[[], Awaitable[Piece]]) -> Any:  # noqa: ANN401 - a record of any form
        """Return the record of a piece of work: the existing one, or that of doing it now."""
        ...

    def refuse(self, error: BaseException, name: str, what: str) -> None:
        """Note that an exception says that the record of a piece of work cannot be used.

        If the attempt fails of it, the next one does that piece anew.
        """
        ...

    def answered(self, name: str, what: str, value: object) -> None:
        """Note the piece of work that an answer is from.

        If the node returns this value, and its update is refused, the next attempt does that piece anew.
        """
        ...

    async def may_call(self, model: Model) -> None:
        """Wait until a model may be called; never return if the run has to stop first.

        Raises:
            PriceUnknown: A limit on costs applies, and the price of the model is unknown.
        """
        ...

    def may_sleep(self) -> bool:
        """Return whether `sleep_for` works here: in a run, outside a `ctx.step`."""
        ...

    def has_slept(self, what: str) -> bool:
        """Return whether the next `sleep_for` of this text is recorded, and is over already."""
        ...

    async def sleep_for(self, seconds: float, what: str) -> None:
        """Wait as `ctx.sleep` does, with the run stored as waiting; `what` is shown to people."""
        ...

    async def approved(self, identity: str, record: tuple[str, str], ask: AsksPerson) -> Any:  # noqa: ANN401 - as read
        """Ask a person, and return the answer; None if nothing is asked.

        Args:
            identity: A text that identifies the question.
            record: The name and the key of the piece of work that it is about: nothing is asked if that is recorded.
            ask: Returns the question, None if none is to be asked.
        """
        ...

    def live(self, agent: str) -> Live | None:
        """Return what shows the live events of a call of an agent, or None if they are not wanted."""
        ...

    async def opened(self, source: Opens) -> Sequence[Any] | None:
        """Return the tools of a source that stays open as long as the Runner, or None if it is opened for each call."""
        ...

    @property
    def waits(self) -> Waits:
        """How to wait for a model."""
        ...

    def pause_after(self, error: ModelTransient, tries: int) -> float | None:
        """Return how long to wait before a model is called again after a failure; None to raise it.

        Args:
            error: The failure. Its limiter has waited already if the server refused the call.
            tries: How often the model was called.
        """
        ...

    async def reserved(self, model: Model, request: Request) -> AbstractContextManager[Callable[[Usage], None]]:
        """Reserve what a call may use of the run's limits; wait until that is free.

        It is reserved until the block ends. The block gets a function to call with what the call used.
        """
        ...


async def in_loop_of(scope: Scope, call: Callable[[], Awaitable[T]]) -> T:
    """Make a call in the run's event loop, from any thread or loop."""
    if asyncio.get_running_loop() is scope.loop:
        return await call()
    calls = FROM_THREAD.get()
    made = as_outcome(call if calls is None else functools.partial(calls.make, call))
    try:
        future = asyncio.run_coroutine_threadsafe(made, scope.loop)
    except RuntimeError:  # the event loop is closed, and this thread outlived it
        made.close()
        raise
    return (await asyncio.wrap_future(future)).result()
