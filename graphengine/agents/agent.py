"""Agents: a role, a prompt and a type of answer, over a model.

An Agent is a node, as a function is. It reads the `{paths}` of its prompt and the parameters of its functions (a prompt
function, the check, the rule-based answer), and returns a value of its output type. `graphengine.agents.conversation`
describes how a call proceeds.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field, replace
from types import NoneType
from typing import TYPE_CHECKING, Any, Generic, Literal, Never, NoReturn, TypeAlias, cast, get_args, overload

from pydantic.errors import PydanticUserError
from typing_extensions import TypeForm, TypeVar

from graphengine.agents.call_inputs import QUESTION, CallInputs
from graphengine.agents.conversation import Conversation, Words
from graphengine.agents.cut import OnCut
from graphengine.agents.guards import Guard, as_guards, check_text, misplaced
from graphengine.agents.prompts import Filled, asked, fill_prompt
from graphengine.agents.reading import Output, OutputFunction
from graphengine.agents.runtime import StandaloneRuntime, in_loop_of, runtime_here
from graphengine.agents.streams import Stream
from graphengine.agents.tool_checks import findings, needs
from graphengine.agents.tool_names import reads_of_offer
from graphengine.agents.tools import Tool, ToolSource, check_choice, split_tools
from graphengine.agents.window import Window, effective
from graphengine.errors import DefinitionError
from graphengine.kernel.extension import Audience, StateType, did_you_mean, utf8_text
from graphengine.kernel.inside import (
    Injected,
    Parameter,
    Remembered,
    bad_braces,
    holes,
    is_async,
    is_path,
    missing,
    once_of,
    parse,
    type_at,
    type_name,
)
from graphengine.kernel.inside import model_of as declared_model
from graphengine.media import Media, joined
from graphengine.models.base import Message, Model, RulesModel
from graphengine.models.batches import lacks_batches
from graphengine.models.errors import ModelError
from graphengine.models.hosted import HostedTool, lacking, too_many_tools
from graphengine.models.names import model_of
from graphengine.models.parts import citations_of
from graphengine.models.settings import NO_SETTINGS, ChecksSettings, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterator, Sequence

    from graphengine.agents.guards import Hooks
    from graphengine.agents.live_events import AgentEvent
    from graphengine.agents.runtime import AgentRuntime
    from graphengine.agents.tool_checks import Finding, Need
    from graphengine.kernel.extension import GraphDefinition
    from graphengine.kernel.inside import AnyFunction
    from graphengine.kernel.reader import Usage
    from graphengine.models.parts import Citation

T = TypeVar("T", default=str)
U = TypeVar("U")
T_co = TypeVar("T_co", default=str, covariant=True)
Inputs = TypeVar("Inputs", default=Mapping[str, object])

GuardLike: TypeAlias = "Callable[[str], str] | Guard"
Asked: TypeAlias = "str | Sequence[str | Media]"
ToolLike: TypeAlias = "AnyFunction[object] | Tool | ToolSource | HostedTool"


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """The outcome of one call of an agent.

    Attributes:
        value: The answer.
        messages: The messages between the agent, its model and its tools, the question first.
        usage: What its models used: `calls`, `input_tokens`, …, `cost_usd` (None if unknown).
        writes: What its tools write, in the order of their calls: fields of the state, each with an update.
    """

    value: T
    messages: Sequence[Message]
    usage: Usage
    writes: Sequence[tuple[str, object]] = ()

    @property
    def citations(self) -> tuple[Citation, ...]:
        """The sources that the answer cites, in the order of its text."""
        return citations_of(self.messages[-1])


@dataclass(frozen=True, slots=True)
class Parts(Generic[T]):
    """What an agent consists of, worked out once from its arguments."""

    reader: Output[T]
    checker: Injected | None
    best_effort: Injected | None
    kit: tuple[Tool | ToolSource, ...]
    hosted: tuple[HostedTool, ...]
    guards: tuple[Guard, ...]
    settings: Settings
    inputs: StateType[Any] | None
    maker: Tool | None


def _make_parts(agent: Agent[T, Any]) -> Parts[T]:
    """Return the parts of an agent.

    Raises:
        DefinitionError: The type of its answers, a tool or a guard is invalid.
    """
    where = f"agent {agent.name}"
    kit, hosted = split_tools(agent.tools)
    settings = agent.settings
    if settings.cache and (kit or agent.messages):  # the conversation is sent again, so caching covers it
        settings = settings.but(cache="conversation")
    named = [each.name for each in kit if isinstance(each, Tool)]
    if len(named) == len(kit):  # the tools of a server are known when it is opened
        check_choice(settings.tool_choice, [*named, *(each.name for each in hosted)], where=where)
    checker, best = (Injected.of(each) if each is not None else None for each in (agent.check, agent.best_effort))
    reader, guards = Output(agent.output, where=where), as_guards(agent.guards)
    if agent.on_cut != "fail" and (reader.schema is not None or agent._function is not None):  # noqa: SLF001 - of this module
        text = f"Agent({agent.name!r}, on_cut={agent.on_cut!r}) is for texts, not {type_name(agent.output)}"
        raise DefinitionError(
            text, where=where, repair="leave out on_cut=; raise max_tokens=, or ask for shorter answers"
        )
    maker = None if agent._function is None else Tool(agent._function.function)  # noqa: SLF001 - of this module
    return Parts(reader, checker, best, kit, hosted, guards, settings, _inputs_of(agent), maker)


def _inputs_of(agent: Agent[Any, Any]) -> StateType[Any] | None:
    """Return the type of an agent's inputs, split into its fields; None if it has none.

    Raises:
        DefinitionError: It cannot be the type of inputs.
    """
    if agent.inputs is None:
        return None
    try:
        found = StateType.of(declared_model(agent.inputs))
    except (ValueError, PydanticUserError) as error:
        repair = "give a TypedDict, a dataclass or a pydantic model, of types that JSON can represent"
        text = f"inputs= of {agent.name}: {str(error).splitlines()[0]}"
        raise DefinitionError(text, where=f"agent {agent.name}", repair=repair) from error
    if found.secrets:
        text = f"inputs= of {agent.name}: {', '.join(sorted(found.secrets))} is secret, and agents cannot read secrets"
        raise DefinitionError(text, where=f"agent {agent.name}", repair="pass the secret as a resource")
    return found


def _parts_of(agent: Agent[T, Any]) -> Parts[T]:
    return agent._parts  # noqa: SLF001 - of this module


@dataclass(frozen=True, slots=True)
class Agent(Generic[T_co, Inputs]):
    """A role that answers prompts with values of one type.

    Args:
        name: Its name in usage and messages.
        model: The model that answers: its name, as `"anthropic:claude-…"`, `"openai:…"` or `"openai-chat:…"`, or an
            object with the `Model` protocol. A Runner can replace it. Without it `by_rules` answers, and an agent that
            has neither needs a model of the Runner: a run without one is refused at its start.
        system: Standing instructions: text with `{paths}` of the state, or a function of fields that returns the text.
        prompt: Text whose `{paths}` name what it reads of the state, each delimited so that it cannot pass for
            instructions, and pictures and documents shown in their place; or a function of fields that returns the
            text, or a list of texts and media. Without it the inputs become labelled blocks.
        inputs: The type of what it reads: a TypedDict, a dataclass or a pydantic model. Then `run(Question(…))` is
            checked by type checkers and at the call, and a path of the prompt that it lacks is an error here.
        output: The type of its answers; text if not given. `result_of(function)` makes them by a function.
        check: Validates each answer, `check(answer, **fields)`, and returns nothing; its ValueError is sent to the
            model. What else it raises is an error of the call, and what it returns too.
        best_effort: What is kept of answers that the check still refuses after the last retry:
            `best_effort(answers, **fields)` gets them, the latest first, and returns the answer; its ValueError says
            that none can be kept. Without it the call fails. A text that was cut off is among them.
        on_cut: What becomes of a text that reaches `max_tokens`: with `"keep"` it is the answer, with `"continue"` the
            model is asked up to three times to go on with it, with `"fail"` the call fails with `AnswerCut`. Then, and
            if it is not whole after that, `best_effort=` is asked first.
        hand_to: Agents to whom it can hand a conversation over, or their names: in `runner.run(agent, …, chat=…)` and
            `Graph.chat(agent)` its model gets a tool for each, `hand_to_NAME`. The other agent reads the conversation,
            as its `history=` filters it, and answers this message and the next ones.
        tools: What the model may call: functions, `tool(function, …)`, `mcp(…)`; and what its provider may run:
            `web_search()`, `web_fetch()`, `code_execution()`.
        guards: Checks of questions, answers and tool results: functions of a text, or `guard(function, …)`.
        hooks: Code around each call of the model and of a tool; see `Hooks`.
        settings: How its model is called: `Settings(max_tokens=…, temperature=…, effort=…, cache=…)` and more.
        messages: A field of the state that keeps the conversation over visits: `"messages"`, a list of `Message` with
            the reducer `extend`, or one key of a dict of such lists, `"talks[editor]"`. A visit records only its own
            messages, unless the dict or its lists have a validator or another constraint: then all of that key.
        history: Chooses which of these messages are sent, such as at a handoff to this agent: a function of the
            messages that returns those it needs, such as `without_tools`. The field keeps all of them.
        window: When older messages are replaced by a summary; see `Window`.
        by_rules: A function that answers by rules if there is no model, or the model is `"rules"`. Its parameters name
            what it reads.
        output_retries: How often an answer that does not fit is sent back to the model.
        turns: The most turns in which it calls tools before it answers.
        max_tool_calls: The most calls of tools before it answers; None for no limit. Further ones are not made, which
            the model is told.
        batch: Whether its calls are parts of a provider's batch, at half the price and within a day; the run sleeps
            meanwhile. For the items of a map, and for nodes whose result is not urgent. The provider is asked for the
            state of a batch after 30 s, later after a quarter of the time it has taken, at most an hour. An agent that
            runs alone or in `ctx.call` cannot sleep, so this is an error there.

    Raises:
        DefinitionError: An argument is invalid.

    Example:
        >>> shout = Agent("shout", prompt="Shout: {word}", by_rules=lambda word: word.upper() + "!")
        >>> asyncio.run(shout.run(word="ho"))
        'HO!'
    """

    name: str
    _: KW_ONLY
    model: str | Model | None = None
    system: str | AnyFunction[str | Awaitable[str]] = ""
    prompt: str | AnyFunction[Asked | Awaitable[Asked]] = ""
    inputs: TypeForm[Inputs] | None = None
    output: TypeForm[T_co] = str  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    check: AnyFunction[Awaitable[None] | None] | None = None
    best_effort: AnyFunction[T_co | Awaitable[T_co]] | None = None
    on_cut: OnCut = "fail"
    hand_to: Sequence[Agent[Any, Any] | str] = ()
    tools: Sequence[ToolLike] = ()
    guards: Sequence[GuardLike] = ()
    hooks: Sequence[Hooks] = ()
    settings: Settings = NO_SETTINGS
    messages: str = ""
    history: Callable[[Sequence[Message]], Sequence[Message]] | None = None
    window: Window | None = None
    by_rules: AnyFunction[object] | None = None
    output_retries: int = 2
    turns: int = 20
    max_tool_calls: int | None = None
    batch: bool = False
    _parts: Parts[T_co] = field(init=False, repr=False, compare=False)
    _function: OutputFunction | None = field(init=False, repr=False, default=None)
    _read: tuple[Parameter, ...] | None = field(init=False, repr=False, compare=False, default=None)
    _graphs: dict[tuple[str, frozenset[str]], GraphDefinition[Any]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        for invalid, repair in _list_invalid_settings(self):
            raise DefinitionError(
                f"Agent({self.name!r}, {invalid}) is not valid", where=f"agent {self.name}", repair=repair
            )
        for name in ("name", "system", "prompt"):  # recorded with the graph, so they must be encodable
            text = getattr(self, name)
            if isinstance(text, str):
                object.__setattr__(self, name, utf8_text(text))
        if self.model is None and self.by_rules is not None:
            object.__setattr__(self, "model", "rules")
        if isinstance(cast("object", self.output), OutputFunction):
            object.__setattr__(self, "_function", self.output)
            object.__setattr__(self, "output", cast("Any", self.output).returns)
        object.__setattr__(self, "_parts", _make_parts(self))
        for problem, repair in self.__body__().lacks():
            raise DefinitionError(f"{self.name} {problem}", where=f"agent {self.name}", repair=repair)

    if not TYPE_CHECKING:  # type checkers know what it has

        def __getattr__(self, name: str) -> NoReturn:
            missing(self, name, "Agent")

    @overload
    def but(self, *, output: TypeForm[U], **changes: Any) -> Agent[U, Inputs]: ...  # noqa: ANN401 - arguments of Agent
    @overload
    def but(self, *, inputs: TypeForm[U], **changes: Any) -> Agent[T_co, U]: ...  # noqa: ANN401 - as above
    @overload
    def but(self, **changes: Any) -> Agent[T_co, Inputs]: ...  # noqa: ANN401 - as above
    def but(self, **changes: Any) -> Agent[Any, Any]:
        """Return a copy with changes.

        Args:
            changes: Arguments of `Agent`, by name, with their new values.
        """
        if self._function is not None:
            changes.setdefault("output", self._function)
        return replace(self, **changes)

    @overload
    async def run(self: Agent[T_co], /, **more: object) -> T_co: ...
    @overload
    async def run(
        self,
        inputs: Inputs | str,
        /,
        *,
        model: Never = ...,
        message_history: Never = ...,
        usage_limits: Never = ...,
        **more: object,
    ) -> T_co: ...
    async def run(self, inputs: object = None, /, **more: object) -> T_co:
        """Answer once. In a node the call is recorded, priced and limited as part of the run; outside a run it is not.

        Args:
            inputs: What it reads, of the type that its `inputs=` names; without that a mapping. A text is the one thing
                that it reads; an agent without a prompt reads `question`.
            more: What the prompt, the check and the rules read, by name; outside a run also the parameters of tools.
                A name that nothing reads is an error, except that an agent without a prompt and without `inputs=`
                shows its model all that it is given, if everything has a name.

        Raises:
            InputError: An input is missing, has the wrong type, or is read by nothing.
            ModelError: The model gave no answer; the subclass states why.
            BadAnswer: The model's answers did not fit.
        """
        self._check_hands_over_to_nobody()
        written = self.__body__().also_writes
        if written and runtime_here() is not None:
            text = f"{written[0][0]} writes {written[0][1]}, which {self.name}.run() would drop"
            repair = f"make the agent a node; or return the `writes` of {self.name}.answer(…) as updates"
            raise DefinitionError(text, where=f"agent {self.name}", repair=repair)
        return (await self._call_in_loop(self._read_inputs(inputs, more))).value

    @overload
    def run_sync(self: Agent[T_co], /, **more: object) -> T_co: ...
    @overload
    def run_sync(
        self,
        inputs: Inputs | str,
        /,
        *,
        model: Never = ...,
        message_history: Never = ...,
        usage_limits: Never = ...,
        **more: object,
    ) -> T_co: ...
    def run_sync(self, inputs: object = None, /, **more: object) -> T_co:
        """Answer once, as `run` does, where there is no event loop: in a script, or in a sync node.

        Args:
            inputs: As for `run`.
            more: As for `run`.

        Raises:
            DefinitionError: There is an event loop, which this would block.
        """
        with suppress(RuntimeError):  # not in an `except`, so that no error has a missing loop as its context
            asyncio.get_running_loop()
            text = f"{self.name}.run_sync() was called in an event loop, which it would block"
            raise DefinitionError(text, where=f"agent {self.name}", repair=f"await {self.name}.run(…)")
        return asyncio.run(self.run(cast("Inputs", inputs), **cast("Any", more)))

    @overload
    def stream(self: Agent[T_co], /, **more: object) -> AsyncGenerator[AgentEvent | T_co, None]: ...
    @overload
    def stream(
        self,
        inputs: Inputs | str,
        /,
        *,
        model: Never = ...,
        message_history: Never = ...,
        usage_limits: Never = ...,
        **more: object,
    ) -> AsyncGenerator[AgentEvent | T_co, None]: ...
    def stream(self, inputs: object = None, /, **more: object) -> AsyncGenerator[AgentEvent | T_co, None]:
        """Answer once, and iterate over what is shown meanwhile, as it is streamed, and at last the answer itself.

        Nothing is recorded; `runner.stream(agent, …)` does the same in a run. Leaving the loop cancels the call.

        Args:
            inputs: As for `run`.
            more: As for `run`.

        Raises:
            InputError: As for `run`.
            DefinitionError: A run calls this, whose watchers see what its agents show. What else `run` raises is raised
                when iterated.

        Example:
            >>> from graphengine import TextDelta
            >>> async def main() -> None:
            ...     async for shown in Agent("echo", model=ScriptedModel(["Hello."]), prompt="Greet.").stream():
            ...         print(shown.text if isinstance(shown, TextDelta) else f"answer: {shown}")
            >>> asyncio.run(main())
            Hello.
            answer: Hello.
        """
        self._check_hands_over_to_nobody()
        given = self._read_inputs(inputs, more)
        if runtime_here() is not None:
            repair = f"await {self.name}.run(…): who watches the run gets what its agents show"
            raise DefinitionError(
                f"{self.name}.stream() was called in a run", where=f"agent {self.name}", repair=repair
            )
        return Stream(self._stream_events(given))

    async def _stream_events(self, inputs: Mapping[str, object]) -> AsyncGenerator[AgentEvent | T_co, None]:
        audience = Audience()
        shown = audience.joined()
        runtime = StandaloneRuntime(self._for_tools(inputs), audience)
        task = asyncio.create_task(self._answer(runtime, inputs))
        task.add_done_callback(lambda _: audience.tell(None))
        try:
            while (event := await shown.get()) is not None:
                yield cast("AgentEvent", event)
            yield (await task).value  # not done yet if so many events waited that the rest was left out
        finally:
            task.cancel()
            await asyncio.wait([task])

    @overload
    async def answer(self: Agent[T_co], /, **more: object) -> Answer[T_co]: ...
    @overload
    async def answer(
        self,
        inputs: Inputs | str,
        /,
        *,
        model: Never = ...,
        message_history: Never = ...,
        usage_limits: Never = ...,
        **more: object,
    ) -> Answer[T_co]: ...
    async def answer(self, inputs: object = None, /, **more: object) -> Answer[T_co]:
        """Answer once, as `run` does, and return the messages and the usage too.

        Args:
            inputs: As for `run`.
            more: As for `run`. The input that `messages` names holds the earlier messages.
        """
        return await self._call_in_loop(self._read_inputs(inputs, more))

    def __body__(self) -> AgentBody[T_co]:
        """Return the agent as a node's body."""
        return AgentBody(self)

    def _read_inputs(self, inputs: object, more: Mapping[str, object]) -> Mapping[str, object]:
        """Return what a call gives the agent, by name; see `CallInputs.read`.

        Raises:
            InputError: Something is missing, is read by nothing, or has the wrong type.
        """
        runtime, takes = runtime_here(), call_inputs_of(self)
        if runtime is None:
            is_known = takes.is_free or all(isinstance(each, Tool) for each in self._parts.kit)
            return takes.read(inputs, more, also=takes.tools, has_servers=not is_known)
        provided = runtime.given()
        same = [name for name, value in more.items() if name in provided and provided[name] is value]
        return takes.read(inputs, more, also=same)

    def _check_hands_over_to_nobody(self) -> None:
        """Refuse a call outside of a conversation for an agent that hands over."""
        for message, repair in self.__body__().hands_over():
            raise DefinitionError(message, where=f"agent {self.name}", repair=repair)

    def _call_in_loop(self, inputs: Mapping[str, object]) -> Awaitable[Answer[T_co]]:
        """Call it in the event loop of the run, from any thread or loop."""
        runtime = runtime_here() or StandaloneRuntime(self._for_tools(inputs))
        call = functools.partial(self._answer, runtime, inputs)
        return call() if asyncio.get_running_loop() is runtime.loop else in_loop_of(runtime, call)

    async def _answer(self, runtime: AgentRuntime, inputs: Mapping[str, object]) -> Answer[T_co]:
        before = _messages_in_field(inputs.get(self.messages)) if self.messages else ()
        if self.history is not None:
            before = _chosen_history(self, before)
        by_rules = self._by_rules_given(runtime, inputs) if self.by_rules is not None else None
        try:
            talk = Conversation(self, self._parts, runtime, before, inputs, by_rules)
            value = await talk.hold(functools.partial(self._words, runtime, inputs))
        except ModelError as error:
            if not error.where:
                error.where = f"agent {self.name}"
            raise
        return Answer(value, talk.messages, talk.usage, talk.writes)

    async def _words(self, runtime: AgentRuntime, inputs: Mapping[str, object], begun: Words) -> Words:
        """Return the words of a call: those with which it began, and today's for the others."""
        given = runtime.given_by_callers(self, inputs)
        system, question, media = begun
        if system is None:
            system = await self._instructions(runtime, inputs, given)
        if question is None:
            question, media = await self._question(runtime, inputs, given)
        return Words(system, question, media)

    async def _question(
        self, runtime: AgentRuntime, inputs: Mapping[str, object], given: Collection[str]
    ) -> tuple[Filled, Sequence[Media]]:
        """Return the question and its media; the user's functions that make or guard it are called in a thread."""
        media: list[Media] = []
        if callable(self.prompt):
            text, media = await self._make_text("prompt", self.prompt, runtime, inputs)
            question = Filled(text)
        elif self.prompt:
            question = fill_prompt(self.prompt, inputs, media, given)
        else:
            question = asked(self._question_inputs(runtime, inputs), media, given)
        if not (self._parts.guards and any(guard.on == "input" for guard in self._parts.guards)):
            return question, media
        guarded = functools.partial(check_text, self._parts.guards, question.text, "input", where=f"agent {self.name}")
        return question._replace(text=cast("str", await runtime.blocking(guarded))), media

    async def _make_text(
        self, what: str, function: Callable[..., object], runtime: AgentRuntime, inputs: Mapping[str, object]
    ) -> tuple[str, list[Media]]:
        """Return the text and the media that a function of fields makes; a sync one is called in a thread."""
        values = {name: value for name, value in inputs.items() if name in Injected.of(function).names}
        call = functools.partial(function, **values)
        made = call() if is_async(function) else await runtime.blocking(call)
        if inspect.isawaitable(made):
            made = await made
        takes_media = what == "prompt"
        parts = made if takes_media and isinstance(made, (list, tuple)) else [made]
        if not all(isinstance(part, str) or (takes_media and isinstance(part, Media)) for part in parts):
            repair = "return the text from its function" + (", or a list of texts and media" if takes_media else "")
            message = f"the {what} of {self.name} is {type(made).__name__}"
            raise DefinitionError(message, where=f"agent {self.name}", repair=repair)
        return joined(cast("Sequence[str | Media]", parts))

    async def _instructions(
        self, runtime: AgentRuntime, inputs: Mapping[str, object], given: Collection[str]
    ) -> Filled:
        """Return the standing instructions."""
        replaced = runtime.instructions_for(self.name)
        text = self.system if replaced is None else replaced
        if callable(text):
            return Filled((await self._make_text("system", text, runtime, inputs))[0])
        return fill_prompt(text, inputs, given=given)

    def _question_inputs(self, runtime: AgentRuntime, inputs: Mapping[str, object]) -> dict[str, object]:
        """Return the inputs that are the question without a prompt: no resources, messages, nor what a tool reads."""
        read = {self.messages, *(parameter.name for parameter in _list_tool_reads(self))}
        read |= {name for name, value in runtime.given().items() if name in inputs and inputs[name] is value}
        return {name: value for name, value in inputs.items() if name not in read}

    def _for_tools(self, inputs: Mapping[str, object]) -> dict[str, object]:
        """Return the inputs that only a tool can read."""
        if not (self._parts.kit or self._parts.maker):
            return {}
        read = {parse(parameter.name).root for parameter in self._reads()}
        own = self._parts.inputs.fields.keys() if self._parts.inputs is not None else ()
        takes = call_inputs_of(self)
        if takes.is_free:  # what is beside a question is for the tools, if it is a parameter of one
            read |= inputs.keys() - takes.tools if QUESTION in inputs else inputs.keys()
            read.add(QUESTION)
        return {name: value for name, value in inputs.items() if name not in read.union(own)}

    def _reads(self) -> tuple[Parameter, ...]:
        """Return what its node reads, worked out once."""
        if self._read is None:
            object.__setattr__(self, "_read", tuple(self.__body__().parameters))
        return self._read or ()

    def _by_rules_given(self, runtime: AgentRuntime, inputs: Mapping[str, object]) -> Callable[[], Any]:
        function = cast("Callable[..., object]", self.by_rules)
        wanted = Injected.of(function).names

        async def answer() -> object:
            values = {name: value for name, value in inputs.items() if name in wanted}
            if is_async(function):
                return await function(**values)  # type: ignore[misc]
            return await runtime.blocking(functools.partial(function, **values))

        return answer


