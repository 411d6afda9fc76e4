"""One call of an agent: the turns between the agent, its model and its tools, until there is an answer.

**What is recorded.** Each turn of the model and each tool call is recorded as a separate piece of the run's work. When
the agent runs again, after a crash or a wait, it continues after the last recorded piece. A turn is always interpreted
from its record alone, whether the model has just answered or the record is read again. Rule-based answers are the
exception: they are not recorded, because computing them again costs nothing.

**How records are found.** The key of a conversation consists of the agent, its inputs by name, and a number that counts
equal calls. The key of a turn is the number of the turn. The key of a tool call is the turn and the position of the
call in the turn.

**What the record decides, and what today's code decides.** Everything that has happened comes from the record: the
texts of the question and the instructions, the tools that were offered, the calls that were not made (with the reason),
and the calls that began. Today's code, tools and limits only decide about turns and calls that have not begun.
Therefore each decision looks at the record first. An example:

1. A model asks for the tool calls `refund` and `mail`. The call of `refund` begins, and then the process is killed.
2. A deployment removes the tool `refund` and lowers the limit on tool calls by one.
3. The agent runs again. The turn is read from its record, so the model is not asked again. The call of `refund` has
   begun, so the agent finds out how it ended, although the tool no longer exists and the limit no longer allows the
   call. The call of `mail` has not begun, so today's tools and limits refuse it, and the record of the next turn
   contains the text that tells the model so.

**The order within a turn.**

1. Messages that were sent to the agent are added to the conversation.
2. If the conversation is too long for the model, older messages are summarised. The summary is a recorded call, too.
3. If a source reports that its tools have changed, they are listed again.
4. The model is asked, or the recorded turn is read.
5. An answer that was cut off is continued or kept.
6. If the answer contains tool calls, they are made, several at once. Each call passes its guards and its approval and
   has its own keys.
7. If the answer contains no tool calls, it is read and checked. If it is refused, the model receives the reason in the
   next turn.

**When usage counts.** The price of an answer is charged when the answer arrives. Money that was reserved for the call
is settled once the record of the answer is durable. If the call fails, or its answer is cut off or dropped by a hook,
its usage counts for the attempt of the node. Usage that the provider did not report is unknown.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import inspect
import logging
from collections import Counter
from contextlib import AsyncExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, cast

from msgspec import UNSET
from pydantic_core import to_json
from typing_extensions import TypeVar

from graphengine.agents import window
from graphengine.agents.approval import ApprovalRequest, question_about
from graphengine.agents.arguments import repair_first
from graphengine.agents.cut import MOST_PARTS, at_limit, go_on, has_text, is_short, join_parts, unusable
from graphengine.agents.errors import BadAnswer, GuardFailed, TooManyTurns, refuse_result
from graphengine.agents.external_tools import external_tool
from graphengine.agents.guards import apply_to_value, around, check_text
from graphengine.agents.hand_overs import handed_over
from graphengine.agents.identity import identity_of
from graphengine.agents.json_text import is_json
from graphengine.agents.prompts import Filled, as_text, block, fill_prompt, note_of, tag_of, text_in
from graphengine.agents.reading import KEY, Output
from graphengine.agents.records import (
    call_text,
    check_record,
    outcome_in,
    record_of,
    response_of,
    result_message,
    result_record,
)
from graphengine.agents.runtime import batched
from graphengine.agents.tool_checks import explain_no_description
from graphengine.agents.tool_names import named_apart, offered_in
from graphengine.agents.tool_writes import outcome_with, read_writes
from graphengine.agents.tools import Relists, Tool, ToolOutcome, check_choice, refuse_writes, unhurried
from graphengine.errors import DefinitionError, GraphEngineError, RunText, mark_repair
from graphengine.kernel.extension import Effecting, StepResult, add_usage, utf8_text
from graphengine.kernel.inside import (
    KEY_NAME,
    CallOutcome,
    is_async,
    known_result,
    mark_repeating,
    once_of,
)
from graphengine.media import Media
from graphengine.models.base import Compacts, HasKeys, Message, Request, Response, RulesModel, usage_of, without_refused
from graphengine.models.errors import AnswerCut, ContextFull, ModelError, ModelNotReady, ModelTransient
from graphengine.models.hiding import MARK, forms_of_keys, without
from graphengine.models.hosted import refuse_lacking_tools
from graphengine.models.limiter import limited
from graphengine.models.parts import Cited, with_citations
from graphengine.models.placeholder import PLACEHOLDER, no_placeholder
from graphengine.models.settings import NO_SETTINGS, Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from graphengine.agents.agent import Agent, AgentParts
    from graphengine.agents.runtime import AgentRuntime
    from graphengine.agents.tools import ToolSource
    from graphengine.kernel.extension import JsonObject, JsonValue
    from graphengine.kernel.inside import Injected, ModelCaller
    from graphengine.kernel.reader import Usage
    from graphengine.models.base import Model, ToolCall, ToolSpec

log = logging.getLogger("graphengine.agents")

T = TypeVar("T", default=str)

CALLS_AT_ONCE: Final = 32
"""The most tool calls of one turn that run in parallel; as many as a Runner has threads by default."""
_CACHED_CHARACTERS: Final = 4096
"""The fewest characters of a beginning that is cached; about 1,024 tokens.

Source: Anthropic's documentation of prompt caching.
"""
_NO_TURNS: Final = (
    "This call was not made: there are no more turns for calling tools. Give your final answer now, with what you "
    "know, and say what is missing."
)
_NOT_MADE: Final = "This call was not made."
_OF_RULES: Final = (BadAnswer, ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""Errors of a computation on its inputs.

Computing again would raise the same error, unlike an error of a file or a network.
"""
NOTHING: Final[Mapping[str, JsonValue]] = {}
_READING: Final = 2
"""The version of the rules by which a typed answer that is not pure JSON is read. It is recorded with the answer.

Version 1 was not recorded, so a record without a version was written under version 1.
"""


class OpeningTexts(NamedTuple):
    """The texts and media with which a conversation begins. A text is None if it is not known yet.

    Attributes:
        system: The agent's standing instructions.
        question: The question.
        media: The pictures and documents that the question shows.
    """

    system: Filled | None = None
    question: Filled | None = None
    media: Sequence[Media] = ()


class _Decided(NamedTuple):
    call: ToolCall
    by_person: bool


