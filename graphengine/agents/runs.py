"""Runs of a single agent: a graph with one node, made from the inputs of the agent and the type of its answers."""

from __future__ import annotations

from contextlib import aclosing
from copy import copy
from dataclasses import dataclass, field, is_dataclass, make_dataclass
from functools import partial
from types import new_class
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Optional, TypedDict, TypeVar, cast

from pydantic import BaseModel, create_model
from typing_extensions import is_typeddict, override

from graphengine.agents.agent import call_inputs_of, graphs_of, reads_of
from graphengine.agents.arguments import ALWAYS_GIVEN
from graphengine.agents.call_inputs import ANSWER, QUESTION
from graphengine.agents.given import Given
from graphengine.agents.live_events import AGENT_EVENTS
from graphengine.errors import DefinitionError, GraphEngineError
from graphengine.kernel.extension import END, START, GraphDefinition
from graphengine.kernel.inside import NO_DEFAULT, DeclaredModel, model_of, parse
from graphengine.models.base import Message
from graphengine.reducers import extend
from graphengine.worker.joining import start_or_join

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping

    from graphengine.agents.agent import Agent
    from graphengine.agents.live_events import AgentEvent
    from graphengine.kernel.extension import Limits, Result, Run, Runner, StateType
    from graphengine.kernel.inside import Initial

G = TypeVar("G", bound="GraphDefinition[Any]")
T = TypeVar("T")


def graph_of_agent(
    agent: Agent[Any, Any], kind: Callable[..., G], resources: Mapping[str, Callable[[], object]] | None = None
) -> G:
    """Return a graph with one node that runs the agent. The state contains the agent's inputs and the field `answer`.

    The graph is the same for the same agent in every process, so its runs can be resumed anywhere.

    Args:
        agent: The agent.
        kind: The class of the graph.
        resources: Factories of the resources that the agent's functions and tools read by name.

    Raises:
        DefinitionError: A graph was passed instead of an agent; or the agent hands over, reads a field named `answer`,
            or keeps its conversation under a key of a dict.
    """
    _check_agent(agent)
    for message, repair in agent.__body__().hands_over():
        raise DefinitionError(message, where=f"agent {agent.name}", repair=repair)
    given = resources or {}
    declared = None if agent.inputs is None else model_of(agent.inputs).model_fields
    fields = _read_fields(agent, given) if declared is None else {}
    known = dict(fields) if declared is None else declared
    for _, name, part in agent.__body__().also_writes:
        if name not in known:
            fields[name] = (name, Optional[cast("Any", part)], field(default=None))  # noqa: UP045 - of a value
    inputs = None if agent.prompt else {name: name for name in known if name != agent.messages}
    if agent.messages and not agent.messages.isidentifier():
        text = f"agent {agent.name!r} runs without a graph, so it needs a whole field for its messages, and not "
        text += f"{agent.messages!r}, a part of a field"
        repair = 'run agent.but(messages="messages") in its place'
        raise DefinitionError(text, where=f"agent {agent.name}", repair=repair)
    if agent.messages and (declared is None or agent.messages not in declared):
        fields[agent.messages] = (agent.messages, Annotated[list[Message], extend], field(default_factory=list))
    if ANSWER in known:
        text = f"agent {agent.name!r} reads an input {ANSWER!r}, but the field of this name holds the agent's answer"
        raise DefinitionError(text, where=f"agent {agent.name}", repair="give the input another name")
    fields[ANSWER] = (ANSWER, Optional[cast("Any", agent.output)], field(default=None))  # noqa: UP045 - of a value
    state = (
        make_dataclass(agent.name, fields.values(), kw_only=True)
        if declared is None
        else _make_input_state(agent, fields)
    )
    used = {name: make for name, make in given.items() if name not in known}
    graph = kind(agent.name, state, result=ANSWER, resources=used)
    node = agent.name if agent.name.isidentifier() else "agent"
    graph.add_node(node, agent, inputs=inputs, writes=ANSWER)
    graph.add_path(START, node, END)
    return graph


def _read_fields(agent: Agent[Any, Any], given: Collection[str]) -> dict[str, tuple[str, Any, Any]]:
    """Define the fields of a run's state for an agent without `inputs=`: one field for each input that the agent reads.

    Inputs that are resources of the Runner get no field.
    """
    fields: dict[str, tuple[str, Any, Any]] = {} if agent.prompt else {QUESTION: (QUESTION, Given, field())}
    for each in reads_of(agent):
        root = parse(each.name).root
        if root in {*given, ALWAYS_GIVEN} and not each.shown:
            continue
        default = field() if each.default is NO_DEFAULT else field(default_factory=partial(copy, each.default))
        is_typed = root == each.name and each.annotation is not Any
        fields[root] = (root, each.annotation if is_typed else Given, default)
    return fields


