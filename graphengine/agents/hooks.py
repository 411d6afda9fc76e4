"""Hooks: async code around an agent's calls of its model and its tools."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from graphengine.agents.outcomes import ToolOutcome
    from graphengine.models.base import Request, Response, ToolCall


class Hooks:
    """Code around the calls of an agent. Subclass it, override one method or both, and give it in `Agent(guards=[…])`.

    A hook sees what is sent and what comes back, and may change both, refuse a call by raising, answer without calling,
    or call again. What it returns is recorded, and is not asked for again when a run is resumed: a hook runs once for
    each call that is made. The first hook of an agent is the outermost.

    Example:
        >>> class Audit(Hooks):
        ...     async def around_model(self, request, call):
        ...         response = await call(request)
        ...         print(f"{request.agent}: {response.content}")
        ...         return response
        >>> from graphengine.models import ScriptedModel
        >>> asyncio.run(Agent("greeter", ScriptedModel(["hello"]), prompt="Greet.", guards=[Audit()]).run())
        greeter: hello
        'hello'
    """

    __slots__ = ()

    async def around_model(self, request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        """Call the model, and return its answer.

        Args:
            request: What is sent: instructions, messages, tools, settings. `dataclasses.replace` changes it; with
                another `on_text` the hook sees the text while it is streamed, and passes on what watchers may see.
            call: Calls the model through its limiter.
        """
        return await call(request)

    async def around_tool(self, call: ToolCall, make: Callable[[ToolCall], Awaitable[ToolOutcome]]) -> ToolOutcome:
        """Call a tool, and return its result.

        Args:
            call: The call, as the model wrote it, or with the arguments that the person who approved it changed.
            make: Calls the tool.
        """
        return await make(call)


def around_model(
    hooks: Sequence[Hooks], call: Callable[[Request], Awaitable[Response]]
) -> Callable[[Request], Awaitable[Response]]:
    """Return a function that calls a model with all hooks around the call."""
    for hook in reversed(hooks):
        if type(hook).around_model is not Hooks.around_model:
            call = partial(_model, hook, call)
    return call


def around_tool(
    hooks: Sequence[Hooks], make: Callable[[ToolCall], Awaitable[ToolOutcome]]
) -> Callable[[ToolCall], Awaitable[ToolOutcome]]:
    """Return a function that calls a tool with all hooks around the call."""
    for hook in reversed(hooks):
        if type(hook).around_tool is not Hooks.around_tool:
            make = partial(_tool, hook, make)
    return make


async def _model(hook: Hooks, call: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
    return await hook.around_model(request, call)


async def _tool(hook: Hooks, make: Callable[[ToolCall], Awaitable[ToolOutcome]], call: ToolCall) -> ToolOutcome:
    return await hook.around_tool(call, make)


__all__ = ["Hooks", "around_model", "around_tool"]