@dataclass(frozen=True, slots=True)
class AgentBody(Generic[T]):
    """An agent in the form the engine calls."""

    agent: Agent[T, Any]
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
    def details(self) -> Mapping[str, str]:
        """Its own model and instructions, if it has any, and the type of its answers, for graph specs."""
        agent = self.agent
        model = agent.model or "" if isinstance(agent.model, (str, NoneType)) else type(agent.model).__name__
        texts = {"system": agent.system, "prompt": agent.prompt}
        shown = {k: t if isinstance(t, str) else getattr(t, "__name__", "function") for k, t in texts.items()}
        return {k: text for k, text in {"model": model, **shown, "output": type_name(agent.output)}.items() if text}

    @property
    def messages(self) -> str:
        """The field that keeps its conversation, "" for none."""
        return self.agent.messages

    @property
    def message_type(self) -> type:
        """The type of the messages in its conversation."""
        return Message

    @property
    def takes_all(self) -> bool:
        """Whether all inputs of its node become part of the question."""
        return not self.agent.prompt

    @property
    def parameters(self) -> Sequence[Parameter]:
        """The paths of its prompt, the parameters of its functions, and its conversation."""
        own = _parts_of(self.agent).inputs
        kinds = {} if own is None else {name: each.info.annotation for name, each in own.fields.items()}
        found = {hole: Parameter(hole, kinds.get(hole, Any), shown=True) for hole in self._paths()}
        for function, first in self._functions():
            for parameter in Injected.of(function).parameters[first:]:
                found[parameter.name] = parameter
        for parameter in _list_tool_reads(self.agent):
            found.setdefault(parameter.name, parameter)
        if self.agent.messages:
            found[self.agent.messages] = Parameter(self.agent.messages)
        return list(found.values())

    @property
    def functions(self) -> Sequence[object]:
        """The functions that it may call, with those of its tools, by which runs know that its code has changed."""
        return [
            *(function for function, _ in self._functions()),
            *(getattr(each, "function", each) for each in self.agent.tools),
        ]

    def _functions(self) -> Sequence[tuple[Callable[..., object], int]]:
        """Return the functions that read fields, each with the index of its first parameter that is a field."""
        agent = self.agent
        given = ((agent.prompt, 0), (agent.system, 0), (agent.by_rules, 0), (agent.check, 1), (agent.best_effort, 1))
        return [(function, first) for function, first in given if callable(function)]

    def _texts(self) -> Sequence[tuple[str, str]]:
        """Return prompt and system, if they are texts, each with its name."""
        texts = (("prompt", self.agent.prompt), ("system", self.agent.system))
        return [(name, text) for name, text in texts if isinstance(text, str)]

    def _paths(self) -> Sequence[str]:
        """Return the paths in the texts of prompt and system."""
        return [hole for _, text in self._texts() for hole in holes(text) if is_path(hole)]

    async def call(self, **values: object) -> object:
        """Answer once. With `messages`, return those of its conversation too."""
        answer = await self.agent._call_in_loop(values)  # noqa: SLF001 - of this module
        if not self.agent.messages and not answer.writes:
            return answer.value
        before = _messages_in_field(values.get(self.agent.messages)) if self.agent.messages else ()
        return Remembered(answer.value, before, answer.messages, answer.writes)

    @property
    def also_writes(self) -> Sequence[tuple[str, str, object]]:
        """The fields that its tools write: of each the tool, the field, and the type of what it gets."""
        kit = [each for each in _parts_of(self.agent).kit if isinstance(each, Tool)]
        return [(f"tool {each.name}", part.field, part.kind) for each in kit for part in each.parts]

    def lacks(self) -> Iterator[tuple[str, str]]:
        """Yield what its texts and tools read that the type of its inputs lacks, each with the repair."""
        own = _parts_of(self.agent).inputs
        if own is None:
            return
        read = [*self._paths(), *(each.name for each in _list_tool_reads(self.agent))]
        for path in map(parse, read):
            if path.root == self.agent.messages:
                continue
            if path.root not in own.fields:
                near = did_you_mean(path.root, own.fields)
            else:
                near = type_at(own.fields[path.root].info.annotation, path)[1]
                if not near:
                    continue
            yield f"reads {{{path.text}}}, which {own.declared.__name__} lacks", near

    def problems(self) -> Sequence[tuple[str, str, str]]:
        """List the invalid paths of the prompt, the functions that cannot get their parameters, a bad model name."""
        agent = self.agent
        found: list[tuple[str, str, str]] = []
        for name, text in self._texts():
            found += [("bad_path", f"the {name} of {self.name} {fault}", repair) for fault, repair in bad_braces(text)]
        for function, _ in self._functions():
            injected = Injected.of(function)
            what = "rules" if function is agent.by_rules else injected.name
            template = f"{self.name}'s {what} has %s"
            found += [("bad_parameter", template % text, "name each field") for text in injected.variadic]
        if agent.messages and not is_path(agent.messages):
            repair = "name a field, or one key of one: 'talks[editor]'"
            found.append(("bad_path", f"messages={agent.messages!r} is not a path", repair))
        found += [("hands_over", message, repair) for message, repair in self.hands_over()]
        return [*found, *self._problems_of_model()]

    def hands_over(self) -> Iterator[tuple[str, str]]:
        """Yield why this agent cannot run outside of a conversation, and the repair, if it hands over."""
        if self.agent.hand_to:
            names = ", ".join(each if isinstance(each, str) else each.name for each in self.agent.hand_to)
            repair = "runner.run(agent, …, chat=…), or Graph.chat(agent) as the graph; else agent.but(hand_to=())"
            yield f"{self.name} hands over to {names}, which only a conversation can follow", repair

    def problems_in(self, fields: Collection[str], resources: Collection[str]) -> Iterator[Finding]:
        """Yield the problems of its tools in a graph with these fields and resources."""
        parts = _parts_of(self.agent)
        return findings([*parts.kit, parts.maker], fields, resources)

    def needs(self, resources: Collection[str]) -> Iterator[Need]:
        """Yield what its tools need that has to be a resource, and is none of these."""
        parts = _parts_of(self.agent)
        return needs([*parts.kit, parts.maker], resources)

    def waits(self) -> tuple[str, str] | None:
        """Return what it or a tool of it waits for, and the repair for an effect; None if nothing shows."""
        from graphengine.checks.waits import wait_in  # noqa: PLC0415 - another wing, which is asking

        tools = 'give effect= to the tools that act, not to the node: tool(act, effect="once")'
        for each in _parts_of(self.agent).kit:
            what = wait_in(each.function) if isinstance(each, Tool) else ""
            what = "a call of another program" if isinstance(each, Tool) and each.is_external else what
            if getattr(each, "approve", False) or what:  # a server has it too
                return f"{what or 'approve='} of {each.name}", f'ask in a node before: ask("…", bool); or {tools}'
        return ("batch=True", f"leave out batch=; or {tools}") if self.agent.batch else None

    def effects(self) -> Sequence[str]:
        """Return the tools that must not be repeated."""
        return [each.name for each in _parts_of(self.agent).kit if isinstance(each, Tool) and once_of(each.effect)]

    def _problems_of_model(self) -> Sequence[tuple[str, str, str]]:
        """List a bad model name, and the settings that the model does not have."""
        agent = self.agent
        if agent.model is None:  # a Runner may give it one
            return []
        try:
            model = model_of(agent.model) if isinstance(agent.model, str) else agent.model
        except (DefinitionError, ModelError) as error:
            return [("bad_model", error.message, error.repair)]
        settings = _parts_of(agent).settings
        missing = model.lacks(settings) if isinstance(model, ChecksSettings) else {}
        template = f"{model.name}, the model of {self.name}, has no setting"
        found = [
            ("bad_setting", f"{template} {setting}={getattr(settings, setting)!r}", repair)
            for setting, repair in missing.items()
        ]
        hosted = () if isinstance(model, RulesModel) else _parts_of(agent).hosted  # rules answer without tools
        found += [("bad_tool", message, repair) for message, repair in lacking(model, hosted)]
        count = sum(isinstance(each, Tool) for each in _parts_of(agent).kit)  # servers have more
        found += [("bad_tool", message, repair) for message, repair in too_many_tools(model, count)]
        if agent.batch and not isinstance(model, RulesModel) and (repair := lacks_batches(model)):
            found.append(("bad_batch", f"{model.name}, the model of {self.name}, has no batches", repair))
        return found


