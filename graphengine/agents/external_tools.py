"""Tools that another program executes: a front end, or another system.

The call of such a tool is a wait of the run, with the tool's name, the arguments and their schema. Whoever answers it,
through any door, gives the result, and the run goes on, in another process and days later too. It is the wait that an
approval is, so all that asks, answers, lists and reminds has it.
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
    """Return a tool that another program executes. Its call is a wait of the run, which the result answers.

    Args:
        function: Its name, its parameters, its docstring and the type of its result describe the tool; it is never
            called. Without it, give `name=`, `description=` and `schema=`.
        name: As for `Tool`; the function's own name if not given.
        description: As for `Tool`; the function's docstring if not given.
        schema: JSON Schema of the arguments (an object), instead of the function's parameters.
        result: JSON Schema of the result, instead of the function's type; anything without both.
        timeout_seconds: How long to wait for the result; after that time the model gets an error. None for ever.
        approve: As for `Tool`: a person is asked before the other program is.
        max_calls: As for `Tool`.
        offered: As for `Tool`.

    Returns:
        Use the tool in `Agent(tools=[…])`. Another program answers the call, as it would answer any question: with
        `runner.answer`, `graphengine answer`, the HTTP service or a front end. The answer is the result of the call, or
        `{"error": "why"}` if the call failed.

    Raises:
        DefinitionError: An option is invalid, or there is nothing that describes the tool.

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
        text, repair = "external_tool(…) has nothing that describes the tool", "give a function, or name= and schema="
        raise DefinitionError(text, where="external_tool", repair=repair)
    return Tool(
        _ExternalCall(name, schema, result or {}, none_for_ever(timeout_seconds)),
        name=name,
        description=description,
        schema=schema,
        approve=approve,
        max_calls=max_calls,
        offered=offered,
        on_error="raise",  # nothing is called here: an error is one of the program
    )


@dataclass(frozen=True, slots=True)
class _ExternalCall:
    """What is called in place of the other program."""

    name: str
    schema: Mapping[str, JsonValue]
    result: Mapping[str, JsonValue]
    timeout_seconds: float | None
    is_external: ClassVar = True

    async def __call__(self, arguments: dict[str, JsonValue]) -> ToolOutcome:
        """Wait for the result. Raises: DefinitionError: There is no run that could wait."""
        runtime = runtime_here()
        if runtime is None:
            text, repair = f"another program executes the tool {self.name}", "run the agent in a graph, which can wait"
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
        """Return the outcome that an answer gives. Raises: ValueError: It does not fit the schema of the result."""
        if not _is_failure(record) and (wrong := misfits(self.result, record)):
            raise ValueError("; ".join(wrong))
        return self._read_given_outcome(record)

    def _read_given_outcome(self, record: object) -> ToolOutcome:
        """Return the outcome that a recorded answer gives, which fitted the schema with which it was asked."""
        if isinstance(record, dict) and _is_failure(record):
            return ToolOutcome(record["error"], is_error=True)
        return outcome_of(self.name, record)


def _is_failure(record: object) -> bool:
    return isinstance(record, dict) and record.keys() == {"error"} and isinstance(record["error"], str)


__all__ = ["external_tool"]
