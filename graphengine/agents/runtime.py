"""What an agent gets from where it is called: in a run `RunRuntime`, alone `StandaloneRuntime`.

In a run its work is recorded, streamed and limited as part of the run. Alone nothing is recorded, streamed or limited.
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
from graphengine.agents.budget import AgentsOfRun, Place, SharedBudgets
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
from graphengine.models.limiter import MACHINE_CLOCK, PLAIN_WAITS
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
"""The topic of messages to the agents of a run."""
_STEERED: Final = f"a message on {STEER!r}"
_MODELS: Final[dict[str, Model]] = {}
_ANYTHING: Final = Answers(object)
_TEXTS_ABOVE: Final[ContextVar[frozenset[str] | None]] = ContextVar("graphengine_texts_above", default=None)
"""In a tool of an agent that runs alone: the texts that callers gave that agent."""


class _Named(Protocol):
    """What has a name, as an agent."""

    @property
    def name(self) -> str:
        """Return its name."""
        ...


class ChecksAnswers(Follower):
    """Checks, before an approved call begins, that the answer still holds: see `graphengine.serve.approvers`."""

    async def objection(self, frame: str, answer: RecordedResult) -> str:
        """Return why the answer to a question in a frame does not hold any more; "" if it does."""
        raise NotImplementedError


def runtime_here() -> RunRuntime | None:
    """Return what an agent gets from the run in which this code runs; None outside a run."""
    here = CURRENT.get()
    return RunRuntime(here) if isinstance(here, Attempt) else here


class RunRuntime(NodeScope):
    """What an agent gets from the run in which it is called.

    Attributes:
        failed: What failed calls used since the last reservation.
        shown: What shows the live events of the agent; None before it has begun.
    """

    def __init__(self, attempt: AttemptFacts) -> None:
        super().__init__(attempt)
        self._run = next(each for each in self.around.following.all if isinstance(each, AgentsOfRun))
        self.failed: Usage = {}
        self.shown: Live | None = None
        self._received_before = 0

    @property
    def path(self) -> str:
        """The path of the node in which the agent is called."""
        return self.attempt.path

    @property
    def streamed_characters(self) -> int:
        """How many characters of answers and thinking have arrived since the last reservation."""
        return 0 if self.shown is None else self.shown.received_characters - self._received_before

    def model_for(self, agent: str, own: str | Model | None) -> Model:
        """Return the model of an agent here: the Runner's replacement, or the agent's own."""
        origin = self._run.snapshot.origin
        begun = {} if origin is None else origin.models
        return self._run.models.of(self.around.run.plan.graph, self._place(agent), own, begun)

    def instructions_for(self, agent: str) -> str | None:
        """Return what a branch put in place of an agent's standing instructions; None for its own."""
        given = self._run.snapshot.instructions
        return self._run.models.instructions(given, self.around.run.plan.graph, self._place(agent)) if given else None

    def _place(self, agent: str) -> Place:
        call = self.attempt.call
        owner = None if call is None else getattr(call.body, "agent", None)
        return Place(self.attempt.path, agent, None if owner is None else owner.name)

    @property
    def effects(self) -> Effects:
        """Whether effects outside the run happen."""
        return self.around.effects

    def acting(self, effect: Effect | None, name: str, where: str) -> Callable[..., object] | None:
        """Return what is called in place of a tool; None if nothing is. Raises: EffectRefused: It must not act."""
        return self.attempt.acting(effect, name, where)

    def given_by_callers(self, agent: object, inputs: Mapping[str, object]) -> frozenset[str]:
        """Return the names of an agent's inputs that persons or callers gave, as the record says, and no node wrote.

        A node that is the agent reads them from the state. What code passes is taken for given if it is a text that
        somebody gave the node, unchanged.
        """
        call = self.attempt.call
        if call is not None and self.is_node_of(agent):
            return frozenset(inputs).difference(self.attempt.read_of_nodes)
        return frozenset(
            name for name, value in inputs.items() if isinstance(value, str) and self.attempt.is_given(str(value))
        )

    def is_node_of(self, agent: object) -> bool:
        """Return whether the node is this agent, so that it has one conversation in a visit, with what it reads."""
        call = self.attempt.call
        return call is not None and getattr(call.body, "agent", None) is agent and not self.below

    def conversation(
        self, agent: _Named, identify: Callable[..., dict[str, JsonValue]]
    ) -> tuple[dict[str, JsonValue], str]:
        """Return the digests of what an agent is given, by name, and the key below which the call of it is recorded.

        An agent that is the node reads what its prompts name, which can be more or less than when the visit began: its
        conversation goes on if what it read then and reads now is the same. Instructions that a branch gave begin
        another one.

        Args:
            agent: The agent.
            identify: Returns a digest of each thing that it is given; with `Kept`, in the form that types had for other
                code.
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
        """Yield the conversations of an agent that began at this place, each with the record of its first turn."""
        for key, memo in self.frame.recorded_results.items():
            turn = WorkKey.read(key)
            if turn.kind == "turn" and turn.place[0] == 1:
                conversation = WorkKey.read(turn.around)
                if (conversation.around, conversation.name) == (self.below, name):
                    yield turn.around, memo.value

    def begun(self, key: str) -> JsonValue:
        """Return the record of the first turn of a conversation; None if there is none."""
        memo = self.frame.recorded_results.get(WorkKey.of_turn(key, 1))
        return None if memo is None or memo.value is UNSET else memo.value

    @property
    def must_stop(self) -> bool:
        """Whether the run must stop, or has reached a limit."""
        return self.attempt.must_stop

    async def may_call(self, model: Model) -> None:
        """Return if a model may be called now. If the run must stop first, never return; recorded work is kept.

        A tool's call in which that happens is cut off, and repeated when the run is resumed, with the work recorded
        inside it. A call that the node records with `ctx.call` finishes first.

        Raises:
            PriceUnknown: A limit on costs is in force, and the model's price is not known.
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
                f"the price of {model.name} is not known, and a limit on costs is in force",
                where=self.attempt.where,
                repair="allow it: Limits(cost_usd=…, unknown_cost=True); or give the model price=Price(…)",
            )

    async def may_continue(self, *awaited: asyncio.Future[Any]) -> bool:
        """Wait for the first of these; return False if the run must stop first, or has reached a limit then.

        Inside a `ctx.call`, which finishes first, only the wait counts.
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
        """Record what failed calls used, and end the attempt. Never returns; recorded work is kept."""
        await self.record_usage()
        await self.work.halt()

    async def sleep_for(self, seconds: float, what: str, *, keeps_slot: bool = False) -> None:
        """Wait, with the run stored as waiting; an item of a map can keep its slot meanwhile."""
        wait = WaitRecord(kind="sleep", question=to_show(what), due=self.around.wall() + seconds, keeps_slot=keeps_slot)
        with self._run.budgets.asleep(self.frame, self.work.below):
            await self.work.wait(wait, what, None)

    async def steered(self, turn: str) -> Sequence[tuple[JsonValue, bool]]:
        """Return the messages that are new to an agent before a turn, each with whether they came from outside the run.

        A recorded turn gets those that it got.

        To receive one ends the attempt, as any wait does, so that the message is durable before the model is called.
        The wait is over at once if another agent of the run received the message first.
        """
        found: list[tuple[JsonValue, bool]] = []
        known: Any = self.work.known("turn", turn)
        had = len(known.value.get("steered", ())) if known is not None else None
        while self.may_sleep() and (len(found) < had if had is not None else self._has_message()):
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
        """Return the recorded answer to the next question of `approved` with this identity."""
        return self.work.known("ask", digest_of_call("ask", ([identity, None],), {}))

    def was_asked(self, identity: str) -> bool:
        """Return whether the next question of `approved` with this identity was asked in this visit."""
        return self.work.was_asked(digest_of_call("ask", ([identity, None],), {}))

    def has_begun(self, record: tuple[str, str]) -> bool:
        """Return whether a call is recorded, or has begun: another program that was to make it has answered, too."""
        return self.work.has_begun(*record) or self.answered_outside(record)

    def answered_outside(self, record: tuple[str, str]) -> bool:
        """Return whether another program has executed a call of a tool that is not recorded yet."""
        name, number = record
        identity = outside(name.removeprefix("tool "))
        asked = f"ask|{digest_of_call('ask', ([identity, None],), {})}|1"
        return bool(self.frame.recorded_results) and self.work.inside(name, number, asked) is not None

    async def acting_in(self, effect: Effect | None, function: object) -> AbstractContextManager[None]:
        """Return a block for work that may be repeated. Raises: LeaseLost: Another process has taken the run."""
        return await self.work.acting(effect, function)

    def concerns(self, key: str, name: str) -> bool:
        """Return whether an effect with this key, or of this name, began before this attempt."""
        return self.work.effects.concerns(key, name)

    def is_recorded(self, name: str, what: str) -> bool:
        """Return whether the next piece of work of this name and text is recorded."""
        return self.work.known(name, what) is not None

    def record_of(self, name: str, what: str) -> JsonValue:
        """Return the record of the next piece of work of this name and text; None if there is none."""
        memo = self.work.known(name, what)
        return None if memo is None or memo.value is UNSET else memo.value

    def has_field(self, name: str) -> bool:
        """Return whether the state has a field."""
        return name in self.attempt.plan.state.fields

    def pass_answers(self, identity: str) -> None:
        """Take the recorded answers to a question, and to it asked again: the call that it was about is recorded."""
        for again in count():
            each = asked_again(identity, again) if again else identity
            if self.answered_to(each) is None:
                return
            self.work.key_of("ask", digest_of_call("ask", ([each, None],), {}))

    async def objection(self, answer: RecordedResult) -> str:
        """Return why an answer does not hold any more, "" if it does: extensions know who may answer."""
        if answer.by == "answer":
            for each in self.around.following.all:
                if isinstance(each, ChecksAnswers) and (why := await each.objection(self.frame.id, answer)):
                    return why
        return ""

    def context(self, written: Mapping[str, Sequence[object]]) -> Mapping[str, object]:
        """Return the `ctx` of a call of a tool."""
        return {ALWAYS_GIVEN: ToolContext(self.attempt, written)}

    def lose(self, facts: JsonValue) -> None:
        """Note what was asked in the call that failed here, below whose key this runs, without secrets of the state."""
        guard, lost = self.around.guard, {self.below: facts}
        self.work.lost |= lost if guard is None else guard.hide(lost)

    def live(self, agent: str) -> Live | None:
        """Return what shows the live events of a call of an agent."""
        attempt = self.attempt
        self._received_before = 0
        self.shown = Live(agent, attempt.path, attempt.task.attempt, self.around.host.audience, self.around.guard)
        return self.shown

    async def opened(self, source: Opens, *, begins: bool = True) -> Sequence[Any]:
        """Return the tools of a source, which stays open as long as the Runner; `begins` says if a call begins."""
        return await self._run.models.tools_of(source, begins=begins)

    @property
    def waits(self) -> CallerWait:
        """How to wait for a model: by the Runner's clock, until the run stops or reaches a limit."""
        return RunWaits(self, self._run.clock or MACHINE_CLOCK)

    def pause_after(self, error: ModelTransient, tries: int) -> float | None:  # noqa: ARG002 - nothing is repeated here
        """Return None: the node's `retry=` decides."""
        return None

    @asynccontextmanager
    async def reserved(self, model: Model, request: Request) -> AsyncIterator[Settle]:
        """Reserve what a call may use of the budgets across runs and of the limits of this one, once it fits."""
        self.failed = {}
        self._received_before += self.streamed_characters
        shared = [each for each in self.around.following.all if isinstance(each, SharedBudgets)]
        async with AsyncExitStack() as stack:
            settles = [await stack.enter_async_context(each.held(self, model, request)) for each in shared]
            try:
                held = await self._run.budgets.held(self, model, request)
            except BaseException:  # the run stops or is at its limit, and the call was not begun: it takes nothing
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
        """Add the usage of a model call that is not recorded as a piece of work."""
        super().paid(usage)
        self.failed = add_usage(self.failed, usage)


