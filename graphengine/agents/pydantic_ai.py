"""Agents of pydantic-ai as nodes: their model calls and tool calls are recorded work of the run."""
# ruff: noqa: ANN401, ARG002  # the methods have the signatures of pydantic-ai

from __future__ import annotations

import asyncio
import hashlib
import inspect
from contextlib import AsyncExitStack, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import TypeAdapter
from pydantic_core import to_json

from graphengine.agents.prompts import as_text
from graphengine.agents.runtime import runtime_here
from graphengine.errors import DefinitionError, NotRecordable
from graphengine.kernel.extension import StepResult, signature_of, utf8_text
from graphengine.kernel.inside import install_command
from graphengine.media import Media
from graphengine.models.base import UNKNOWN_USAGE, Message, Request, ToolCall, usage_of, usage_of_failure
from graphengine.models.pydantic_ai import EXTRA, PydanticAIModel, binary, key_of, show, translated, whole

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pydantic_ai import Agent

    from graphengine.agents.live_events import Live
    from graphengine.agents.runtime import AgentRuntime
    from graphengine.kernel.extension import JsonObject, JsonValue
    from graphengine.kernel.inside import ModelCaller

O = TypeVar("O")  # noqa: E741 - the output


def pydantic_ai_node(
    agent: Agent[Any, O], prompt: Callable[..., object], *, deps: Callable[..., object] | None = None
) -> Callable[..., Awaitable[O]]:
    """Return a node function that runs an agent of pydantic-ai and returns its output.

    A node that `pydantic_ai_node` makes records each answer of the model and each result of a tool as part of the run,
    and counts their cost towards the limits of the run. A run that is resumed after a crash therefore does not call the
    model or the tool again. The results of tools must be JSON values or types of pydantic-ai, because a resumed run
    reads them from the record.

    In a node that `pydantic_ai_node` makes, the retry policy of the node applies to failed calls of the model. If the
    model can stream, its answers are streamed, and programs that watch the run see the text and the tool calls.

    Args:
        agent: The agent. Its model may be replaced with `agent.override(model=…)`.
        prompt: A function of fields of the state that returns the prompt: a text, or a list of texts and `Media`. It
            may be async.
        deps: A function of fields that returns the agent's dependencies. It may be async.

    Raises:
        DefinitionError: The `prompt` is not a function.

    Example:
        >>> from pydantic_ai import Agent
        >>> from pydantic_ai.models.test import TestModel
        >>> def ask(task: str) -> str:
        ...     return f"Write about {task}."
        >>> node = pydantic_ai_node(Agent(TestModel(custom_output_text="a draft")), ask)
        >>> asyncio.run(node(task="tides"))
        'a draft'
    """
    if not callable(prompt):
        repair = "give a function that reads fields: pydantic_ai_node(agent, lambda task: f'Write about {task}')"
        raise DefinitionError(f"pydantic_ai_node(prompt={prompt!r}): prompt must be a function", repair=repair)
    functions = [prompt, *([deps] if deps is not None else [])]
    wanted = [list(signature_of(function).parameters) for function in functions]

    async def node(**fields: object) -> O:
        arguments: list[object] = []
        for function, names in zip(functions, wanted, strict=True):
            value = function(**{name: fields[name] for name in names})
            arguments.append(await value if inspect.isawaitable(value) else value)
        return await _run_recorded_agent(agent, arguments[0], arguments[1] if deps is not None else None)

    parameters = {
        name: parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for function in functions
        for name, parameter in signature_of(function).parameters.items()
    }
    node.__name__ = node.__qualname__ = agent.name or "pydantic_ai"
    node.__doc__ = f"Run {agent.name or 'an agent of pydantic-ai'}."
    node.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    return node


