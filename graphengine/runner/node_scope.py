"""What extensions find of the node in which code runs: its place in the run, its recorded work, and its threads."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from graphengine.engine.frame_tree import add_usage
from graphengine.errors import NotRecordable, TooLarge
from graphengine.runner.context import CALL
from graphengine.runner.scope import FROM_THREAD
from graphengine.runner.threads import in_thread

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager

    from graphengine.runner.context import Context
    from graphengine.runner.recorded_work import Work
    from graphengine.runner.scope import AsksPerson, Piece
    from graphengine.state.json_values import JsonValue


class NodeScope:
    """The scope of a node.

    Args:
        context: The Context of the node, as `scope.CURRENT` has it where its code runs.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.around, self.frame = context._surroundings, context._frame  # noqa: SLF001 - this is a part of it

    @property
    def work(self) -> Work:
        """The attempt's recorded work."""
        return self.context.work or self.context.own()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the run."""
        return self.around.loop

    @property
    def attempt(self) -> int:
        """The number of this attempt of the node, from 1."""
        return self.context.attempt

    def given(self) -> Mapping[str, object]:
        """Return what tools can take by name: `ctx`, and the resources of the graph."""
        return {**self.around.resources(self.frame), "ctx": self.context}

    def place(self, name: str, what: Callable[[], str]) -> str:
        """Return a unique key for a group of recorded work, independent of other work that runs in parallel."""
        return self.work.place(name, what())

    def recorded(self, place: str) -> Sequence[JsonValue]:
        """Return what was recorded directly below this key."""
        return self.work.recorded(place)

    def group(self, place: str) -> AbstractContextManager[None]:
        """Put the keys of all work that is recorded inside this block below this key."""
        return self.work.group(place)

    def may_record(self, text: str) -> bool:
        """Return whether a text contains no secret."""
        guard = self.around.guard
        return guard is None or guard.hide(text) == text

    @contextmanager
    def call(self, key: str) -> Iterator[None]:
        """Mark a block as a call of a tool, whose idempotency key ends with this key."""
        before = CALL.set((self.context, key))
        try:
            yield
        finally:
            CALL.reset(before)

    async def piece(self, name: str, what: str, make: Callable[[], Awaitable[Piece]]) -> JsonValue:
        """Return the record of a piece of work: the existing one, or a new one after doing the work.

        If the work cannot be recorded, what it spent on a model is counted with the attempt.
        """
        done: list[Piece] = []

        async def made() -> Piece:
            done.append(await make())
            return done[0]

        try:
            return await self.work.piece(name, what, made)
        except (TooLarge, NotRecordable):
            if done and done[0].usage:
                self.context.usage = add_usage(self.context.usage or {}, done[0].usage)
            raise

    def keeping(self) -> AbstractContextManager[None]:
        """Keep the recorded work if this block fails."""
        return self.work.keeping()

    def may_sleep(self) -> bool:
        """Return whether the run can be stored as waiting here."""
        return not self.work.is_inside

    def has_slept(self, what: str) -> bool:
        """Return whether the next such sleep is recorded, and is over."""
        return self.work.is_over("sleep", what)

    async def approved(self, identity: str, record: tuple[str, str], ask: AsksPerson) -> Any:  # noqa: ANN401 - as read
        """Ask a person, and return the answer; None if nothing is asked, or if what it is about is recorded."""
        return await self.work.approved(identity, record, ask)

    async def blocking(self, function: Callable[[], object], threads: Executor | None = None) -> object:
        """Call a blocking function in the given threads, else in the runner's thread pool.

        If a thread of that pool is waiting for this call, use the extra threads of its calls: the pool may be full of
        such threads, which would wait for each other.
        """
        calls = FROM_THREAD.get()
        own = self.around.threads if calls is None else calls.threads
        return await in_thread(threads or own(), function)
