"""One call of an agent: the turns between it, its model and its tools, until there is an answer.

Every turn of the model and every call of a tool is a recorded piece of the run's work, so that an agent which is run
again, after a crash or a wait, goes on behind the last one that was recorded. What a turn means is worked out from its
record alone, the same whether it was just made or is read again. The rule-based answers of the offline model are made
again instead: they cost nothing.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import inspect
import json
import logging
from collections import Counter
from contextlib import AsyncExitStack, nullcontext
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Generic, cast

from pydantic_core import PydanticSerializationError, from_json, to_json
from typing_extensions import TypeVar

from graphengine.agents import window
from graphengine.agents.guards import apply_to_value, check_text
from graphengine.agents.outcomes import traceback_text
from graphengine.agents.prefixes import Prefixes
from graphengine.agents.records import checked, record_of, response_of
from graphengine.agents.run_scope import FROM_THREAD, Outcome, Piece, as_outcome
from graphengine.agents.tools import ToolOutcome, ToolSource, by_name
from graphengine.engine.frame_tree import add_usage
from graphengine.errors import (
    AnswerCut,
    AnswerRefused,
    BadAnswer,
    ContextFull,
    ModelError,
    TooManyTurns,
    mark_repeating,
)
from graphengine.graph.runnable import is_async
from graphengine.graph.templates import DATA_NOTE, as_text, utf8_text
from graphengine.models.base import Message, Request, Response, usage_of, usage_of_failure
from graphengine.models.offline import OfflineModel
from graphengine.state.digest import digest_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from graphengine.agents.agent import Agent
    from graphengine.agents.run_scope import Scope
    from graphengine.agents.tools import Tool
    from graphengine.models.base import Model, ToolCall, ToolSpec
    from graphengine.state.json_values import JsonValue

log = logging.getLogger("graphengine.agents")

T = TypeVar("T", default=str)

CALLS_AT_ONCE: Final = 32
"""The most calls of tools of one turn that run in parallel; as many as a Runner has threads by default."""
_REFUSED: Final = "A person was asked for leave to make this call, and refused it."
_NO_USE: Final = ("cut", "refused", "full")
_OF_RULES: Final = (BadAnswer, ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""What a computation raises of what it was given; other errors, as of files, may pass."""
NOTHING: Final[Mapping[str, JsonValue]] = {}