def _list_invalid_settings(agent: Agent[Any, Any]) -> Sequence[tuple[str, str]]:
    """List the invalid settings, each with its repair."""
    found = []
    if not isinstance(cast("object", agent.name), str) or not agent.name.strip():
        found.append(("…", "choose a text that is not blank as its name"))
    is_model = callable(getattr(agent.model, "answer", None)) and isinstance(getattr(agent.model, "name", None), str)
    is_model = is_model and not isinstance(agent.model, (type, Agent))
    if not (is_model or isinstance(agent.model, (str, NoneType))):
        found.append((f"model={agent.model!r}", "give a name, as 'anthropic:…', or a Model"))
    for name, least in (("output_retries", 0), ("turns", 1), ("max_tool_calls", 1)):
        number = getattr(agent, name)
        if (name, number) != ("max_tool_calls", None) and not (type(number) is int and number >= least):
            found.append((f"{name}={number!r}", f"give a whole number from {least} on"))
    if not isinstance(agent.settings, Settings):
        found.append((f"settings={agent.settings!r}", "write settings=Settings(…)"))
    if agent.on_cut not in get_args(OnCut):
        found.append((f"on_cut={agent.on_cut!r}", 'give "fail", "keep" or "continue"'))
    if not isinstance(agent.messages, str):
        found.append((f"messages={agent.messages!r}", "give the name of a field of the state: messages='messages'"))
    if isinstance(agent.output, (dict, list, tuple, set)):
        found.append((f"output={agent.output!r}", "give a type: a pydantic model, Literal['a', 'b'], list[str], …"))
    return [*found, *_invalid_types(agent), *_invalid_lists(agent)]


