"""Conversations with an agent. Each conversation is one run, which waits for the next message between two turns.

The graph of a conversation keeps the current turn in the field `turn` of its state. Code that wants to know what
happened to a message reads this field. A turn proceeds like this:

1. The node `listen` receives a message. It writes the key of the message, and the agent that answers it: the agent that
   spoke last.
2. The node `reply` calls the first agent. It writes the answer and marks the turn as answered. If the agent hands over,
   it writes the name of the other agent instead, and an edge leads to the node of that agent. If the agent fails for
   good, the node `unanswered` writes the failure into the turn.
3. A temporary failure, such as an overloaded provider or a missing key, fails the run, and so does a crash. The next
   message resumes the run, which answers the old message first.

A turn that failed for good, including its message, is left out of the messages that the model sees next. Otherwise a
question that is refused or unreadable would make every later turn fail, too.
"""

from __future__ import annotations

import re
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, make_dataclass
from functools import partial
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    Optional,
    Protocol,
    TypeAlias,
    TypeVar,
    Union,
    cast,
    get_args,
)
from uuid import uuid4

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

from graphengine.agents.agent import graphs_of, reads_of
from graphengine.agents.approval import BY_MESSAGE
from graphengine.agents.call_inputs import ANSWER
from graphengine.agents.hand_overs import HandedOver, hand_over_to
from graphengine.agents.live_events import AGENT_EVENTS
from graphengine.agents.runs import AgentCall, identifying_fields
from graphengine.agents.speakers import speakers_of, targets_of
from graphengine.agents.tools import ToolsUnavailable
from graphengine.agents.window import effective
from graphengine.errors import (
    DefinitionError,
    GraphEngineError,
    InputError,
    InvalidUpdate,
    ResourceFailed,
    RunCancelled,
    Transient,
)
from graphengine.kernel.extension import (
    END,
    START,
    GraphDefinition,
    Limits,
    OwnId,
    StepRecorded,
    compiled,
    derive_id,
    failed,
    value,
)
from graphengine.kernel.inside import FINAL, model_of, opened, parse, values_of
from graphengine.kernel.reader import Message as Sent
from graphengine.kernel.reader import load_snapshot
from graphengine.models.base import Message
from graphengine.models.errors import AnswerCut, AnswerRefused, ModelNotReady
from graphengine.records.now import answer_all
from graphengine.reducers import Replace, extend

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Mapping, Sequence

    from pydantic.fields import FieldInfo

    from graphengine.agents.agent import Agent
    from graphengine.agents.live_events import AgentEvent
    from graphengine.kernel.extension import Context, Event, Failure, Plan, Run, StateType
    from graphengine.kernel.reader import Snapshot, Step
    from graphengine.kernel.store import Store

Outcome: TypeAlias = Literal["answered", "failed", "refused", "cut", "cancelled"]
G = TypeVar("G", bound=GraphDefinition[Any])
T = TypeVar("T")

TURN: Final = "turn"
"""The state's field with the current or last turn, and the topic to which messages of the conversation are sent."""
_MESSAGES: Final = "messages"
"""The field that keeps the conversation if the agent does not name a field."""
_PASS: Final = (Transient, ModelNotReady, ToolsUnavailable, ResourceFailed, ConnectionError, TimeoutError)
"""Temporary failures that another message would meet, too. They are not recorded as the outcome of a turn."""
_OUTCOMES: Final[Mapping[str, Outcome]] = {AnswerRefused.code: "refused", AnswerCut.code: "cut"}


class Given(TypedDict):
    """A message of a conversation: its key, and the inputs of the agent as records, by name."""

    id: str
    given: dict[str, Any]


