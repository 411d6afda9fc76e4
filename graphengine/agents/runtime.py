"""The runtime of an agent: its connection to the run in which it is called.

There are two runtimes with the same methods. `RunRuntime` is used inside a run: the agent's work is recorded, shown to
watchers and limited as part of the run. `StandaloneRuntime` is used when the agent runs alone: nothing is recorded or
limited, and only the caller of `Agent.stream` sees live events. Many methods of `StandaloneRuntime` therefore return a
neutral value.
"""

from __future__ import annotations

import asyncio
import functools
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from contextvars import ContextVar, copy_context
from dataclasses import asdict, replace
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar
from uuid import uuid4

from msgspec import UNSET
from pydantic_core import to_json

from graphengine.agents.arguments import ALWAYS_GIVEN
from graphengine.agents.budget import AgentPlace, AgentsOfRun, SharedBudgets
from graphengine.agents.identity import digest as digest_of_text
from graphengine.agents.live_events import Live
from graphengine.agents.node_scope import NodeScope, asked_again
from graphengine.agents.tool_writes import ToolContext
from graphengine.errors import DefinitionError, EffectUnknown, NotDone
from graphengine.kernel.extension import CURRENT, Answers, AttemptFacts, Follower, StepResult, add_usage
from graphengine.kernel.inside import (
    AGENT,
    DEFAULT_RETRY,
    FROM_THREAD,
    CallOutcome,
    WorkKey,
    allows_unknown_cost,
    budgets,
    digest_of_call,
    queued,
    to_show,
)
from graphengine.kernel.reader import WaitRecord
from graphengine.models.base import KnowsPrices
from graphengine.models.batches import StillOpen, Ticket, batches_of, collector_of, poll_seconds
from graphengine.models.errors import PriceUnknown
from graphengine.models.limiter import MACHINE_CLOCK, PLAIN_WAITS, at_limiter
from graphengine.models.names import model_of, no_model
from graphengine.models.schema_forms import SendsForms
from graphengine.models.settings import ChecksSettings, refuse_lacking
from graphengine.runner.attempt import Attempt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager

    from graphengine.agents.budget import Opens, Settle
    from graphengine.agents.node_scope import AsksPerson
    from graphengine.kernel.extension import Audience, Clock, Effecting, Effects, JsonObject, JsonValue
    from graphengine.kernel.inside import Effect, RecordedResult
    from graphengine.kernel.reader import Usage
    from graphengine.models.base import CallerWait, Model, Request, Response
    from graphengine.models.batches import BatchCollector
    from graphengine.models.errors import ModelTransient

T = TypeVar("T")

STEER: Final = "steer"
"""The topic of messages that are sent to the agents of a run."""
_STEERED: Final = f"a message on {STEER!r}"
_MODELS: Final[dict[str, Model]] = {}
_ANYTHING: Final = Answers(object)
_TEXTS_ABOVE: Final[ContextVar[frozenset[str] | None]] = ContextVar("graphengine_texts_above", default=None)
"""While a tool of an agent runs alone: the texts that callers gave to that agent; None outside such a tool."""


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class ChecksAnswers(Follower):
    """An extension that checks, before a tool call begins, whether a person's approval of the call still holds.

    `graphengine.serve.approvers` implements it.
    """

    async def objection(self, frame: str, answer: RecordedResult) -> str:
        """Return why the recorded answer to a question of a node no longer holds; "" if it still holds."""
        raise NotImplementedError


def runtime_here() -> RunRuntime | None:
    """Return the runtime for an agent that is called by the running code; None outside a run."""
    here = CURRENT.get()
    return RunRuntime(here) if isinstance(here, Attempt) else here


