"""Agents: a role, a prompt and a type of answer, on top of a model.

An Agent is a node, just as a function is. It reads the values that the `{paths}` of its prompt name and the values that
the parameters of its functions name (a prompt function, the check, the rule-based answer). It returns a value of its
output type. The module `graphengine.agents.conversation` describes how a call of an agent proceeds.
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
from graphengine.agents.conversation import Conversation, OpeningTexts
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
    from graphengine.agents.tool_checks import Need, ToolProblem
    from graphengine.kernel.extension import GraphDefinition
    from graphengine.kernel.inside import AnyFunction
    from graphengine.kernel.reader import Usage
    from graphengine.models.parts import Citation

T = TypeVar("T", default=str)
U = TypeVar("U")
T_co = TypeVar("T_co", default=str, covariant=True)
Inputs = TypeVar("Inputs", default=Mapping[str, object])

GuardLike: TypeAlias = "Callable[[str], str] | Guard"
PromptResult: TypeAlias = "str | Sequence[str | Media]"
ToolLike: TypeAlias = "AnyFunction[object] | Tool | ToolSource | HostedTool"


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """The outcome of one call of an agent.

    Attributes:
        value: The answer.
        messages: The messages between the agent, its model and its tools. The question is the first of them.
        usage: The usage of the models that were called: `calls`, `input_tokens`, …, `cost_usd` (None if the cost is
            unknown).
        writes: The fields of the state that the tools write, each with an update, in the order of the tool calls.
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
class AgentParts(Generic[T]):
    """The parts of an agent that are computed once, when the agent is created, from the arguments of `Agent`.

    Attributes:
        reader: Reads the model's answers as values of the output type.
        checker: The function `check=`; None if the agent has no check.
        best_effort: The function `best_effort=`; None if the agent has none.
        kit: The tools and tool sources that this program runs.
        hosted: The tools that the model's provider runs.
        guards: The guards, each as a `Guard`.
        settings: The settings of the model. They include caching of the conversation if the agent asks for caching.
        inputs: The fields of `inputs=`; None if the agent declares no type of inputs.
        maker: The output function of `result_of(function)`, as a tool; None if the agent has none.
    """

    reader: Output[T]
    checker: Injected | None
    best_effort: Injected | None
    kit: tuple[Tool | ToolSource, ...]
    hosted: tuple[HostedTool, ...]
    guards: tuple[Guard, ...]
    settings: Settings
    inputs: StateType[Any] | None
    maker: Tool | None


def _make_parts(agent: Agent[T, Any]) -> AgentParts[T]:
    where = f"agent {agent.name}"
    kit, hosted = split_tools(agent.tools)
    settings = agent.settings
    # A conversation is sent again in each turn, so caching covers all of it.
    if settings.cache and (kit or agent.messages):
        settings = settings.but(cache="conversation")
    named = [each.name for each in kit if isinstance(each, Tool)]
    if len(named) == len(kit):  # the tools of a server are only known once the server is opened
        check_choice(settings.tool_choice, [*named, *(each.name for each in hosted)], where=where)
    checker, best = (Injected.of(each) if each is not None else None for each in (agent.check, agent.best_effort))
    reader, guards = Output(agent.output, where=where), as_guards(agent.guards)
    if agent.on_cut != "fail" and (reader.schema is not None or agent._function is not None):  # noqa: SLF001 - of this module
        text = (
            f"Agent({agent.name!r}, on_cut={agent.on_cut!r}): only an answer that is a text can be kept "
            f"after a cut, and the answers of this agent have the type {type_name(agent.output)}"
        )
        repair = "leave out on_cut=. Against cuts, raise max_tokens=, or ask for shorter answers in the prompt"
        raise DefinitionError(text, where=where, repair=repair)
    maker = None if agent._function is None else Tool(agent._function.function)  # noqa: SLF001 - of this module
    return AgentParts(reader, checker, best, kit, hosted, guards, settings, _inputs_of(agent), maker)


