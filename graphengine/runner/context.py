"""The Context: what a node can read and do in addition to its inputs and its result."""

from __future__ import annotations

import asyncio
import math
import random
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol, TypeVar, overload

from msgspec import Struct, field

from graphengine.engine.frame_tree import add_usage, place_of
from graphengine.engine.lookup import plan_of
from graphengine.engine.redaction import Redactor
from graphengine.engine.steps import Node, WaitRecord, path_of
from graphengine.errors import DefinitionError, InputError, NotRecordable, TooLarge
from graphengine.graph.elsewhere import OF_A_CONTEXT, missing
from graphengine.graph.options import LONGEST_SECONDS, Sizes, is_seconds, none_for_ever
from graphengine.graph.question import NO_ANSWER, Answers
from graphengine.runner.followers import NOBODY, Following
from graphengine.runner.recorded_work import StepJournal, answers_of
from graphengine.runner.result import Past, PastRun  # noqa: TC001 - ctx.call reads the annotation of a call when it is made
from graphengine.runner.threads import FROM_THREAD, in_thread
from graphengine.state.json_values import as_record, checked_name
from graphengine.state.path import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager

    from typing_extensions import TypeForm

    from graphengine.engine.events import Event
    from graphengine.engine.lookup import RunState
    from graphengine.engine.plan import Call
    from graphengine.engine.snapshot import Frame, Task
    from graphengine.engine.steps import OutputKind, Outputs
    from graphengine.graph.definition import GraphDefinition
    from graphengine.graph.effect import Effect, Effects
    from graphengine.runner.followers import Audience
    from graphengine.runner.recorded_work import Effecting
    from graphengine.runner.scope import AsksPerson, StepResult
    from graphengine.state.amounts import Usage
    from graphengine.state.json_values import JsonValue

T = TypeVar("T")

_SIZES = Sizes()


