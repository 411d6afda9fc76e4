"""The `ctx` argument of a node: recorded calls, questions to people, messages, child runs and more."""

from __future__ import annotations

import asyncio
import functools
import math
import random
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, ParamSpec, TypeVar, overload

from graphengine.compile.compiler import compiled
from graphengine.engine.steps import WaitRecord
from graphengine.errors import DefinitionError, InputError, NotRecordable, TooLarge
from graphengine.graph.elsewhere import missing
from graphengine.graph.options import LONGEST_SECONDS
from graphengine.graph.question import NO_ANSWER, Answers, check_limit
from graphengine.runner.ids import check_unreserved
from graphengine.runner.recorded_work import journal_of
from graphengine.runner.result import PastRun  # noqa: TC001 - ctx.call reads the annotation of a call when it is made
from graphengine.runner.run_requests import REPLIES
from graphengine.state.given import as_record, in_utf8
from graphengine.state.json_values import check_stored_name
from graphengine.state.path import did_you_mean
from graphengine.state.recorded_text import to_show

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence

    from typing_extensions import TypeForm

    from graphengine.engine.plan import Plan
    from graphengine.graph.definition import GraphDefinition, Out_co, S
    from graphengine.graph.effect import Effect
    from graphengine.graph.options import Limits
    from graphengine.runner.recorded_work import StepJournal
    from graphengine.runner.run_requests import RunRequest
    from graphengine.runner.scope import AttemptFacts, ChildRun
    from graphengine.state.json_values import JsonValue

T = TypeVar("T")
P = ParamSpec("P")


TOOL_CALL: Final[ContextVar[tuple[AttemptFacts, str] | None]] = ContextVar("graphengine_tool_call", default=None)
"""The attempt and the key of the tool call that is being made at the moment."""