def _invalid_lists(agent: Agent[Any, Any]) -> Sequence[tuple[str, str]]:
    """List what is no list, and what stands in the wrong one, each with its repair."""
    lists = {name: getattr(agent, name) for name in ("tools", "guards", "hooks", "hand_to")}
    found = [
        (f"{name}={_format_setting(given)}", f"give a list: {name}=[{_format_setting(given)}]")
        for name, given in lists.items()
        if not isinstance(given, (list, tuple))
    ]
    if not found and not all(isinstance(each, (Agent, str)) for each in agent.hand_to):
        found.append((f"hand_to={list(agent.hand_to)!r}", "give agents, or the names of agents of the conversation"))
    return found or list(misplaced(agent.guards, agent.hooks))


def _format_setting(given: object) -> str:
    """Return a value as one would write it: a function by its name."""
    return str(getattr(given, "__name__", repr(given)))


def _invalid_types(agent: Agent[Any, Any]) -> Sequence[tuple[str, str]]:
    """List the settings of a wrong type or range, each with its repair."""
    found = []
    for name in ("system", "prompt"):
        text = getattr(agent, name)
        if not isinstance(text, str) and not callable(text):
            found.append((f"{name}={text!r}", "give a text, or a function that returns it"))
    for name in ("check", "best_effort", "by_rules"):
        function = getattr(agent, name)
        if function is not None and not callable(function):
            found.append((f"{name}={function!r}", "give a function"))
        elif function is not None and name != "by_rules" and not Injected.of(function).parameters:
            what = "the refused answers" if name == "best_effort" else "the answer"
            found.append((f"{name}=…", f"give a function whose first parameter receives {what}"))
    if agent.history is not None and not (callable(cast("object", agent.history)) and agent.messages):
        what = f"history={getattr(agent.history, '__name__', repr(agent.history))}"
        lacks = "" if agent.messages else " without messages="
        found.append((what + lacks, 'give messages="messages", and a function of them: history=without_tools'))
    if is_async(agent.history):
        found.append(("history=…", "give a function without async, because it only selects messages"))
    if agent.history is not None and agent.window is not None:
        found.append(("history=…, window=…", "give one of them: a summary counts all messages of the conversation"))
    if agent.window is not None and not isinstance(agent.window, Window):
        found.append((f"window={agent.window!r}", "write window=Window(max_tokens=…)"))
    return found