async def _run_recorded_agent(agent: Agent[Any, O], prompt: object, deps: object) -> O:
    asked = _prompt(prompt)
    runtime = runtime_here()
    if runtime is None:
        return (await agent.run(asked, deps=deps)).output
    name = agent.name or "pydantic_ai"
    what = prompt.encode() if isinstance(prompt, str) else to_json(prompt)
    key = runtime.place(f"agent {name}", lambda: hashlib.blake2b(what, digest_size=9).hexdigest())
    live = runtime.live(name)
    if live is not None:
        live.call = key
    recording = _recorder_of(runtime, name, live)
    with runtime.group(key), nullcontext() if live is None else live:
        try:
            found = await agent.run(asked, deps=deps, capabilities=[recording])
        except RuntimeError as error:
            from pydantic_ai.exceptions import UnexpectedModelBehavior  # noqa: PLC0415 - an extra

            if isinstance(error, UnexpectedModelBehavior):  # for example, after too many answers that do not fit
                runtime.refuse(error, "turn", str(recording.turn))
            raise
        runtime.answered("turn", str(recording.turn), found.output)
        return found.output


def _prompt(given: object) -> str | list[Any]:
    """Convert the result of the prompt function to the form that pydantic-ai expects.

    Raises:
        DefinitionError: The prompt is neither a text nor a list of texts and media.
    """
    if isinstance(given, str):
        return given
    parts: list[Any] = []
    for part in given if isinstance(given, (list, tuple)) else [given]:
        if not isinstance(part, (str, Media)):
            message = f"the prompt function of pydantic_ai_node returned {type(given).__name__}, with {part!r}"
            raise DefinitionError(message, repair="let the function return a text, or a list of texts and Media")
        parts.append(part if isinstance(part, str) else binary(part))
    return parts


def _recorder_of(runtime: AgentRuntime, agent: str, live: Live | None) -> Any:
    """Return an object that takes part in one run of a pydantic-ai agent, a capability in the words of pydantic-ai.

    It records the calls of the agent and shows them to watchers.

    Raises:
        DefinitionError: pydantic-ai is not installed.
    """
    try:
        from pydantic_ai.capabilities import AbstractCapability  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        text = "pydantic_ai_node needs the package 'pydantic-ai', which is not installed"
        raise DefinitionError(text, repair=install_command(EXTRA)) from error

    class Recording(AbstractCapability[Any]):
        turn = 0

        def get_wrapper_model(self, model: Any) -> Any:
            return None if live is None else _stream_model(model, live, agent)

        async def wrap_model_request(self, ctx: Any, *, request_context: Any, handler: Any) -> Any:
            self.turn += 1
            return await _answer_recorded_turn(runtime, agent, live, self.turn, request_context, handler)

        async def wrap_tool_execute(self, ctx: Any, *, call: Any, tool_def: Any, args: Any, handler: Any) -> Any:
            return await _tool_result(runtime, live, call, lambda: handler(args))

    return Recording()


async def _answer_recorded_turn(  # noqa: PLR0913 - the parts of a call
    runtime: AgentRuntime,
    agent: str,
    live: Live | None,
    turn: int,
    asked: Any,
    handler: Callable[[Any], Awaitable[Any]],
) -> Any:
    """Return the model's answer of a turn from its record, or else call the model and record its answer."""
    from pydantic_ai.exceptions import AgentRunError, UserError  # noqa: PLC0415 - an extra
    from pydantic_ai.messages import ModelMessagesTypeAdapter  # noqa: PLC0415 - as above

    model = PydanticAIModel(asked.model)
    await runtime.may_call(model)
    if live is not None:
        live.begin(turn)

    async def make() -> StepResult:
        text = to_json(asked.messages, fallback=repr, bytes_mode="base64").decode()
        request = Request(agent, "", [Message(role="user", text=text)])
        used = await reserved.enter_async_context(runtime.reserved(model, request))
        try:
            found = await handler(asked)
        except (AgentRunError, UserError) as error:
            failed = translated(error, model.name, key=key_of(asked.model))
            runtime.paid(usage_of_failure(failed))
            if live is not None:
                live.reset(failed.message)
            raise failed from error
        except asyncio.CancelledError:
            runtime.paid(UNKNOWN_USAGE)
            raise
        response = model.response_of(found)
        await used(usage_of(response))
        record: JsonValue = {
            "text": str(response.content),
            "stop": response.stop,
            "pydantic_ai": ModelMessagesTypeAdapter.dump_python([found], mode="json"),
        }
        by: ModelCaller = {"agent": utf8_text(agent), "model": utf8_text(response.model or model.name)}
        return StepResult(record, len(to_json(record)), usage_of(response), by)

    # The reservations end when the answer is recorded, because from then on its usage counts.
    async with AsyncExitStack() as reserved:
        record: JsonObject = await runtime.step_result("turn", str(turn), make)
    if live is not None:
        live.end()
    return ModelMessagesTypeAdapter.validate_python(record["pydantic_ai"])[0]