class _Begun(DeclaredModel):
    """Base class of the state of an agent that declares its inputs with `inputs=`.

    A run begins with an instance of the type in `inputs=`. In the run, users see the state as an instance of a subclass
    of that type, which `__shown__` contains.
    """

    __shown__: ClassVar[type[BaseModel]]

    @classmethod
    @override
    def model_construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Any:
        return cls.__shown__.model_construct(_fields_set, **values)


def _make_input_state(agent: Agent[Any, Any], fields: Mapping[str, tuple[str, Any, Any]]) -> type[BaseModel]:
    """Make the type of a run's state from the type in an agent's `inputs=`.

    The new type is a subclass, so the validators of the type in `inputs=` still apply. `fields` are the added fields.
    """
    given: Any = agent.inputs
    is_keyed = is_typeddict(given)

    def body(names: dict[str, Any]) -> None:
        names["__module__"] = given.__module__
        names["__annotations__"] = {name: kind for name, kind, _ in fields.values()}
        if issubclass(given, BaseModel):
            names |= {name: None if name == ANSWER else [] for name in fields}
        elif not is_keyed:
            names |= {name: default for name, _, default in fields.values()}

    shown: Any = new_class(agent.name, (given,), {"total": False} if is_keyed else {}, body)
    if not is_keyed and is_dataclass(shown):
        shown = dataclass(kw_only=True, frozen=vars(given)["__dataclass_params__"].frozen)(cast("Any", shown))
    base = (_Begun, model_of(shown))
    made: Any = create_model(agent.name, __base__=base, __module__=given.__module__, __doc__=given.__doc__)
    made.__declared__, made.__shown__ = given, model_of(shown)
    return cast("type[BaseModel]", made)


def _check_agent(agent: object) -> None:
    if isinstance(agent, GraphDefinition):
        text = f"runner.run(…) needs an Agent as its first argument, and {agent!r} is a graph"
        raise DefinitionError(text, repair="write: await runner.start(graph, state).result()")


class RunOptions(TypedDict, total=False):
    run_id: str | None
    limits: Limits | None
    after: str | None
    chat: str | None
    idempotency_key: str | None
    tags: Iterable[str] | None


class RunWaits(GraphEngineError):
    """The run of an agent waits for a person or a message, so it has no answer yet.

    Attributes:
        run_id: The run.
        waits: The questions and messages that the run waits for.
        queued: Whether the message of a conversation is kept, and will be answered after the turn that waits.

    Example:
        >>> from graphengine.models import calls
        >>> def pay(name: str) -> str:
        ...     return f"paid {name}"
        >>> careful = Agent("careful", tools=[tool(pay, approve=True)])
        >>> models = ScriptedModel([calls(("pay", {"name": "Ada"})), "I was not allowed to."])
        >>> async def main() -> None:
        ...     async with Runner(models=models) as runner:
        ...         try:
        ...             await runner.run(careful, question="Pay Ada.")
        ...         except RunWaits as asked:
        ...             await runner.answer(asked.run_id, False)
        ...             print(await runner.run(careful, run_id=asked.run_id))
        >>> asyncio.run(main())
        I was not allowed to.
    """

    code = "run_waits"

    def __init__(self, agent: str, result: Result[Any], again: str, *, queued: bool = False) -> None:
        self.run_id, self.waits, self.queued = result.run_id, result.waits, queued
        asked = ", ".join(wait.question for wait in result.waits)
        after = "; this message is queued, and is answered after the question" if queued else ""
        super().__init__(
            f"run {result.run_id!r} waits for an answer to its question: {asked}{after}",
            where=f"agent {agent}",
            repair=f"answer the question with runner.answer({result.run_id!r}, …). Then {again} continues the run",
        )