def reads_of(agent: Agent[Any, Any]) -> Sequence[Parameter]:
    """Return what an agent reads, its conversation excepted."""
    return [each for each in agent._reads() if each.name != agent.messages]  # noqa: SLF001 - of this module


def graphs_of(agent: Agent[Any, Any]) -> dict[tuple[str, frozenset[str]], GraphDefinition[Any]]:
    """Return the graphs that were made to run it, by what they do and the names of the resources they can take."""
    return agent._graphs  # noqa: SLF001 - of this module


def _list_tool_reads(agent: Agent[Any, Any]) -> Sequence[Parameter]:
    """Return the paths of the state that an agent's tools read, and what says when they are offered."""
    kit = _parts_of(agent).kit
    found = [parameter for each in kit if isinstance(each, Tool) for parameter in each.reads()]
    offers = {
        (function, (*inputs,))
        for each in kit
        if (function := getattr(each, "offered", None)) is not None
        for inputs in [getattr(each, "inputs", ())]
    }
    return [*found, *(each for function, own in offers for each in reads_of_offer(function) if each.name not in own)]


def call_inputs_of(agent: Agent[Any, Any]) -> CallInputs:
    """Return what a call may give an agent."""
    parts = _parts_of(agent)
    tools = [each.parameters for each in (*parts.kit, parts.maker) if isinstance(each, Tool)]
    known = frozenset[str]().union(*tools)
    return CallInputs(agent.name, parts.inputs, reads_of(agent), bool(agent.prompt), agent.messages, known)


def _chosen_history(agent: Agent[Any, Any], before: Sequence[Message]) -> Sequence[Message]:
    """Return the part of the conversation that the agent's function chooses.

    Raises:
        DefinitionError: It returns something else than messages.
    """
    chosen = cast("Callable[[Sequence[Message]], object]", agent.history)(effective(before))
    if not isinstance(chosen, (list, tuple)) or not all(isinstance(each, Message) for each in chosen):
        message = f"the history of {agent.name} is {type(chosen).__name__}"
        raise DefinitionError(
            message, where=f"agent {agent.name}", repair="return a list of messages from its function"
        )
    return chosen


def _messages_in_field(value: object) -> Sequence[Message]:
    """Return the messages in a field of the state."""
    if value is None:
        return ()
    given = cast("Sequence[object]", value)
    return [each if isinstance(each, Message) else Message.model_validate(each) for each in given]


__all__ = ["Agent", "AgentBody", "Answer", "call_inputs_of", "graphs_of", "reads_of"]