def _inputs_of(agent: Agent[Any, Any]) -> StateType[Any] | None:
    """Return the type in an agent's `inputs=`, split into its fields; None if the agent has no `inputs=`.

    Raises:
        DefinitionError: The type cannot be used for inputs, or it has a secret field.
    """
    if agent.inputs is None:
        return None
    try:
        found = StateType.of(declared_model(agent.inputs))
    except (ValueError, PydanticUserError) as error:
        repair = "give a TypedDict, a dataclass or a pydantic model whose fields have types that JSON can represent"
        text = f"inputs= of agent {agent.name!r} cannot be used: {str(error).splitlines()[0]}"
        raise DefinitionError(text, where=f"agent {agent.name}", repair=repair) from error
    if found.secrets:
        names = ", ".join(map(repr, sorted(found.secrets)))
        text = f"inputs= of agent {agent.name!r} has the secret input {names}, but agents cannot read secrets"
        repair = f"remove {names} from inputs=, and pass the secret as a resource to the tool that needs the secret"
        raise DefinitionError(text, where=f"agent {agent.name}", repair=repair)
    return found


def _parts_of(agent: Agent[T, Any]) -> AgentParts[T]:
    return agent._parts  # noqa: SLF001 - of this module


@dataclass(frozen=True, slots=True)
class Agent(Generic[T_co, Inputs]):
    """A role that answers prompts with values of one type.

    Args:
        name: The agent's name, which appears in usage, messages and errors.
        model: The model that answers. Pass its name, such as `"anthropic:claude-…"`, `"openai:…"` or `"openai-chat:…"`,
            or an object with the `Model` protocol. A Runner can replace the model. Without a model, `by_rules` answers.
            If the agent has neither, the Runner must provide a model; otherwise the run is refused at its start.
        system: The standing instructions: a text with `{paths}` of the state, or a function of fields that returns the
            text.
        prompt: The question: a text with `{paths}` of the state, or a function of fields that returns a text or a list
            of texts and media. Each value that a path inserts is delimited, so that the model cannot mistake the value
            for instructions. Pictures and documents are shown at the place of their path. Without a prompt, the inputs
            become labelled blocks.
        inputs: The type of the inputs: a TypedDict, a dataclass or a pydantic model. With this type, `run(Question(…))`
            is checked by type checkers and when it is called, and a path of the prompt that the type does not contain
            is an error when the agent is created.
        output: The type of the answers; text by default. With `result_of(function)` a function makes the answers from
            arguments that the model writes.
        check: A function `check(answer, **fields)` that validates each answer and returns nothing. If it raises
            ValueError, the message is sent to the model, which answers again. Any other exception, and any returned
            value, is an error of the call.
        best_effort: A function `best_effort(answers, **fields)` that chooses an answer when the check still refuses the
            model's answers after the last retry. The function receives the refused answers, the latest first, including
            texts that were cut off. It returns the answer, or raises ValueError to say that none of them can be used.
            Without this function the call fails.
        on_cut: What happens to a text that was cut off because it reached `max_tokens`. With `"keep"` the cut text is
            the answer. With `"continue"` the model is asked up to three times to continue the text. With `"fail"` the
            call fails with `AnswerCut`. Before a call fails, `best_effort=` is asked, also if the text is still
            incomplete after the third continuation.
        hand_to: Agents, or names of agents, to which this agent may hand over a conversation. In `runner.run(agent, …,
            chat=…)` and in `Graph.chat(agent)` the model gets a tool `hand_to_NAME` for each of them. The other agent
            reads the conversation as its own `history=` filters it, and answers the current message and the following
            ones.
        tools: The tools that the model may call: functions, `tool(function, …)` and `mcp(…)`. The list may also contain
            tools that the model's provider runs: `web_search()`, `web_fetch()` and `code_execution()`.
        guards: Checks of questions, answers and tool results: functions of a text, or `guard(function, …)`.
        hooks: Code that runs around each call of the model and of a tool; see `Hooks`.
        settings: How the model is called: `Settings(max_tokens=…, temperature=…, effort=…, cache=…)` and more.
        messages: The field of the state that keeps the conversation from visit to visit. Name a field that holds a list
            of `Message` with the reducer `extend`, such as `"messages"`, or one key of a dict of such lists, such as
            `"talks[editor]"`. A visit records only the messages that it adds. If the dict or its lists have a validator
            or another constraint, the visit records all messages of the key.
        history: A function that chooses which messages of that field are sent to the model, for example after a handoff
            to this agent. It receives the messages and returns the chosen ones; see `without_tools`. The field still
            keeps all messages.
        window: When older messages are replaced by a summary; see `Window`.
        by_rules: A function that answers without a language model, if the agent has no model or its model is `"rules"`.
            Its parameters name the values that it reads.
        output_retries: How many times an answer that does not fit is sent back to the model.
        turns: The largest number of turns in which the agent may call tools before it answers.
        max_tool_calls: The largest number of tool calls before the agent answers; None for no limit. Calls beyond the
            limit are not made, and the model reads that they were not made.
        batch: Whether the model's calls are sent in a provider's batch, which costs half the price and takes up to a
            day. The run sleeps until the batch has ended. Use batches for the items of a map and for nodes whose result
            is not urgent. The provider is asked for the state of the batch after 30 seconds and then at intervals that
            grow to a quarter of the elapsed time, but are never longer than an hour. An agent that runs alone or inside
            `ctx.call` cannot sleep, so `batch=True` is an error there.

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
    prompt: str | AnyFunction[PromptResult | Awaitable[PromptResult]] = ""
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
    _parts: AgentParts[T_co] = field(init=False, repr=False, compare=False)
    _function: OutputFunction | None = field(init=False, repr=False, default=None)
    _read: tuple[Parameter, ...] | None = field(init=False, repr=False, compare=False, default=None)
    _graphs: dict[tuple[str, frozenset[str]], GraphDefinition[Any]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        for invalid, reason, repair in _list_invalid_settings(self):
            text = f"Agent({self.name!r}, {invalid}): {reason}"
            raise DefinitionError(text, where=f"agent {self.name}", repair=repair)
        # These texts are recorded with the graph, so they must be encodable as UTF-8.
        for name in ("name", "system", "prompt"):
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
            raise DefinitionError(f"agent {self.name!r} {problem}", where=f"agent {self.name}", repair=repair)

    if not TYPE_CHECKING:  # type checkers know the attributes of an agent, so a misspelled name is an error for them

        def __getattr__(self, name: str) -> NoReturn:
            missing(self, name, "Agent")

    @overload
    def but(self, *, output: TypeForm[U], **changes: Any) -> Agent[U, Inputs]: ...  # noqa: ANN401 - arguments of Agent
    @overload
    def but(self, *, inputs: TypeForm[U], **changes: Any) -> Agent[T_co, U]: ...  # noqa: ANN401 - as above
    @overload
    def but(self, **changes: Any) -> Agent[T_co, Inputs]: ...  # noqa: ANN401 - as above
    def but(self, **changes: Any) -> Agent[Any, Any]:
        """Return a copy of the agent with some arguments changed.

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
        """Ask the agent once and return its answer.

        If `run` is called in a node of a run, the call is recorded, and its cost and usage count towards the limits of
        the run. Outside a run, nothing is recorded.

        Args:
            inputs: The agent's inputs: an object of the type that `inputs=` names, or a mapping if the agent names no
                type. A plain text is accepted if the agent reads exactly one input. An agent without a prompt reads the
                input `question`.
            more: More inputs by name: values for the prompt, the check and the rules. Outside a run, parameters of
                tools can be passed as well. A name that the agent does not read is an error. The only exception is an
                agent without a prompt and without `inputs=` that is called outside a run without a plain text: it shows
                the model every name with its value.

        Raises:
            InputError: An input is missing, has the wrong type, or is not read by the agent.
            ModelError: The model gave no answer; the subclass states why.
            BadAnswer: The model's answers did not fit.
        """
        self._check_hands_over_to_nobody()
        written = self.__body__().also_writes
        if written and runtime_here() is not None:
            text = f"the {written[0][0]} writes field {written[0][1]!r}, but {self.name}.run() in a run drops the write"
            repair = f"make the agent a node. Or call {self.name}.answer(…), and return its `writes` as updates"
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
        """Ask the agent once, as `run` does, from code without an event loop: a script or a sync node.

        Args:
            inputs: As for `run`.
            more: As for `run`.

        Raises:
            DefinitionError: The calling thread runs an event loop, which this method would block.
        """
        # The error is raised here and not in an `except` block, so that RuntimeError does not become its context.
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            text = f"{self.name}.run_sync() was called in a running event loop, which the call would block"
            raise DefinitionError(text, where=f"agent {self.name}", repair=f"write: await {self.name}.run(…)")
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
        """Ask the agent once and iterate over its live events, followed by the answer.

        `stream` yields events such as `TextDelta` while the model writes, and the answer as the last item. Nothing is
        recorded; call `runner.stream(agent, …)` to do the same in a recorded run. The call is cancelled if you leave
        the loop.

        Args:
            inputs: As for `run`.
            more: As for `run`.

        Raises:
            InputError: As for `run`.
            DefinitionError: The method was called inside a run. Watchers of that run already receive the agent's
                events, so call `run` there. Every other error that `run` raises is raised during the iteration.

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
            text = f"{self.name}.stream() was called in a run, where only {self.name}.run() can be called"
            repair = f"write: await {self.name}.run(…). A program that watches the run receives the agent's events"
            raise DefinitionError(text, where=f"agent {self.name}", repair=repair)
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
            # The task may still run here if the audience left out events because too many were waiting.
            yield (await task).value
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
        """Ask the agent once, as `run` does, and return the messages and the usage along with the answer.

        Args:
            inputs: As for `run`.
            more: As for `run`. The input that `messages` names holds the earlier messages.
        """
        return await self._call_in_loop(self._read_inputs(inputs, more))

    def __body__(self) -> AgentBody[T_co]:
        """Return the object through which the engine runs this agent as a node of a graph."""
        return AgentBody(self)

    def _read_inputs(self, inputs: object, more: Mapping[str, object]) -> Mapping[str, object]:
        """Validate the inputs of a call, and return them by name; see `CallInputs.read`.

        Raises:
            InputError: An input is missing, has the wrong type, or is not read by the agent.
        """
        runtime, takes = runtime_here(), call_inputs_of(self)
        if runtime is None:
            is_known = takes.is_free or all(isinstance(each, Tool) for each in self._parts.kit)
            return takes.read(inputs, more, also=takes.tools, has_servers=not is_known)
        provided = runtime.given()
        same = [name for name, value in more.items() if name in provided and provided[name] is value]
        return takes.read(inputs, more, also=same)

    def _check_hands_over_to_nobody(self) -> None:
        """Raise an error if the agent has `hand_to=`, because only a conversation can hand over to another agent."""
        for message, repair in self.__body__().hands_over():
            raise DefinitionError(message, where=f"agent {self.name}", repair=repair)

    def _call_in_loop(self, inputs: Mapping[str, object]) -> Awaitable[Answer[T_co]]:
        """Call the agent in the event loop of its run, even if the caller runs in another thread or event loop."""
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

    async def _words(self, runtime: AgentRuntime, inputs: Mapping[str, object], opening: OpeningTexts) -> OpeningTexts:
        """Return the texts with which a call of the agent begins: its instructions and its question, with the media.

        If the call began before a crash or a wait, `opening` holds the recorded texts. They are used unchanged, and
        only the texts that were not recorded are made now.
        """
        given = runtime.given_by_callers(self, inputs)
        system, question, media = opening
        if system is None:
            system = await self._instructions(runtime, inputs, given)
        if question is None:
            question, media = await self._question(runtime, inputs, given)
        return OpeningTexts(system, question, media)

    async def _question(
        self, runtime: AgentRuntime, inputs: Mapping[str, object], given: Collection[str]
    ) -> tuple[Filled, Sequence[Media]]:
        """Make the question of a call, check it with the agent's input guards, and return it with its media."""
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
        """Call the agent's prompt or system function, and return its text and media.

        A sync function is called in a thread, so that it does not block the event loop.
        """
        values = {name: value for name, value in inputs.items() if name in Injected.of(function).names}
        call = functools.partial(function, **values)
        result = call() if is_async(function) else await runtime.blocking(call)
        if inspect.isawaitable(result):
            result = await result
        takes_media = what == "prompt"
        parts = result if takes_media and isinstance(result, (list, tuple)) else [result]
        if not all(isinstance(part, str) or (takes_media and isinstance(part, Media)) for part in parts):
            kinds = "a text" + (", or a list of texts and media" if takes_media else "")
            repair = f"let the function return {kinds}"
            message = f"the {what} function of agent {self.name!r} returned {type(result).__name__} instead of {kinds}"
            raise DefinitionError(message, where=f"agent {self.name}", repair=repair)
        return joined(cast("Sequence[str | Media]", parts))

    async def _instructions(
        self, runtime: AgentRuntime, inputs: Mapping[str, object], given: Collection[str]
    ) -> Filled:
        """Make the agent's standing instructions from `system=`.

        If the run is a branch with other instructions for this agent, `branch(instructions=…)`, those are used instead.
        """
        replaced = runtime.instructions_for(self.name)
        text = self.system if replaced is None else replaced
        if callable(text):
            return Filled((await self._make_text("system", text, runtime, inputs))[0])
        return fill_prompt(text, inputs, given=given)

    def _question_inputs(self, runtime: AgentRuntime, inputs: Mapping[str, object]) -> dict[str, object]:
        """Return the inputs from which the question is made if the agent has no prompt.

        Resources, the conversation and inputs that only tools read are not part of the question.
        """
        read = {self.messages, *(parameter.name for parameter in _list_tool_reads(self))}
        read |= {name for name, value in runtime.given().items() if name in inputs and inputs[name] is value}
        return {name: value for name, value in inputs.items() if name not in read}

    def _for_tools(self, inputs: Mapping[str, object]) -> dict[str, object]:
        """Return the inputs of a call that only the agent's tools can use, so that they can be passed on to the tools.

        These are the inputs that are not declared in `inputs=`, and that neither the agent's prompt and instructions
        nor its own functions read.
        """
        if not (self._parts.kit or self._parts.maker):
            return {}
        read = {parse(parameter.name).root for parameter in self._reads()}
        own = self._parts.inputs.fields.keys() if self._parts.inputs is not None else ()
        takes = call_inputs_of(self)
        if takes.is_free:  # inputs beside a question are passed to the tools that have parameters of these names
            read |= inputs.keys() - takes.tools if QUESTION in inputs else inputs.keys()
            read.add(QUESTION)
        return {name: value for name, value in inputs.items() if name not in read.union(own)}

    def _reads(self) -> tuple[Parameter, ...]:
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
    """Runs an agent as a node of a graph, through the interface that the engine also uses for functions."""

    agent: Agent[T, Any]
    kind: Literal["function", "agent", "pass"] = "agent"
    thread: bool = False

    @property
    def name(self) -> str:
        return self.agent.name

    @property
    def returns(self) -> object:
        return self.agent.output

    @property
    def details(self) -> Mapping[str, str]:
        """Describe the agent for its graph's spec: its model, its texts and the type of its answers.

        Each of these details is a text, by its name, such as `model`.
        """
        agent = self.agent
        model = agent.model or "" if isinstance(agent.model, (str, NoneType)) else type(agent.model).__name__
        texts = {"system": agent.system, "prompt": agent.prompt}
        shown = {k: t if isinstance(t, str) else getattr(t, "__name__", "function") for k, t in texts.items()}
        return {k: text for k, text in {"model": model, **shown, "output": type_name(agent.output)}.items() if text}

    @property
    def messages(self) -> str:
        return self.agent.messages

    @property
    def message_type(self) -> type:
        return Message

    @property
    def takes_all(self) -> bool:
        """Whether the node receives all fields of the state, as an agent without a prompt shows all its inputs."""
        return not self.agent.prompt

    @property
    def parameters(self) -> Sequence[Parameter]:
        """The inputs that the agent reads from the state.

        These are the paths in its texts, the parameters of its functions and tools, and the field with its
        conversation.
        """
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
        """Return the user's functions that this agent and its tools may call.

        When a run is resumed, the engine compares the code of these functions with the recorded code, to notice
        changes.
        """
        return [
            *(function for function, _ in self._functions()),
            *(getattr(each, "function", each) for each in self.agent.tools),
        ]

    def _functions(self) -> Sequence[tuple[Callable[..., object], int]]:
        """Return the functions of the agent that read fields of the state, such as those in `prompt=` and `check=`.

        Each function comes with the index of its first parameter that names a field. The index is 1 for `check(answer,
        **fields)`, whose first parameter is the answer, and 0 for a prompt function.
        """
        agent = self.agent
        given = ((agent.prompt, 0), (agent.system, 0), (agent.by_rules, 0), (agent.check, 1), (agent.best_effort, 1))
        return [(function, first) for function, first in given if callable(function)]

    def _texts(self) -> Sequence[tuple[str, str]]:
        texts = (("prompt", self.agent.prompt), ("system", self.agent.system))
        return [(name, text) for name, text in texts if isinstance(text, str)]

    def _paths(self) -> Sequence[str]:
        return [hole for _, text in self._texts() for hole in holes(text) if is_path(hole)]

    async def call(self, **values: object) -> object:
        """Ask the agent once and return its answer as the result of the node.

        If the agent keeps a conversation or its tools write fields, the result includes the updates of these fields.
        """
        answer = await self.agent._call_in_loop(values)  # noqa: SLF001 - of this module
        if not self.agent.messages and not answer.writes:
            return answer.value
        before = _messages_in_field(values.get(self.agent.messages)) if self.agent.messages else ()
        return Remembered(answer.value, before, answer.messages, answer.writes)

    @property
    def also_writes(self) -> Sequence[tuple[str, str, object]]:
        """The fields of the state that the agent's tools write: the tool, the field and the type of the value."""
        kit = [each for each in _parts_of(self.agent).kit if isinstance(each, Tool)]
        return [(f"tool {each.name}", part.field, part.kind) for each in kit for part in each.parts]

    def lacks(self) -> Iterator[tuple[str, str]]:
        """Yield an error text for each path that the agent or its tools read but that `inputs=` does not contain.

        Each text comes with a repair, such as the most similar name. Without `inputs=`, nothing is yielded.
        """
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
            yield f"reads {{{path.text}}}, which is missing in the type {own.declared.__name__!r} of its inputs", near

    def problems(self) -> Sequence[tuple[str, str, str]]:
        """List the problems of the agent that can be found without its graph, each with an error code and a repair.

        The problems are invalid paths, functions with `*args` or `**kwargs`, hand-overs, and problems of the model.
        """
        agent = self.agent
        found: list[tuple[str, str, str]] = []
        for name, text in self._texts():
            found += [("bad_path", f"the {name} of {self.name} {fault}", repair) for fault, repair in bad_braces(text)]
        for function, _ in self._functions():
            injected = Injected.of(function)
            what = "rules" if function is agent.by_rules else injected.name
            template = f"{what}, of agent {self.name!r}, has %s, but values are passed by the names of parameters"
            repair = "give the function one parameter for each field that it reads"
            found += [("bad_parameter", template % text, repair) for text in injected.variadic]
        if agent.messages and not is_path(agent.messages):
            repair = "name a field, or one key of a field, as in messages='talks[editor]'"
            found.append(("bad_path", f"messages={agent.messages!r} is not the path of a field", repair))
        found += [("hands_over", message, repair) for message, repair in self.hands_over()]
        return [*found, *self._problems_of_model()]

    def hands_over(self) -> Iterator[tuple[str, str]]:
        """Report an agent with `hand_to=` that is used as a node, or that is run without `chat=`.

        An agent can hand over to another agent only in a conversation. Yields the problem with its repair, or nothing.
        """
        if self.agent.hand_to:
            names = ", ".join(repr(each if isinstance(each, str) else each.name) for each in self.agent.hand_to)
            repair = "start a conversation: runner.run(agent, …, chat=…), or the graph Graph.chat(agent). "
            repair += "For an agent that does not hand over, write agent.but(hand_to=())"
            yield f"agent {self.name!r} may hand over to {names}, which is only possible in a conversation", repair

    def problems_in(self, fields: Collection[str], resources: Collection[str]) -> Iterator[ToolProblem]:
        """Yield the problems of the agent's tools in a graph with these fields of the state and these resources."""
        parts = _parts_of(self.agent)
        return findings([*parts.kit, parts.maker], fields, resources)

    def needs(self, resources: Collection[str]) -> Iterator[Need]:
        """Yield the parameters of the agent's tools that only a resource could supply and that `resources` lacks."""
        parts = _parts_of(self.agent)
        return needs([*parts.kit, parts.maker], resources)

    def waits(self) -> tuple[str, str] | None:
        """Find out whether a call of the agent may make its run wait, for example for the approval of a tool call.

        The check of a graph calls this method, because some nodes may not wait.

        Returns:
            What the agent waits for, and a repair for a node that may not wait. None if no wait can be recognised.
        """
        from graphengine.checks.waits import wait_in  # noqa: PLC0415 - another wing, which is asking

        tools = 'give effect= to the tools that act, not to the node: tool(act, effect="once")'
        for each in _parts_of(self.agent).kit:
            what = wait_in(each.function) if isinstance(each, Tool) else ""
            what = "a call of another program" if isinstance(each, Tool) and each.is_external else what
            if getattr(each, "approve", False) or what:  # the attribute `approve` also exists on tool servers
                return f"{what or 'approve='} of {each.name}", f'ask in a node before: ask("…", bool). Or {tools}'
        return ("batch=True", f"leave out batch=; or {tools}") if self.agent.batch else None

    def effects(self) -> Sequence[str]:
        """List the names of the tools whose effect must not be repeated."""
        return [each.name for each in _parts_of(self.agent).kit if isinstance(each, Tool) and once_of(each.effect)]

    def _problems_of_model(self) -> Sequence[tuple[str, str, str]]:
        agent = self.agent
        if agent.model is None:  # A Runner may supply the model.
            return []
        try:
            model = model_of(agent.model) if isinstance(agent.model, str) else agent.model
        except (DefinitionError, ModelError) as error:
            return [("bad_model", error.message, error.repair)]
        settings = _parts_of(agent).settings
        missing = model.lacks(settings) if isinstance(model, ChecksSettings) else {}
        template = f"the model {model.name!r} of agent {self.name!r} does not accept the setting"
        found = [
            ("bad_setting", f"{template} {setting}={getattr(settings, setting)!r}", repair)
            for setting, repair in missing.items()
        ]
        hosted = () if isinstance(model, RulesModel) else _parts_of(agent).hosted  # rules answer without tools
        found += [("bad_tool", message, repair) for message, repair in lacking(model, hosted)]
        count = sum(isinstance(each, Tool) for each in _parts_of(agent).kit)  # servers add more tools later
        found += [("bad_tool", message, repair) for message, repair in too_many_tools(model, count)]
        if agent.batch and not isinstance(model, RulesModel) and (repair := lacks_batches(model)):
            text = f"the model {model.name!r} of agent {self.name!r} cannot be called in batches"
            found.append(("bad_batch", text, repair))
        return found