@dataclass(frozen=True, slots=True)
class AgentCall(Generic[T]):
    """A call of `Runner.run` or `Runner.stream`, which runs one agent.

    Attributes:
        runner: The Runner that drives the run.
        agent: The agent.
        resources: The names of the Runner's resources.
        inputs: The inputs of the agent, by name.
        options: The given options of `Runner.start`.
    """

    runner: Runner
    agent: Agent[T, Any]
    resources: frozenset[str]
    inputs: Mapping[str, object]
    options: Mapping[str, Any]

    async def answer(self) -> T:
        """Run the agent, and return its answer. Raises the errors of `Runner.run`."""
        return await self.answer_of(await self._run())

    async def events(self) -> AsyncGenerator[AgentEvent | T, None]:
        """Run the agent, and yield its live events, followed by its answer. Raises the errors of `Runner.run`."""
        run = await self._run()
        async with aclosing(run.events()) as events:
            async for event in events:
                if isinstance(event, AGENT_EVENTS):
                    yield event
        yield await self.answer_of(run)

    async def _run(self) -> Run[Any]:
        return await start_or_join(self.runner, self.graph(), self.inputs or None, resume=True, **self.options)

    def graph(self) -> GraphDefinition[Any]:
        """Return the graph that runs the agent. It is built once for each set of the Runner's resources."""
        is_turn = "chat" in self.options
        graphs, key = graphs_of(self.agent), ("turn" if is_turn else "once", self.resources)
        if key not in graphs:
            factories = dict.fromkeys(self.resources, _stand_for_resource)
            alone = self.agent.but(hand_to=()) if is_turn else self.agent
            graphs[key] = graph_of_agent(alone, GraphDefinition, factories)
        return graphs[key]

    async def answer_of(self, run: Run[Any]) -> T:
        result = await run.result()
        if result.status != "finished":
            raise self.no_answer(result, f"runner.run(agent, run_id={run.id!r})")
        return cast("T", result.output)

    def no_answer(self, result: Result[Any], again: str, *, queued: bool = False) -> RunWaits | DefinitionError:
        """Return the error that explains why a run has no answer: the run waits, or was stopped.

        `again` is Python code with which the caller can continue the run; the error shows it as its repair.
        """
        if result.status == "waiting":
            return RunWaits(self.agent.name, result, again, queued=queued)
        why = f": {result.ending.why}" if result.ending is not None else ""
        how = " with higher limits=" if result.ending is not None and result.ending.reason == "limit" else ""
        text = f"run {result.run_id!r} has no answer, because the run is {result.status}{why}"
        return DefinitionError(text, where=f"agent {self.agent.name}", repair=f"{again} continues the run{how}")


def identifying_fields(state: StateType[Any], begins: Initial) -> list[str]:
    """Return the fields of the inputs that identify a repeated call.

    A field whose default is made anew each time, such as the current time, is left out.
    """
    return [name for name in begins.given if state.fields[name].info.default_factory is None]


def _stand_for_resource() -> object:
    """Take the place of a resource of `Runner(resources=…)` in the graph. The Runner supplies the actual resource."""
    raise AssertionError


def agent_call(
    runner: Runner,
    agent: Agent[T, Any],
    resources: Collection[str],
    given: tuple[object, Mapping[str, object]],
    options: dict[str, Any],
) -> AgentCall[T]:
    """Check a call of `Runner.run` or `Runner.stream`, and return it as an object that runs the agent.

    Args:
        runner: The Runner that drives the run.
        agent: The agent.
        resources: The names of the Runner's resources.
        given: The inputs of the agent: one value, and inputs by name.
        options: The options of the run; None for options that were not given.

    Raises:
        DefinitionError: The agent is not an Agent, or the options exclude each other.
        InputError: An input is missing, has the wrong type, is not read by the agent, or has the name of an option.
    """
    _check_agent(agent)
    options = {name: value for name, value in options.items() if value is not None}
    written = [name for _, name, _ in agent.__body__().also_writes]
    inputs = call_inputs_of(agent).read(*given, also=written, resources=resources, options=options)
    if "chat" not in options:
        if "idempotency_key" in options:
            text = "idempotency_key= identifies a message of a conversation, but the call has no chat="
            repair = "give chat= too. For a run without a conversation, give run_id= in place of idempotency_key="
            raise DefinitionError(text, where=f"agent {agent.name}", repair=repair)
        return AgentCall(runner, agent, frozenset(resources), inputs, options)
    from graphengine.agents.chats import ConversationCall  # noqa: PLC0415 - it needs this module

    if refused := sorted(options.keys() & {"run_id", "after"}):
        text = f"chat= and {refused[0]}= cannot be given together"
        repair = f"leave {refused[0]}= out, because chat= decides which run continues"
        raise DefinitionError(text, where=f"agent {agent.name}", repair=repair)
    return ConversationCall(runner, agent, frozenset(resources), inputs, options)


__all__ = ["AgentCall", "RunWaits", "agent_call", "graph_of_agent", "identifying_fields"]