class RunWaits:
    """The waits of one attempt for its models, as `graphengine.models.limiter.Waits`.

    Args:
        runtime: The run.
        clock: The clock of the rate limiters.
    """

    __slots__ = ("_runtime", "clock")

    def __init__(self, runtime: RunRuntime, clock: Clock) -> None:
        self._runtime = runtime
        self.clock = clock

    async def first_of(self, *awaited: asyncio.Future[Any]) -> None:
        """Return when the first is done. If the run must stop first, or has reached a limit then, never return.

        The attempt then ends with its recorded work, and runs again when the run is resumed. Inside a `ctx.call`, which
        finishes first, only the wait counts.
        """
        if not await self._runtime.may_continue(*awaited):
            await self._runtime.halt()


class StandaloneRuntime:
    """What an agent gets that runs alone.

    Args:
        given: The values that its tools can read, by name.
        audience: Who is shown what it does; None for nobody.
    """

    def __init__(self, given: Mapping[str, object], audience: Audience | None = None) -> None:
        self._given = given
        self._audience = audience
        self._loop = asyncio.get_running_loop()
        self._id = uuid4().hex
        self._texts = _TEXTS_ABOVE.get() or frozenset()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop in which it runs."""
        return self._loop

    @property
    def path(self) -> str:
        """Nothing: there is no node."""
        return ""

    def instructions_for(self, agent: str) -> None:
        """Return None: nothing replaces an agent's instructions."""

    def model_for(self, agent: str, own: str | Model | None) -> Model:
        """Return the agent's own model. A model made from a name is kept, with its connections.

        Raises:
            ModelUnavailable: It has none.
        """
        if own is None:
            raise no_model(agent)
        if not isinstance(own, str):
            return own
        if own not in _MODELS:
            _MODELS[own] = model_of(own)
        return _MODELS[own]

    async def blocking(self, function: Callable[[], object], threads: Executor | None = None) -> object:
        """Call a function in a thread."""
        with queued(function) as wanted:
            if threads is None:
                return await asyncio.to_thread(wanted)
            return await asyncio.wrap_future(threads.submit(copy_context().run, wanted))

    def paid(self, usage: Usage) -> None:
        """Do nothing: no run counts usage."""

    def given(self) -> Mapping[str, object]:
        """Return the values that its tools can read."""
        return self._given

    def place(self, name: str, what: Callable[[], str]) -> str:  # noqa: ARG002 - nothing is recorded
        """Return "": nothing is recorded, so no key is needed."""
        return ""

    def recorded(self, place: str) -> Sequence[JsonValue]:  # noqa: ARG002
        """Return nothing, as nothing is recorded."""
        return ()

    def group(self, place: str) -> AbstractContextManager[None]:  # noqa: ARG002
        """Return a context that does nothing."""
        return nullcontext()

    def given_by_callers(self, agent: object, inputs: Mapping[str, object]) -> frozenset[str]:  # noqa: ARG002
        """Return all names: whoever calls it gives them. A tool of another agent passes on what that one was given."""
        known = _TEXTS_ABOVE.get()
        if known is not None:
            return frozenset(name for name, value in inputs.items() if isinstance(value, str) and value in known)
        self._texts = frozenset(value for value in inputs.values() if isinstance(value, str))
        return frozenset(inputs)

    def is_node_of(self, agent: object) -> bool:  # noqa: ARG002
        """Return False: there is no node."""
        return False

    def conversation(
        self,
        agent: object,  # noqa: ARG002
        identify: Callable[..., dict[str, JsonValue]],
    ) -> tuple[dict[str, JsonValue], str]:
        """Return the digests of what an agent is given, and "": nothing is recorded, so no key is needed."""
        return identify(), ""

    def begun(self, key: str) -> None:
        """Return None, as nothing is recorded."""

    def may_record(self, text: str) -> bool:  # noqa: ARG002
        """Return False, as nothing is recorded."""
        return False

    @contextmanager
    def call(self, key: str) -> Iterator[None]:  # noqa: ARG002 - no call is repeated
        """Let agents that the tool calls know the texts that this one was given."""
        before = _TEXTS_ABOVE.set(self._texts)
        try:
            yield
        finally:
            _TEXTS_ABOVE.reset(before)

    async def step_result(self, name: str, what: str, make: Callable[[], Awaitable[StepResult]]) -> Any:  # noqa: ANN401, ARG002 - a record of any form
        """Do a piece of work, and return its record."""
        return (await make()).record

    below = ""
    effects: Effects = "act"

    def acting(self, effect: Effect | None, name: str, where: str) -> None:
        """Return None: effects happen."""

    async def acting_in(self, effect: Effect | None, function: object) -> AbstractContextManager[None]:  # noqa: ARG002 - no run is driven
        """Return a block that does nothing."""
        return nullcontext()

    def idempotency_key(self, key: str) -> str:
        """Return the idempotency key of a call of a tool, another one in each answer."""
        return f"{self._id}/{key}"

    async def once(self, effect: Effecting[T]) -> T:
        """Do an effect, of which there is no record.

        Raises:
            EffectUnknown: It did not return.
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
        text = f"{effect.name} began, and nobody knows how it ended: {type(why).__name__}: {why}"
        raise EffectUnknown(
            text, repair="find out whether it happened; in a run, effect= decides how the run continues"
        ) from why

    def refuse(self, error: BaseException, name: str, what: str) -> None:
        """Do nothing, as nothing is recorded."""

    def answered(self, name: str, what: str, value: object) -> None:
        """Do nothing, as nothing is recorded."""

    def context(self, written: Mapping[str, Sequence[object]]) -> Mapping[str, object]:  # noqa: ARG002 - there is none
        """Return nothing: outside a run there is no `ctx`."""
        return {}

    def lose(self, facts: JsonValue) -> None:
        """Do nothing, as nothing is recorded."""

    async def may_call(self, model: Model) -> None:
        """Return at once: no limit applies."""

    def answered_outside(self, record: tuple[str, str]) -> bool:  # noqa: ARG002
        """Return False: nobody was asked."""
        return False

    def hidden(self, record: JsonObject) -> JsonObject:
        """Return the record: there is no state."""
        return record

    async def approved(
        self,
        identity: str,  # noqa: ARG002
        record: tuple[str, str],  # noqa: ARG002
        ask: AsksPerson,
        read: Callable[[object], object] | None = None,  # noqa: ARG002
    ) -> None:
        """Raise an error if a person is to be asked, which is possible only in a run.

        Raises:
            DefinitionError: A person is to be asked.
        """
        question = await ask(was_asked=False)
        if question is not None:
            raise DefinitionError(
                f"a person has to be asked: {question.text}",
                where="an agent that runs alone",
                repair="run the agent in a graph, whose run can wait for the answer; in a test, omit approve=",
            )

    def answered_to(self, identity: str) -> None:
        """Return None: nobody was asked."""

    def was_asked(self, identity: str) -> bool:  # noqa: ARG002
        """Return False: nobody was asked."""
        return False

    def has_begun(self, record: tuple[str, str]) -> bool:  # noqa: ARG002
        """Return False, as nothing is recorded."""
        return False

    def concerns(self, key: str, name: str) -> bool:  # noqa: ARG002
        """Return False, as nothing is recorded."""
        return False

    def is_recorded(self, name: str, what: str) -> bool:  # noqa: ARG002
        """Return False, as nothing is recorded."""
        return False

    def record_of(self, name: str, what: str) -> None:
        """Return None, as nothing is recorded."""

    def has_field(self, name: str) -> bool:  # noqa: ARG002
        """Return False: there is no state."""
        return False

    def pass_answers(self, identity: str) -> None:
        """Do nothing: nobody was asked."""

    async def objection(self, answer: RecordedResult) -> str:  # noqa: ARG002
        """Return "", as nobody answers."""
        return ""

    async def steered(self, turn: str) -> Sequence[tuple[JsonValue, bool]]:  # noqa: ARG002
        """Return nothing, as nobody can send a message."""
        return ()

    def live(self, agent: str) -> Live | None:
        """Return what shows the live events of a call; None if nobody watches."""
        return None if self._audience is None else Live(agent, "", 1, self._audience, None)

    async def opened(self, source: Opens, *, begins: bool = True) -> Sequence[Any] | None:  # noqa: ARG002
        """Return None: sources of tools are opened for each call."""
        return None

    @property
    def waits(self) -> CallerWait:
        """The machine's clock."""
        return PLAIN_WAITS

    def pause_after(self, error: ModelTransient, tries: int) -> float | None:
        """Return the delay that a node without `retry=` has in a run."""
        if not error.retryable or tries >= DEFAULT_RETRY.attempts:
            return None
        return max(DEFAULT_RETRY.pause_seconds(tries), error.retry_after_seconds or 0.0)

    @asynccontextmanager
    async def reserved(
        self,
        model: Model,  # noqa: ARG002 - no limit applies
        request: Request,  # noqa: ARG002
    ) -> AsyncIterator[Settle]:
        """Return a context that does nothing."""

        async def settle(usage: Usage) -> None:
            del usage

        yield settle