def _list_invalid_settings(agent: Agent[Any, Any]) -> Sequence[tuple[str, str, str]]:
    """Return each invalid argument of `Agent`, as the argument, the reason why it is invalid, and the repair."""
    found = []
    if not isinstance(cast("object", agent.name), str) or not agent.name.strip():
        found.append(("…", "the name must be a text that is not blank", "write a name: Agent('writer', …)"))
    is_model = callable(getattr(agent.model, "answer", None)) and isinstance(getattr(agent.model, "name", None), str)
    is_model = is_model and not isinstance(agent.model, (type, Agent))
    if not (is_model or isinstance(agent.model, (str, NoneType))):
        reason = "model must be the name of a model or an object with the Model protocol"
        repair = "give the name of a model, as 'anthropic:…', or a Model object"
        found.append((f"model={agent.model!r}", reason, repair))
    for name, least, example in (("output_retries", 0, 2), ("turns", 1, 20), ("max_tool_calls", 1, 10)):
        number = getattr(agent, name)
        if (name, number) != ("max_tool_calls", None) and not (type(number) is int and number >= least):
            unlimited = ", or None" if name == "max_tool_calls" else ""
            reason = f"{name} must be a whole number of at least {least}{unlimited}"
            found.append((f"{name}={number!r}", reason, f"write {name}={example}"))
    if not isinstance(agent.settings, Settings):
        reason = "settings must be a Settings object"
        found.append((f"settings={agent.settings!r}", reason, "write settings=Settings(…)"))
    if agent.on_cut not in get_args(OnCut):
        reason = "on_cut must be 'fail', 'keep' or 'continue'"
        found.append((f"on_cut={agent.on_cut!r}", reason, "write on_cut='continue'"))
    if not isinstance(agent.messages, str):
        reason = "messages must be the name of a field of the state"
        found.append((f"messages={agent.messages!r}", reason, "write messages='messages'"))
    if isinstance(agent.output, (dict, list, tuple, set)):
        reason = f"output must be a type, and not a {type(agent.output).__name__}"
        repair = "give a type: a pydantic model, Literal['a', 'b'], list[str], …"
        found.append((f"output={agent.output!r}", reason, repair))
    return [*found, *_invalid_types(agent), *_invalid_lists(agent)]