class Conversation(Generic[T]):
    """One call of an agent: asks the model, calls the tools that the model asks for, and checks the answer.

    Args:
        agent: The agent.
        parts: The parts that were computed from the agent's arguments.
        runtime: The run in which the agent is called.
        before: The messages of earlier calls that the agent remembers.
        inputs: The inputs of the call by name, which the agent's check can read.
        by_rules: Computes the rule-based answer; None if the agent has no rules.

    Attributes:
        messages: The messages of this call. The question is the first.
        usage: The usage of the models in this call, with the names of `graphengine.Usage`.
    """

    def __init__(  # noqa: PLR0913 - the parts of a call
        self,
        agent: Agent[T, Any],
        parts: AgentParts[T],
        runtime: AgentRuntime,
        before: Sequence[Message],
        inputs: Mapping[str, object],
        by_rules: Callable[[], Awaitable[object]] | None,
    ) -> None:
        self._agent = agent
        self._parts = parts
        self._runtime = runtime
        self._system = self._question = Filled("")
        self._before = before
        self._inputs = inputs
        self._rules = by_rules
        self._model = runtime.model_for(agent.name, agent.model)
        self._live = runtime.live(agent.name)
        self._reader: Output[Any] = parts.reader
        self._given: Mapping[str, object] = {}
        self._maker = None if isinstance(self._model, RulesModel) else parts.maker
        if self._maker is not None:
            self._given = runtime.given()
            self._reader = Output(object, where=f"agent {agent.name}", form=self._maker.form(self._given))
        self._tools: dict[str, Tool] = {}
        self._specs: Sequence[ToolSpec] = ()
        # The names of the tools offered in this turn; None if all are offered.
        self._offered: Sequence[str] | None = None
        # The offered tools, and the tokens of instructions and these tools.
        self._fixed: tuple[Sequence[str] | None, int] | None = None
        # For each entry of the kit: the tools that the source listed; None for a tool.
        self._listed: list[Sequence[Tool] | None] = []
        self._names: Mapping[str, Any] = {}  # the names given to the tools of sources, with the source of each
        # The forms of the providers' secret keys; computed when a tool has returned.
        self._keys: Sequence[str] | None = None
        self._turn = 0
        self._feedback = ""  # why the answer of the previous turn was refused
        self._go_on = ""  # asks the model to continue the answer of the previous turn, which was cut
        self._cut: list[Message] = []  # the parts so far of an answer that the model is asked to continue
        self._cut_last: Response | None = None  # the response that contains the last of these parts
        self._steered: Sequence[str] = ()
        self._noted = ""  # the note in the last record
        self._is_last = self._was_told = self._as_before = False
        self._not_made: dict[str, str] = {}  # why calls of the last turn were not made, by the index of the call
        self._refused: list[T] = []  # the answers that the check refused, the latest first
        # The answers that a guard refused, each preceded by its parts that were cut, and the results of refused calls.
        self._guarded: list[Message] = []
        self.messages: list[Message] = []
        identify = functools.partial(identity_of, inputs, agent.messages, runtime.given())
        self._by_name, self._key = ({}, "") if self._is_by_rules else runtime.conversation(agent, identify)
        self._is_node = runtime.is_node_of(agent)
        self._written: dict[tuple[int, int], list[tuple[str, object]]] = {}  # by turn, and position in the turn
        self._equal, self._made = Counter[str](), Counter[str]()
        self.usage: Usage = {}

    async def hold(self, words: Callable[[OpeningTexts], Awaitable[OpeningTexts]]) -> T:
        """Ask the model the question, and take turns with it until there is an answer.

        Args:
            words: Makes the texts of the call. It receives the texts with which the call began, if they are recorded.

        Raises:
            ModelError, BadAnswer: The call ended without an answer.
        """
        system, question, media = await words(self._load_begun_words())
        self._system, self._question = _utf8(system), _utf8(question)
        self.messages.append(self._build_user_message(self._question.text, self._question.tags, media))
        if self._is_by_rules:
            return await self._by_rules()
        async with AsyncExitStack() as stack:
            await self._open_tools(stack)
            with self._runtime.group(self._key), self._show_events():
                value = await self._to_the_answer()
        self._leave_out_guarded(value)
        return value

    def _build_user_message(self, text: str, tags: Sequence[str] = (), media: Sequence[Media] = ()) -> Message:
        return Message(role="user", text=text, media=tuple(media), agent=self._agent.name, tags=tuple(tags))

    def _show_events(self) -> AbstractContextManager[object]:
        """Return a context in which the watchers of the run see what this call of the agent does, such as its text.

        If nobody can watch, the context does nothing.
        """
        live, reader = self._live, self._reader
        if live is None:
            return nullcontext()
        live.call, live.structured, live.key = self._key, reader.schema is not None, KEY if reader.wrapped else ""
        return live

    async def _by_rules(self) -> T:
        """Compute the answer of an agent without a model, by its `by_rules=` or from the placeholder of a test.

        If `by_rules=` raises an error, the error is marked, so that a retry policy does not repeat the call: the rules
        would only fail again.
        """
        try:
            response = await self._model.answer(self._request())
            self._runtime.paid(usage_of(response))
            self.usage = add_usage(self.usage, usage_of(response))
            try:
                value = await self._value(response)
            except BadAnswer as error:
                value = await self._best_effort(error)
        except _OF_RULES as error:
            mark_repeating(error)
            raise
        self.messages.append(Message(role="assistant", text=as_text(value), agent=self._agent.name))
        return value

    async def _value(self, response: Response) -> T:
        """Convert an answer to a value of the agent's output type, and check the value.

        The placeholder that a test uses in place of an answer is converted but not checked, because no `check=` would
        accept it.

        Raises:
            BadAnswer, GuardFailed: The answer does not fit.
            ModelUnavailable: A placeholder does not fit the output type, which is not the agent's fault.
        """
        if response.model != PLACEHOLDER:
            return await self._read(response.content)
        try:
            return self._parts.reader.read(response.content)
        except BadAnswer as error:
            raise no_placeholder(self._agent.name, error.message) from error

    async def _to_the_answer(self) -> T:
        agent = self._agent
        tool_turns = retries = 0
        while True:
            await self._begin_turn()
            offered: Mapping[str, JsonValue] = NOTHING if self._offered is None else {"offered": [*self._offered]}
            request, response = await self._ask_for_answer(offered)
            self._end_turn(request, response)
            response = self._whole(response)
            lost = self._unusable(response, self._model)
            if lost is not None and self._goes_on(response):
                continue
            if lost is not None and not (agent.on_cut == "keep" and has_text(response)):
                return await self._keep_best_effort(response, lost)
            if response.calls:
                tool_turns += 1
                await self._take_turn(response, tool_turns)
                results = self.messages[len(self.messages) - len(response.calls) :]
                if (handed := handed_over(response.calls, results, self._tools)) is not None:
                    return cast("T", handed)
                continue
            try:
                with self._refuse_turn_answer(GuardFailed, *_OF_RULES):
                    value = await self._value(response)
                if isinstance(value, Cited):
                    value = with_citations(value, *self._cut, self.messages[-1])
                self._runtime.answered("turn", str(self._turn), value)
                return value  # noqa: TRY300 - the whole answer
            except BadAnswer as error:
                self._explain(error, response)
                if retries == agent.output_retries:
                    value = await self._best_effort(error)
                    self._runtime.answered("turn", str(self._turn), value)
                    return value
                retries += 1
                self._cut = []
                self._feedback = utf8_text(self._reader.feedback(error))
                if self._live is not None:
                    self._live.retract(error.message)
                self.messages.append(self._build_user_message(self._feedback))

    def _explain(self, error: BadAnswer, response: Response) -> None:
        """Mention in the error of an unreadable answer that the answer may have been cut off at `max_tokens`.

        Some servers report an answer as complete although they cut it off at this limit.
        """
        if at_limit(response, most := self._parts.settings.max_tokens):
            error.repair = f"raise max_tokens: the answer has all of max_tokens={most}; {error.repair}"

    async def _take_turn(self, response: Response, number: int) -> None:
        """Make the tool calls of a turn, unless the agent has used up its `turns=`.

        After the last allowed turn, the calls are not made, and the model reads that it has to answer now. The model
        gets one more turn for this answer. Calls that were made before a restart stay made, even if the agent allows
        fewer turns today.

        Raises:
            TooManyTurns: The model called tools again after it had been asked for its final answer.
        """
        agent, skipped = self._agent, self._read_skipped_calls()
        is_over, has_happened = number > agent.turns, skipped is not None or self._has_begun(response.calls)
        if is_over and self._was_told and not has_happened:
            raise TooManyTurns(
                f"the model {self._model.name!r} called tools in all turns that turns={agent.turns} allows, and called "
                "tools again when it was asked for the final answer",
                where=f"agent {agent.name}",
                repair="raise turns=…, or state in the instructions when the model knows enough to answer",
            )
        self._is_last = self._is_last or is_over
        self._was_told = self._was_told or (is_over and (not has_happened or bool(skipped)))
        self.messages += await self._call_tools(response.calls, _NO_TURNS if is_over else "")

    def _has_begun(self, calls: Sequence[ToolCall]) -> bool:
        """Return whether a tool call of this turn began before a crash or restart."""
        places = [(f"tool {call.name}", f"{self._turn}.{index}") for index, call in enumerate(calls)]
        return any(self._runtime.has_begun(place) for place in places)

    def _read_skipped_calls(self) -> Mapping[str, str] | None:
        """Return the recorded reasons why tool calls of this turn were not made, so that a resumed run can reuse them.

        The keys are the indexes of the calls. The reasons are recorded together with the next turn. Returns None if the
        next turn is not recorded yet.
        """
        record: Any = self._runtime.record_of("turn", str(self._turn + 1))
        return None if record is None else record.get("not_made", NOTHING)

    @contextmanager
    def _refuse_turn_answer(self, *errors: type[BaseException]) -> Iterator[None]:
        """If the block raises one of these errors, mark the recorded answer of this turn as unusable.

        The next attempt of the node then asks the model again, instead of reading the same unusable answer from the
        record.
        """
        try:
            yield
        except errors as error:
            self._runtime.refuse(error, "turn", str(self._turn))
            raise

    # Answers that are cut off.

    def _whole(self, response: Response) -> Response:
        """Join a model's answer with its earlier parts, which were cut off at `max_tokens`.

        If the model wrote nothing more, the joined answer still counts as cut off. An answer with tool calls is
        returned unchanged, because text beside tool calls is not part of the final answer. If it contains such text,
        the earlier parts are dropped.
        """
        if response.calls:
            self._cut = [] if str(response.content).strip() else self._cut
            return response
        if not self._cut or self._cut_last is None:
            return response
        texts = [*(part.text for part in self._cut), str(response.content)]
        is_nothing = response.stop == "end" and not texts[-1].strip()
        return replace(self._cut_last if is_nothing else response, content=functools.reduce(join_parts, texts))

    def _unusable(self, response: Response, model: Model, name: str = "turn") -> ModelError | None:
        """Return the error for an answer that was refused or cut off; None if the answer is complete.

        The record of an incomplete answer is marked as unusable, so that a retry asks the model again.
        """
        most = self._parts.settings.max_tokens
        is_text = has_text(response) and self._reader.schema is None and name == "turn"
        lost = unusable(response, response.model or model.name, self._agent.name, most, is_text=is_text)
        if lost is not None:
            self._runtime.refuse(lost, name, str(self._turn))
        return lost

    def _goes_on(self, response: Response) -> bool:
        """Ask the model to continue an answer that was cut off, if the agent has `on_cut="continue"`.

        Returns whether the model is asked to continue. The request is sent in the next turn.
        """
        is_text = has_text(response) and bool(self.messages[-1].text.strip())
        may_go_on = self._agent.on_cut == "continue" and is_text and response.stop == "cut"
        if not may_go_on or is_short(response, self._parts.settings.max_tokens) or len(self._cut) + 1 == MOST_PARTS:
            return False
        self._cut.append(self.messages[-1])
        self._cut_last = response
        self._go_on = utf8_text(go_on(str(response.content)))
        self.messages.append(self._build_user_message(self._go_on))
        return True

    async def _keep_best_effort(self, response: Response, lost: ModelError) -> T:
        """Let the agent's function `best_effort=` choose an answer, because the model's answer was cut off.

        The function chooses from the answers that the check refused and from the text that was cut off.

        Raises:
            ModelError: The error `lost`, because `best_effort=` is missing or chose none of the answers.
        """
        if not isinstance(lost, (AnswerCut, ContextFull)):
            raise lost
        if self._parts.best_effort is not None and self._reader.schema is None and has_text(response):
            with (
                suppress(BadAnswer),
                self._refuse_turn_answer(GuardFailed),
            ):  # the check adds an answer that it refuses to `self._refused` by itself
                self._refused.insert(0, await self._value(response))
        value = await self._best_effort(lost)
        self._runtime.answered("turn", str(self._turn), value)
        return value

    # One turn of the model.

    async def _begin_turn(self) -> None:
        """Prepare the next request to the model.

        Messages that were sent to the agent are added, a conversation that is too long is shortened, and the tools to
        offer are chosen.
        """
        self._turn += 1
        steered = await self._runtime.steered(str(self._turn))
        texts = [utf8_text(as_text(each) if given else block("message", each)) for each, given in steered]
        tags = [() if given else (tag_of(text),) for text, (_, given) in zip(texts, steered, strict=True)]
        self._steered = texts
        self.messages += [self._build_user_message(*each) for each in zip(texts, tags, strict=True)]
        await self._shorten()
        self._offered = None
        # A recorded turn contains the tools that it offered.
        is_known = self._runtime.is_recorded("turn", str(self._turn))
        if not is_known and self._turn > 1:
            await self._renew_tools()
        if not is_known and any(tool.offered is not None for tool in self._tools.values()):
            offer = functools.partial(offered_in, self._turn, self._tools, self._given, self._inputs)
            self._offered = cast("Sequence[str]", await self._runtime.blocking(offer))
        if self._live is not None:
            self._live.begin(self._turn)

    def _end_turn(self, request: Request, response: Response) -> None:
        self._feedback = self._go_on = ""
        if self._live is not None:
            self._live.end()
        message = Message(
            role="assistant",
            text=str(response.content),
            calls=response.calls,
            agent=self._agent.name,
            tokens=window.count_tokens(response, request.messages, self._estimate_fixed_tokens(request)),
            native=response.native,
            unsealed=response.unsealed,
        )
        self.messages.append(message)

    def _estimate_fixed_tokens(self, request: Request) -> int:
        """Estimate how many tokens the instructions and tools of a request use.

        The estimate is kept until the agent offers other tools.
        """
        offered = self._offered
        if self._fixed is None or self._fixed[0] != offered:
            tools = [each for each in request.tools if offered is None or each.name in offered]
            self._fixed = (offered, window.fixed_tokens(replace(request, tools=tools)))
        return self._fixed[1]

    async def _ask(
        self,
        model: Model,
        request: Request,
        name: str,
        extra: Mapping[str, JsonValue] = NOTHING,
        otherwise: Callable[[ModelError], Request | Response] | None = None,
    ) -> Response:
        """Return a model's answer: from the record if the turn was recorded, or else by calling the model.

        A new answer is recorded before it is returned.

        Args:
            model: The model.
            request: The request to the model.
            name: The name of the record: `turn` or `summary`.
            extra: More values to record with the answer.
            otherwise: Decides how to continue after a failed call: it returns another request to send, or an answer to
                record, or raises the error. Without this function the error is raised.

        Raises:
            ModelError: The model gave no answer.
        """
        await self._runtime.may_call(model)
        fresh: list[Response] = []

        async def make() -> StepResult:
            asked = request
            while True:
                try:
                    return await self._call_and_record(model, asked, extra, fresh, reserved)
                except ModelError as error:
                    if otherwise is None:
                        raise
                    found = otherwise(error)
                if isinstance(found, Response):
                    record = {**record_of(found), **extra, "failed": True}
                    return StepResult(record, len(to_json(record)))
                asked = found

        # The reservations end when the answer is recorded, because from then on its usage counts.
        async with AsyncExitStack() as reserved:
            record = await self._runtime.step_result(name, str(self._turn), make)
        if name == "turn":
            self._offered = record.get("offered", self._offered)
            self._as_before = not fresh and "reading" not in record
        return self._read_record(record, fresh[0] if fresh else response_of(record))

    def _read_record(self, record: JsonObject, response: Response) -> Response:
        """Add the usage of a recorded answer to the usage of this call of the agent, and return the answer.

        The record may contain a note that was sent to the model with the request. The note is remembered, so that the
        next turn records it again only if it has changed.
        """
        self._noted = record.get("note", self._noted)
        if "failed" not in record:
            self.usage = add_usage(self.usage, usage_of(response))
        return response

    async def _call_and_record(
        self,
        model: Model,
        request: Request,
        extra: Mapping[str, JsonValue],
        fresh: list[Response],
        reserved: AsyncExitStack,
    ) -> StepResult:
        """Call a model and return the record of its answer, which the caller has to store.

        The answer itself is appended to `fresh`. The estimated usage of the call stays reserved until `reserved` is
        closed, because the reservation must last until the caller has stored the record.
        """
        async with AsyncExitStack() as stack:
            used = await stack.enter_async_context(self._runtime.reserved(model, request))
            answered: list[Response] = []
            with self._note_lost_call(model, request, extra):
                with self._count_dropped(answered):
                    call = functools.partial(self._call_model, model, answered)
                    given = await around(self._agent.hooks, "around_model", call)(request)
                fresh.append(check_record(given, model, request.agent, self._ids()))
            await used(usage_of(fresh[0]))
            record = {**record_of(fresh[0]), **extra, **self._collect_what_is_recorded(request)}
            if at_limit(fresh[0], most := request.settings.max_tokens):
                record["at_limit"] = True
                text = (
                    "the answer of %s to agent %s is called complete, and has all of max_tokens=%s: it may be cut off"
                )
                log.warning(text, fresh[0].model or model.name, self._agent.name, most)
            if request.schema is not None and not fresh[0].calls and not is_json(str(fresh[0].content)):
                record["reading"] = _READING
            by: ModelCaller = {"agent": utf8_text(request.agent), "model": utf8_text(fresh[0].model or model.name)}
            usage = usage_of(fresh[0])
            if "feedback" in record:
                usage = add_usage(usage, {"rejected_answers": 1})
            reserved.push_async_exit(stack.pop_all())
            return StepResult(record, len(to_json(record)), usage, by)

    def _collect_what_is_recorded(self, request: Request) -> dict[str, JsonValue]:
        """Collect the values that are recorded together with the model's answer of this turn.

        These are the texts that were added before the turn, such as feedback on the previous answer, and the settings
        of the request. The first turn also records the texts with which the conversation began.
        """
        found: dict[str, JsonValue] = {}
        if self._steered:
            found["steered"] = [self._recordable(text) for text in self._steered]
        if self._not_made:
            found["not_made"] = {index: self._recordable(why) for index, why in sorted(self._not_made.items())}
        if request.note != self._noted:
            found["note"] = request.note
        if request.settings != NO_SETTINGS:
            found["settings"] = request.settings.recorded()
        if self._turn == 1:
            if self._names:
                found["names"] = {**self._names}
            found |= self._words()
        elif self._feedback:
            found["feedback"] = self._recordable(self._feedback)
        elif self._go_on:
            found["goes_on"] = self._recordable(self._go_on)
        return found

    def _words(self) -> dict[str, JsonValue]:
        """Return what the first turn records about the start of the conversation: its instructions and its question.

        A resumed run continues with these recorded texts, even if the agent would make other texts today.
        """
        question = self.messages[0]
        texts = {"system": self._system, "question": self._question}
        found: dict[str, JsonValue] = {}
        for name, text in texts.items():
            if text.text:
                found[name] = text.recorded if self._recordable(text.text) != MARK else MARK
        tags = {"tags": question.tags, "system_tags": self._system.tags}
        found |= {name: list(names) for name, names in tags.items() if names}
        if self._is_node:
            found["inputs"] = self._by_name
        if (branched := self._runtime.instructions_for(self._agent.name)) is not None:
            found["instructed"] = _hash_bytes(branched.encode())
        if question.media and found.get("question") != MARK:
            found["media"] = [one.model_dump() for one in question.media]
        return found

    def _recordable(self, text: str) -> str:
        """Return a text in the form in which it may be recorded: a mark takes the place of a text with a secret."""
        return text if self._runtime.may_record(text) else MARK

    @contextmanager
    def _note_lost_call(self, model: Model, request: Request, extra: Mapping[str, JsonValue]) -> Iterator[None]:
        """If the model call in this block fails, keep a note of the request, so that the run's history can show it.

        The note has the form of the record that a successful call would have had.
        """
        try:
            yield
        except BaseException:
            by: dict[str, JsonValue] = {"agent": utf8_text(request.agent), "model": utf8_text(model.name)}
            self._runtime.lose({**by, **extra, **self._collect_what_is_recorded(request)})
            raise

    @contextmanager
    def _count_dropped(self, answered: list[Response]) -> Iterator[None]:
        """Count the usage of answers that the model gave in the block but that the agent does not use.

        A hook may call the model several times, and the provider charges for each answer. If the block succeeds, the
        agent uses only the last answer. If the block fails, it uses none of them.
        """
        try:
            yield
        except BaseException as error:
            for lost in answered:
                self._count_failed_call(_read_response_usage(lost))
            if self._live is not None:
                self._live.reset(str(error) or type(error).__name__)
            raise
        for lost in answered[:-1]:
            self._count_failed_call(_read_response_usage(lost))

    async def _call_model(self, model: Model, answered: list[Response], request: Request) -> Response:
        """Call a model once, and outside a run repeat a call that failed for a temporary reason.

        In a run, the retry policy of the node repeats such calls.
        """
        if answered and self._live is not None:
            self._live.reset("a hook calls the model again")
        if self._agent.batch and model is self._model:
            found = await batched(self._runtime, model, request)
            if found is not None:
                answered.append(found)
                return found
        asked = request
        # A hook or a summary made this request, so it lacks the callbacks of this conversation.
        if request.on_spent != self._count_failed_call or request.waits is None:
            asked = replace(request, on_spent=self._count_failed_call, waits=self._runtime.waits)
        if self._live is not None and (asked.on_text != self._live.text or asked.on_thinking != self._live.thinking):
            # A hook has set its own callback, which has to receive each piece of text as soon as it arrives.
            asked = replace(asked, watch=None)
        for tries in count(1):
            try:
                answered.append(await limited(model, asked, beginning=_identify_cached_part(model, request)))
                return answered[-1]
            except ModelTransient as error:
                pause = self._runtime.pause_after(error, tries)
                if pause is None:
                    raise
                clock = self._runtime.waits.clock
                await clock.sleep_until(clock.now() + pause)
        raise AssertionError

    def _count_failed_call(self, usage: Usage) -> None:
        """Add the usage of a failed model call to the usage of the node's attempt and of this call of the agent.

        A failed call has no record of its own that could contain its usage.
        """
        if usage:
            self._runtime.paid(usage)
            self.usage = add_usage(self.usage, usage)

    @property
    def _is_by_rules(self) -> bool:
        return isinstance(self._model, RulesModel) and not self._model.calls_tools

    def _ids(self) -> set[str]:
        return {call.id for message in (*self._before, *self.messages) for call in message.calls}

    def _request(self) -> Request:
        agent = self._agent
        messages = without_refused(window.messages_to_send([*self._before, *self.messages], agent.window))
        note = note_of([*self._system.tags, *(tag for each in messages for tag in each.tags)])
        request = Request(
            agent=agent.name,
            system="\n\n".join(filter(None, (self._system.text, note))),
            note=note,
            messages=messages,
            schema=self._reader.schema,
            output=self._reader.name,
            tools=[each for each in self._specs if self._offered is None or each.name in self._offered],
            hosted=self._parts.hosted,
            settings=self._settings(),
            on_text=None if self._live is None else self._live.text,
            on_thinking=None if self._live is None else self._live.thinking,
            on_reset=None if self._live is None else self._live.reset,
            on_spent=self._count_failed_call,
            watch=self._live,
            waits=self._runtime.waits,
            by_rules=self._rules,
            path=self._runtime.path,
        )
        most = self._compact_from  # the provider counts the tokens of instructions and tools, too
        return request if most is None else replace(request, compact_from=most + self._estimate_fixed_tokens(request))

    def _settings(self) -> Settings:
        """Return the model settings that apply to this turn.

        A setting that forces a tool call applies only to the first turn of a call. Otherwise the model could never give
        its answer.
        """
        settings = self._parts.settings
        if self._is_last:
            settings = settings.but(tool_choice="none")
        elif self._turn > 1 and settings.tool_choice not in {None, "none"}:
            settings = settings.but(tool_choice=None)
        elif self._offered is not None:
            names = [*self._offered, *(tool.name for tool in self._parts.hosted)]
            if settings.tool_choice not in {None, "auto", "none", *names, *(["required"] if names else [])}:
                settings = settings.but(tool_choice=None)
        return settings

    # Reading answers.

    async def _read(self, content: object) -> T:
        """Convert the content of an answer to a value, and apply the guards, the output function and the check.

        Raises:
            BadAnswer: The answer does not fit; the message is sent to the model.
            GuardFailed: A guard rejects the answer.
        """
        parts, where = self._parts, f"agent {self._agent.name}"
        guards = any(guard.on == "output" for guard in parts.guards)
        if guards and isinstance(content, str) and self._reader.schema is None:
            content = await self._guard(functools.partial(check_text, parts.guards, content, "output", where=where))
        value: Any = await self._reader.read_in_loop(content, self._runtime.blocking, as_before=self._as_before)
        if guards and self._reader.schema is not None:
            watched = await self._guard(lambda: apply_to_value(parts.guards, value, where=where))
            value = value if watched is value else self._reader.again(watched)
        if self._maker is not None:
            value = await self._make_output(self._maker, value)
        await self._check(value)
        return cast("T", value)

    async def _guard(self, check: Callable[[], object]) -> object:
        """Apply guards to the answer of this turn, in a thread, because guards are sync functions.

        If a guard refuses the answer, the answer is remembered. It is removed from the messages once the agent has a
        better one; see `_leave_out_guarded`.
        """
        try:
            return await self._runtime.blocking(check)
        except BadAnswer:
            self._guarded += [*self._cut, self.messages[-1]]
            raise

    def _leave_out_guarded(self, value: T) -> None:
        """Remove what a guard refused from the messages, with the feedback about it, once there is an answer.

        Later calls of the agent read these messages, and could repeat the text that the guard refused. Of an answer
        with several tool calls, only the refused calls are removed. If all of its calls were refused, the whole answer
        is removed.
        """
        guarded = [n for n, each in enumerate(self.messages) if any(each is one for one in self._guarded)]
        places = [place for place in guarded if self.messages[place].role == "assistant"]
        results = [place for place in guarded if place not in places]
        is_last = bool(places) and places[-1] == len(self.messages) - 1
        gone = {place + after for place in places for after in (0, 1)}
        kept: dict[int, Message] = {}
        for place in results:
            asked = max(n for n, each in enumerate(self.messages[:place]) if each.role == "assistant")
            message, refused = kept.get(asked, self.messages[asked]), self.messages[place].call_id
            calls = tuple(call for call in message.calls if call.id != refused)
            # The provider's own form contains the call as well. Without this form, the message is sent in ours.
            kept[asked] = message.model_copy(update={"calls": calls, "native": None, "tokens": None})
        gone |= {*results, *(place for place, message in kept.items() if not message.calls)}
        messages = [kept.get(place, message) for place, message in enumerate(self.messages)]
        self.messages = window.without_messages(self._before, messages, gone)
        if is_last:  # the answer is one that `best_effort=` chose
            self.messages.append(Message(role="assistant", text=as_text(value), agent=self._agent.name))

    async def _make_output(self, maker: Tool, arguments: Mapping[str, object]) -> T:
        """Call the output function of `result_of(function)` with the arguments that the model wrote.

        The call is recorded, so a resumed run does not call the function again.

        Raises:
            BadAnswer: The function raised ValueError.
        """
        reader = self._parts.reader

        async def make() -> StepResult:
            given = {name: self._given[name] for name in maker.form(self._given).injected}
            call = functools.partial(maker.function, **arguments, **given)
            try:
                result: object = call() if is_async(maker.function) else await self._runtime.blocking(call)
                result = await result if inspect.isawaitable(result) else result
            except ValueError as error:
                record: dict[str, JsonValue] = {"error": utf8_text(str(error) or type(error).__name__)}
            else:
                record = {"answer": reader.recorded(result)}
            return StepResult(record, len(to_json(record)))

        record = await self._runtime.step_result(f"output {maker.name}", str(self._turn), make)
        if "error" in record:
            repair = "state in the prompt what the function requires"
            raise BadAnswer(record["error"], where=f"agent {self._agent.name}, {maker.name}", repair=repair)
        return reader.from_record(record["answer"])

    async def _check(self, value: T) -> None:
        """Call the agent's `check=` function with an answer.

        Raises:
            BadAnswer: The check raised ValueError.
            DefinitionError: The check returned a value.
        """
        check = self._parts.checker
        if check is None:
            return
        where = f"agent {self._agent.name}, {check.name}"
        try:
            found = await self._with_fields(check, value)
        except ValueError as error:
            self._refused.insert(0, value)
            repair = "state in the prompt what the check requires"
            raise BadAnswer(str(error) or type(error).__name__, where=where, repair=repair) from error
        except GraphEngineError:
            raise
        except Exception as error:
            mark_repair(error, f"fix the cause and resume the run; to refuse an answer, {check.name} raises ValueError")
            raise
        refuse_result(found, f"the check {check.name}", where)

    async def _best_effort(self, error: BadAnswer | ModelError) -> T:
        """Let `best_effort=` choose one of the answers that the check refused.

        Raises:
            BadAnswer, ModelError: The given error, because `best_effort=` is missing or chose none of the answers.
        """
        if self._parts.best_effort is not None and self._refused:
            with suppress(ValueError):
                return self._parts.reader.read(await self._with_fields(self._parts.best_effort, self._refused))
        raise error

    async def _with_fields(self, function: Injected, given: object) -> object:
        """Call the function in `check=` or `best_effort=`, and return its result.

        The first parameter of the function receives `given`, which is the answer or the answers to choose from. The
        other parameters receive the agent's inputs with the same names.
        """
        first, *others = function.parameters
        fields = {other.name: self._inputs[other.name] for other in others if other.name in self._inputs}
        call = functools.partial(function.function, **{first.name: given}, **fields)
        result: object = call() if is_async(function.function) else await self._runtime.blocking(call)
        return await result if inspect.isawaitable(result) else result

    # Tools.

    async def _open_tools(self, stack: AsyncExitStack) -> None:
        if not (self._parts.kit or self._parts.hosted):
            return
        self._given = self._runtime.given()
        for source in self._parts.kit:
            self._listed.append(None if isinstance(source, Tool) else await self._open_source(source, stack))
        await self._use_tools()
        refuse_lacking_tools(self._model, self._parts.hosted, self._agent.name)

    async def _use_tools(self) -> None:
        """Collect the agent's own tools and the tools of its sources, and give each tool a distinct name."""
        kit: list[tuple[int | None, Tool]] = []
        for place, (source, listed) in enumerate(zip(self._parts.kit, self._listed, strict=True)):
            if isinstance(source, Tool):
                kit.append((None, source))
                _warn_without_description(self._agent.name, *explain_no_description(source))
            else:
                kit += [(place, refuse_writes(tool, source)) for tool in listed or ()]
        has_source = any(each is not None for each in self._listed)
        records: Sequence[Any] = self._runtime.recorded(self._key) if has_source else ()
        known: Mapping[str, Any] = next((e["names"] for e in records if isinstance(e, dict) and "names" in e), {})
        self._tools, new_names = named_apart(kit, {**self._names, **known})
        # The names of removed tools stay reserved, so that no name passes to another tool.
        self._names = {**self._names, **new_names}
        named = [*self._tools, *(tool.name for tool in self._parts.hosted)]
        check_choice(self._parts.settings.tool_choice, named, where=f"agent {self._agent.name}")
        self._specs = [
            tool.spec(self._collect_given_values(tool).keys()) async for tool in unhurried(self._tools.values())
        ]

    async def _renew_tools(self) -> None:
        """Ask each source of tools, such as an MCP server, for its current tools at the start of a turn.

        Tools may have been added or removed since the call of the agent began. If a list of tools has changed, the
        names of all tools are chosen again.
        """
        before = self._listed
        self._listed = [
            listed if isinstance(source, Tool) or listed is None else await self._list_tools_now(source, listed)
            for source, listed in zip(self._parts.kit, before, strict=True)
        ]
        if any(now is not then for now, then in zip(self._listed, before, strict=True)):
            await self._use_tools()

    async def _list_tools_now(self, source: ToolSource, listed: Sequence[Tool]) -> Sequence[Tool]:
        if not (isinstance(source, Relists) and source.is_outdated()):
            return listed
        try:
            found = await self._runtime.opened(source, begins=False)
            return await source.current() if found is None else found
        except DefinitionError as error:  # the next call of the agent raises this error
            log.warning("agent %s keeps the tools that it knows: %s", self._agent.name, error.message)
            return listed

    def _collect_given_values(self, tool: Tool) -> Mapping[str, object]:
        return tool.given(self._given, self._inputs)

    async def _open_source(self, source: ToolSource, stack: AsyncExitStack) -> Sequence[Tool]:
        opened = await self._runtime.opened(source)
        if opened is not None:
            return opened
        stack.push_async_callback(source.close)
        return await source.open()

    async def _call_tools(self, calls: Sequence[ToolCall], refused: str) -> list[Message]:
        """Make the tool calls of one turn, at most `CALLS_AT_ONCE` in parallel, and return their results in order.

        Args:
            calls: The calls.
            refused: A text that tells the model why none of the calls is made, except calls that have already begun; ""
                if all calls may be made.
        """
        number, room, skipped = self._turn, asyncio.Semaphore(CALLS_AT_ONCE), self._read_skipped_calls()
        tasks: list[asyncio.Task[CallOutcome[Message]]] = []
        failed: list[object] = []
        self._not_made = {}

        def ended(task: asyncio.Task[CallOutcome[Message]]) -> None:
            room.release()
            if task.cancelled() or task.result().error is not None:
                failed.append(task)

        try:
            for index, call in enumerate(calls):
                beside = [self._tools.get(each.name) for each in calls[index - 1 : index + 1]]
                if tasks and any(each is not None and each.serial for each in beside):
                    await asyncio.wait(tasks)
                await room.acquire()
                if failed:
                    break
                why = self._why_not(call, (number, index), skipped, refused)
                made = functools.partial(self._call, call, (number, index), self._keys_of(call), why)
                tasks.append(asyncio.create_task(CallOutcome.of(made)))
                tasks[-1].add_done_callback(ended)
            return [(await task).result() for task in tasks]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _why_not(self, call: ToolCall, place: tuple[int, int], skipped: Mapping[str, str] | None, refused: str) -> str:
        """Return the reason why a tool call is not made; "" if the call may be made.

        A call that may be made is counted towards the limits on tool calls. A call that has begun before, or whose
        refusal is recorded, is not decided again.
        """
        number = f"{place[0]}.{place[1]}"
        if self._runtime.has_begun((f"tool {call.name}", number)):
            self._made[call.name] += 1
            return ""
        if skipped is not None:
            return skipped.get(str(place[1]), _NOT_MADE)
        return refused or self._over(call)

    def _keys_of(self, call: ToolCall) -> tuple[str, str]:
        """Return the idempotency key of a tool call, and the text that identifies the approval question about the call.

        The key is computed from the conversation, the call, and a number that distinguishes equal calls. The turn is
        not part of the key, because a model that is asked again may make the same call in another turn.
        """
        what = call_text(call.name, call.arguments)
        self._equal[what] += 1
        number = self._equal[what]
        question = question_about(self._agent.name, call)
        key = f"{call.name}:{_hash_bytes(to_json([self._key, what, number]))}"
        return key, question if number == 1 else f"{question} number {number}"

    def _over(self, call: ToolCall) -> str:
        """Check a new tool call against the limits on tool calls. Return the reason if a limit forbids the call.

        Otherwise the call is counted, and the result is "".
        """
        tool, most = self._tools.get(call.name), self._agent.max_tool_calls
        if tool is not None and tool.max_calls is not None and self._made[call.name] >= tool.max_calls:
            return f"This call was not made: the most calls of {call.name} for one answer, {tool.max_calls}, are made."
        if most is not None and self._made.total() >= most:
            return f"This call was not made: the most calls of tools for one answer, {most}, are made."
        self._made[call.name] += 1
        return ""

    async def _call(self, call: ToolCall, place: tuple[int, int], keys: tuple[str, str], refused: str) -> Message:  # noqa: C901 - in order
        offered = [*self._tools] if self._offered is None else self._offered
        record, number = f"tool {call.name}", f"{place[0]}.{place[1]}"
        tool, (key, question) = self._tools.get(call.name), keys
        if refused:
            return self._refuse(call, place, refused)
        # This also applies if the tool was changed or removed since the call was recorded.
        if self._runtime.is_recorded(record, number):
            self._runtime.pass_answers(question)
            return await self._result(call, place, tool)
        lost = ""
        if not (tool is not None and tool.is_external) and self._runtime.answered_outside((record, number)):
            tool = external_tool(name=call.name, description="It has answered.", schema={"type": "object"})
            offered = [call.name]
        if (tool is None or call.name not in offered) and self._runtime.has_begun((record, number)):
            gone = ToolOutcome(f"There is no tool {call.name!r} any more, so it was not called again.", is_error=True)
            tool, lost = _stand_in_for_tool(call.name, gone), f"{self._agent.name} has no such tool now"
        by_person = self._runtime.answered_to(question) is not None
        if tool is None or (call.name not in offered and not lost):
            return self._refuse_missing_tool(call, place, offered, by_person=by_person)
        given = {**self._collect_given_values(tool), **self._runtime.context(self._collect_writes())}
        asking = ApprovalRequest(self._agent.name, tool, call, given, question)
        decided_call = await asking.verdict(self._runtime, (record, number))
        if isinstance(decided_call, str):
            return self._refuse(call, place, decided_call)
        # A service refuses a known key with other arguments, so changed arguments need another key.
        if decided_call is not call:
            key = f"{key}:{_hash_bytes(decided_call.arguments.encode())}"
        raised: list[BaseException] = []

        async def make() -> StepResult:
            if self._live is not None:
                self._live.called(decided_call)
            with self._runtime.call(key):
                keyed = {**given, KEY_NAME: self._runtime.idempotency_key(key)}
                outcome = self._struck(
                    await self._outcome(tool, _Decided(decided_call, by_person=by_person), keyed, lost)
                )
            if self._live is not None:
                self._live.returned(decided_call, outcome.text, is_error=outcome.is_error)
            record = result_record(outcome, None if decided_call is call else decided_call.arguments)
            if "traceback" in record:
                record["traceback"] = without(str(record["traceback"]), self._keys or ())
            if outcome.error is not None:
                raised.append(outcome.error)
            return StepResult(record, len(to_json(record)), {"failed_tools": 1} if outcome.is_error else None)

        result = await self._result(call, place, tool, make)
        for error in raised:  # log after the call is recorded: recording refuses an error that contains a secret
            text = "tool %s of agent %s raised %s; the model gets the message, and the call's record has the traceback"
            log.warning(text, call.name, self._agent.name, type(error).__name__, exc_info=error)
        return result

    async def _result(
        self,
        call: ToolCall,
        place: tuple[int, int],
        tool: Tool | None,
        make: Callable[[], Awaitable[StepResult]] | None = None,
    ) -> Message:
        """Return the result of a tool call from its record, or else make the call and record its result.

        The values that the call writes to fields of the state are collected from the record.
        """
        record = await self._runtime.step_result(
            f"tool {call.name}", f"{place[0]}.{place[1]}", make or _refuse_to_call_again
        )
        writes: JsonObject = record.get("writes", {})
        found = read_writes(tool.parts if tool is not None else (), writes)
        # Fields that the tool wrote when it was called but no longer declares.
        apart = writes.keys() - {name for name, _ in found}
        self._written[place] = [*found, *((name, writes[name]) for name in apart if self._runtime.has_field(name))]
        message = result_message(call, record)
        if record.get("guarded"):
            self._guarded.append(message)
        return message

    def _struck(self, outcome: ToolOutcome) -> ToolOutcome:
        """Remove the API keys of model providers from a tool's result before it is recorded and sent to a model."""
        if self._keys is None:
            self._keys = forms_of_keys(self._model.__keys__() if isinstance(self._model, HasKeys) else ())
        text = without(outcome.text, self._keys)
        return outcome if text == outcome.text else replace(outcome, text=text)

    def _refuse_missing_tool(
        self, call: ToolCall, place: tuple[int, int], offered: Sequence[str], *, by_person: bool
    ) -> Message:
        """Return the message that tells the model that it called a tool which the agent does not offer.

        A person may already have approved or refused this call. The person's answer then has no effect, which is
        logged.
        """
        if by_person:
            text = "agent %s has no tool %s now, so a recorded answer about a call of it has no effect"
            log.warning(text, self._agent.name, call.name)
        none = f"There is no tool {call.name!r}. There are: {', '.join(offered) or 'none'}."
        return self._refuse(call, place, none)

    def _refuse(self, call: ToolCall, place: tuple[int, int], why: str) -> Message:
        """Tell the model why a tool call is not made. The reason is recorded with the next turn."""
        self._not_made[str(place[1])] = why
        return result_message(call, {"text": why, "error": True})

    def _collect_writes(self) -> dict[str, list[object]]:
        found: dict[str, list[object]] = {}
        for name, value in self.writes:
            found.setdefault(name, []).append(value)
        return found

    @property
    def writes(self) -> list[tuple[str, object]]:
        """The updates that tool calls write to the state, as pairs of field and value, in the order of the calls."""
        return [update for place in sorted(self._written) for update in self._written[place]]

    async def _once(self, tool: Tool, call: ToolCall, given: Mapping[str, object], lost: str) -> ToolOutcome:
        """Make a tool call that must not be repeated. If the call has already begun, find out how it ended instead."""
        once = once_of(tool.effect)

        async def make(key: str) -> ToolOutcome:
            try:
                own = {**given, KEY_NAME: key}
                return self._struck(await tool.call(call.arguments, own, self._runtime.blocking))
            except asyncio.CancelledError as error:
                if _is_cancelled():
                    raise
                raise RuntimeError(f"the tool {tool.name!r} was cancelled by its own code") from error

        def read(result: JsonValue) -> ToolOutcome:
            return outcome_with(tool.parts, tool.name, result)

        effect: Effecting[object] = Effecting(
            once,
            self._runtime.below,
            cast("str", given[KEY_NAME]),
            tool.name,
            # {} if the arguments no longer fit the tool.
            tool.values(call.arguments, given.keys()) if tool.mismatch(call.arguments, given) is None else {},
            make,
            read,
            outcome_in,
            given=given,
            cut_off=lambda outcome: outcome.cut_off if isinstance(outcome, ToolOutcome) else None,
            may_wait=once is None,
            lost=lost,
            is_async=is_async(tool.function),
        )
        # A result may also come from `reconcile=`; it is treated as a result of the function.
        found = await self._runtime.once(effect)
        return found if isinstance(found, ToolOutcome) else outcome_with(tool.parts, tool.name, found)

    async def _allow_call(
        self, tool: Tool, call: ToolCall, given: Mapping[str, object], decided: _Decided
    ) -> ToolCall | str:
        """Decide whether a tool call is made after hooks may have changed its arguments.

        Returns the call to make, or a text that tells the model why the call is not made. If a hook changed the
        arguments, the approval rule of the tool is applied again, to the changed call.
        """
        if call_text("", call.arguments) == call_text("", decided.call.arguments):
            return call
        why = "a hook has changed what was approved" if decided.by_person else ""
        asking = ApprovalRequest(self._agent.name, tool, call, given, question_about(self._agent.name, call), why)
        return await asking.verdict(self._runtime, ("", ""))

    async def _outcome(self, tool: Tool, decided: _Decided, given: Mapping[str, object], lost: str) -> ToolOutcome:
        """Make a tool call through the agent's guards and hooks, and return its outcome.

        If the call began before a crash and must not be repeated, it stays protected against repetition, even if the
        tool was changed or removed since then. If the tool's own code was cancelled, the call has failed.
        """
        known = known_result(self._runtime.effects, call_text(tool.name, decided.call.arguments))
        if known is not UNSET:
            return outcome_in(cast("JsonObject", known))
        own_key = cast("str", given[KEY_NAME])
        has_begun = bool(lost) or self._runtime.concerns(own_key, "")
        replacement = self._runtime.acting("once" if has_begun else tool.effect, tool.name, f"agent {self._agent.name}")
        if replacement is not None:
            tool = replace(tool, function=replacement, effect="idempotent")
        is_effect = once_of(tool.effect) is not None or (
            replacement is None and (has_begun or self._runtime.concerns(own_key, tool.name))
        )

        called: list[ToolCall] = []
        call = decided.call

        async def made(call: ToolCall) -> ToolOutcome:
            called.append(call)
            allowed = call if has_begun else await self._allow_call(tool, call, given, decided)
            if isinstance(allowed, str):
                return ToolOutcome(allowed, is_error=True)
            call = allowed
            if not is_effect:
                with await self._runtime.acting_in(tool.effect, tool.function):
                    return await tool.call(call.arguments, given, self._runtime.blocking)
            await repair_first(call.arguments, self._runtime.blocking)
            unfit = None if has_begun else tool.mismatch(call.arguments, given)
            return unfit if unfit is not None else await self._once(tool, call, given, lost)

        try:
            outcome = await around((*self._parts.guards, *self._agent.hooks), "around_tool", made)(call)
            # A hook cannot undo a call that has begun. It can only prevent the call from beginning a second time.
            if has_begun and not called:
                return await self._once(_stand_in_for_tool(tool.name, outcome), call, given, lost)
            return outcome  # noqa: TRY300 - in order
        except asyncio.CancelledError as error:
            if _is_cancelled():
                raise
            text = f"{type(error).__name__}: {error}".rstrip(": ")
            if tool.on_error == "raise":
                raise RuntimeError(f"the tool {tool.name!r} was cancelled by its own code: {text}") from error
            return ToolOutcome(text, is_error=True, error=error)

    # The context window.

    @property
    def _compact_from(self) -> int | None:
        """The number of tokens above which the model's provider shortens the conversation itself.

        None if the agent does not use this feature of its provider, or if the provider does not offer it.
        """
        limit = self._agent.window
        if limit is None or not limit.native or not isinstance(self._model, Compacts):
            return None
        return limit.max_tokens if self._model.compacts(limit.max_tokens) else None

    async def _ask_for_answer(self, offered: Mapping[str, JsonValue]) -> tuple[Request, Response]:
        """Ask the model for the answer of a turn.

        If the conversation exceeds the model's context window, shorten the conversation and ask once more.
        """
        request = self._request()
        try:
            return request, await self._ask(self._model, request, "turn", offered)
        except ContextFull as error:
            if not await self._shorten(is_full=True):
                raise
            text = "the model has no room for the conversation of agent %s, which is shortened, and asked again: %s"
            log.warning(text, self._agent.name, RunText(error.message))
        request = self._request()
        return request, await self._ask(self._model, request, "turn", offered)

    async def _shorten(self, *, is_full: bool = False) -> bool:
        """Replace older messages by a summary if the conversation is too long.

        If a summary was recorded in this turn, the recorded summary is used.

        Args:
            is_full: Whether the model reported that the conversation exceeds its context window, although the agent's
                `window=` allows its size.

        Returns:
            Whether the conversation is shorter now.
        """
        limit, turn = self._agent.window, str(self._turn)
        messages = [*self._before, *self.messages]
        record: Any = self._runtime.record_of("summary", turn)
        if record is not None:
            if is_full:
                return False
            record = await self._runtime.step_result("summary", turn, _refuse_to_call_again)
            response, covers = self._read_record(record, response_of(record)), record["covers"]
        else:
            is_done = not is_full and (self._compact_from is not None or self._runtime.is_recorded("turn", turn))
            if limit is not None and is_full:
                limit = replace(limit, max_tokens=max(1, min(limit.max_tokens, window.size(messages, limit)[0]) // 2))
            covers = None if limit is None or is_done else window.cut(messages, limit)
            if limit is None or covers is None:
                return False
            response = await self._summarise(limit, messages, covers)
        self.messages.append(window.with_summary(response, window.to_summarise(messages, covers), covers, limit))
        return True

    async def _summarise(self, limit: window.Window, messages: Sequence[Message], covers: int) -> Response:
        """Ask a model to summarise the first `covers` messages.

        If the messages are too long for the model, it is asked for a summary of the newer ones. If the model gives no
        summary at all, the result is an answer without text that contains the reason, and the conversation continues
        without these messages. Only errors that a retry may avoid, such as a timeout, are raised.
        """
        model = (
            self._model if limit.model is None else self._runtime.model_for(f"{self._agent.name} summary", limit.model)
        )
        tokens, is_estimate = window.size(messages, limit)
        extra: dict[str, JsonValue] = {"context_tokens": tokens, "estimated": is_estimate, "covers": covers}
        of_server = {name: getattr(self._parts.settings, name) for name in ("service_tier", "headers", "extra")}
        settings = Settings(**of_server) if limit.model is None else NO_SETTINGS
        replaced = window.messages_to_send(window.to_summarise(messages, covers), limit)
        shares = iter(window.SHARES)

        def ask() -> Request:
            text = window.summary_request_text(window.newest(replaced, next(shares)))
            asked = self._build_user_message(text, ["conversation"])
            note = note_of(asked.tags)
            return Request(self._agent.name, note, [asked], settings=settings, note=note, path=self._runtime.path)

        def otherwise(error: ModelError) -> Request | Response:
            if isinstance(error, (ModelTransient, ModelNotReady)):
                raise error
            is_full = isinstance(error, ContextFull)
            if is_full:
                with suppress(StopIteration):
                    return ask()
            text = "older messages of a conversation of agent %s are left out, as they have no summary: %s"
            log.warning(text, self._agent.name, RunText(error.message))
            why = self._recordable(utf8_text(error.message))
            return Response("", stop="full" if is_full else "refused", why=why)

        return await self._ask(model, ask(), "summary", extra, otherwise)

    def _now(self) -> OpeningTexts:
        """Return the instructions and question that the agent would use today, to compare them with recorded texts.

        No user function is called. A text that a function makes, or that a guard may change, is therefore None.
        """
        agent, inputs = self._agent, self._inputs
        given = self._runtime.given_by_callers(agent, inputs)
        branched = self._runtime.instructions_for(agent.name)
        system = agent.system if branched is None else branched
        question = None
        is_guarded = any(guard.on == "input" for guard in self._parts.guards)
        if not is_guarded and isinstance(agent.prompt, str) and agent.prompt:
            question = fill_prompt(agent.prompt, inputs, [], given)
        return OpeningTexts(fill_prompt(system, inputs, given=given) if isinstance(system, str) else None, question)

    def _load_begun_words(self) -> OpeningTexts:
        """Return the recorded instructions and question with which this conversation began, before a crash or wait.

        A text that contained a secret was not recorded. It is None here, so that the text is made again.
        """
        record: Any = self._runtime.begun(self._key)
        if record is None:
            return OpeningTexts()
        lost = [name for name in ("system", "question") if record.get(name) == MARK]
        if lost:
            text = "%s of agent %s had a secret when its conversation began, so it goes on with what it is now"
            log.warning(text, " and ".join(lost), self._agent.name)
        words = {
            name: None if name in lost else Filled(text_in(record.get(name, "")), tuple(record.get(tags, ())))
            for name, tags in (("system", "system_tags"), ("question", "tags"))
        }
        media = tuple(Media.model_validate(one) for one in record.get("media", ()))
        opening = OpeningTexts(words["system"], words["question"], media)
        if differ := differing(opening, self._now()):
            text = "a conversation of agent %s goes on with its recorded words; %s of now count from the next one on"
            log.info(text, self._agent.name, " and ".join(differ))
        return opening


async def _refuse_to_call_again() -> StepResult:
    message = "a call that is recorded is not made"
    raise AssertionError(message)


def _stand_in_for_tool(name: str, outcome: ToolOutcome) -> Tool:
    """Make a substitute for a tool that the agent no longer has, although a model's call of the tool had already begun.

    A call of the substitute does nothing and returns `outcome`, so that the recorded call can be completed.
    """

    def answer(arguments: dict[str, object]) -> ToolOutcome:
        del arguments
        return outcome

    return Tool(answer, name=name, description="It cannot be called.", schema={"type": "object"})


def differing(begun: OpeningTexts, now: OpeningTexts) -> list[str]:
    """List the texts of a conversation that the agent would make differently today than when the conversation began.

    The list may contain `instructions` and `prompt`. A text that is unknown, then or today, is not compared.
    """
    pairs = (("instructions", begun.system, now.system), ("prompt", begun.question, now.question))
    return [name for name, then, today in pairs if then and today and then.text != utf8_text(today.text)]


def _utf8(text: Filled | None) -> Filled:
    return Filled("") if text is None else text._replace(text=utf8_text(text.text))


def _identify_cached_part(model: Model, request: Request) -> str:
    """Return a digest of the instructions and tools of a request, which the provider caches; "" if nothing is cached.

    Calls in parallel that have the same digest wait until the first of them has filled the provider's cache.
    """
    if not request.settings.cache:
        return ""
    tools = [*((tool.name, tool.schema) for tool in request.tools), *(tool.recorded() for tool in request.hosted)]
    beginning = to_json([model.name, request.system, tools])
    return _hash_bytes(beginning) if len(beginning) >= _CACHED_CHARACTERS else ""


def _read_response_usage(response: object) -> Usage:
    return usage_of(response) if isinstance(response, Response) else {}


def _is_cancelled() -> bool:
    """Return whether the running asyncio task itself is being cancelled.

    If it is not, but a tool's code raised CancelledError, the tool's code raised this error itself.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _hash_bytes(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=9).hexdigest()


@functools.lru_cache(1000)
def _warn_without_description(agent: str, text: str, repair: str) -> None:
    if text:
        log.warning("tool_without_description: agent %s: %s; %s", agent, text, repair)
