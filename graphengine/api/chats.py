"""Conversations with an agent: one run for each, which waits for the next message between two turns."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field, make_dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Optional, TypeVar, cast
from uuid import uuid4

from graphengine.agents.agent import graphs_of, reads_of
from graphengine.agents.live_events import AGENT_EVENTS
from graphengine.agents.window import effective
from graphengine.api.agent_runs import ANSWER, Asked
from graphengine.compile.compiler import compiled
from graphengine.errors import DefinitionError, InputError
from graphengine.graph.conditions import value
from graphengine.graph.definition import GraphDefinition, Limits
from graphengine.graph.options import END, START
from graphengine.models.base import Message
from graphengine.reducers import Replace, extend
from graphengine.runner.ids import OwnId, derived_id
from graphengine.runner.run_events import StepRecorded
from graphengine.state.declared import values_of
from graphengine.state.encoded import opened

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from graphengine.agents.agent import Agent
    from graphengine.agents.live_events import AgentEvent
    from graphengine.engine.steps import Step
    from graphengine.runner.context import Context
    from graphengine.runner.run import Run

G = TypeVar("G", bound=GraphDefinition[Any])
T = TypeVar("T")

TURN: Final = "turn"
"""The field with the id of the message that is being answered, or was answered last; also the topic of messages."""
_MEMORY: Final = "messages"
"""The field of the conversation, if the agent names none."""


def chat_of_agent(agent: Agent[Any, Any], alone: G) -> G:
    """Return the graph of a conversation with an agent: it listens, replies, and listens again.

    A message `null` ends it.

    Args:
        agent: The agent.
        alone: The graph that runs it once; the graph of the conversation is of the same class.

    Raises:
        DefinitionError: The agent reads `turn`.
    """
    memory = agent.memory or _MEMORY
    speaker = agent if agent.memory else agent.but(memory=memory)
    if TURN in compiled(alone).state.fields:
        repair = "give its input another name"
        raise DefinitionError(f"{agent.name} reads {TURN}", where=f"agent {agent.name}", repair=repair)
    before = compiled(alone).state
    inputs = [name for name in before.fields if name not in (ANSWER, agent.memory)]
    kinds = {name: before.model.model_fields[name] for name in inputs}
    fields: list[tuple[str, Any, Any]] = [
        (name, Optional[cast("Any", info.rebuild_annotation())], field(default=None))  # noqa: UP045 - of a value
        for name, info in kinds.items()
    ]
    fields += [
        (TURN, str, field(default="")),
        (memory, Annotated[list[Message], extend], field(default_factory=list)),
        (ANSWER, Optional[cast("Any", agent.output)], field(default=None)),  # noqa: UP045 - of a value
    ]

    async def listen(ctx: Context, messages: Sequence[Message] = ()) -> dict[str, object]:
        message = await ctx.receive(TURN, dict[str, Any] | None)
        if message is None:
            return {TURN: ""}
        said = values_of(before.rebuild(message["given"]))
        found: dict[str, object] = {TURN: message["id"], **{name: said.get(name) for name in inputs}}
        if any(each.role == "summary" for each in messages[1:]):
            found[memory] = Replace(effective(messages))  # the summary, and what it does not replace
        return found

    graph = type(alone)(
        f"{agent.name}-chat",
        make_dataclass(agent.name, fields, kw_only=True),
        limits=Limits(visits=None),
        result=ANSWER,
        resources=alone.resources,
    )
    seen = {"messages": memory} if agent.window is not None else {}
    graph.add_node("listen", listen, inputs=seen, writes=[TURN, *inputs, memory])
    graph.add_node("reply", speaker, inputs=None if agent.prompt else {n: n for n in inputs}, writes=ANSWER)
    graph.add_edge(START, "listen")
    graph.add_edge("listen", END, when=value(TURN) == "", label="ended")
    graph.add_edge("listen", "reply")
    graph.add_edge("reply", "listen")
    return graph


@dataclass(frozen=True, slots=True)
class Turn(Asked[T]):
    """A turn of a conversation. The option `chat` is its key, `idempotency_key` that of the message."""

    async def answer(self) -> T:
        """Send the message, and return its answer."""
        async with aclosing(self.events()) as events:
            *_, found = [event async for event in events]
            return cast("T", found)

    async def events(self) -> AsyncGenerator[AgentEvent | T, None]:
        """Send the message, and yield what the agent shows while it answers it, then the answer."""
        alone, graph = self.graph(), self._chat()
        run_id = derived_id("chat", str(self.options["chat"]))
        known = await self.runner.store.infos([run_id])
        seen, cut_off = known[0].seq if known else 0, ""
        if known and known[0].status != "waiting":  # a turn that a crash has cut off may be this one
            cut_off = (await self.runner.state_at(run_id)).get(TURN, "")
        if self.inputs or (self.agent.prompt and not reads_of(self.agent)):
            turn = self.options.get("idempotency_key") or str(uuid4())
            records = compiled(alone).state.initial(self.inputs, f"agent {self.agent.name}").values
            run = await self.runner.start_or_send(
                graph,
                OwnId(run_id),
                TURN,
                {"id": turn, "given": opened(records)},
                idempotency_key=turn,
                limits=self.options.get("limits"),
                tags=self.options.get("tags", ()),
            )
        elif not known:
            raise InputError(f"there is no conversation {self.options['chat']!r}", where=f"agent {self.agent.name}")
        else:
            turn, run = "", await self.runner.drive(run_id, graph)
        async for event in self._followed(run, turn, seen, is_this=turn in ("", cut_off)):
            yield event

    async def _followed(
        self, run: Run[Any], turn: str, seen: int, *, is_this: bool
    ) -> AsyncGenerator[AgentEvent | T, None]:
        """Yield what happens from a step on until the turn has its answer, and that; a turn "" is the newest.

        The run rests then, or answers the next turn: a Runner that closes right after cuts nothing off.
        """
        answered = None
        async with aclosing(run.events(after=seen)) as events:
            async for event in events:
                if isinstance(event, StepRecorded):
                    written = _written(event.step)
                    if answered is not None and TURN in written:
                        break
                    is_this = written[TURN] == turn if turn and TURN in written else is_this
                    answered = event.step if is_this and ANSWER in written else answered
                elif is_this and answered is None and isinstance(event, AGENT_EVENTS):
                    yield event
        yield self._read(answered) if answered is not None else await self._found(run, turn)

    async def _found(self, run: Run[Any], turn: str) -> T:
        """Return the answer of a turn that was answered before.

        Raises:
            RunWaits: The turn waits for a person.
            DefinitionError: The run was stopped or released.
        """
        result = await run.result()
        if result.status != "waiting" or any(wait.topic != TURN for wait in result.waits):
            return await self.answer_of(run)
        if result.state.turn == (turn or result.state.turn):
            return cast("T", result.state.answer)
        is_this = False
        for step in await run.history():
            is_this = is_this or _written(step).get(TURN) == turn
            if is_this and ANSWER in _written(step):
                return self._read(step)
        raise AssertionError(turn)

    def _read(self, step: Step) -> T:
        answer = compiled(self._chat()).state.rebuild({ANSWER: _written(step)[ANSWER]})
        return cast("T", answer.answer)

    def _chat(self) -> GraphDefinition[Any]:
        """Return the graph of its conversations, made once for the same resources."""
        made, key = graphs_of(self.agent), ("chat", self.resources)
        if key not in made:
            made[key] = chat_of_agent(self.agent, self.graph())
        return made[key]


def _written(step: Step) -> Mapping[str, Any]:
    """Return what a step of the run itself sets, by field."""
    return {op[1]: op[2] for op in step.update if op[0] == "set"} if not step.frame else {}


__all__ = ["Turn", "chat_of_agent"]