def _invalid_lists(agent: Agent[Any, Any]) -> Sequence[tuple[str, str, str]]:
    """Return each wrong list among the arguments of `Agent`, as the argument, the reason and the repair.

    For example, `guards=check_length` should be the list `[check_length]`, and the items of `hand_to=` must be agents
    or names of agents. The result is empty if all lists are correct.
    """
    lists = {name: getattr(agent, name) for name in ("tools", "guards", "hooks", "hand_to")}
    found = [
        (
            f"{name}={_format_setting(given)}",
            f"{name} must be a list",
            f"give a list: {name}=[{_format_setting(given) if given else ''}]",
        )
        for name, given in lists.items()
        if not isinstance(given, (list, tuple))
    ]
    if not found and not all(isinstance(each, (Agent, str)) for each in agent.hand_to):
        repair = "give a list of agents, or of names of agents of the conversation: hand_to=[editor, 'critic']"
        found.append((f"hand_to={list(agent.hand_to)!r}", "each item must be an agent or the name of an agent", repair))
    return found or list(misplaced(agent.guards, agent.hooks))


def _format_setting(given: object) -> str:
    return str(getattr(given, "__name__", repr(given)))


def _invalid_types(agent: Agent[Any, Any]) -> Sequence[tuple[str, str, str]]:
    found = []
    for name in ("system", "prompt"):
        text = getattr(agent, name)
        if not isinstance(text, str) and not callable(text):
            repair = f"give a text, or a function that returns the text of {name}="
            found.append((f"{name}={text!r}", f"{name} must be a text or a function", repair))
    for name in ("check", "best_effort", "by_rules"):
        function = getattr(agent, name)
        if function is not None and not callable(function):
            repair = f"give the function itself, not its name: {name}=my_function"
            found.append((f"{name}={function!r}", f"{name} must be a function", repair))
        elif function is not None and name != "by_rules" and not Injected.of(function).parameters:
            what = "the refused answers" if name == "best_effort" else "the answer"
            reason = f"the function has no parameter, but is called with {what}"
            found.append((f"{name}=…", reason, f"give a function whose first parameter receives {what}"))
    if agent.history is not None and not (callable(cast("object", agent.history)) and agent.messages):
        what = f"history={getattr(agent.history, '__name__', repr(agent.history))}"
        lacks = "history must be a function" if agent.messages else "history also needs messages="
        repair = 'give messages="messages", and as history= a function of these messages: history=without_tools'
        found.append((what, lacks, repair))
    if is_async(agent.history):
        repair = "give a function without async, because it only selects messages"
        found.append(("history=…", "history must not be an async function", repair))
    if agent.history is not None and agent.window is not None:
        repair = "give only history= or only window=, because window= needs all messages of the conversation"
        found.append(("history=…, window=…", "history and window cannot be used together", repair))
    if agent.window is not None and not isinstance(agent.window, Window):
        repair = "write window=Window(max_tokens=100_000)"
        found.append((f"window={agent.window!r}", "window must be a Window object", repair))
    return found


