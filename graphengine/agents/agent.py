"""Agents: a role, a prompt and a type of answer, over a model.

An Agent is a node, as a function is. It reads the `{paths}` of its prompt and the parameters of its functions (a prompt
function, the check, the rule-based stand-in), and returns a value of its output type. `graphengine.agents.conversation`
describes how a call proceeds.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, cast

from typing_extensions import TypeForm, TypeVar

from graphengine.agents.alone import Alone
from graphengine.agents.conversation import Conversation, in_loop_of
from graphengine.agents.guards import as_guards, check_text
from graphengine.agents.reading import Output
from graphengine.agents.run_scope import CURRENT
from graphengine.agents.tools import Tool, ToolSource, as_tools
from graphengine.agents.window import Window
from graphengine.calls.caller_line import ends_at_caller
from graphengine.engine.plan import Remembered
from graphengine.errors import DefinitionError, ModelError
from graphengine.graph.runnable import is_async
from graphengine.graph.templates import DATA_NOTE, fill, holes, labelled
from graphengine.models.base import Effort, Message, Model
from graphengine.models.names import model_of
from graphengine.state.injection import Injected, Parameter
from graphengine.state.json_values import utf8_text
from graphengine.state.path import is_path, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphengine.agents.guards import Guard
    from graphengine.agents.run_scope import Scope

T = TypeVar("T", default=str)

ToolLike: TypeAlias = "Callable[..., object] | Tool | ToolSource"
GuardLike: TypeAlias = "Callable[[str], str] | Guard"

_EFFORTS: Final = ("low", "medium", "high")


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """The outcome of one call of an agent.

    Attributes:
        value: The answer.
        messages: The messages between the agent, its model and its tools, the question first.
        usage: What its models used: `calls`, `input_tokens`, …, `cost_usd` (None if unknown).
    """

    value: T
    messages: Sequence[Message]
    usage: Mapping[str, float | None]


@ends_at_caller
@dataclass(frozen=True, slots=True)
class Agent(Generic[T]):
    """A role that answers prompts with values of one type.

    Args:
        name: Its name in usage and messages.
        model: The model that answers: its name, as `"anthropic:claude-…"`, `"openai:…"`, `"openai-chat:…"` or
            `"offline"`, or an object with the `Model` protocol. A Runner can replace it.
        system: Standing instructions.
        prompt: Text whose `{paths}` name what it reads of the state, each delimited so that it cannot pass for
            instructions; or a function of fields that returns the text. Without it the inputs become labelled blocks.
        output: The type of its answers; text if not given.
        check: Validates each answer, `check(answer, **fields)`; its ValueError is sent to the model.
        tools: What the model may call: functions, `tool(function, …)`, `mcp(…)`.
        guards: Checks of the texts that go to the model and come from it; see `graphengine.agents.guards`.
        max_tokens: The most tokens of one answer; the model's own default if not given.
        temperature: How varied answers are, for models with such a setting.
        effort: How much to think before an answer, for models with such a setting.
        cache: Whether the provider should cache the instructions and tools, since many calls share them.
        memory: A field of the state that keeps the conversation over visits: `"messages"`, a list of `Message` with the
            reducer `extend`, or one key of a dict of such lists, `"memories[editor]"`.
        window: When older messages are replaced by a summary; see `Window`.
        offline: A function that answers by rules when no language model is used. Its parameters name what it reads.
        output_retries: How often an answer that does not fit is sent back to the model.
        turns: The most turns in which it calls tools before it answers.

    Raises:
        DefinitionError: An argument is invalid.

    Example:
        >>> shout = Agent("shout", prompt="Shout: {word}", offline=lambda word: word.upper() + "!")
        >>> asyncio.run(shout.run(word="ho"))
        'HO!'
    """

    name: str
    model: str | Model = "offline"
    system: str = ""
    prompt: str | Callable[..., str] = ""
    output: TypeForm[T] = str  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    check: Callable[..., object] | None = None
    tools: Sequence[ToolLike] = ()
    guards: Sequence[GuardLike] = ()
    max_tokens: int | None = None
    temperature: float | None = None
    effort: Effort | None = None
    cache: bool = False
    memory: str = ""
    window: Window | None = None
    offline: Callable[..., object] | None = None
    output_retries: int = 2
    turns: int = 20
    reader: Output[T] = field(init=False, repr=False, compare=False)
    checker: Injected | None = field(init=False, repr=False, compare=False)
    kit: tuple[Tool | ToolSource, ...] = field(init=False, repr=False, compare=False)
    watch: tuple[Guard, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for invalid, repair in _invalid(self):
            raise DefinitionError(f"Agent({self.name!r}, {invalid})", where=f"agent {self.name}", repair=repair)
        for name in ("name", "system", "prompt"):  # recorded with the graph, so they must be encodable
            text = getattr(self, name)
            if isinstance(text, str):
                object.__setattr__(self, name, utf8_text(text))
        object.__setattr__(self, "reader", Output(self.output, where=f"agent {self.name}"))
        object.__setattr__(self, "checker", Injected.of(self.check) if self.check is not None else None)
        object.__setattr__(self, "kit", as_tools(self.tools))
        object.__setattr__(self, "watch", as_guards(self.guards))

    def but(self, **changes: Any) -> Agent[T]:  # noqa: ANN401 - the arguments of Agent
        """Return a copy with changes."""
        return replace(self, **changes)

    async def run(self, **inputs: object) -> T:
        """Answer once. In a node the call is recorded, priced and limited as part of the run; outside a run it is not.

        Args:
            inputs: What the prompt, the check and the stand-in read, by name; outside a run also what the tools read.

        Raises:
            ModelError: The model gave no answer; the subclass states why.
            BadAnswer: The model's answers did not fit.
        """
        return (await self.answer(**inputs)).value

    async def answer(self, **inputs: object) -> Answer[T]:
        """Answer once, as `run` does, and return the messages and the usage too.

        Args:
            inputs: As for `run`. The input that `memory` names holds the earlier messages.
        """
        scope = CURRENT.get() or Alone(self._for_tools(inputs))
        return await in_loop_of(scope, self._answer(scope, inputs))

    def body(self) -> AgentBody[T]:
        """Return the agent as a node's body."""
        return AgentBody(self)

    async def _answer(self, scope: Scope, inputs: Mapping[str, object]) -> Answer[T]:
        before = _remembered(inputs.get(self.memory)) if self.memory else ()
        given = {name: value for name, value in inputs.items() if name != self.memory}
        stand_in = self._stand_in(scope, given) if self.offline is not None else None
        talk = Conversation(self, scope, self._instructions(given), before, given, stand_in)
        try:
            question = await self._question(scope, given)
            value = await talk.hold(question)
        except ModelError as error:
            if not error.where:
                error.where = f"agent {self.name}"
            raise
        return Answer(value, talk.messages, talk.usage)

    async def _question(self, scope: Scope, inputs: Mapping[str, object]) -> str:
        """Return the question; the user's functions that make or guard it are called in a thread."""
        if callable(self.prompt):
            values = {name: value for name, value in inputs.items() if name in Injected.of(self.prompt).names}
            text = await scope.blocking(functools.partial(self.prompt, **values))
            if not isinstance(text, str):
                message = f"the prompt of {self.name} is {type(text).__name__}"
                raise DefinitionError(message, where=f"agent {self.name}", repair="return the text from its function")
        else:
            text = fill(self.prompt, inputs) if self.prompt else labelled(inputs)
        if not any(guard.on == "input" for guard in self.watch):
            return text
        guarded = functools.partial(check_text, self.watch, text, "input", where=f"agent {self.name}")
        return cast("str", await scope.blocking(guarded))

    def _instructions(self, inputs: Mapping[str, object]) -> str:
        has_data = not callable(self.prompt) and bool(holes(self.prompt) if self.prompt else inputs)
        return "\n\n".join(part for part in (self.system, DATA_NOTE if has_data else "") if part)

    def _for_tools(self, inputs: Mapping[str, object]) -> dict[str, object]:
        """Return the inputs that only a tool can read."""
        read = {parse(parameter.name).root for parameter in self.body().parameters}
        return {name: value for name, value in inputs.items() if name not in read} if self.prompt else {}

    def _stand_in(self, scope: Scope, inputs: Mapping[str, object]) -> Callable[[], Any]:
        function = cast("Callable[..., object]", self.offline)
        wanted = Injected.of(function).names

        async def answer() -> object:
            values = {name: value for name, value in inputs.items() if name in wanted}
            if is_async(function):
                return await function(**values)  # type: ignore[misc]
            return await scope.blocking(functools.partial(function, **values))

        return answer