async def _tool_result(
    runtime: AgentRuntime, live: Live | None, call: Any, call_tool: Callable[[], Awaitable[object]]
) -> Any:
    """Return the result of a tool call of a pydantic-ai agent: from its record, or else by calling the tool.

    A new result is recorded, so that a resumed run does not call the tool again.

    Raises:
        ModelRetry: The tool asks the model to call it again.
    """
    from pydantic_ai import ToolReturn  # noqa: PLC0415 - an extra
    from pydantic_ai.exceptions import ModelRetry, ToolRetryError  # noqa: PLC0415 - an extra

    async def make() -> StepResult:
        shown = ToolCall(id=call.tool_call_id, name=call.tool_name, arguments=call.args_as_json_str())
        if live is not None:
            live.called(shown)
        try:
            with runtime.call(f"{call.tool_name}:{call.tool_call_id}"):
                record: JsonObject = _tool_result_to_json(await call_tool(), call.tool_name)
        except (ModelRetry, ToolRetryError) as again:
            part = getattr(again, "tool_retry", None)
            record = {"retry": str(again if part is None else part.content)}
        if live is not None:
            live.returned(shown, as_text(record.get("retry", record.get("value", ""))), is_error="retry" in record)
        return StepResult(record, len(to_json(record)))

    record: JsonObject = await runtime.step_result(f"tool {call.tool_name}", call.tool_call_id, make)
    if "retry" in record:
        raise ModelRetry(str(record["retry"]))
    read = TypeAdapter(ToolReturn).validate_python({**record.get("more", {}), "return_value": record["value"]})
    return read if "more" in record else read.return_value


def _stream_model(model: Any, live: Live, agent: str) -> Any:
    """Wrap a model of pydantic-ai so that watchers see its answers while they are written; None if it cannot stream."""
    from pydantic_ai.models import Model  # noqa: PLC0415 - loaded by `_recorder_of`
    from pydantic_ai.models.wrapper import WrapperModel  # noqa: PLC0415 - as above

    if not _streams(model, Model.request_stream):
        return None
    request = Request(agent, "", [], on_text=live.text, on_thinking=live.thinking)

    class Shown(WrapperModel):
        async def request(self, messages: Any, model_settings: Any, model_request_parameters: Any) -> Any:
            async with self.wrapped.request_stream(messages, model_settings, model_request_parameters) as stream:
                async for event in stream:
                    show(event, request)
            return whole(stream)

    return Shown(model)


def _streams(model: Any, missing: object) -> bool:
    """Return whether a model of pydantic-ai and all models that it wraps or falls back on can stream."""
    inner = [*getattr(model, "models", ()), *([model.wrapped] if hasattr(model, "wrapped") else [])]
    if inner:
        return all(_streams(each, missing) for each in inner)
    return type(model).request_stream is not missing and getattr(model, "stream_function", model) is not None


def _tool_result_to_json(value: object, tool: str) -> JsonObject:
    """Convert the result of a tool to the JSON that a run records.

    If the tool returned a `ToolReturn` of pydantic-ai, its other parts are recorded as well.

    Raises:
        NotRecordable: The result has no JSON form.
    """
    from pydantic_ai import ToolReturn  # noqa: PLC0415 - an extra

    whole = value if isinstance(value, ToolReturn) else ToolReturn(return_value=cast("Any", value))
    try:
        more: dict[str, Any] = TypeAdapter(ToolReturn).dump_python(whole, mode="json")
    except ValueError as error:
        message = f"the tool {tool!r} returned a value of type {type(value).__name__!r}, which has no JSON form"
        repair = "let the tool return a text or a value that JSON can represent"
        raise NotRecordable(message, where=f"tool {tool}", repair=repair) from error
    record: JsonObject = {"value": more.pop("return_value")}
    return record if whole is not value else {**record, "more": more}


__all__ = ["pydantic_ai_node"]