class RunRuntime(NodeScope):
    """Connects an agent with the run in which it is called, for example to record the model's answers.

    Args:
        attempt: The attempt of the node whose code calls the agent.

    Attributes:
        failed: The usage of model calls that failed since usage was last reserved in the limits of the run.
        shown: Shows the live events of the agent; None before the agent has begun.
    """

    def __init__(self, attempt: AttemptFacts) -> None:
        super().__init__(attempt)
        self._run = next(each for each in self.around.following.all if isinstance(each, AgentsOfRun))
        self.failed: Usage = {}
        self.shown: Live | None = None
        self._received_before = 0

    @property
    def path(self) -> str:
        return self.attempt.path

    @property
    def streamed_characters(self) -> int:
        """The number of characters of answers and thinking that have arrived since usage was last reserved."""
        return 0 if self.shown is None else self.shown.received_characters - self._received_before

    def model_for(self, agent: str, own: str | Model | None) -> Model:
        """Return the model that the agent uses here: the Runner's replacement, or the agent's own model."""
        origin = self._run.snapshot.origin
        begun = {} if origin is None else origin.models
        return self._run.models.of(self.around.run.plan.graph, self._place(agent), own, begun)

    def instructions_for(self, agent: str) -> str | None:
        """Return the instructions of an agent that `branch(instructions=…)` set when this run was branched.

        Returns None if the agent's own instructions apply.
        """
        given = self._run.snapshot.instructions
        return self._run.models.instructions(given, self.around.run.plan.graph, self._place(agent)) if given else None

    def _place(self, agent: str) -> AgentPlace:
        call = self.attempt.call
        owner = None if call is None else getattr(call.body, "agent", None)
        return AgentPlace(self.attempt.path, agent, None if owner is None else owner.name)

    @property
    def effects(self) -> Effects:
        """How this run treats effects outside of it, for example whether they may happen."""
        return self.around.effects

    def acting(self, effect: Effect | None, name: str, where: str) -> Callable[..., object] | None:
        """Return the function that replaces a tool in this run, as `effects=` sets; None if the tool itself is called.

        Raises:
            EffectRefused: This run must not have the effect of the tool.
        """
        return self.attempt.acting(effect, name, where)

    def given_by_callers(self, agent: object, inputs: Mapping[str, object]) -> frozenset[str]:
        """Return the names of the inputs that a person or a caller wrote, so that the prompt shows them without tags.

        If the node is the agent itself, the state records who wrote each input. If code passes the inputs to the agent,
        a text counts as written by a caller when it equals a text that a caller gave to the node.
        """
        call = self.attempt.call
        if call is not None and self.is_node_of(agent):
            return frozenset(inputs).difference(self.attempt.read_of_nodes)
        return frozenset(
            name for name, value in inputs.items() if isinstance(value, str) and self.attempt.is_given(str(value))
        )

    def is_node_of(self, agent: object) -> bool:
        """Return whether the node is this agent itself, and not a function that calls the agent."""
        call = self.attempt.call
        return call is not None and getattr(call.body, "agent", None) is agent and not self.below

    def conversation(
        self, agent: _Named, identify: Callable[..., dict[str, JsonValue]]
    ) -> tuple[dict[str, JsonValue], str]:
        """Return the digests of an agent's inputs, and the key below which the records of this call are found.

        If a conversation with the agent began at this place before a crash, its key is returned, so that the
        conversation continues. An agent that is the node itself reads the fields that its prompts name. Its prompts may
        name more or fewer fields today than when the conversation began. The conversation continues if the fields that
        were read then and are read now have equal values. If a branch has replaced the instructions, another
        conversation begins.

        Args:
            agent: The agent.
            identify: Returns a digest of each input. If it is called with `Kept`, the digests have the form that the
                types had in the code that recorded the call.
        """
        inputs = identify()
        return inputs, self._find_conversation(agent, inputs, identify)

    def _find_conversation(
        self, agent: _Named, inputs: Mapping[str, JsonValue], identify: Callable[..., Mapping[str, JsonValue]]
    ) -> str:
        work, name, branched = self.work, f"{AGENT}{agent.name}", self.instructions_for(agent.name)
        instructed = [] if branched is None else [digest_of_text(branched)]

        def place_of(given: Mapping[str, JsonValue]) -> str:
            return digest_of_text(to_json([given, *instructed]).decode())

        key = self.place(name, lambda: place_of(inputs))
        known = self.frame.recorded_results
        if not known or WorkKey.of_turn(key, 1) in known:
            return key
        before = work.as_recorded(key, lambda shapes: place_of(identify(None if shapes is None else shapes.narrow)))
        if before != key:
            work.use(before)
            return before
        for other, record in self._find_begun_beside(name):
            if work.is_used(other) or not isinstance(record, dict):
                continue
            if [*filter(None, [record.get("instructed")])] != instructed:
                if instructed:
                    work.leave(other)
            elif self.is_node_of(agent) and _agree(record.get("inputs"), inputs):
                work.use(other)
                return other
        return key

    def _find_begun_beside(self, name: str) -> Iterator[tuple[str, JsonValue]]:
        """Yield the conversations that an agent has begun in this node before, as the records of the node show.

        Each conversation is yielded as its key and the record of its first turn.
        """
        for key, memo in self.frame.recorded_results.items():
            turn = WorkKey.read(key)
            if turn.kind == "turn" and turn.place[0] == 1:
                conversation = WorkKey.read(turn.around)
                if (conversation.around, conversation.name) == (self.below, name):
                    yield turn.around, memo.value

    def begun(self, key: str) -> JsonValue:
        """Return the record of the first turn of a conversation; None if this turn is not recorded."""
        memo = self.frame.recorded_results.get(WorkKey.of_turn(key, 1))
        return None if memo is None or memo.value is UNSET else memo.value

    @property
    def must_stop(self) -> bool:
        return self.attempt.must_stop

    async def may_call(self, model: Model) -> None:
        """Check that the run allows an agent to call its model now. If the run must stop, end the attempt instead.

        If the attempt ends, this method never returns. Recorded work is kept. If the run stops inside a tool's call,
        the call is cut off. When the run is resumed, the call is repeated, and the work that was recorded inside it is
        reused. A call that the node records with `ctx.call` finishes before the run stops.

        Raises:
            PriceUnknown: A limit on costs is in force, and the price of the model is unknown.
            DefinitionError: The node has ended, or was cancelled.
            StoreError: A step could not be recorded, and the run ends.
        """
        around, frame, work = self.around, self.frame, self.work
        if around.run.snapshot.frames.get(frame.id) is not frame:
            self.attempt.state = "over"
        self.attempt.check_not_over("an agent")
        around.host.check()
        if self.must_stop and not work.is_inside:
            await self.halt()
        given = [limits for _, limits, _ in budgets(around.run.snapshot, frame)]
        is_limited = any(each.get("cost_usd") is not None and not allows_unknown_cost(each) for each in given)
        if not is_limited or not isinstance(model, KnowsPrices):
            return
        if not await model.knows_price():
            raise PriceUnknown(
                f"the price of the model {model.name!r} is not known, so the limit on costs cannot be checked",
                where=self.attempt.where,
                repair="give the model price=Price(…). Or allow unknown costs: Limits(cost_usd=…, unknown_cost=True)",
            )

    async def may_continue(self, *awaited: asyncio.Future[Any]) -> bool:
        """Wait for the first of these futures, and return True when it is done.

        Returns False if the run must stop before that, or has reached a limit. Inside a `ctx.call`, the method always
        waits for a future and returns True, because a `ctx.call` finishes before the run stops.
        """
        halted = asyncio.ensure_future(self.around.host.halted())
        try:
            await asyncio.wait({*awaited, halted}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            halted.cancel()
        if not self.work.is_inside:
            return not self.must_stop
        if not any(each.done() for each in awaited):
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        return True

    async def halt(self) -> None:
        """Record the usage of failed model calls and end the attempt. Recorded work is kept. Never returns."""
        await self.record_usage()
        await self.work.halt()

    async def sleep_for(self, seconds: float, what: str, *, keeps_slot: bool = False) -> None:
        """Store the run as waiting for some seconds. With `keeps_slot`, an item of a map keeps its slot meanwhile."""
        wait = WaitRecord(kind="sleep", question=to_show(what), due=self.around.wall() + seconds, keeps_slot=keeps_slot)
        with self._run.budgets.asleep(self.frame, self.work.below):
            await self.work.wait(wait, what, None)

    async def steered(self, turn: str) -> Sequence[tuple[JsonValue, bool]]:
        """Receive the messages that were sent to the run's agents, before the model is asked in a turn.

        Each message comes with whether it came from outside the run. A recorded turn receives the same messages again.

        Receiving a message ends the attempt, as every wait does, so that the message is durable before the model is
        called. If another agent of the run received the message first, the wait ends at once without a message.
        """
        found: list[tuple[JsonValue, bool]] = []
        known: Any = self.work.known("turn", turn)
        recorded_count = len(known.value.get("steered", ())) if known is not None else None
        while self.may_sleep() and (len(found) < recorded_count if recorded_count is not None else self._has_message()):
            wait = WaitRecord(
                kind="receive", question=to_show(_STEERED), topic=STEER, due=self.around.wall(), default=None
            )
            wait.keeps_slot = True
            memo = self.work.known("receive", digest_of_call("receive", (_STEERED,), {}))
            message = await self.work.wait(wait, _STEERED, _ANYTHING)
            found += [(message, memo is None or memo.given)] if message is not None else []
        return found

    def _has_message(self) -> bool:
        return self.work.is_over("receive", _STEERED) or self.around.host.has_message(STEER)

    def answered_to(self, identity: str) -> RecordedResult | None:
        """Return the recorded answer of a person to the question with this identity; None if there is none."""
        return self.work.known("ask", digest_of_call("ask", ([identity, None],), {}))

    def was_asked(self, identity: str) -> bool:
        """Return whether the question with this identity was asked in this visit of the node."""
        return self.work.was_asked(digest_of_call("ask", ([identity, None],), {}))

    def has_begun(self, record: tuple[str, str]) -> bool:
        """Return whether a tool call has begun or is recorded, or was already executed by another program."""
        return self.work.has_begun(*record) or self.answered_outside(record)

    def answered_outside(self, record: tuple[str, str]) -> bool:
        """Return whether another program has executed a tool call whose result the run has not recorded yet."""
        name, number = record
        identity = outside(name.removeprefix("tool "))
        asked = f"ask|{digest_of_call('ask', ([identity, None],), {})}|1"
        return bool(self.frame.recorded_results) and self.work.inside(name, number, asked) is not None

    async def acting_in(self, effect: Effect | None, function: object) -> AbstractContextManager[None]:
        """Return a context that a node enters while it does something outside the run, such as sending a message.

        A crash inside the context leaves open whether the effect has happened, and the node may then repeat it.

        Raises:
            LeaseLost: Another process has taken the run.
        """
        return await self.work.acting(effect, function)

    def concerns(self, key: str, name: str) -> bool:
        """Return whether an effect with this idempotency key or this name began before this attempt."""
        return self.work.effects.concerns(key, name)

    def is_recorded(self, name: str, what: str) -> bool:
        """Return whether the result of a piece of work, such as a turn or a tool call, is recorded."""
        return self.work.known(name, what) is not None

    def record_of(self, name: str, what: str) -> JsonValue:
        """Return the recorded result of a piece of work, such as a turn; None if it is not recorded."""
        memo = self.work.known(name, what)
        return None if memo is None or memo.value is UNSET else memo.value

    def has_field(self, name: str) -> bool:
        return name in self.attempt.plan.state.fields

    def pass_answers(self, identity: str) -> None:
        """Mark all recorded answers to one approval question as used, because the result of the tool call is recorded.

        Without this, the answers would also apply to the next equal call. `identity` is the text of the question. If a
        person was asked the question again, the answers to the later questions are marked as well.
        """
        for again in count():
            each = asked_again(identity, again) if again else identity
            if self.answered_to(each) is None:
                return
            self.work.key_of("ask", digest_of_call("ask", ([each, None],), {}))

    async def objection(self, answer: RecordedResult) -> str:
        """Return why a person's recorded answer no longer counts, such as a lost right to approve; "" if it counts.

        The extensions of the Runner decide, for example the list of people who may approve.
        """
        if answer.by == "answer":
            for each in self.around.following.all:
                if isinstance(each, ChecksAnswers) and (why := await each.objection(self.frame.id, answer)):
                    return why
        return ""

    def context(self, written: Mapping[str, Sequence[object]]) -> Mapping[str, object]:
        return {ALWAYS_GIVEN: ToolContext(self.attempt, written)}

    def lose(self, facts: JsonValue) -> None:
        """Note what a model was asked in a call that failed, so that the history of the run can show it."""
        guard, lost = self.around.guard, {self.below: facts}
        self.work.lost |= lost if guard is None else guard.hide(lost)

    def live(self, agent: str) -> Live | None:
        attempt = self.attempt
        self._received_before = 0
        self.shown = Live(agent, attempt.path, attempt.task.attempt, self.around.host.audience, self.around.guard)
        return self.shown

    async def opened(self, source: Opens, *, begins: bool = True) -> Sequence[Any]:
        """Return the tools of a source, such as an MCP server, which stays open until the Runner is closed.

        `begins` is True in the first turn of a call of an agent: the source is then asked for its current tools. In a
        later turn of the same call it is False, and the source is asked again only if its tools are known to have
        changed.
        """
        return await self._run.models.tools_of(source, begins=begins)

    @property
    def waits(self) -> CallerWait:
        """How the rate limiter waits: by the Runner's clock, and only until the run stops or reaches a limit."""
        return RunCallerWait(self, self._run.clock or MACHINE_CLOCK)

    def pause_after(self, error: ModelTransient, tries: int) -> float | None:  # noqa: ARG002 - nothing is repeated here
        return None

    @asynccontextmanager
    async def reserved(self, model: Model, request: Request) -> AsyncIterator[Settle]:
        """Reserve the estimated usage of a model call in the limits of this run and in the budgets across runs.

        The context is entered once the call fits into all of them. The block must await the yielded function with the
        actual usage.
        """
        self.failed = {}
        self._received_before += self.streamed_characters
        shared = [each for each in self.around.following.all if isinstance(each, SharedBudgets)]
        async with AsyncExitStack() as stack:
            settles = [await stack.enter_async_context(each.held(self, model, request)) for each in shared]
            try:
                held = await self._run.budgets.held(self, model, request)
            except BaseException:  # the run stops or has reached its limit, so the call did not begin and uses nothing
                for each in settles:
                    await each({})
                raise
            learn = stack.enter_context(held)

            async def settle(usage: Usage) -> None:
                learn(usage)
                for each in settles:
                    await each(add_usage(self.failed, usage))

            yield settle

    def paid(self, usage: Usage) -> None:
        super().paid(usage)
        self.failed = add_usage(self.failed, usage)


class RunCallerWait:
    """Lets the rate limiter of a model wait inside a run, so that a run that must stop does not wait any longer.

    It has the form of `graphengine.models.limiter.Waits`.

    Args:
        runtime: The runtime of the attempt.
        clock: The clock of the rate limiters.
    """

    __slots__ = ("_runtime", "clock")

    def __init__(self, runtime: RunRuntime, clock: Clock) -> None:
        self._runtime = runtime
        self.clock = clock

    async def first_of(self, *awaited: asyncio.Future[Any]) -> None:
        """Wait for the first of these futures. If the run must stop first, end the attempt and never return.

        The attempt also ends if the run has reached a limit when the future is done. Its recorded work is kept, and the
        node runs again when the run is resumed. Inside a `ctx.call`, the method only waits for a future, because a
        `ctx.call` finishes before the run stops.
        """
        snapshot = self._runtime.around.run.snapshot
        with at_limiter(f"{snapshot.run_id} {snapshot.nonce}".rstrip()):
            may_continue = await self._runtime.may_continue(*awaited)
        if not may_continue:
            await self._runtime.halt()


class StandaloneRuntime:
    """Gives an agent that is called outside a run the same interface as an agent in a run (see `RunRuntime`).

    Nothing is recorded or limited, and nobody can be asked, so most methods do nothing or return an empty value.

    Args:
        given: The values that the agent's tools can read, by name.
        audience: The watchers who see what the agent does; None if nobody watches.
    """

    def __init__(self, given: Mapping[str, object], audience: Audience | None = None) -> None:
        self._given = given
        self._audience = audience
        self._loop = asyncio.get_running_loop()
        self._id = uuid4().hex
        self._texts = _TEXTS_ABOVE.get() or frozenset()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    @property
    def path(self) -> str:
        return ""

    def instructions_for(self, agent: str) -> None: ...

    def model_for(self, agent: str, own: str | Model | None) -> Model:
        """Return the agent's own model. A model that is made from a name is reused in later calls.

        Raises:
            ModelUnavailable: The agent has no model.
        """
        if own is None:
            raise no_model(agent)
        if not isinstance(own, str):
            return own
        if own not in _MODELS:
            _MODELS[own] = model_of(own)
        return _MODELS[own]

    async def blocking(self, function: Callable[[], object], threads: Executor | None = None) -> object:
        with queued(function) as wanted:

            def call() -> object:
                try:
                    return wanted()
                except StopIteration as error:  # a future cannot carry it, so the caller would wait for ever
                    message = "the function raised StopIteration, which only an iterator may raise"
                    raise RuntimeError(message) from error

            if threads is None:
                return await asyncio.to_thread(call)
            return await asyncio.wrap_future(threads.submit(copy_context().run, call))

    def paid(self, usage: Usage) -> None: ...

    def given(self) -> Mapping[str, object]:
        return self._given

    def place(self, name: str, what: Callable[[], str]) -> str:  # noqa: ARG002 - nothing is recorded
        return ""

    def recorded(self, place: str) -> Sequence[JsonValue]:  # noqa: ARG002
        return ()

    def group(self, place: str) -> AbstractContextManager[None]:  # noqa: ARG002
        return nullcontext()

    def given_by_callers(self, agent: object, inputs: Mapping[str, object]) -> frozenset[str]:  # noqa: ARG002
        """Return the names of the inputs that a caller wrote, so that the prompt shows their texts without tags.

        Outside a run, these are all inputs. If the agent is called by a tool of another agent, they are only the texts
        that the other agent received from its own caller.
        """
        known = _TEXTS_ABOVE.get()
        if known is not None:
            return frozenset(name for name, value in inputs.items() if isinstance(value, str) and value in known)
        self._texts = frozenset(value for value in inputs.values() if isinstance(value, str))
        return frozenset(inputs)

    def is_node_of(self, agent: object) -> bool:  # noqa: ARG002
        return False

    def conversation(
        self,
        agent: object,  # noqa: ARG002
        identify: Callable[..., dict[str, JsonValue]],
    ) -> tuple[dict[str, JsonValue], str]:
        return identify(), ""

    def begun(self, key: str) -> None: ...

    def may_record(self, text: str) -> bool:  # noqa: ARG002
        return False

    @contextmanager
    def call(self, key: str) -> Iterator[None]:  # noqa: ARG002 - no call is repeated
        """Run a block as the call of a tool.

        If the tool calls another agent, that agent recognises the texts that the caller of this agent wrote, and shows
        them to its model without tags.
        """
        before = _TEXTS_ABOVE.set(self._texts)
        try:
            yield
        finally:
            _TEXTS_ABOVE.reset(before)

    async def step_result(self, name: str, what: str, make: Callable[[], Awaitable[StepResult]]) -> Any:  # noqa: ANN401, ARG002 - a record of any form
        return (await make()).record

    below = ""
    effects: Effects = "act"

    def acting(self, effect: Effect | None, name: str, where: str) -> None: ...

    async def acting_in(self, effect: Effect | None, function: object) -> AbstractContextManager[None]:  # noqa: ARG002 - no run is driven
        return nullcontext()

    def idempotency_key(self, key: str) -> str:
        return f"{self._id}/{key}"

    async def once(self, effect: Effecting[T]) -> T:
        """Perform an effect that must not be repeated, for an agent that is called outside a run.

        Only a run can record that the effect has begun. If the effect fails here, it is unknown whether it happened.

        Raises:
            EffectUnknown: The effect raised an exception or was cut off, so its outcome is unknown.
        """
        try:
            result = await effect.make(effect.key)
        except NotDone:
            raise
        except Exception as error:  # noqa: BLE001 - a tool may raise anything
            why: BaseException | None = error
        else:
            why = effect.cut_off(result) if effect.cut_off is not None else None
            if why is None:
                return result
        text = f"the effect {effect.name!r} began, and it is not known how it ended: {type(why).__name__}: {why}"
        repair = "find out whether the effect happened. In a run, effect= decides how the run continues"
        raise EffectUnknown(text, repair=repair) from why

    def refuse(self, error: BaseException, name: str, what: str) -> None: ...

    def answered(self, name: str, what: str, value: object) -> None: ...

    def context(self, written: Mapping[str, Sequence[object]]) -> Mapping[str, object]:  # noqa: ARG002 - there is none
        return {}

    def lose(self, facts: JsonValue) -> None: ...

    async def may_call(self, model: Model) -> None: ...

    def answered_outside(self, record: tuple[str, str]) -> bool:  # noqa: ARG002
        return False

    def hidden(self, record: JsonObject) -> JsonObject:
        return record

    async def approved(
        self,
        identity: str,  # noqa: ARG002
        record: tuple[str, str],  # noqa: ARG002
        ask: AsksPerson,
        read: Callable[[object], object] | None = None,  # noqa: ARG002
    ) -> None:
        """Raise an error if a person would have to be asked, because only a run can wait for an answer.

        Raises:
            DefinitionError: A person has to be asked.
        """
        question = await ask(was_asked=False)
        if question is not None:
            raise DefinitionError(
                f"a person has to be asked, but an agent that runs alone cannot wait for the answer: {question.text}",
                where="an agent that runs alone",
                repair="run the agent in a graph, whose run can wait for the answer. In a test, omit approve=",
            )

    def answered_to(self, identity: str) -> None: ...

    def was_asked(self, identity: str) -> bool:  # noqa: ARG002
        return False

    def has_begun(self, record: tuple[str, str]) -> bool:  # noqa: ARG002
        return False

    def concerns(self, key: str, name: str) -> bool:  # noqa: ARG002
        return False

    def is_recorded(self, name: str, what: str) -> bool:  # noqa: ARG002
        return False

    def record_of(self, name: str, what: str) -> None: ...

    def has_field(self, name: str) -> bool:  # noqa: ARG002
        return False

    def pass_answers(self, identity: str) -> None: ...

    async def objection(self, answer: RecordedResult) -> str:  # noqa: ARG002
        return ""

    async def steered(self, turn: str) -> Sequence[tuple[JsonValue, bool]]:  # noqa: ARG002
        return ()

    def live(self, agent: str) -> Live | None:
        return None if self._audience is None else Live(agent, "", 1, self._audience, None)

    async def opened(self, source: Opens, *, begins: bool = True) -> Sequence[Any] | None:  # noqa: ARG002
        return None

    @property
    def waits(self) -> CallerWait:
        return PLAIN_WAITS

    def pause_after(self, error: ModelTransient, tries: int) -> float | None:
        """Return the delay before a failed model call is repeated, as for a node without `retry=`; None to give up."""
        if not error.retryable or tries >= DEFAULT_RETRY.attempts:
            return None
        return max(DEFAULT_RETRY.pause_seconds(tries), error.retry_after_seconds or 0.0)

    @asynccontextmanager
    async def reserved(
        self,
        model: Model,  # noqa: ARG002 - no limit applies
        request: Request,  # noqa: ARG002
    ) -> AsyncIterator[Settle]:
        async def settle(usage: Usage) -> None:
            del usage

        yield settle


def outside(tool: str) -> str:
    return f"external {tool}"


AgentRuntime: TypeAlias = RunRuntime | StandaloneRuntime


def _agree(then: object, now: Mapping[str, JsonValue]) -> bool:
    """Return whether a recorded conversation can be continued by today's call, because their inputs are equal.

    `then` contains the digests of the inputs that the recorded call read, and `now` those of today's call, by name.
    Only inputs that both have read are compared. At least one input must occur in both, unless neither call has any.
    """
    if not isinstance(then, dict):
        return False
    both = then.keys() & now.keys()
    return (bool(both) or not (then or now)) and all(then[name] == now[name] for name in both)


async def in_loop_of(runtime: AgentRuntime, call: Callable[[], Awaitable[T]]) -> T:
    """Call an agent in the event loop of its run, although the caller is in another thread or another event loop."""
    calls = FROM_THREAD.get()
    coroutine = CallOutcome.of(call if calls is None else functools.partial(calls.make, call))
    try:
        future = asyncio.run_coroutine_threadsafe(coroutine, runtime.loop)
    except RuntimeError:  # this thread outlived the event loop, which is closed
        coroutine.close()
        raise
    return (await asyncio.wrap_future(future)).result()


async def batched(runtime: AgentRuntime, model: Model, request: Request) -> Response | None:
    """Ask a model in a provider's batch and return the answer.

    Returns None if the model answers at once, or if the batch contains no answer to the request.

    The turn is recorded before it is submitted, and the answer is collected when the batch has ended. The run sleeps
    meanwhile, so the process may end. Each step is recorded as a separate piece of work below the turn;
    `graphengine.models.batches` describes the order of the steps.

    Raises:
        BadRequest: The model does not support batches, or not all of the settings.
        DefinitionError: The agent runs where nothing can wait for a batch.
        ModelError: The provider's batches failed.
    """
    batches = batches_of(model, request.agent)
    if batches is None:
        return None
    if isinstance(model, ChecksSettings):
        refuse_lacking(model, request.settings, request.agent)
    if not isinstance(runtime, RunRuntime) or not runtime.may_sleep():
        raise DefinitionError(
            f"agent {request.agent!r} has batch=True, but the agent was called where no run can wait for the batch",
            where=f"agent {request.agent}",
            repair='use the agent as a node without effect="once", outside of ctx.call. Or write '
            "agent.but(batch=False).run(…)",
        )
    found = await _collect_batch_answer(runtime, model, request, collector_of(model, batches))
    return replace(found, form=model.form_of(request)) if found and isinstance(model, SendsForms) else found


async def _collect_batch_answer(
    runtime: RunRuntime, model: Model, request: Request, collector: BatchCollector
) -> Response | None:
    joined: list[Ticket] = []

    async def join() -> StepResult:
        joined.append(await collector.join(request))
        return _piece(asdict(joined[0]))

    async def submit() -> StepResult:
        return _piece({"id": await collector.submitted(ticket, request)})

    try:
        ticket = Ticket(**await runtime.step_result("batch", "", join))
        batch = None
        unknown = f"whether {model.name} has batch {ticket.batch}"
        while batch is None:
            try:
                while runtime.has_slept(unknown):
                    await runtime.sleep_for(0, unknown)
                batch = (await runtime.step_result("submitted", "", submit))["id"]
            except StillOpen:
                await runtime.sleep_for(poll_seconds(ticket), unknown)
    finally:
        for each in joined:
            collector.leave(each)
    under_way = f"batch {batch} of {model.name}"
    while runtime.has_slept(under_way) or not await collector.ended(batch):
        await runtime.sleep_for(poll_seconds(ticket), under_way)
    return (await collector.answers(batch)).get(ticket.item)


def _piece(record: dict[str, JsonValue]) -> StepResult:
    return StepResult(record, len(to_json(record)))


__all__ = [
    "AgentRuntime",
    "RunRuntime",
    "StandaloneRuntime",
    "batched",
    "in_loop_of",
    "outside",
    "runtime_here",
]