@dataclass(frozen=True, slots=True)
class AgentBody(Generic[T]):
    """An agent in the form the engine calls."""

    agent: Agent[T]
    kind: Literal["function", "agent", "pass"] = "agent"
    thread: bool = False

    @property
    def name(self) -> str:
        """The agent's name."""
        return self.agent.name

    @property
    def returns(self) -> object:
        """The type of its answers."""
        return self.agent.output

    @property
    def memory(self) -> str:
        """The field that keeps its conversation, "" for none."""
        return self.agent.memory

    @property
    def message_type(self) -> type:
        """The type of the messages in its memory."""
        return Message

    @property
    def takes_all(self) -> bool:
        """Whether all inputs of its node become part of the question."""
        return not self.agent.prompt

    @property
    def parameters(self) -> Sequence[Parameter]:
        """The paths of its prompt, the parameters of its functions, and its memory."""
        found = {hole: Parameter(hole, shown=True) for hole in self._paths()}
        for function, first in self._functions():
            for parameter in Injected.of(function).parameters[first:]:
                found[parameter.name] = parameter
        if self.agent.memory:
            found[self.agent.memory] = Parameter(self.agent.memory)
        return list(found.values())

    def _functions(self) -> Sequence[tuple[Callable[..., object], int]]:
        """Return the functions that read fields, each with the index of its first parameter that is a field."""
        agent = self.agent
        prompt = agent.prompt if callable(agent.prompt) else None
        given = ((prompt, 0), (agent.offline, 0), (agent.check, 1))
        return [(function, first) for function, first in given if function is not None]

    def _paths(self) -> list[str]:
        prompt = self.agent.prompt
        return [] if callable(prompt) else [hole for hole in holes(prompt) if is_path(hole)]

    async def call(self, **values: object) -> object:
        """Answer once. With a memory, return the messages too."""
        answer = await self.agent.answer(**values)
        if not self.agent.memory:
            return answer.value
        return Remembered(answer.value, _remembered(values.get(self.agent.memory)), answer.messages)

    def problems(self) -> Sequence[tuple[str, str, str]]:
        """List the invalid paths of the prompt, the functions that cannot get their parameters, a bad model name."""
        agent = self.agent
        found: list[tuple[str, str, str]] = []
        if not callable(agent.prompt):
            bad = [hole for hole in holes(agent.prompt) if not is_path(hole)]
            template = f"the prompt of {self.name} has {{%s}}, which is not a path"
            found += [("bad_path", template % hole, "write {{ and }} for braces") for hole in bad]
        for function, _ in self._functions():
            injected = Injected.of(function)
            what = "stand-in" if function is agent.offline else injected.name
            template = f"{self.name}'s {what} has %s"
            found += [("bad_parameter", template % text, "name each field") for text in injected.variadic]
        if agent.memory and not is_path(agent.memory):
            repair = "name a field, or one key of one: 'memories[editor]'"
            found.append(("bad_path", f"memory={agent.memory!r} is not a path", repair))
        if isinstance(agent.model, str):
            try:
                model_of(agent.model)
            except (DefinitionError, ModelError) as error:
                found.append(("bad_model", error.message, error.repair))
        return found