class Host(Protocol):
    """The driver of the run, as nodes use it."""

    @property
    def audience(self) -> Audience:
        """The watchers of live events, and the calls of agents that show some."""
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

    def note_cut_off(self, frame: str, path: str, spent: Usage | None) -> bool:
        """Return whether the driver cancelled the node, not code of the graph; if so, note that, and what it spent."""
        ...

    def task_of(self, frame: str) -> asyncio.Task[Any] | None:
        """Return the asyncio task in which a frame's node runs."""
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
        run_id: The run's id, also once its snapshot is freed.
        effects: Whether effects outside the run happen.
    """

    run: RunState
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
    run_id: str = ""
    effects: Effects = "act"

    def __post_init__(self) -> None:
        self.run_id = self.run.snapshot.run_id
        if self.run.plan.secret:
            self.guard = Redactor(self.run.plan, self.run.snapshot)

    @property
    def sizes(self) -> Sizes:
        """The limits of what is recorded."""
        return self.run.sizes or _SIZES


class Context:
    """One attempt of one visit of a node; declare a parameter `ctx: Context` to get it.

    Example:
        >>> async def draw(ctx: Context, n: int) -> int:
        ...     await ctx.call(print, "once, whatever happens")
        ...     return n + await ctx.ask("How many more?", int)
        >>> graph = Graph("draws", Count)
        >>> graph.add_node("draw", draw, writes="n")
        >>> graph.add_path(START, "draw", END)
        >>> async def main() -> None:
        ...     async with Runner() as runner:
        ...         run = await runner.start(graph, {"n": 2}).result()
        ...         await runner.answer(run.run_id, 5)
        ...         print((await runner.resume(run.run_id, graph).result()).state.n)
        >>> asyncio.run(main())
        once, whatever happens
        7
    """

    # For the runner: the recorded work and waits; messages and kept live data for the node's step; whether the attempt
    # has ended; what it has spent on models, apart from recorded work.
    __slots__ = (
        "__weakref__",
        "_frame",
        "_journal",
        "_outputs",
        "_over",
        "_random",
        "_services",
        "_task",
        "_usage",
    )

    def __init__(self, task: Task, frame: Frame, services: NodeServices) -> None:
        self._usage: Usage | None = None
        self._journal: StepJournal | None = None
        self._over = False
        self._task = task
        self._frame = frame
        self._services = services
        self._random: random.Random | None = None
        self._outputs: Outputs | None = None

    if not TYPE_CHECKING:  # type checkers know what it has

        def __getattr__(self, name: str) -> NoReturn:
            missing(self, name, OF_A_CONTEXT)

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self._services.run_id

    @property
    def node(self) -> str:
        """The node's name."""
        return self._task.node

    @property
    def path(self) -> str:
        """The node's path in the run, as `article/review` or `research[3]`."""
        return path_of(self._task.frame, self._task.node)

    @property
    def item_index(self) -> int | None:
        """The position of its item in the map's list, from 0, also in a graph that is mapped; None outside a map."""
        index = self.path.rpartition("[")[2].partition("]")[0]
        return int(index) if "[" in self.path else None

    @property
    def visit(self) -> int:
        """Which visit of the node this is, from 1."""
        return self._task.visit

    @property
    def attempt(self) -> int:
        """Which attempt of the visit this is, from 1."""
        return self._task.attempt

    @property
    def idempotency_key(self) -> str:
        """A key that stays the same over retries and resumes of this visit, and differs in each visit, item and branch.

        It begins with the run's id, so an id of your own that is reused in another database produces the same keys.

        In a tool it is the key of the call: equal calls in one answer of an agent have different keys, and a call that
        is repeated, after a crash or in a retry with the same request to the agent, keeps its key.
        """
        call = _CALL.get()
        return self._visit_key if call is None or call[0] is not self else f"{self._visit_key}/{call[1]}"

    @property
    def _visit_key(self) -> str:
        return f"{self.run_id}/{place_of(self._frame)}"

    @property
    def random(self) -> random.Random:
        """A random generator seeded for this visit: an attempt that runs again draws the same numbers."""
        if self._random is None:
            self._random = random.Random(self._visit_key)  # noqa: S311 - for repeatable choices, not for secrets
        return self._random

    def now(self) -> float:
        """Return the time in the log, epoch seconds: when this attempt could begin, or the last recorded work was done.

        A node that runs again sees the same times, so recorded work whose key depends on them is found again. To
        measure durations, use `time.monotonic`.
        """
        return self._journal.time if self._journal is not None else self._frame.arrived

    @overload
    def call(
        self,
        function: Callable[..., Awaitable[T]],
        *args: object,
        key: str | None = None,
        effect: Effect | None = None,
        **kwargs: object,
    ) -> Coroutine[Any, Any, T]: ...

    @overload
    def call(
        self,
        function: Callable[..., T],
        *args: object,
        key: str | None = None,
        effect: Effect | None = None,
        **kwargs: object,
    ) -> Coroutine[Any, Any, T]: ...

    def call(
        self,
        function: Callable[..., Any],
        *args: object,
        key: str | None = None,
        effect: Effect | None = None,
        **kwargs: object,
    ) -> Coroutine[Any, Any, Any]:
        """Call a function, sync or async, and record its result; a node that runs again gets the recorded result.

        The record is kept across crashes and waits, and in a retry if a recorded call raised. A sync function runs in a
        thread. A call that was in progress at a crash is repeated, unless `effect` says that it must not be.

        Args:
            function: The function. Its return annotation determines how the result is recorded; without one the result
                must be plain JSON.
            args: Its positional arguments.
            key: The key of the call, if its arguments cannot be written as JSON or do not identify the call.
            effect: What the call does outside the run: `"read"`, `"idempotent"`, `"once"` or `Once(…)`. A parameter
                `idempotency_key` of the function then gets the key of the call.
            kwargs: Its keyword arguments.

        Raises:
            NotRecordable: JSON cannot represent the result, or, without a key, an argument. Also raises whatever the
                function raises.
            EffectUnknown: An effect began that must not be repeated, and nobody knows how it ended.
        """
        work = self._work("call")
        return work.track("call", work.call(function, args, kwargs, key, effect))

    @overload
    async def ask(
        self,
        question: str,
        *,
        name: str | None = None,
        timeout_seconds: float | None = None,
        default: object = NO_ANSWER,
    ) -> str: ...

    @overload
    async def ask(
        self,
        question: str,
        output: TypeForm[T],
        *,
        name: str | None = None,
        timeout_seconds: float | None = None,
        default: object = NO_ANSWER,
    ) -> T: ...

    def ask(
        self,
        question: str,
        output: object = str,
        *,
        name: str | None = None,
        timeout_seconds: float | None = None,
        default: object = NO_ANSWER,
    ) -> Any:
        """Wait for an answer. The attempt ends here; once there is an answer, the node runs again from its beginning.

        Args:
            question: The question.
            output: The type of the answer.
            name: The name of the wait, to answer it by; the node's path by default (`path#2` for a second question).
            timeout_seconds: How long to wait.
            default: The answer after that time.

        Raises:
            WaitTimeout: No answer arrived in time, and there is no default.
        """
        answers = answers_of(output)
        if name is not None:
            self._check_name(name, "the name of a question")
        wait = WaitRecord(kind="ask", question=question, schema=answers.schema)
        self._limit(wait, timeout_seconds, answers, default)
        work = self._work("ask")
        return work.track("ask", work.wait(wait, [question, name], answers, name))

    @overload
    async def receive(
        self,
        topic: str,
        output: TypeForm[T],
        *,
        timeout_seconds: float | None = None,
        default: object = NO_ANSWER,
    ) -> T: ...

    @overload
    async def receive(
        self,
        topic: str,
        *,
        timeout_seconds: float | None = None,
        default: object = NO_ANSWER,
    ) -> Any: ...  # noqa: ANN401 - whatever was sent

    def receive(
        self,
        topic: str,
        output: object = Any,
        *,
        timeout_seconds: float | None = None,
        default: object = NO_ANSWER,
    ) -> Any:
        """Receive the next message of a topic; if there is none, wait for it as `ask` does.

        Args:
            topic: The topic.
            output: The type of its messages. A message of another type is refused, which is recorded.
            timeout_seconds: How long to wait.
            default: The value to return after that time.

        Raises:
            WaitTimeout: No message arrived in time, and there is no default.
        """
        answers = answers_of(output)
        self._check_name(topic, "a topic")
        wait = WaitRecord(
            kind="receive", question=f"a message on {topic!r}", topic=topic, schema=answers.schema or None
        )
        self._limit(wait, timeout_seconds, answers, default)
        work = self._work("receive")
        return work.track("receive", work.wait(wait, topic, answers))

    def sleep(self, seconds: float) -> Coroutine[Any, Any, None]:
        """Wait for a number of seconds; meanwhile the run is stored as waiting and uses no resources.

        `math.inf` waits for ever.

        Raises:
            DefinitionError: It is not a valid number of seconds.
        """
        return self._sleep("sleep", f"{seconds} s", seconds, self._services.wall())

    def sleep_until(self, when: float) -> Coroutine[Any, Any, None]:
        """Wait until a time, epoch seconds. `math.inf` waits for ever.

        Raises:
            DefinitionError: It is not a valid time.
        """
        return self._sleep("sleep_until", f"until {when}", when, 0)

    def _sleep(self, what: str, question: str, given: float, since: float) -> Coroutine[Any, Any, None]:
        wait = WaitRecord(kind="sleep", question=question)
        if type(given) not in (int, float) or not (abs(given) <= LONGEST_SECONDS or given == math.inf):
            repair = "give seconds, or math.inf to wait for ever"
            raise DefinitionError(f"ctx.{what}({given!r})", where=f"node {self.path}", repair=repair)
        if given != math.inf:
            wait.due = since + given
        work = self._work(what)
        return work.track(what, work.wait(wait, None, None))

    def send(self, topic: str, payload: object) -> None:
        """Send a message to a topic of this run. It is delivered exactly once, in order, with the node's step."""
        self._check_name(topic, "a topic")
        self._say("sent", [topic, self._record(payload, "the message")])

    async def runs(
        self, graph: GraphDefinition[Any] | str, last: int = 20, *, fields: Collection[str] | None = None
    ) -> Sequence[PastRun]:
        """Return earlier finished runs of a graph, newest first: memory across runs. The returned runs are recorded.

        Args:
            graph: The graph, or its name.
            last: The maximum number of runs.
            fields: The fields of their states to return; all if not given. Name them if states are large, because they
                are recorded with this run.

        Raises:
            InputError: The graph has no such field.
        """
        past = self._services.past
        name = graph if isinstance(graph, str) else graph.name
        wanted = None if fields is None else sorted(set(fields))
        if wanted is not None and not isinstance(graph, str):
            _check_fields(graph, wanted)

        async def earlier_runs() -> list[PastRun]:
            return list(await past(self.run_id, name, last, wanted))

        return await self.call(earlier_runs, key=" ".join([name, str(last), *(wanted or ())]))

    def emit(self, data: object, *, record: bool = False) -> None:
        """Show data to the live watchers of the run.

        Args:
            data: The data.
            record: Whether to keep it with the node's step too; then JSON must be able to represent it.
        """
        if record:
            self._say("emitted", self._record(data, "what is shown"))
        guard = self._services.guard
        self._services.host.emitted(self.path, data if guard is None else guard.hide(data))

    def _record(self, value: object, what: str) -> JsonValue:
        try:
            return as_record(value, what, self._services.sizes.message_bytes)
        except InputError as error:
            kind = TooLarge if error.code == TooLarge.code else NotRecordable
            raise kind(error.message, where=f"node {self.path}", repair=error.repair) from error

    def _check_name(self, given: str, what: str) -> None:
        checked_name(given, what, f"node {self.path}")

    def _say(self, what: OutputKind, record: JsonValue) -> None:
        NodeScope(self).refuse_secrets(record, f"what is {what}")
        self._outputs = self._outputs or {}
        self._outputs.setdefault(what, []).append(record)
        if self._journal is not None:
            self._journal.note_output(what, record)

    def _more(self) -> Node | None:
        """Return what the node's step records in addition to its result; None for nothing. Called by the runner."""
        outputs = self._outputs or {}
        found = Node(sent=outputs.get("sent", ()), emitted=outputs.get("emitted", ()))
        unused = self._work("").unused if self._frame.recorded_results else ()
        found.unused = list(unused) or ()
        journal = self._journal
        if journal is not None and (journal.waits or journal.cut_short):  # begun, but not awaited to the end
            found.unawaited = sorted((*journal.waits, *journal.cut_short))
        return found if outputs or found.unused or found.unawaited else None

    async def _end(self) -> None:
        """End the attempt: cancel what it left in flight, and wait for it. Called by the runner."""
        self._over = True
        if self._journal is not None:
            self._journal.over = True
            if self._journal.is_left:
                await self._journal.end()
            for ended in self._services.following.ended:
                ended(self._frame)

    def _count(self, usage: Usage) -> None:
        """Count with the attempt what a call of a model used that is not recorded as a piece of work."""
        self._usage = add_usage(self._usage or {}, usage)

    def _own(self) -> StepJournal:
        """Create the attempt's work, bound to the node's asyncio task, which its waits cancel. Called by the runner."""
        self._journal = StepJournal(self._task, self._frame, self._services, self._say, self._count)
        self._journal.over = self._over
        return self._journal

    def _work(self, what: str) -> StepJournal:
        if what:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                loop = None
            if loop is not self._services.loop:
                raise DefinitionError(
                    f"ctx.{what} was called outside the event loop of the run",
                    where=f"node {self.path}",
                    repair=f"make the node async, and await ctx.{what}(…)",
                )
        return self._journal if self._journal is not None else self._own()

    def _limit(self, wait: WaitRecord, timeout_seconds: float | None, answers: Answers, default: object) -> None:
        where = f"node {self.path}"
        if timeout_seconds is None and default is not NO_ANSWER:
            repair = "set the time after which it applies: timeout_seconds=…"
            raise DefinitionError(f"default={default!r} without timeout_seconds", where=where, repair=repair)
        timeout_seconds = none_for_ever(timeout_seconds)
        if timeout_seconds is not None and not is_seconds(timeout_seconds):
            repair = "give seconds above 0, or None for no limit"
            raise DefinitionError(f"timeout_seconds={timeout_seconds!r}", where=where, repair=repair)
        if timeout_seconds is not None:
            wait.due = self._services.wall() + timeout_seconds
        if default is not NO_ANSWER:
            wait.default = answers.record(default)


