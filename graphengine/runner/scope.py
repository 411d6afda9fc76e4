"""What the code of a node has around it: the driver of its run, what its attempts share, and its recorded work."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from weakref import ref  # noqa: TC003 - msgspec reads it

from msgspec import Struct, field

from graphengine.graph.options import Sizes
from graphengine.runner.followers import NOBODY, Following
from graphengine.runner.threads import FROM_THREAD, in_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager

    from graphengine.engine.events import Event
    from graphengine.engine.lookup import RunState
    from graphengine.engine.plan import Call
    from graphengine.engine.redaction import Redactor
    from graphengine.engine.steps import ModelCaller
    from graphengine.graph.effect import Effects
    from graphengine.runner.attempt import Attempt
    from graphengine.runner.context import Context
    from graphengine.runner.followers import Audience
    from graphengine.runner.recorded_work import Effecting, StepJournal
    from graphengine.runner.result import Past
    from graphengine.state.amounts import Usage
    from graphengine.state.json_values import JsonValue

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StepResult:
    """A finished piece of work: its record, and facts about it.

    Attributes:
        record: The value that is stored, and returned when the piece is replayed.
        size_bytes: The record's size as JSON.
        usage: What it used.
        by: The `agent` that called, and the `model` that answered.
    """

    record: JsonValue
    size_bytes: int
    usage: Usage | None = None
    by: ModelCaller | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A question to a person.

    Attributes:
        text: Its text.
        schema: The JSON Schema of the answer.
        read: Returns the answer of a record, or raises a `ValidationError`.
        timeout_seconds: How long to wait for the answer; None to wait for ever.
        default: The record of the answer after that time.
    """

    text: str
    schema: Mapping[str, JsonValue]
    read: Callable[[object], object]
    timeout_seconds: float | None
    default: JsonValue


class AsksPerson(Protocol):
    """Makes a question."""

    def __call__(self, *, was_asked: bool) -> Awaitable[Question | None]:
        """Return the question; None if none is to be asked, which cannot be if it was asked already."""
        ...


_SIZES: Final = Sizes()


class Host(Protocol):
    """The driver of the run, as nodes use it."""

    @property
    def audience(self) -> Audience:
        """The watchers of live events, and the calls that show some."""
        ...

    @property
    def is_halting(self) -> bool:
        """Whether the run will stop, or be released, at the next safe point."""
        ...

    @property
    def wrote_at(self) -> float:
        """When the run was last shown to be driven by this process, by the machine's clock."""
        ...

    async def check_owned(self) -> None:
        """Ask the store whether this process still drives the run.

        Raises:
            LeaseLost: Another process has taken the run, or it was released.
        """
        ...

    def check(self) -> None:
        """Refuse to continue after an append that failed.

        Raises:
            StoreError: A step could not be recorded, and the run ends.
        """
        ...

    def note_cut_off(self, attempt: Attempt) -> bool:
        """Return whether the driver cancelled an attempt, not code of the graph; if so, note it, and what it spent."""
        ...

    def emitted(self, path: str, data: object) -> None:
        """Show data that a node emits, from any thread."""
        ...

    async def halted(self) -> None:
        """Return when the run will stop, or be released, at the next safe point."""
        ...

    @property
    def note(self) -> Callable[[Event], Awaitable[None]]:
        """Record an event of a node that is still running, and return when it is durable."""
        ...


class Executors(Protocol):
    """Runs the nodes with `on=`, in other processes or on other machines."""

    def counts_time(self, on: str) -> bool:
        """Return whether an executor counts the time of its calls itself, from when they begin."""
        ...

    async def call(self, call: Call, values: dict[str, object], context: Context, seconds: float | None) -> object:
        """Call a node's function on its executor, and return its result."""
        ...


class NodeServices(Struct, kw_only=True):
    """What the attempts of a run share.

    Attributes:
        run: The run.
        run_id: Its id, also once its snapshot is freed.
        host: The driver of the run.
        resources: The resources of nodes, by the id of their plan.
        threads: Returns the thread pool of blocking functions.
        now: The clock of the run's log.
        wall: The machine's clock, by which waits end.
        past: Finds earlier runs.
        executors: Where nodes with `on=` run; None to run them in place.
        following: Who follows the run.
        loop: The event loop of the run.
        is_shared: Whether other processes can take the run if this one is suspended.
        guard: Keeps the graph's secrets out of what is recorded and shown; None if it has none.
        effects: Whether effects outside the run happen.
        readers: The attempts that had mutable fields, while anything of them is left.
    """

    run: RunState
    run_id: str
    host: Host
    resources: Mapping[int, Mapping[str, object]]
    threads: Callable[[], Executor]
    now: Callable[[], float]
    wall: Callable[[], float]
    past: Past
    executors: Executors | None = None
    following: Following = NOBODY
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    is_shared: bool = False
    guard: Redactor | None = None
    effects: Effects = "act"
    readers: set[ref[Attempt]] = field(default_factory=set)

    @property
    def sizes(self) -> Sizes:
        """The limits of what is recorded."""
        return self.run.sizes or _SIZES


CURRENT: Final[ContextVar[Any]] = ContextVar("graphengine_scope", default=None)
"""The `Attempt` whose code runs; in another process its facts alone; None outside a run."""
TOOL_CALL: Final[ContextVar[tuple[Attempt, str] | None]] = ContextVar("graphengine_tool_call", default=None)
"""The attempt and the key of the tool call that is being made."""


class NodeScope:
    """The scope of a node.

    Args:
        attempt: The attempt whose code runs.
    """

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.around, self.frame = attempt.services, attempt.frame

    @property
    def work(self) -> StepJournal:
        """The attempt's recorded work."""
        return self.attempt.work()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the run."""
        return self.around.loop

    def given(self) -> Mapping[str, object]:
        """Return what tools can take by name: `ctx`, and the resources of the graph."""
        return {**self.around.resources.get(id(self.attempt.plan), {}), "ctx": self.attempt.context}

    def place(self, name: str, what: Callable[[], str]) -> str:
        """Return a unique key for a group of recorded work, independent of other work that runs in parallel."""
        return self.work.key_of(name, what())

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
        before = TOOL_CALL.set((self.attempt, key))
        try:
            yield
        finally:
            TOOL_CALL.reset(before)

    def step_result(self, name: str, what: str, make: Callable[[], Awaitable[StepResult]]) -> Awaitable[Any]:
        """Return the record of a piece of work: the existing one, or a new one after doing the work."""
        return self.work.step_result(name, what, make)

    @property
    def below(self) -> str:
        """The key below which work recorded here has its keys."""
        return self.work.below

    def idempotency_key(self, key: str) -> str:
        """Return the idempotency key of a call of a tool."""
        return f"{self.attempt.visit_key}/{key}"

    def once(self, effect: Effecting[T]) -> Awaitable[T]:
        """Do an effect that must not be repeated, or find out how it ended if it began before."""
        return self.work.once(effect)

    def paid(self, usage: Usage) -> None:
        """Count what was used and is not recorded as a piece of work."""
        self.attempt.count(usage)

    def refuse(self, error: BaseException, name: str, what: str) -> None:
        """Note that an exception says that the record of a piece of work cannot be used."""
        self.work.refuse(error, name, what)

    def answered(self, name: str, what: str, value: object) -> None:
        """Note the piece of work that an answer is from, which is refused with the node's update."""
        self.work.answered(name, what, value)

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
        own = self.around.threads if calls is None else calls
        return await in_thread(threads or own(), function)