def reads_of(agent: Agent[Any, Any]) -> Sequence[Parameter]:
    """Return the inputs that an agent reads, except the field that keeps its conversation."""
    return [each for each in agent._reads() if each.name != agent.messages]  # noqa: SLF001 - of this module


def graphs_of(agent: Agent[Any, Any]) -> dict[tuple[str, frozenset[str]], GraphDefinition[Any]]:
    """Return the dict in which an agent caches the graphs that were built to run it, so that each is built only once.

    Each key is a pair: the purpose of the graph, such as `"chat"` for a conversation, and the names of the Runner's
    resources that the graph can use.
    """
    return agent._graphs  # noqa: SLF001 - of this module


def _list_tool_reads(agent: Agent[Any, Any]) -> Sequence[Parameter]:
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
    parts = _parts_of(agent)
    tools = [each.parameters for each in (*parts.kit, parts.maker) if isinstance(each, Tool)]
    known = frozenset[str]().union(*tools)
    return CallInputs(agent.name, parts.inputs, reads_of(agent), bool(agent.prompt), agent.messages, known)


def _chosen_history(agent: Agent[Any, Any], before: Sequence[Message]) -> Sequence[Message]:
    """Call the agent's `history=` function to choose the messages of the conversation that are sent to the model.

    Raises:
        DefinitionError: The function returned something other than a list of messages.
    """
    chosen = cast("Callable[[Sequence[Message]], object]", agent.history)(effective(before))
    if not isinstance(chosen, (list, tuple)) or not all(isinstance(each, Message) for each in chosen):
        message = f"the history= function of agent {agent.name!r} returned {type(chosen).__name__}"
        repair = "let the function return a list of messages, and nothing else"
        raise DefinitionError(message, where=f"agent {agent.name}", repair=repair)
    return chosen


def _messages_in_field(value: object) -> Sequence[Message]:
    if value is None:
        return ()
    given = cast("Sequence[object]", value)
    return [each if isinstance(each, Message) else Message.model_validate(each) for each in given]


__all__ = ["Agent", "AgentBody", "Answer", "call_inputs_of", "graphs_of", "reads_of"]