class Context:
    """Lets a node do more than compute a result: record calls, ask people, send messages or start child runs.

    A function that runs as a node receives a `Context` if it declares a parameter `ctx: Context`. Each attempt of the
    node receives a new one.

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
        ...         going_on = await runner.answer(run.run_id, 5, graph)
        ...         print((await going_on.result()).state.n)
        >>> asyncio.run(main())
        once, whatever happens
        7
    """

    __slots__ = ("__weakref__", "_attempt")

    def __init__(self, attempt: AttemptFacts) -> None:
        self._attempt = attempt

    if not TYPE_CHECKING:  # type checkers know the attributes

        def __getattr__(self, name: str) -> NoReturn:
            missing(self, name, "Context")

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self._attempt.services.run_id

    @property
    def node(self) -> str:
        """The name of the node."""
        return self._attempt.task.node

    @property
    def path(self) -> str:
        """The path of the node in the run, such as `article/review` or `research[3]`."""
        return self._attempt.path

    @property
    def item_index(self) -> int | None:
        """The position, in the list of its map, of the item for which the node runs. It counts from 0.

        None if the node does not run for an item of a map. If the node is inside a graph that runs for each item, this
        is the position of the graph's item.
        """
        index = self.path.rpartition("[")[2].partition("]")[0]
        return int(index) if "[" in self.path else None

    @property
    def visit(self) -> int:
        """How many times the run has come to this node, counting from 1. A loop in the graph increases this number."""
        return self._attempt.task.visit

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1. A retry after a failure is a new attempt of the same visit."""
        return self._attempt.task.attempt

    @property
    def idempotency_key(self) -> str:
        """A key for services outside, by which they can recognise a repeated request of this visit of the node.

        The `idempotency_key` stays the same over all retries and resumes of this visit. Each visit, each item of a map
        and each branch has a different key.

        The `idempotency_key` begins with the id of the run. If you choose the ids of runs yourself and reuse an id in
        another database, the same keys appear again.

        In a tool, `idempotency_key` is the key of the tool call. Equal calls in one model response have different keys.
        A call keeps its key when it is repeated, either after a crash or in a retry with the same request to the agent.
        """
        attempt, call = self._attempt, TOOL_CALL.get()
        return attempt.visit_key if call is None or call[0] is not attempt else f"{attempt.visit_key}/{call[1]}"

    @property
    def random(self) -> random.Random:
        """A random generator that draws the same numbers if this visit of the node runs again."""
        attempt = self._attempt
        if attempt.random is None:
            attempt.random = random.Random(attempt.visit_key)  # noqa: S311 - for repeatable choices, not for secrets
        return attempt.random

    def now(self) -> float:
        """Return the time of the log, in epoch seconds, which is the same when the node runs again.

        `now` returns the time when the attempt could begin, or the time when its last recorded call or answer was
        recorded. An attempt that runs again, for instance after a crash, a stop or an answer, sees the same times. A
        recorded call whose arguments contain the time is therefore found again. A retry, and a resume after a failure,
        are new attempts and have times of their own. To measure durations, use `time.monotonic`.
        """
        attempt = self._attempt
        return attempt.journal.time if attempt.journal is not None else attempt.frame.arrived

    @overload
    def call(
        self, function: Callable[..., Awaitable[T]], *args: object, effect: Effect, key: str = ..., **kwargs: object
    ) -> Coroutine[Any, Any, T]: ...

    @overload
    def call(
        self, function: Callable[..., T], *args: object, effect: Effect, key: str = ..., **kwargs: object
    ) -> Coroutine[Any, Any, T]: ...

    @overload
    def call(
        self, function: Callable[..., Awaitable[T]], *args: object, key: str | None, **kwargs: object
    ) -> Coroutine[Any, Any, T]: ...

    @overload
    def call(
        self, function: Callable[..., T], *args: object, key: str | None, **kwargs: object
    ) -> Coroutine[Any, Any, T]: ...

    @overload
    def call(
        self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, T]: ...

    @overload
    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]: ...

    def call(  # type: ignore[misc] # `P` can have parameters of these names too
        self,
        function: Callable[..., Any],
        *args: object,
        key: str | None = None,
        effect: Effect | None = None,
        **kwargs: object,
    ) -> Coroutine[Any, Any, Any]:
        """Call a function, sync or async, and record its result. A node that runs again gets the recorded result.

        The record of a `call` is kept when the process crashes and when the run waits. It is also kept when the attempt
        fails, so that the retry gets the recorded result. This does not hold if a record itself caused the failure, or
        if the node has `Retry(afresh=True)`.

        A sync function runs in a thread. If the process crashes while the function runs, the function is called again,
        unless `effect` forbids it.

        Args:
            function: The function. Its return annotation determines how the result is recorded. Without an annotation,
                the result must be plain JSON.
            args: The positional arguments of the function.
            key: The key of the call, if its arguments cannot be written as JSON or do not identify the call.
            effect: What the call does outside the run: `"read"`, `"idempotent"`, `"once"` or `Once(…)`. A parameter
                `idempotency_key` of the function then gets the key of the call. With `"transaction"`, a plain function
                gets a connection to the PostgreSQL database of the runs, in the parameter that has the annotation of a
                connection, and its rows are committed together with the record of its result.
            kwargs: The keyword arguments of the function.

        Raises:
            NotRecordable: JSON cannot represent the result, or, without a key, an argument.
            EffectUnknown: An effect that must not be repeated had begun, and nobody knows how it ended.
            TransactionRefused: The store does not support transactions for functions, or the function ended its own
                transaction.
            TransactionUndone: The database undid the transaction too many times.
            Exception: The function raised it.
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
        """Ask a person a question, and return the answer.

        While the answer is missing, the attempt ends and the run waits. Once there is an answer, the node runs again
        from its beginning, and this call returns the answer.

        Args:
            question: The question.
            output: The type of the answer.
            name: The name of the question, by which it can be answered. By default it is the path of the node (`path#2`
                for a second question).
            timeout_seconds: How long to wait; None to wait without a limit.
            default: The answer that applies after that time.

        Raises:
            WaitTimeout: No answer arrived in time, and there is no default.
        """
        answers = _answers_of(output)
        if name is not None:
            self._check_name(name, "the name of a question")
        wait = WaitRecord(kind="ask", question=to_show(question), schema=answers.schema)
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
        """Return the next message on a topic of this run.

        If there is no message yet, `receive` waits for one in the same way as `ask`: the attempt ends, the run waits,
        and the node runs again from its beginning when a message has arrived.

        Args:
            topic: The topic.
            output: The type of the messages. A message of another type is refused, and the refusal is recorded.
                Messages are not converted: the text "5" is not an int.
            timeout_seconds: How long to wait; 0 or less to return a message that has already arrived, without waiting.
            default: The value to return after that time.

        Raises:
            WaitTimeout: No message arrived in time, and there is no default.
        """
        answers = _answers_of(output, strict=True)
        self._check_topic(topic)
        wait = WaitRecord(
            kind="receive", question=to_show(f"a message on {topic!r}"), topic=topic, schema=answers.schema or None
        )
        if type(timeout_seconds) in (int, float) and timeout_seconds <= 0:  # type: ignore[operator]  # as `sleep`
            self._limit_at(wait, self._attempt.services.wall(), answers, default)
        else:
            self._limit(wait, timeout_seconds, answers, default)
        work = self._work("receive")
        return work.track("receive", work.wait(wait, topic, answers))

    def sleep(self, seconds: float) -> Coroutine[Any, Any, None]:
        """Wait for a number of seconds. Meanwhile the run is stored as waiting and uses no resources.

        `math.inf` waits for ever.

        Raises:
            DefinitionError: `seconds` is not a valid number of seconds.
        """
        return self._sleep("sleep", f"{seconds} s", seconds, self._attempt.services.wall())

    def sleep_until(self, when: float) -> Coroutine[Any, Any, None]:
        """Wait until a time, in epoch seconds. `math.inf` waits for ever.

        Raises:
            DefinitionError: `when` is not a valid time.
        """
        return self._sleep("sleep_until", f"until {when}", when, 0)

    def _sleep(self, what: str, question: str, seconds: float, since: float) -> Coroutine[Any, Any, None]:
        wait = WaitRecord(kind="sleep", question=to_show(question))
        if type(seconds) not in (int, float) or not (abs(seconds) <= LONGEST_SECONDS or seconds == math.inf):
            text = f"ctx.{what}({seconds!r}): the seconds must {_required_seconds(seconds)}"
            example = "60" if what == "sleep" else "time.time() + 60"
            repair = f"write ctx.{what}({example}), or ctx.{what}(math.inf) to wait for ever"
            raise DefinitionError(text, where=self._attempt.where, repair=repair)
        if seconds != math.inf:
            wait.due = since + seconds
        work = self._work(what)
        return work.track(what, work.wait(wait, None, None))

    def start(  # noqa: PLR0913 - what a run begins with
        self,
        graph: GraphDefinition[S, Out_co],
        state: S | Mapping[str, object] | None = None,
        *,
        run_id: str | None = None,
        queue: str | None = None,
        priority: int = 0,
        tags: Iterable[str] = (),
        limits: Limits | None = None,
        topic: str | None = None,
        on_stop: Literal["stop", "leave"] = "stop",
    ) -> Coroutine[Any, Any, ChildRun[S, Out_co]]:
        """Start another run, exactly once, and return a handle on it.

        If the node runs again, for instance after a crash, `start` returns a handle on the same child run.

        `await child.result()` waits for the child run in the same way as `ask` waits for an answer. The attempt ends
        there, and the node runs again from its beginning when the child run has ended. If the child run soon ends in
        this process, the attempt continues instead.

        A branch of this run that begins before the result of the child run has a child run of its own.

        Args:
            graph: The graph of the child.
            state: The initial state of the child, or a mapping of its fields.
            run_id: The id of the child. By default, it is derived from this visit and the input of the child.
            queue: The queue from which a worker takes the child. By default, the child is driven here, in the
                background.
            priority: Workers take runs with a higher priority from the queue first.
            tags: The tags of the child.
            limits: Limits that replace the limits of the graph.
            topic: The topic of this run on which the end of the child is reported as a message, which any node can
                receive instead of calling `child.result()`. The message contains `run_id`, `graph`, `status`, `state`
                and `error`.
            on_stop: Whether the child is stopped when this run is stopped (`stop`), or continues (`leave`).

        Raises:
            CompileError: The graph has an error.
            InputError: An argument is not valid, as for `Runner.start`, or another run with this id exists.
            EffectRefused: A node runs alone, and no substitute for the child is given: `effects={graph.name:
                function}`, with a function that receives the state and returns the final state.
        """
        children = self._attempt.services.children
        if topic is not None:
            self._check_topic(topic)
        if on_stop not in ("stop", "leave"):
            raise DefinitionError(
                f"on_stop={on_stop!r} must be 'stop' or 'leave'",
                where=self._attempt.where,
                repair="give on_stop='stop' or on_stop='leave'",
            )
        if children is None:
            repair = "start runs with graphengine.Runner, from nodes that run in its process, without on="
            text = "ctx.start cannot start runs here, because this node has no Runner in its process"
            raise DefinitionError(text, where=self._attempt.where, repair=repair)
        place = {"queue": queue, "priority": priority, "limits": limits, "tags": tags}
        options = {"run_id": run_id, **place, "topic": topic or "", "stays": on_stop == "leave"}
        return self._work("start").track("start", children.start(self._attempt, graph, state, options))

    def send(self, topic: str, payload: object) -> None:
        """Send a message to this run, which other nodes can receive on the topic.

        The message is recorded with the step of this node, so it is delivered exactly once, in order, when the node has
        finished.

        Raises:
            DefinitionError: The node has ended.
        """
        self._check_topic(topic)
        self._attempt.check_not_over("ctx.send")
        self._attempt.add_output("sent", [topic, self._record(payload, "the message", marks=True)])

    def publish(self, name: str, value: object) -> Coroutine[Any, Any, None]:
        """Show a value to readers outside while the run continues, for example the progress of the node.

        Readers get the value from `Run.published`, the HTTP service or the command `graphengine show`. They get the
        newest value that was published under a name; in a map, each item has a newest value of its own. The value is
        recorded before `publish` returns, and a node that runs again does not publish it again.

        Args:
            name: The name of the value. Names that begin with `ge:` are reserved for the engine.
            value: A value of any type that a state can contain.

        Raises:
            NotRecordable: JSON cannot represent the value.
            TooLarge: The value takes more than `Sizes(message_bytes=…)`.
        """
        self._check_name(name, "the name of a published value")
        check_unreserved(name, "name of a published value")
        record = self._record(value, f"what is published as {name!r}", marks=True)
        work = self._work("publish")
        return work.track("publish", work.publish(name, record))

    def reply(self, request: RunRequest[Any], value: object) -> Coroutine[Any, Any, None]:
        """Reply to a request that the node received with `ctx.receive(topic, RunRequest[int])`.

        The program that sent the request with `Run.request` receives the reply as the result of that call. The reply is
        recorded before `reply` returns. If the node runs again, it does not reply again. Only the first reply to a
        request counts.

        Raises:
            NotRecordable: JSON cannot represent the value.
            TooLarge: The reply takes more than `Sizes(message_bytes=…)`.
        """
        record = self._record(value, "the reply", marks=True)
        return self._reply("reply", {"to": request.key, "value": record})

    def refuse(self, request: RunRequest[Any], why: str) -> Coroutine[Any, Any, None]:
        """Refuse a request that the node received, so that `Run.request` raises `RequestRefused` with this text.

        The refusal is recorded before this call returns, like a reply.
        """
        return self._reply("refuse", {"to": request.key, "why": to_show(why)})

    def _reply(self, what: str, reply: dict[str, JsonValue]) -> Coroutine[Any, Any, None]:
        work = self._work(what)
        return work.track(what, work.publish(REPLIES, reply))

    async def runs(
        self, graph: GraphDefinition[Any] | str, last: int = 20, *, fields: Collection[str] | None = None
    ) -> Sequence[PastRun]:
        """Return earlier finished runs of a graph, newest first. If the node runs again, it gets the same runs.

        If you pass the graph itself and not only its name, `runs` migrates the states of runs that were recorded under
        an older version of the graph. Runs that cannot be migrated are left out, and a message in the log names them.

        Args:
            graph: The graph, or its name.
            last: The maximum number of runs.
            fields: The fields of the states to return; all fields if not given. Name the fields if states are large,
                because the returned values are recorded with this run.

        Raises:
            InputError: The graph has no such field.
        """
        past = self._attempt.services.past
        name, plan = (graph, None) if isinstance(graph, str) else (graph.name, compiled(graph))
        wanted = None if fields is None else sorted(set(fields))
        if wanted is not None and not isinstance(graph, str):
            _check_state_fields(graph, wanted)

        async def earlier_runs() -> list[PastRun]:
            return [] if past is None else await past.find(self.run_id, name, last, wanted, plan)

        key = " ".join([name, str(last), *(wanted or ())])
        found: Sequence[PastRun] = await self.call(earlier_runs, key=key)
        while plan is not None and any(run.fingerprint != plan.fingerprint for run in found):
            found = await self._migrate_runs(found, wanted, plan, key)
        return found

    async def _migrate_runs(
        self, runs: Sequence[PastRun], fields: Collection[str] | None, plan: Plan[Any], key: str
    ) -> Sequence[PastRun]:
        """Migrate earlier runs to the current version of their graph, and record the migrated runs.

        They are recorded so that the migration functions are called only once, even if the node runs again.
        """
        past = self._attempt.services.past

        async def migrate_earlier_runs() -> list[PastRun]:
            return [] if past is None else await past.migrate(runs, fields, plan)

        return await self.call(migrate_earlier_runs, key=" ".join([key, *sorted({run.fingerprint for run in runs})]))

    def emit(self, data: object, *, record: bool = False) -> None:
        """Show data to the watchers of the run while the node is running.

        The data is not recorded unless `record` is set.

        Args:
            data: The data.
            record: Whether to record the data with the step of the node too. JSON must then be able to represent the
                data.
        """
        if record:
            self._attempt.check_not_over("ctx.emit(record=True)")
            self._attempt.add_output("emitted", self._record(data, "what is shown"))
        services = self._attempt.services
        services.host.emitted(self.path, data if services.guard is None else services.guard.hide(data))

    def _record(self, value: object, what: str, *, marks: bool = False) -> JsonValue:
        try:
            return as_record(value, what, self._attempt.services.sizes.message_bytes, marks=marks)
        except InputError as error:
            kind = TooLarge if error.code == TooLarge.code else NotRecordable
            raise kind(error.message, where=self._attempt.where, repair=error.repair) from error

    def _check_name(self, name: str, what: str) -> None:
        check_stored_name(name, what, self._attempt.where)

    def _check_topic(self, topic: str) -> None:
        self._check_name(topic, "a topic")
        check_unreserved(topic, "topic")

    def _work(self, what: str) -> StepJournal:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        if loop is not self._attempt.services.loop:
            raise DefinitionError(
                f"ctx.{what} was called in a thread, outside the event loop of the run",
                where=self._attempt.where,
                repair=f"make the node an async function, and await ctx.{what}(…)",
            )
        return journal_of(self._attempt)

    def _limit(self, wait: WaitRecord, timeout_seconds: float | None, answers: Answers, default: object) -> None:
        seconds = check_limit(timeout_seconds, default, self._attempt.where, f"ctx.{wait.kind}")
        due = None if seconds is None else self._attempt.services.wall() + seconds
        self._limit_at(wait, due, answers, default)

    @staticmethod
    def _limit_at(wait: WaitRecord, due: float | None, answers: Answers, default: object) -> None:
        wait.due = due
        if default is not NO_ANSWER:
            wait.default = in_utf8(answers.record, default)


def _required_seconds(given: object) -> str:
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        return f"be a number, not a {type(given).__name__}"
    return (
        f"be at most {LONGEST_SECONDS:.0e}, or math.inf"
        if math.isfinite(given)
        else f"be finite or math.inf, not {given}"
    )


def _answers_of(output: Any, *, strict: bool = False) -> Answers:  # noqa: ANN401 - a type
    """Return the object that validates answers of this type. It is cached, unless the type cannot be hashed."""
    try:
        return _kept_answers(output, strict=strict)
    except TypeError:  # a type that cannot be hashed
        return Answers(output, strict=strict)


_kept_answers: Final = functools.lru_cache(maxsize=512)(Answers)


def _check_state_fields(graph: GraphDefinition[Any], fields: Collection[str]) -> None:
    unknown = [name for name in fields if name not in graph.state.model_fields]
    if unknown:
        text = f"{graph.name} has no field {', '.join(map(repr, unknown))}"
        raise InputError(text, where="ctx.runs(fields=…)", repair=did_you_mean(unknown[0], graph.state.model_fields))