class Conversation(Generic[T]):
    """A call of an agent.

    Args:
        agent: Who is called.
        scope: The run's side of it.
        system: Its standing instructions.
        before: What was said in earlier calls that it remembers.
        inputs: What its check may read, by name.
        stand_in: Its rule-based answer, None if it has none.

    Attributes:
        said: What was said in this call, the question first.
        usage: What models were paid for it, named as in `graphengine.runner.Usage`.
    """

    def __init__(  # noqa: PLR0913 - all that a call is made of
        self,
        agent: Agent[T],
        scope: Scope,
        system: str,
        before: Sequence[Message],
        inputs: Mapping[str, object],
        stand_in: Callable[[], Awaitable[object]] | None,
    ) -> None:
        self._agent = agent
        self._scope = scope
        self._system = utf8_text(system)
        self._before = before
        self._inputs = inputs
        self._stand_in = stand_in
        self._model = scope.model_for(agent.name, agent.model)
        self._tools: dict[str, Tool] = {}
        self._specs: Sequence[ToolSpec] = ()
        self._given: Mapping[str, object] = {}
        self._turn = 0
        self.said: list[Message] = []
        self._key = ""
        if callable(agent.prompt) and not isinstance(self._model, OfflineModel):
            self._key = scope.place(f"agent {agent.name}", self._identity(_steady(inputs)))
        self._equal: Counter[str] = Counter()
        self.usage: dict[str, float | None] = {}

    async def hold(self, prompt: str) -> T:
        """Ask, and go on until there is an answer.

        Raises:
            ModelError, BadAnswer: There is none.
        """
        self.said.append(Message(role="user", text=utf8_text(prompt), agent=self._agent.name))
        if isinstance(self._model, OfflineModel):
            return await self._offline()
        async with AsyncExitStack() as stack:
            with self._scope.keeping():
                await self._open_tools(stack)
            self._key = self._place()
            with self._scope.group(self._key):
                return await self._to_the_answer()

    async def _offline(self) -> T:
        """What the rules answer: they are asked once, since they would say the same again, or fail the same way."""
        try:
            with self._scope.keeping() if self._stand_in is None else nullcontext():
                response = await self._model.answer(self._request())
            self._scope.paid(usage_of(response))
            self.usage = add_usage(self.usage, usage_of(response))
            value = await self._read(response.content)
        except _OF_RULES as error:
            mark_repeating(error)
            raise
        self.said.append(Message(role="assistant", text=as_text(value), agent=self._agent.name))
        return value

    async def _to_the_answer(self) -> T:
        agent = self._agent
        tool_turns = retries = 0
        while True:
            response = await self._answer()
            if response.calls:
                tool_turns += 1
                with self._scope.keeping():
                    self._within(tool_turns)
                self.said += await self._call_tools(response.calls)
                continue
            try:
                return await self._read(str(response.content))
            except BadAnswer as error:
                if retries == agent.output_retries:
                    raise
                retries += 1
                feedback = agent.reader.feedback(error)
                self.said.append(Message(role="user", text=utf8_text(feedback), agent=agent.name))

    def _within(self, tool_turns: int) -> None:
        """See that the model calls tools for no more turns than it may.

        Raises:
            TooManyTurns: It does.
        """
        agent = self._agent
        if tool_turns > agent.turns:
            raise TooManyTurns(
                f"{self._model.name} called tools for {agent.turns} turns and wanted to go on",
                where=f"agent {agent.name}",
                repair="raise turns=…, or say in the instructions when it has enough",
            )

    # One turn of the model.

    async def _answer(self) -> Response:
        """The model's next answer, as its record has it.

        Raises:
            AnswerCut, AnswerRefused, ContextFull: It is none that can be used; besides what the model raises.
        """
        self._turn += 1
        await self._shorten()
        response = await self._ask(self._model, self._request(), "turn")
        message = Message(
            role="assistant",
            text=str(response.content),
            calls=response.calls,
            agent=self._agent.name,
            tokens=(response.input_tokens + response.output_tokens) or None,
            native=response.native,
        )
        self.said.append(message)
        return response

    async def _ask(
        self, model: Model, request: Request, name: str, told: Mapping[str, JsonValue] = NOTHING
    ) -> Response:
        """Ask a model once; `told` is recorded with what it answers.

        An answer that was no use to an earlier attempt stays where it is, and is asked for once more: the settings may
        be others, or the model.

        Raises:
            AnswerCut, AnswerRefused, ContextFull: It is none that can be used; besides what the model raises.
        """
        numbers = (f"{self._turn}.{again}" if again else f"{self._turn}" for again in count())
        while True:
            number = next(numbers)
            record = await self._recorded(model, request, name, number, told)
            response = response_of(record)
            self.usage = add_usage(self.usage, usage_of(response))
            if record.get("attempt", self._scope.attempt) >= self._scope.attempt:
                break
        with self._scope.keeping():
            self._usable(response, model)
        return response

    async def _recorded(
        self, model: Model, request: Request, name: str, number: str, told: Mapping[str, JsonValue]
    ) -> JsonValue:
        """The record of one answer."""
        await self._scope.may_call(model)

        async def make() -> Piece:
            async with self._alike(model, request) as begun:
                asked = replace(request, on_begin=begun, on_spent=self._spent)
                try:
                    response = checked(await _asked(model, asked), model, request.agent)
                except BaseException as error:
                    self._spent(usage_of_failure(error))
                    raise
            record = {**record_of(response, self._called() if response.calls else set()), **told}
            if self._turn == 1 and callable(self._agent.prompt) and self._scope.may_record(self.said[0].text):
                record["question"] = self.said[0].text
            if response.stop in _NO_USE:
                record["attempt"] = self._scope.attempt
            by = {"agent": utf8_text(request.agent), "model": utf8_text(response.model or model.name)}
            return Piece(record, len(to_json(record)), usage_of(response), by)

        return await self._scope.piece(name, number, make)

    def _spent(self, usage: Mapping[str, float | None]) -> None:
        """Count what was used without an answer; it has no record of its own, so its attempt has it."""
        if usage:
            self._scope.paid(usage)
            self.usage = add_usage(self.usage, usage)

    def _called(self) -> set[str]:
        """By what the tools' calls of this conversation are known."""
        return {call.id for message in (*self._before, *self.said) for call in message.calls}

    def _alike(self, model: Model, request: Request) -> AbstractAsyncContextManager[Callable[[], None] | None]:
        """Of calls that share a cached beginning the first goes alone until it is cached, and reports when it is."""
        if not request.cache:
            return nullcontext()
        prefixes = cast("Prefixes", self._scope.shared("prefixes", Prefixes))
        beginning = to_json([model.name, request.system, [(tool.name, tool.schema) for tool in request.tools]])
        return prefixes.turn(_digest(beginning), len(beginning))

    def _request(self) -> Request:
        agent = self._agent
        return Request(
            agent=agent.name,
            system=self._system,
            messages=window.effective([*self._before, *self.said]),
            schema=agent.reader.schema,
            output=agent.reader.name,
            tools=self._specs,
            max_tokens=agent.max_tokens,
            temperature=agent.temperature,
            effort=agent.effort,
            cache=agent.cache,
            on_text=self._scope.listener(agent.name),
            stand_in=self._stand_in,
        )

    def _usable(self, response: Response, model: Model) -> None:
        """See that an answer is one to go on with.

        Raises:
            AnswerCut, AnswerRefused, ContextFull: It is not.
        """
        name, where = response.model or model.name, f"agent {self._agent.name}"
        if response.stop == "cut":
            most = f"max_tokens={self._agent.max_tokens}" if self._agent.max_tokens else "the model's most tokens"
            told = f"the answer of {name} was cut off at {most}, after {response.output_tokens} tokens"
            raise AnswerCut(told, where=where, repair="raise max_tokens=…, or ask for a shorter answer")
        if response.stop == "refused":
            told = f"{name} refused to answer" + (f": {response.why}" if response.why else "")
            raise AnswerRefused(told, where=where, repair="change the question, or give the agent another model")
        if response.stop == "full":
            told = f"the question and the answer are more than {name} can hold ({response.input_tokens} tokens asked)"
            raise ContextFull(told, where=where, repair="give it less, window=Window(…), or a model that holds more")

    # What it says.

    async def _read(self, content: object) -> T:
        """The value of an answer, checked.

        Raises:
            BadAnswer: It is none; the model is told.
            GuardFailed: A guard does not let it pass.
        """
        agent, where = self._agent, f"agent {self._agent.name}"
        guards = any(guard.on == "output" for guard in agent.watch)
        if guards and isinstance(content, str) and agent.reader.schema is None:
            guarded = functools.partial(check_text, agent.watch, content, "output", where=where)
            content = await self._scope.blocking(guarded)
        value = agent.reader.read(content)
        if guards and agent.reader.schema is not None:
            watched = cast("T", await self._scope.blocking(lambda: apply_to_value(agent.watch, value, where=where)))
            value = value if watched is value else agent.reader.again(watched)
        await self._check(value)
        return value

    async def _check(self, value: T) -> None:
        """Let the agent's own check look at a value.

        Raises:
            BadAnswer: It raised ValueError.
        """
        check = self._agent.checker
        if check is None:
            return
        first, *others = check.parameters
        fields = {other.name: self._inputs[other.name] for other in others if other.name in self._inputs}
        try:
            call = functools.partial(check.function, **{first.name: value}, **fields)
            checked = call() if is_async(check.function) else await self._scope.blocking(call)
            if inspect.isawaitable(checked):
                await checked
        except ValueError as error:
            where = f"agent {self._agent.name}, {check.name}"
            repair = "say in the prompt what the check wants"
            raise BadAnswer(str(error) or type(error).__name__, where=where, repair=repair) from error

    # Tools.

    async def _open_tools(self, stack: AsyncExitStack) -> None:
        self._given = self._scope.given()
        tools: list[Tool] = []
        for source in self._agent.kit:
            tools += await self._opened(source, stack) if isinstance(source, ToolSource) else [source]
        self._tools = by_name(tools)
        self._specs = [tool.spec(self._given.keys()) for tool in tools]

    async def _opened(self, source: ToolSource, stack: AsyncExitStack) -> Sequence[Tool]:
        opened = await self._scope.opened(source)
        if opened is not None:
            return opened
        stack.push_async_callback(source.close)
        return await source.open()

    async def _call_tools(self, calls: Sequence[ToolCall]) -> list[Message]:
        """What the tools gave, in the order of the calls; so many of one turn run in parallel."""
        number, room = self._turn, asyncio.Semaphore(CALLS_AT_ONCE)
        tasks: list[asyncio.Task[Outcome[Message]]] = []
        failed: list[object] = []

        def ended(task: asyncio.Task[Outcome[Message]]) -> None:
            room.release()
            if task.cancelled() or task.result().error is not None:
                failed.append(task)

        try:
            for index, call in enumerate(calls):
                await room.acquire()
                if failed:
                    break
                made = self._call(call, f"{number}.{index}", self._key_of(call))
                tasks.append(asyncio.create_task(as_outcome(made)))
                tasks[-1].add_done_callback(ended)
            return [(await task).result() for task in tasks]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _key_of(self, call: ToolCall) -> str:
        """The call's key: of what the model was asked, what it wants, and its number among equal calls.

        The turn is no part of it, since a model that is asked anew may want the same in another one.
        """
        try:
            arguments = from_json(call.arguments)
        except ValueError:
            arguments = call.arguments
        what = f"{call.name} {json.dumps(arguments, sort_keys=True)}"
        self._equal[what] += 1
        return f"{call.name}:{_digest(to_json([self._key, what, self._equal[what]]))}"

    async def _call(self, call: ToolCall, number: str, key: str) -> Message:
        tool = self._tools.get(call.name)
        if tool is None:
            known = ", ".join(self._tools) or "none"
            return _result(call, {"text": f"There is no tool {call.name!r}. There are: {known}.", "error": True})
        misfit = tool.misfit(call.arguments, self._given) if tool.approve else None  # not worth a person's time
        if tool.approve and misfit is None and not await self._scope.allowed(self._question(call)):
            return _result(call, {"text": _REFUSED, "error": True})
        raised: list[BaseException] = []

        async def make() -> Piece:
            with self._scope.call(key):
                outcome = misfit if misfit is not None else await self._outcome(tool, call)
            record: dict[str, JsonValue] = {"text": outcome.text}
            if outcome.is_error:
                record["error"] = True
            if outcome.error is not None:
                raised.append(outcome.error)
                record["traceback"] = traceback_text(outcome.error)
            return Piece(record, len(to_json(record)))

        record = await self._scope.piece(f"tool {call.name}", number, make)
        for error in raised:  # after the record: an error that holds a secret is refused there
            told = "tool %s of agent %s raised %s: the model was given its text, the call's record has the traceback"
            log.warning(told, call.name, self._agent.name, type(error).__name__, exc_info=error)
        return _result(call, record)

    async def _outcome(self, tool: Tool, call: ToolCall) -> ToolOutcome:
        """What the call comes to; a tool that was cancelled by something of its own failed."""
        try:
            return await tool.call(call.arguments, self._given, self._scope.blocking)
        except asyncio.CancelledError as error:
            if _is_cancelled():
                raise
            told = f"{type(error).__name__}: {error}".rstrip(": ")
            return ToolOutcome(told, is_error=True, error=error)

    def _question(self, call: ToolCall) -> str:
        return f"May {self._agent.name} call {call.name}({call.arguments})?"

    # How much of it is sent.

    async def _shorten(self) -> None:
        """Let a summary stand for what is too long to be sent."""
        limit = self._agent.window
        if limit is None:
            return
        messages = [*self._before, *self.said]
        count = window.cut(messages, limit)
        if count is None:
            return
        model = (
            self._model if limit.model is None else self._scope.model_for(f"{self._agent.name} summary", limit.model)
        )
        tokens, is_estimate = window.size(messages)
        text = window.summary_request_text(window.to_summarise(messages, count))
        asked = Message(role="user", text=text, agent=self._agent.name)
        told: dict[str, JsonValue] = {"context_tokens": tokens, "estimated": is_estimate, "covers": count}
        response = await self._ask(model, Request(self._agent.name, DATA_NOTE, [asked]), "summary", told)
        self.said.append(window.with_summary(messages, str(response.content), count))

    def _place(self) -> str:
        """The key below which this call is recorded.

        A function may make another question each time, so a call that it asks is known by what it was given, and goes
        on with the question that was recorded. Earlier versions knew such calls by the question too.
        """
        name = f"agent {self._agent.name}"
        by_question = self._scope.place(name, self._identity())
        if not self._key or (self._scope.recorded(by_question) and not self._scope.recorded(self._key)):
            return by_question
        for record in self._scope.recorded(self._key):
            if isinstance(record, dict) and "question" in record:
                self.said[0] = self.said[0].model_copy(update={"text": record["question"]})
        return self._key

    def _identity(self, inputs: JsonValue = None) -> str:
        """What tells this call from others of the agent: what was said, or what a function of it is given."""
        messages = [message.model_dump(mode="json") for message in (*self._before, *self.said)]
        more = [] if inputs is None else [inputs]
        return _digest(to_json([self._system, messages, self._agent.reader.schema, *more]))


