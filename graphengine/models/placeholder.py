"""A model that answers with placeholders, for a dry run of a graph without a language model.

Each text is `[placeholder: writer, call 2]`. Other values are the smallest that fit the schema of the answer, and lists
have one item. A run therefore shows its path, its rounds and its picture, and nobody can mistake its answers for
results.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from pydantic_core import to_json

from graphengine.models.base import Response, RulesModel, ToolCall
from graphengine.models.errors import ModelUnavailable
from graphengine.schemas.examples import Values

if TYPE_CHECKING:
    from graphengine.kernel.extension import JsonObject
    from graphengine.models.base import Request
    from graphengine.models.hosted import HostedTool

PLACEHOLDER: Final = "placeholder"
"""The model's name."""


class PlaceholderModel(RulesModel):
    """Answers every agent at once, at no cost, with a placeholder text or the smallest valid value.

    With a `PlaceholderModel`, the check function of an agent (`Agent(check=…)`) is not called, because a placeholder
    would not pass a check that was written for real answers. The `PlaceholderModel` counts the calls of each agent
    separately. Two runs that each use a new `PlaceholderModel` therefore get equal answers.

    Args:
        call_tools: Whether to call each tool of an agent once, with the smallest arguments, before answering. This is
            meant for tests: the tools really run. By default no tool is called.

    Example:
        >>> import asyncio
        >>> from graphengine.models import Request
        >>> asyncio.run(PlaceholderModel().answer(Request("writer", "", []))).content
        '[placeholder: writer, call 1]'
    """

    name = PLACEHOLDER

    def __init__(self, *, call_tools: bool = False) -> None:
        self.calls_tools = call_tools
        self._calls: Counter[str] = Counter()

    async def answer(self, request: Request) -> Response:
        """Return a placeholder text, a small JSON value that fits the schema, or one call of each tool.

        Raises:
            ModelUnavailable: No value that fits the schema was found.
        """
        text = f"[placeholder: {request.agent}, call {self._calls[request.agent] + 1}]"
        try:
            if self.calls_tools and request.tools and request.messages[-1].role == "user":
                calls = [
                    ToolCall(
                        id=f"call_{number}",
                        name=tool.name,
                        arguments=_write_smallest_json(tool.schema, text, is_top=False),
                    )
                    for number, tool in enumerate(request.tools, 1)
                ]
                return Response("", tuple(calls), "tools", model=PLACEHOLDER, cost_usd=0.0, offline=True)
            self._calls[request.agent] += 1
            text = text if request.schema is None else _write_smallest_json(request.schema, text)
        except ValueError as error:
            raise no_placeholder(request.agent, str(error)) from error
        return Response(text, model=PLACEHOLDER, cost_usd=0.0, offline=True)

    def lacks_tool(self, _tool: HostedTool) -> str:
        """Return "", which means that every hosted tool is accepted. A dry run simply does without them."""
        return ""


def _write_smallest_json(schema: JsonObject, text: str, *, is_top: bool = True) -> str:
    return to_json(Values(schema, text).smallest(is_top=is_top)).decode()


def no_placeholder(agent: str, why: str) -> ModelUnavailable:
    """Return the error for an agent whose output type rejects every placeholder.

    This happens if a validator of the type demands more than the JSON Schema says.
    """
    return ModelUnavailable(
        f"the model 'placeholder' cannot make an answer of the type that agent {agent!r} needs: {why}",
        where=f"agent {agent}",
        repair="give the agent by_rules=function and the model 'rules', or give a model that can be called",
    )


__all__ = ["PLACEHOLDER", "PlaceholderModel", "no_placeholder"]
