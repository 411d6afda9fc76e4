"""Tools that another program executes, such as a front end or another system.

A call of such a tool makes the run wait. The wait contains the tool's name, the arguments and their schema. Any program
that may answer questions of the run answers it with the result of the call, and the run continues, even in another
process and days later. The wait has the same form as the wait for an approval, so every command and service that lists,
answers or sends reminders for questions also handles it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from pydantic_core import to_json

from graphengine.agents.arguments import Signature, misfits
from graphengine.agents.node_scope import Question
from graphengine.agents.records import NOT_KNOWN, ToolOutcome, outcome_of
from graphengine.agents.runtime import outside, runtime_here
from graphengine.agents.tools import Tool
from graphengine.errors import DefinitionError
from graphengine.kernel.extension import Answers, clipped, hints_of
from graphengine.kernel.inside import none_for_ever
from graphengine.schemas.walking import with_definitions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import JsonValue

    from graphengine.agents.approval import Approve

_SHOWN: Final = 2_000
_FAILED: Final[Mapping[str, JsonValue]] = {
    "type": "object",
    "title": "the call failed",
    "properties": {"error": {"type": "string", "examples": ["why"]}},
    "required": ["error"],
    "additionalProperties": False,
}


def external_tool(  # noqa: PLR0913 - the options of a tool that is called elsewhere
    function: Callable[..., object] | None = None,
    *,
    name: str = "",
    description: str = "",
    schema: Mapping[str, JsonValue] | None = None,
    result: Mapping[str, JsonValue] | None = None,
    timeout_seconds: float | None = None,
    approve: Approve = False,
    max_calls: int | None = None,
    offered: Callable[..., bool] | None = None,
) -> Tool:
    """Return a tool that another program executes. A call makes the run wait until that program gives the result.

    Args:
        function: A function that describes the tool by its name, parameters, docstring and return type. It is never
            called. Without a function, pass `name=`, `description=` and `schema=`.
        name: As for `Tool`; the default is the function's name.
        description: As for `Tool`; the default is the function's docstring.
        schema: The JSON Schema of the arguments (an object), which replaces the function's parameters.
        result: The JSON Schema of the result, which replaces the function's return type. Without both, any result is
            accepted.
        timeout_seconds: How long to wait for the result; after that time the model receives an error. None to wait for
            ever.
        approve: As for `Tool`: a person is asked before the other program receives the call.
        max_calls: As for `Tool`.
        offered: As for `Tool`.

    Returns:
        A tool that another program executes, to be listed in `Agent(tools=[…])`. When the model calls the tool, the run
        waits until the other program has answered the call. That program answers the call like any question of a run:
        with `runner.answer`, `graphengine answer`, the HTTP service or a front end. The answer is the result of the
        tool, or `{"error": "why"}` if the tool failed.

    Raises:
        DefinitionError: An option is invalid, or the tool is not described.

    Example:
        >>> @external_tool
        ... def choose_seat(flight: str) -> str:
        ...     '''Show the seats of a flight to the traveller, who takes one.'''
        >>> choose_seat.spec().schema["required"]
        ['flight']
    """
    if function is not None:
        name = name or getattr(function, "__name__", "")
        signature = Signature.of(function, name)
        description = description or signature.summary
        schema = signature.form(()).schema if schema is None else schema
        returns = hints_of(function).get("return", Any)
        if result is None:
            result = cast("Mapping[str, JsonValue]", Answers(Any if returns is type(None) else returns).schema)
    if schema is None or not name:
        text = "external_tool(…) needs a function, or both name= and schema=, to describe the tool"
        repair = "give a function with typed parameters, or give name= and schema="
        raise DefinitionError(text, where="external_tool", repair=repair)
    return Tool(
        _ExternalCall(name, schema, result or {}, none_for_ever(timeout_seconds)),
        name=name,
        description=description,
        schema=schema,
        approve=approve,
        max_calls=max_calls,
        offered=offered,
        on_error="raise",  # this function calls nothing itself, so an error is an error of the program
    )


@dataclass(frozen=True, slots=True)
class _ExternalCall:
    """The function inside a tool that another program executes. It makes the run wait for the result."""

    name: str
    schema: Mapping[str, JsonValue]
    result: Mapping[str, JsonValue]
    timeout_seconds: float | None
    is_external: ClassVar = True

    async def __call__(self, arguments: dict[str, JsonValue]) -> ToolOutcome:
        runtime = runtime_here()
        if runtime is None:
            text = f"the tool {self.name!r} is executed by another program, for which only a run can wait"
            repair = "run the agent in a graph, or with runner.run(agent, …)"
            raise DefinitionError(text, where=f"tool {self.name}", repair=repair)
        ask = functools.partial(self._build_question, arguments)
        identity, record = outside(self.name), ("external", self.name)
        outcome: ToolOutcome = await runtime.approved(identity, record, ask, self._read_given_outcome)
        return outcome

    async def _build_question(self, arguments: dict[str, JsonValue], *, was_asked: bool) -> Question:
        del was_asked
        written = clipped(to_json(arguments).decode(), _SHOWN)
        late: JsonValue = {"error": f"{self.name} gave no result within {self.timeout_seconds} seconds. {NOT_KNOWN}"}
        result = {key: value for key, value in self.result.items() if key != "$defs"}
        schema = with_definitions({"anyOf": [result, _FAILED]}, self.result)
        call = {"tool": self.name, "arguments": arguments, "parameters": dict(self.schema)}
        return Question(f"{self.name}({written})", schema, self._read, self.timeout_seconds, late, call)

    def _read(self, record: object) -> ToolOutcome:
        """Convert the result that another program gave for a tool call to the outcome of the call.

        Raises:
            ValueError: The result does not fit the declared schema.
        """
        if not _is_failure(record) and (wrong := misfits(self.result, record)):
            raise ValueError("; ".join(wrong))
        return self._read_given_outcome(record)

    def _read_given_outcome(self, record: object) -> ToolOutcome:
        """Convert a recorded result to the outcome of the call. The result was checked when it was given."""
        if isinstance(record, dict) and _is_failure(record):
            return ToolOutcome(record["error"], is_error=True)
        return outcome_of(self.name, record)


def _is_failure(record: object) -> bool:
    return isinstance(record, dict) and record.keys() == {"error"} and isinstance(record["error"], str)


__all__ = ["external_tool"]