def _steady(inputs: Mapping[str, object]) -> JsonValue:
    """What a call is given, as far as it is the same in every process."""
    found: dict[str, JsonValue] = {}
    for name, value in sorted(inputs.items()):
        try:
            to_json(value)
        except (PydanticSerializationError, ValueError, RecursionError):  # a resource, or the Context
            found[name] = type(value).__qualname__
        else:
            found[name] = digest_of(value)
    return found


async def in_loop_of(scope: Scope, call: Coroutine[Any, Any, T]) -> T:
    """Make a call in the run's event loop, wherever it is asked for."""
    if asyncio.get_running_loop() is scope.loop:
        return await call
    calls = FROM_THREAD.get()
    made = call if calls is None else calls.make(call)
    try:
        future = asyncio.run_coroutine_threadsafe(as_outcome(made), scope.loop)
    except RuntimeError:  # the event loop is closed: the thread was left behind
        made.close()
        call.close()
        raise
    return (await asyncio.wrap_future(future)).result()


async def _asked(model: Model, request: Request) -> Response:
    """What a model answers.

    Raises:
        ModelError: It raises, or whatever else it raises.
    """
    try:
        return await model.answer(request)
    except asyncio.CancelledError as error:
        if _is_cancelled():
            raise
        told = f"{model.name} was cancelled by something of its own"
        raise ModelError(told, where=f"agent {request.agent}", repair="look at the model's code") from error


def _is_cancelled() -> bool:
    """Whether somebody wants the running asyncio task to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=9).hexdigest()


def _result(call: ToolCall, record: JsonValue) -> Message:
    return Message(role="tool", text=record["text"], call_id=call.id, is_error=record.get("error", False))
