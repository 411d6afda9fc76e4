"""The scope of a node for the agents that it calls: recorded work, resources and threads of the current attempt."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from graphengine.kernel.extension import Context, journal_of
from graphengine.kernel.inside import FROM_THREAD, TOOL_CALL, Noted, WorkKey, digest_of_call, in_thread, to_show
from graphengine.kernel.reader import Recorded, WaitRecord

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager

    from graphengine.kernel.extension import AttemptFacts, Effecting, JsonObject, JsonValue, StepJournal, StepResult
    from graphengine.kernel.reader import Usage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Question:
    """A question to a person, or a request to another program to execute a tool call.

    Attributes:
        text: The text of the question.
        schema: The JSON Schema of the answer.
        read: Converts the JSON form of an answer to the answer, or raises a `ValidationError`.
        timeout_seconds: How long to wait for the answer; None to wait for ever.
        default: The answer, as JSON, that applies when the time is over.
        call: For a tool call: the tool's name as `tool`, its `arguments`, and `parameters`, the JSON Schema of the
            arguments. None for a question to a person.
        seen: The argument values that the call does not contain itself, but that the person sees.
    """

    text: str
    schema: Mapping[str, JsonValue]
    read: Callable[[object], object]
    timeout_seconds: float | None
    default: JsonValue
    call: JsonObject | None = None
    seen: JsonObject = field(default_factory=dict)


class AsksPerson(Protocol):
    def __call__(self, *, was_asked: bool) -> Awaitable[Question | None]:
        """Make the question for a person; None if the person need not be asked.

        `was_asked` is True if the person has already been asked, in which case None must not be returned.
        """
        ...


class NodeScope:
    """What an agent needs from the node in which it runs: recorded work, resources, questions and threads.

    Args:
        attempt: The attempt of the node whose code runs.
    """

    def __init__(self, attempt: AttemptFacts) -> None:
        self.attempt = attempt
        self.around, self.frame = attempt.services, attempt.frame

    @property
    def work(self) -> StepJournal:
        return journal_of(self.attempt)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self.around.loop

    def given(self) -> Mapping[str, object]:
        """Return the values that tools can read by name: `ctx` and the resources of the graph."""
        return {**self.around.resources.get(id(self.attempt.plan), {}), "ctx": Context(self.attempt)}

    def place(self, name: str, what: Callable[[], str]) -> str:
        """Return the key below which the records of one agent's call are kept, made from the agent's name and a text.

        The key does not depend on other work that runs in parallel, so a resumed run finds the records again.
        """
        return self.work.group_of(name, what())

    def recorded(self, place: str) -> Sequence[JsonValue]:
        """Return the results that are recorded directly below this key."""
        done = self.frame.recorded_results
        return [done[key].value for key in done if WorkKey.read(key).around == place]

    def group(self, place: str) -> AbstractContextManager[None]:
        """Record the results of the work in a block, such as turns and tool calls, below this key."""
        return self.work.group(place)

    def hidden(self, record: JsonObject) -> JsonObject:
        """Replace the secret values of the state in a JSON value by a mark."""
        guard = self.around.guard
        return record if guard is None else guard.hide(record)

    def may_record(self, text: str) -> bool:
        """Return whether a text is free of the secret values of the state."""
        guard = self.around.guard
        return guard is None or guard.hide(text) == text

    @contextmanager
    def call(self, key: str) -> Iterator[None]:
        """Mark a block as the code of one tool call, so that idempotency keys made in the block end with `key`."""
        before = TOOL_CALL.set((self.attempt, key))
        try:
            yield
        finally:
            TOOL_CALL.reset(before)

    def step_result(self, name: str, what: str, make: Callable[[], Awaitable[StepResult]]) -> Awaitable[Any]:
        """Return the recorded result of a piece of work, such as a turn, or else do the work and record it."""
        return self.work.step_result(name, what, make)

    @property
    def below(self) -> str:
        """The key below which the results of the running code are recorded."""
        return self.work.below

    def idempotency_key(self, key: str) -> str:
        return f"{self.attempt.visit_key}/{key}"

    def once(self, effect: Effecting[T]) -> Awaitable[T]:
        """Perform an effect that must not be repeated; if it began earlier, find out how it ended instead."""
        return self.work.effects.once(effect)

    def paid(self, usage: Usage) -> None:
        """Charge the usage of a model call that has no record of its own to the attempt."""
        self.attempt.count(usage)

    def refuse(self, error: BaseException, name: str, what: str) -> None:
        """Mark a recorded result as unusable because of this exception, so that a retry does the work again."""
        self.work.refuse(error, name, what)

    def answered(self, name: str, what: str, value: object) -> None:
        """Remember that an answer of a model comes from this recorded turn.

        The answer may turn out not to fit the state, so that the node's update is refused. The record of the turn is
        then marked as unusable, so that the model is asked again.
        """
        self.work.answered(name, what, value)

    def may_sleep(self) -> bool:
        """Return whether the node may wait here, so that the run can be stored as waiting."""
        return self.work.may_wait

    def has_slept(self, what: str) -> bool:
        """Return whether the next sleep with this text is recorded and over."""
        return self.work.is_over("sleep", what)

    async def record_usage(self) -> None:
        """Record the usage of failed model calls in a separate step, before the node's attempt ends without a step.

        Otherwise this usage would be lost.
        """
        if usage := self.attempt.usage:
            self.attempt.usage, now = None, self.around.now()
            failed = Recorded(key="", name="failed calls", value=None, usage=usage)
            await self.around.host.note(Noted(self.attempt.task, now, now, failed, 0))

    async def approved(
        self,
        identity: str,
        record: tuple[str, str],
        ask: AsksPerson,
        read: Callable[[object], object] | None = None,
    ) -> Any:  # noqa: ANN401 - as read
        """Ask a person a question, and return the answer.

        `identity` is a text by which a resumed run finds the recorded answer. `record` is the name and the text of the
        work that the question is about, such as a tool call. Returns None if no question is needed, or if this work has
        already begun or is recorded.

        The attempt does not end while the question is being made, so that several questions are asked together. If an
        answer is recorded and `read` accepts it, the answer is returned without making the question again, because
        today's question might differ.
        """
        work, guard = self.work, self.around.guard
        place = work.key_of("ask", digest_of_call("ask", ([identity, None],), {}))
        was_asked = self.frame.was_asked(place)
        if not was_asked and work.has_begun(*record):
            return None
        known = self.frame.recorded_results.get(place)
        if read is not None and known is not None and not known.timeout:
            with suppress(ValueError):  # of pydantic too
                answer = read(known.value)
                work.taken(known)
                return answer
        work.in_flight.began(place, "a question")
        try:
            question = await ask(was_asked=was_asked)
        finally:
            work.in_flight.ended(place)
        if question is None:
            return None
        text, schema, call = question.text, question.schema, question.call or {}
        if guard is not None:
            text, schema, call = guard.hide(text), guard.hide(schema), guard.hide(call)
        wait = WaitRecord(kind="tool" if call else "ask", question=to_show(text), facts=call, schema=schema)
        wait.seen = self.hidden(question.seen)
        if question.timeout_seconds is not None:
            wait.due, wait.default = self.around.wall() + question.timeout_seconds, question.default
        return await work.wait_at(place, wait, question)

    async def blocking(self, function: Callable[[], object], threads: Executor | None = None) -> object:
        """Call a blocking function in one of the given threads, or by default in a thread of the Runner's pool.

        If the caller itself runs in a thread of this pool and waits for the result, an extra thread is used. Otherwise
        the pool would never finish once each of its threads waits for another thread.
        """
        calls = FROM_THREAD.get()
        own = self.around.threads if calls is None else calls.pool
        return await in_thread(threads or own, function)


def asked_again(first: str, again: int) -> str:
    return f"{first} asked again: {again}"
