"""Agents of pydantic-ai as nodes: their model calls and tool calls are recorded work of the run."""
# ruff: noqa: ANN401, ARG002  # the methods have the signatures of pydantic-ai

from __future__ import annotations

import hashlib
import inspect
from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic_core import to_json, to_jsonable_python

from graphengine.agents.run_scope import CURRENT, Piece
from graphengine.errors import DefinitionError, NotRecordable, install_command
from graphengine.models.base import Message, Request, usage_of, usage_of_failure
from graphengine.models.pydantic_ai import EXTRA, PydanticAIModel, translated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pydantic_ai import Agent
    from pydantic_ai.capabilities import AbstractCapability

    from graphengine.agents.run_scope import Scope
    from graphengine.state.json_values import JsonObject, JsonValue

O = TypeVar("O")  # noqa: E741 - the output


def pydantic_ai_node(
    agent: Agent[Any, O], prompt: Callable[..., str], *, deps: Callable[..., object] | None = None
) -> Callable[..., Awaitable[O]]:
    """Return a node function that runs an agent of pydantic-ai, and returns its output.

    Each answer of its model and each result of its tools is recorded, priced and limited as part of the run: a run that
    is resumed after a crash does not call the model or a tool again. Tool results must be JSON values, as after a
    resume they are read from the record. Node retries apply to failed calls.

    Args:
        agent: The agent. Its model may be replaced with `agent.override(model=…)`.
        prompt: A function of fields of the state that returns the prompt.
        deps: A function of fields that returns the agent's dependencies.

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
        repair = "give a function of fields: pydantic_ai_node(agent, lambda task: f'Write about {task}')"
        raise DefinitionError(f"pydantic_ai_node(prompt={prompt!r})", repair=repair)
    functions = [prompt, *([deps] if deps is not None else [])]
    wanted = [list(inspect.signature(function).parameters) for function in functions]

    async def node(**fields: object) -> O:
        made = [
            function(**{name: fields[name] for name in names})
            for function, names in zip(functions, wanted, strict=True)
        ]
        return await _run(agent, str(made[0]), made[1] if deps is not None else None)

    parameters = {
        name: parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for function in functions
        for name, parameter in inspect.signature(function).parameters.items()
    }
    node.__name__ = node.__qualname__ = agent.name or "pydantic_ai"
    node.__doc__ = f"Run {agent.name or 'an agent of pydantic-ai'}."
    node.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    return node


async def _run(agent: Agent[Any, O], prompt: str, deps: object) -> O:
    scope = CURRENT.get()
    if scope is None:
        return (await agent.run(prompt, deps=deps)).output
    key = scope.place(
        f"agent {agent.name or 'pydantic_ai'}", hashlib.blake2b(prompt.encode(), digest_size=9).hexdigest()
    )
    with scope.group(key):
        found = await agent.run(prompt, deps=deps, capabilities=[_recording(scope, agent.name or "pydantic_ai")])
        return found.output


def _recording(scope: Scope, agent: str) -> AbstractCapability[Any]:
    """Return what records the calls of one run of an agent.

    Raises:
        DefinitionError: pydantic-ai is not installed.
    """
    try:
        from pydantic_ai.capabilities import AbstractCapability  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise DefinitionError("pydantic_ai_node needs pydantic-ai", repair=install_command(EXTRA)) from error
    from pydantic_ai.exceptions import AgentRunError, ModelRetry, ToolRetryError, UserError  # noqa: PLC0415 - as above
    from pydantic_ai.messages import ModelMessagesTypeAdapter  # noqa: PLC0415 - as above

    turns = count(1)

    class Recording(AbstractCapability[Any]):
        async def wrap_model_request(self, ctx: Any, *, request_context: Any, handler: Any) -> Any:
            model = PydanticAIModel(request_context.model)
            await scope.may_call(model)

            async def make() -> Piece:
                text = to_json(request_context.messages, fallback=repr, bytes_mode="base64").decode()
                request = Request(agent, "", [Message(role="user", text=text)])
                used = reserved.enter_context(await scope.reserved(model, request))
                try:
                    found = await handler(request_context)
                except (AgentRunError, UserError) as error:
                    failed = translated(error, model.name)
                    scope.paid(usage_of_failure(failed))
                    raise failed from error
                response = model.response_of(found)
                used(usage_of(response))
                record: JsonValue = {
                    "text": str(response.content),
                    "stop": response.stop,
                    "pydantic_ai": ModelMessagesTypeAdapter.dump_python([found], mode="json"),
                }
                by = {"agent": agent, "model": response.model or model.name}
                return Piece(record, len(to_json(record)), usage_of(response), by)

            with ExitStack() as reserved:  # until the answer is recorded, which is when it counts
                record: JsonObject = await scope.piece("turn", str(next(turns)), make)
            return ModelMessagesTypeAdapter.validate_python(record["pydantic_ai"])[0]

        async def wrap_tool_execute(
            self,
            ctx: Any,
            *,
            call: Any,
            tool_def: Any,
            args: Any,
            handler: Any,
        ) -> Any:
            async def make() -> Piece:
                try:
                    with scope.call(f"{call.tool_name}:{call.tool_call_id}"):
                        record: JsonValue = {"value": _json(await handler(args), call.tool_name)}
                except (ModelRetry, ToolRetryError) as again:
                    part = getattr(again, "tool_retry", None)
                    record = {"retry": str(again if part is None else part.content)}
                return Piece(record, len(to_json(record)))

            record: JsonObject = await scope.piece(f"tool {call.tool_name}", call.tool_call_id, make)
            if "retry" in record:
                raise ModelRetry(record["retry"])
            return record["value"]

    return Recording()


def _json(value: object, tool: str) -> JsonValue:
    """Return a tool's result as JSON.

    Raises:
        NotRecordable: It has no JSON form.
    """
    try:
        return cast("JsonValue", to_jsonable_python(value))
    except ValueError as error:
        message = f"the result of the tool {tool}, {type(value).__name__}, has no JSON form"
        raise NotRecordable(message, where=f"tool {tool}", repair="return text or a JSON value") from error


__all__ = ["pydantic_ai_node"]