class ChatTurn(BaseModel):
    """The state of one message of a conversation, kept in the field `turn` of the run's state.

    Attributes:
        key: The key of the message.
        agent: The agent that answers.
        hops: How many times the message was handed over.
        remembered: The number of messages in the conversation when this message arrived; None if no agent of the
            conversation can hand over.
        outcome: How the turn ended; None while the message is being answered. `refused` and `cut` describe the model's
            answer, `failed` is any other permanent failure, and `cancelled` means that the conversation ended before
            the message was answered.
        code: The code of the failure; "" if the message was answered.
        why: The message of the failure.
        repair: What can be done about the failure.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    agent: str
    hops: int = 0
    remembered: int | None = None
    outcome: Outcome | None = None
    code: str = ""
    why: str = ""
    repair: str = ""

    @property
    def has_failed(self) -> bool:
        """Whether the message was not answered, and will not be answered any more."""
        return self.outcome not in (None, "answered")

    def failed_with(self, error: Failure) -> ChatTurn:
        """Return a copy of the turn that ends with a permanent failure."""
        ended = {"outcome": _OUTCOMES.get(error.kind, "failed"), "code": error.kind}
        return self.model_copy(update={**ended, "why": error.message, "repair": error.repair})


class TurnFailed(GraphEngineError):
    """A message of a conversation got no answer, because its turn failed for good.

    The conversation continues with the next message.

    Attributes:
        run_id: The run of the conversation.
        turn: The record of the turn: its key, outcome and code.
    """

    code = "turn_failed"

    def __init__(self, run_id: str, turn: ChatTurn) -> None:
        self.run_id, self.turn = run_id, turn
        super().__init__(
            f"a message of run {run_id!r} was not answered: {turn.code}: {turn.why}",
            where=f"agent {turn.agent}",
            repair=turn.repair or f"run `graphengine show {run_id}` to see what happened, then send another message",
        )


def chat_of_agent(agent: Agent[Any, Any], alone: G) -> G:
    """Return the graph of a conversation with an agent, which waits for a message, replies, and waits again.

    The message `null` ends the conversation. A message that does not fit, which can only be sent with `Runner.send`, is
    dropped. If the agent reads a field that a tool writes, the field keeps the tool's value until a message gives
    another value.

    Args:
        agent: The agent.
        alone: The graph that runs the agent once. The graph of the conversation has the same class.

    Raises:
        DefinitionError: The agent reads `turn`, or hands over to an unknown agent.
    """
    talk, speakers = agent.messages or _MESSAGES, speakers_of(agent)
    before = compiled(alone).state
    if TURN in before.fields:
        text = f"agent {agent.name!r} reads an input {TURN!r}, and a conversation has a field of this name of its own"
        raise DefinitionError(text, where=f"agent {agent.name}", repair="give the input another name")
    read = {parse(each.name).root for each in reads_of(agent)}
    read |= set() if agent.inputs is None else model_of(agent.inputs).model_fields.keys()
    parts = _find_tool_fields(speakers)
    written = {name: kind for name, kind in parts.items() if name not in read}
    inputs = [name for name in before.fields if name not in (ANSWER, agent.messages, *written)]
    fields = _fields_of(speakers, before, inputs, written, talk)

    async def heard(ctx: Context, messages: Sequence[Message], last: ChatTurn | None) -> dict[str, object]:
        message = await ctx.receive(TURN, Given | None)
        if message is None:
            return {TURN: None}
        speaker = last.agent if last is not None and last.agent in speakers else agent.name
        new_inputs, new_turn = values_of(before.rebuild(message["given"])), ChatTurn(key=message["id"], agent=speaker)
        found: dict[str, object] = {
            TURN: new_turn,
            **{name: new_inputs.get(name) for name in inputs if name not in parts},
        }
        for name in [name for name in inputs if name in parts and name in message["given"]]:
            found[name] = new_inputs[name] if before.fields[name].reducer is None else Replace(new_inputs[name])
        left = messages
        if any(each.role == "summary" for each in messages[1:]):
            left = effective(messages)  # the summary, and the messages that it does not replace
            found[talk] = Replace(left)
        if len(speakers) > 1:
            found[TURN] = new_turn.model_copy(update={"remembered": len(left)})
        return found

    async def listen(ctx: Context, messages: Sequence[Message] = ()) -> dict[str, object]:
        return await heard(ctx, messages, None)

    async def listen_on(
        ctx: Context, messages: Sequence[Message] = (), turn: ChatTurn | None = None
    ) -> dict[str, object]:
        return await heard(ctx, messages, turn)

    graph = type(alone)(
        f"{agent.name}-chat",
        make_dataclass(agent.name, fields, kw_only=True),
        limits=Limits(visits=None),
        result=ANSWER,
        resources=alone.resources,
    )
    hands = len(speakers) > 1
    seen = {"messages": talk} if hands or any(each.window is not None for each in speakers.values()) else {}
    graph.add_node("listen", listen_on if hands else listen, inputs=seen, writes=[TURN, *inputs, talk])
    _add_speakers(graph, speakers, talk, inputs)
    return graph


def _fields_of(
    speakers: Mapping[str, Agent[Any, Any]],
    before: StateType[Any],
    inputs: Collection[str],
    written: Mapping[str, object],
    talk: str,
) -> list[tuple[str, Any, Any]]:
    """List the fields of the state of a conversation's graph.

    These are the agent's inputs, the fields that tools write, the turn, the messages and the answer.
    """
    outputs, infos = tuple(each.output for each in speakers.values()), before.model.model_fields
    parts = _find_tool_fields(speakers)
    return [
        *(_define_field(name, infos[name], before.fields[name].reducer) for name in inputs if name in parts),
        *(_optional(name, infos[name]) for name in inputs if name not in parts),
        *((name, Optional[cast("Any", kind)], field(default=None)) for name, kind in written.items()),  # noqa: UP045 - of a value
        (TURN, Optional[ChatTurn], field(default=None)),  # noqa: UP045 - of a value
        (talk, Annotated[list[Message], extend], field(default_factory=list)),
        (ANSWER, Optional[cast("Any", Union[outputs])], field(default=None)),  # noqa: UP007, UP045 - of values
    ]


def _find_tool_fields(speakers: Mapping[str, Agent[Any, Any]]) -> dict[str, object]:
    """Return the fields of the state that the tools of these agents write, with the types of their values."""
    return {name: kind for each in speakers.values() for _, name, kind in each.__body__().also_writes}


def _optional(name: str, info: FieldInfo) -> tuple[str, Any, Any]:
    """Define a field for an input of the agent. The field is None before the first message."""
    return name, Optional[cast("Any", info.rebuild_annotation())], field(default=None)  # noqa: UP045 - of a value


def _define_field(name: str, info: FieldInfo, reducer: object) -> tuple[str, Any, Any]:
    """Define the field of a conversation's state for an input of the agent that the agent's tools also write.

    The field has the default and the reducer of the input. Without a default, the field is None before the first
    message.
    """
    if not info.is_required():
        make = partial(info.get_default, call_default_factory=True, validated_data={})
        return name, info.rebuild_annotation(), field(default_factory=make)
    _, kind, default = _optional(name, info)
    return name, kind if reducer is None else Annotated[kind, reducer], default


def _has_ended(turn: ChatTurn | None) -> bool:
    return turn is None


def _answered(turn: ChatTurn) -> ChatTurn:
    return turn.model_copy(update={"outcome": "answered"})


def _answer_of(result: object) -> object:
    return None if isinstance(result, HandedOver) else result


def _answered_or_handed_over(turn: ChatTurn, result: object) -> ChatTurn:
    if not isinstance(result, HandedOver):
        return _answered(turn)
    return turn.model_copy(update={"agent": result.to, "hops": turn.hops + 1})


def _fail_turn(turn: ChatTurn, error: Failure) -> dict[str, object]:
    return {TURN: turn.failed_with(error), ANSWER: None}


def _add_speakers(
    graph: GraphDefinition[Any], speakers: Mapping[str, Agent[Any, Any]], talk: str, inputs: Sequence[str]
) -> None:
    """Add a node for each agent of a conversation to its graph, and the edges between these nodes.

    The node of the first agent is called `reply`.
    """
    nodes = {name: "reply" if number == 0 else _name_speakers_node(name) for number, name in enumerate(speakers)}
    hand_overs = {name: hand_over_to(name, each.system, f"{TURN}.hops") for name, each in speakers.items()}
    for name, each in speakers.items():
        tools = [hand_overs[other] for other in targets_of(each)]
        speaker = each if each.messages == talk else each.but(messages=talk)
        if tools:
            speaker = speaker.but(tools=[*each.tools, *tools], hand_to=())
        # The names of these functions are part of the spec of the graph, and therefore of its fingerprint.
        writes: Any = {ANSWER: ".", TURN: _answered}
        if tools:
            writes = {ANSWER: _answer_of, TURN: _answered_or_handed_over}
        given = None if each.prompt else {name: name for name in inputs}
        graph.add_node(nodes[name], speaker, inputs=given, writes=writes)
    if len(speakers) > 1:

        def forgotten(turn: ChatTurn, messages: Sequence[Message], error: Failure) -> dict[str, object]:
            kept = messages[: turn.remembered]  # leaves out messages of the agents that handed this message over
            return _fail_turn(turn, error) | ({} if len(kept) == len(messages) else {talk: Replace(kept)})

        graph.add_node("unanswered", forgotten, inputs={"messages": talk}, writes=[TURN, ANSWER, talk])
    else:
        graph.add_node("unanswered", _fail_turn, writes=[TURN, ANSWER])
    is_final = failed(BaseException) & ~failed(*_PASS)
    graph.add_edge(START, "listen")
    graph.add_edge("listen", "listen", when=failed(InvalidUpdate), label="no message")
    graph.add_edge("listen", END, when=_has_ended, label="ended")
    for name in [*speakers][1:]:
        graph.add_edge("listen", nodes[name], when=value(f"{TURN}.agent") == name, label=f"{name} speaks")
    graph.add_edge("listen", "reply")
    for name, each in speakers.items():
        graph.add_edge(nodes[name], "unanswered", when=is_final, label="no answer")
        for other in targets_of(each):
            graph.add_edge(nodes[name], nodes[other], when=value(f"{TURN}.agent") == other, label="hands over")
        graph.add_edge(nodes[name], "listen")
    graph.add_edge("unanswered", "listen")


def _name_speakers_node(name: str) -> str:
    """Return the name of the node that runs an agent to which other agents hand over."""
    found = re.sub(r"\W+", "_", name)
    return f"{found}_agent" if not found.isidentifier() or found in ("listen", "reply", "unanswered") else found


@dataclass(frozen=True, slots=True)
class ConversationCall(AgentCall[T]):
    """A call of `runner.run(agent, …, chat=…)`, which sends a message to a conversation and returns its answer.

    The option `chat` is the key of the conversation, and `idempotency_key` is the key of the message.
    """

    async def answer(self) -> T:
        async with aclosing(self._events(live=False)) as events:
            *_, found = [event async for event in events]
            return cast("T", found)

    def events(self) -> AsyncGenerator[AgentEvent | T, None]:
        """Send the message, and yield the agent's live events while it answers, followed by the answer."""
        return self._events(live=True)

    async def _events(self, *, live: bool) -> AsyncGenerator[AgentEvent | T, None]:
        alone, graph, limits = self.graph(), self._chat(), self.options.get("limits")
        run_id = derive_id("chat", str(self.options["chat"]))
        known = next(iter(await self.runner.store.infos([run_id])), None)
        cursor, current = known.cursor if known is not None else 0, None
        if known is not None and (known.summary is None or known.summary.kind != "receive"):
            # The message that this call sends may already be in progress, interrupted by a crash or waiting for a
            # person.
            current = turn_in(await self.runner.state_at(run_id))
        if known is not None and known.status == "stopped" and limits is not None:
            self.runner.resume(run_id, graph, limits=limits)
        turn, passed, given = self.options.get("idempotency_key", ""), None, None
        is_sent = bool(self.inputs) or (self.agent.prompt and not reads_of(self.agent))
        if is_sent:
            turn = turn or str(uuid4())
            if known is not None and known.status == "waiting" and current is not None:
                await refuse_before(self.runner, run_id, turn)
            given, passed = self._message(compiled(alone).state)
            # Check before the run is driven, because its text is shown live.
            if current is not None and current.key == turn:
                await check_not_another(self.runner, run_id, turn, passed)
        # A message with a known key gets the answer that was recorded for it.
        if known is not None and known.status in FINAL:
            run = self.runner.get(run_id, graph)
        elif is_sent:
            run = await self.runner.start_or_send(
                graph,
                OwnId(run_id),
                TURN,
                {"id": turn, "given": given},
                idempotency_key=turn,
                limits=limits,
                tags=self.options.get("tags", ()),
            )
        elif known is None:
            text = (
                f"the conversation {self.options['chat']!r} has not started, and the call has no message for the agent"
            )
            repair = "give the first message of the conversation, or the chat= of a conversation that has started"
            raise InputError(text, where=f"agent {self.agent.name}", repair=repair)
        else:
            run = await self.runner.drive(run_id, graph)
        is_our_turn = not turn or (current is not None and current.key == turn)
        followed = run.events(after=cursor, live=live)
        async with aclosing(self._follow_turn(run, followed, turn, is_our_turn=is_our_turn, passed=passed)) as events:
            async for event in events:
                yield event

    def _message(self, state: StateType[Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return the inputs that are sent with the message, and those of them by which a repeated call is recognised.

        Fields that the agent's tools write are only sent if the caller gave a value for them.

        Raises:
            InputError: The inputs do not fit.
        """
        begins = state.initial(self.inputs, f"agent {self.agent.name}")
        kept = _find_tool_fields(speakers_of(self.agent)).keys() - {*begins.given}
        given = opened({name: record for name, record in begins.values.items() if name not in kept})
        return given, {name: given[name] for name in identifying_fields(state, begins) if name in given}

    async def _follow_turn(
        self,
        run: Run[Any],
        followed: AsyncGenerator[Event, None],
        turn: str,
        *,
        is_our_turn: bool,
        passed: Mapping[str, Any] | None,
    ) -> AsyncGenerator[AgentEvent | T, None]:
        """Yield the live events of a turn, and then its answer. An empty `turn` stands for the newest turn.

        The answer is yielded only when the run has gone on to wait, or to answer the next message. A caller may
        therefore close the Runner right afterwards without interrupting this turn.
        """
        ended = None
        async with aclosing(followed) as events:
            async for event in events:
                if isinstance(event, StepRecorded):
                    now = turn_of(event.step)
                    if now is not None:
                        if ended is not None:
                            break
                        is_our_turn = turn in ("", now.key)
                        ended = event.step if is_our_turn and now.outcome else None
                elif is_our_turn and ended is None and isinstance(event, AGENT_EVENTS):
                    yield event
        if ended is None and passed is not None:
            await check_not_another(self.runner, run.id, turn, passed)
        yield self._read(run, ended) if ended is not None else await self._load_answer(run, turn)

    async def _load_answer(self, run: Run[Any], turn: str) -> T:
        """Return the answer of a turn that was over before this call began to follow the conversation.

        Raises:
            TurnFailed: The turn failed for good, or the conversation ended before the turn.
            RunWaits: The turn waits for a person, or for another turn that waits for a person.
            InputError: The outcome of the turn is no longer recorded.
            DefinitionError: The run was stopped or released.
        """
        result = await run.result()
        newest: ChatTurn | None = result.state.turn
        is_newest = newest is not None and turn in ("", newest.key)
        for step in await run.history() if turn and not is_newest else ():
            found = turn_of(step)
            if found is not None and found.outcome and found.key == turn:
                return self._read(run, step)
        if newest is not None and is_newest and newest.has_failed:
            raise TurnFailed(run.id, newest)
        if (newest is not None and is_newest and newest.outcome) or (result.status == "finished" and not turn):
            return cast("T", result.state.answer)
        if result.status in FINAL:
            is_cancelled, repair = result.status == "cancelled", "begin another conversation, with another chat="
            code, how = (RunCancelled.code, "was cancelled") if is_cancelled else ("chat_ended", "ended")
            ended = ChatTurn(key=turn, agent=self.agent.name, outcome="cancelled", code=code)
            why = f"the conversation {how} before the message was answered"
            raise TurnFailed(run.id, ended.model_copy(update={"why": why, "repair": repair}))
        rests = result.waits and all(wait.kind == "receive" for wait in result.waits)
        if rests and not any(isinstance(each, dict) and each["id"] == turn for each in await run.unread(TURN)):
            text, repair = f"run {run.id!r} has no record of the message {turn!r}", "send the message again"
            raise InputError(text, where=f"agent {self.agent.name}", repair=repair)
        again = f"runner.run(agent, chat={self.options['chat']!r}"
        again += ")" if is_newest else f", idempotency_key={turn!r})"
        raise self.no_answer(result, again, queued=not is_newest)

    def _read(self, run: Run[Any], step: Step) -> T:
        """Return the answer of a message that a step of the conversation's run records.

        Raises:
            TurnFailed: The turn ended without an answer.
        """
        turn = turn_of(step)
        if turn is not None and turn.has_failed:
            raise TurnFailed(run.id, turn)
        answer = compiled(self._chat()).state.rebuild({ANSWER: _read_update(step)[ANSWER]})
        return cast("T", answer.answer)

    def _chat(self) -> GraphDefinition[Any]:
        """Return the graph that runs conversations with this agent.

        The graph is built once for each set of the Runner's resources and then cached.
        """
        made, key = graphs_of(self.agent), ("chat", self.resources)
        if key not in made:
            made[key] = chat_of_agent(self.agent, self.graph())
        return made[key]


class Answers(Protocol):
    """The part of a Runner that the functions for conversations need.

    The functions accept any object with these methods, so a caller may pass an object that can do less than a Runner.
    """

    @property
    def store(self) -> Store: ...

    async def history(self, run_id: str) -> Sequence[Step]: ...

    async def answer(self, run_id: str, value: object, *, wait: str) -> object: ...

    def watch(self, run_id: str, /, *, after: int, wait_out: bool, live: bool) -> AsyncGenerator[object, None]: ...


async def refuse_before(runner: Answers, run_id: str, key: str, now: Snapshot | None = None) -> None:
    """Refuse the tool calls that wait for a person's approval, before a new message is sent to their conversation.

    Only calls whose tool has `Approval(refused_by_message=True)` are refused. If a message with this key was sent
    before, no call is refused, because the calls may be the result of that message.

    Args:
        runner: The Runner of the conversation.
        run_id: The run of the conversation.
        key: The key of the new message.
        now: The state of the run, if the caller has just loaded it.
    """
    snapshot = now if now is not None else await load_snapshot(runner.store, run_id, None)
    waits = [wait for frame in snapshot.frames.values() for wait in frame.waits.values()]
    refused = {wait.id: wait.schema[BY_MESSAGE] for wait in waits if wait.schema and BY_MESSAGE in wait.schema}
    if not refused or await _load_sent_message(runner, run_id, key) is not None:
        return

    async def answer(wait: str, value: object) -> None:
        await runner.answer(run_id, value, wait=wait)

    async def until_rest(seq: int) -> None:
        # An error of the run's life, such as another process being faster, is no concern here: the run continues.
        with suppress(GraphEngineError):
            async with aclosing(runner.watch(run_id, after=seq, wait_out=False, live=False)) as events:
                async for _ in events:
                    pass

    await answer_all(runner.store, run_id, refused, answer, until_rest)


async def check_not_another(runner: Answers, run_id: str, key: str, passed: Mapping[str, Any]) -> None:
    """Check that a message equals the message that was sent earlier with the same key, if there is one.

    Raises:
        InputError: The messages differ, so the new message would get the answer to the earlier message.
    """
    before = await _load_sent_message(runner, run_id, key)
    if before is not None and any(before["given"].get(name) != record for name, record in passed.items()):
        text = f"a message with other content was already sent to run {run_id!r} with the key {key!r}"
        repair = "give each message a different idempotency_key=, also an edited message that is sent again"
        raise InputError(text, where=f"run {run_id}", repair=repair)


async def _load_sent_message(runner: Answers, run_id: str, key: str) -> Mapping[str, Any] | None:
    """Return the message of a conversation that was sent with this key; None if there was no such message."""
    sent = [step.data.payload for step in await runner.history(run_id) if isinstance(step.data, Sent)]
    # The inbox also contains stops and answers, whose payload may be any value.
    posted = await runner.store.inbox([run_id])
    sent += [each.payload.get("payload") for each in posted if each.kind == "message"]
    return next((each for each in sent if isinstance(each, dict) and each.get("id") == key), None)


def is_chat(plan: Plan[Any]) -> bool:
    """Return whether a graph runs a conversation: its state has a field `turn` that holds a `ChatTurn`."""
    field = plan.state.fields.get(TURN)
    return field is not None and ChatTurn in get_args(field.info.annotation)


def turn_in(values: Mapping[str, Any]) -> ChatTurn | None:
    """Return the turn in the recorded state of a conversation, or in the update of a step; None without a turn."""
    found = values.get(TURN)
    return None if found is None else ChatTurn.model_validate(opened(found))


def turn_of(step: Step) -> ChatTurn | None:
    """Return the turn of a conversation that a step begins or ends; None if the step does neither."""
    return turn_in(_read_update(step))


def _read_update(step: Step) -> Mapping[str, Any]:
    """Return the fields that a step sets in the state of the run, and {} for a step inside a subgraph."""
    return {op[1]: op[2] for op in step.update if op[0] == "set"} if not step.frame else {}


__all__ = [
    "TURN",
    "ChatTurn",
    "ConversationCall",
    "TurnFailed",
    "chat_of_agent",
    "check_not_another",
    "is_chat",
    "refuse_before",
    "turn_in",
    "turn_of",
]