def outside(tool: str) -> str:
    """Return the identity of the question of a tool to the program that executes it."""
    return f"external {tool}"


AgentRuntime: TypeAlias = RunRuntime | StandaloneRuntime


def _agree(then: object, now: Mapping[str, JsonValue]) -> bool:
    """Return whether what an agent reads under the same names is the same, and at least one of them."""
    if not isinstance(then, dict):
        return False
    both = then.keys() & now.keys()
    return (bool(both) or not (then or now)) and all(then[name] == now[name] for name in both)


async def in_loop_of(runtime: AgentRuntime, call: Callable[[], Awaitable[T]]) -> T:
    """Make a call in the run's event loop, from another thread or loop."""
    calls = FROM_THREAD.get()
    made = CallOutcome.of(call if calls is None else functools.partial(calls.make, call))
    try:
        future = asyncio.run_coroutine_threadsafe(made, runtime.loop)
    except RuntimeError:  # the event loop is closed, and this thread outlived it
        made.close()
        raise
    return (await asyncio.wrap_future(future)).result()


async def batched(runtime: AgentRuntime, model: Model, request: Request) -> Response | None:
    """Return the answer of a batch; None if the model answers at once, or the batch has no answer to the request.

    The turn is recorded before it is submitted, and the answer is collected when the batch has ended. The run sleeps
    meanwhile, so the process may end. Each step is a piece of recorded work below the turn, see
    `graphengine.models.batches` for their order.

    Raises:
        BadRequest: The model has no batches, or not all settings.
        DefinitionError: There is no run that could wait for it.
        ModelError: The provider's batches failed.
    """
    batches = batches_of(model, request.agent)
    if batches is None:
        return None
    if isinstance(model, ChecksSettings):
        refuse_lacking(model, request.settings, request.agent)
    if not isinstance(runtime, RunRuntime) or not runtime.may_sleep():
        raise DefinitionError(
            f"agent {request.agent} has batch=True, and nothing can wait for a batch here",
            where=f"agent {request.agent}",
            repair='run it as a node without effect="once", outside of ctx.call; or agent.but(batch=False).run(…)',
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