_CALL: Final[ContextVar[tuple[Context, str] | None]] = ContextVar("graphengine_tool_call", default=None)
"""The context and the key of the tool call that is being made."""


class NodeScope:
    """The scope of a node.

    Args:
        context: The Context of the node, as `scope.CURRENT` has it where its code runs.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.around, self.frame = context._services, context._frame  # noqa: SLF001 - this is a part of it

    def refuse_secrets(self, record: JsonValue, what: str) -> None:
        """Check that a record which is kept outside the run's steps contains no secret. Raises: NotRecordable."""
        if self.around.guard is not None:
            self.around.guard.refuse(record, what, f"node {self.context.path}")

    @property
    def work(self) -> StepJournal:
        """The attempt's recorded work."""
        return self.context._journal or self.context._own()  # noqa: SLF001 - this is a part of it

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the run."""
        return self.around.loop

    def given(self) -> Mapping[str, object]:
        """Return what tools can take by name: `ctx`, and the resources of the graph."""
        plan = plan_of(self.around.run.plan, self.frame)
        return {**self.around.resources.get(id(plan), {}), "ctx": self.context}

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
        before = _CALL.set((self.context, key))
        try:
            yield
        finally:
            _CALL.reset(before)

    def step_result(self, name: str, what: str, make: Callable[[], Awaitable[StepResult]]) -> Awaitable[Any]:
        """Return the record of a piece of work: the existing one, or a new one after doing the work."""
        return self.work.step_result(name, what, make)

    @property
    def below(self) -> str:
        """The key below which work recorded here has its keys."""
        return self.work.below

    def idempotency_key(self, key: str) -> str:
        """Return the idempotency key of a call of a tool."""
        return f"{self.context._visit_key}/{key}"  # noqa: SLF001 - this is a part of it

    def once(self, effect: Effecting[T]) -> Awaitable[T]:
        """Do an effect that must not be repeated, or find out how it ended if it began before."""
        return self.work.once(effect)

    def paid(self, usage: Usage) -> None:
        """Count what a call of a model used that is not recorded as a piece of work."""
        self.context._count(usage)  # noqa: SLF001 - this is a part of it

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


def _check_fields(graph: GraphDefinition[Any], fields: Collection[str]) -> None:
    """Check that a graph's state has these fields."""
    unknown = [name for name in fields if name not in graph.state.model_fields]
    if unknown:
        text = f"{graph.name} has no field {', '.join(map(repr, unknown))}"
        raise InputError(text, where="ctx.runs(fields=…)", repair=did_you_mean(unknown[0], graph.state.model_fields))