def _invalid(agent: Agent[Any]) -> Sequence[tuple[str, str]]:
    """List the invalid settings, each with its repair."""
    found = []
    if not agent.name or not agent.name.strip():
        found.append(("", "give it a name"))
    if not isinstance(agent.model, str) and not callable(getattr(agent.model, "answer", None)):
        found.append((f"model={agent.model!r}", "give a name, as 'anthropic:…', or a Model"))
    for name, least in (("max_tokens", 1), ("output_retries", 0), ("turns", 1)):
        number = getattr(agent, name)
        if number is not None and not (type(number) is int and number >= least):
            found.append((f"{name}={number!r}", f"give a whole number from {least} on"))
    return [*found, *_invalid_types(agent)]


def _invalid_types(agent: Agent[Any]) -> Sequence[tuple[str, str]]:
    """List the settings of a wrong type or range, each with its repair."""
    found = []
    heat = agent.temperature
    if heat is not None and not (type(heat) in (int, float) and 0 <= heat <= 2):  # noqa: PLR2004 - the providers' range
        found.append((f"temperature={heat!r}", "give a number from 0 to 2"))
    if agent.effort is not None and agent.effort not in _EFFORTS:
        found.append((f"effort={agent.effort!r}", f"give one of {', '.join(_EFFORTS)}"))
    for name in ("check", "offline"):
        function = getattr(agent, name)
        if function is not None and not callable(function):
            found.append((f"{name}={function!r}", "give a function"))
    if callable(agent.check) and not Injected.of(agent.check).parameters:
        found.append(("check=…", "make the answer its first parameter"))
    if agent.window is not None and not isinstance(agent.window, Window):
        found.append((f"window={agent.window!r}", "write window=Window(max_tokens=…)"))
    return found


def _remembered(value: object) -> Sequence[Message]:
    """Return the messages in a field of the state."""
    if value is None:
        return ()
    given = cast("Sequence[object]", value)
    return [each if isinstance(each, Message) else Message.model_validate(each) for each in given]


__all__ = ["Agent", "AgentBody", "Answer"]
