"""What an MCP server requires before it answers a call: input of a person, or time.

A server of the revision 2026-07-28 can answer a call with "input required": questions, and a state to send back with
the answers; or only a state, to ask again later. Each such answer is recorded below the record of the tool's call, and
a question is one of the run, so the call continues where it was, in another process and days later too.
"""

from __future__ import annotations

import asyncio
import functools
from itertools import count
from typing import TYPE_CHECKING, Final

from graphengine.agents.runtime import runtime_here
from graphengine.errors import GraphEngineError
from graphengine.runner.scope import Question, StepResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from mcp import Client, types
    from mcp.client import ClientRequestContext

    from graphengine.agents.runtime import RunRuntime

_LONGEST_SECONDS: Final = 60.0
_NOBODY: Final = "no person can be asked here, only in a run, by a server of the revision 2026-07-28 or later"


class CannotAsk(GraphEngineError):
    """A server requires what cannot be given, so that the call was not continued."""

    code = "mcp_input"


class _Answered(Exception):
    def __init__(self, result: types.CallToolResult) -> None:
        self.result = result


async def refuse_to_ask(context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ErrorData:
    """Answer a question that comes while a call is made: what a person says would be lost with this process."""
    from mcp.types import INVALID_REQUEST, ErrorData  # noqa: PLC0415 - loaded by now

    del context, params
    return ErrorData(code=INVALID_REQUEST, message=_NOBODY)


async def result_of(
    client: Client, tool: str, arguments: Mapping[str, object], relist: Callable[[], Awaitable[object]]
) -> types.CallToolResult:
    """Call a server's tool, and give what it requires; never returns if a person has to be asked first.

    Args:
        client: The connected client.
        tool: The tool, by the server's name.
        arguments: Its arguments.
        relist: Lists the tools again, if the server says that the one called is not the listed one.

    Raises:
        CannotAsk: The server requires what cannot be given. Also raises what the client raises.
    """
    from mcp.types import InputRequiredResult  # noqa: PLC0415 - loaded by now

    runtime = runtime_here()
    if runtime is None:
        return await client.call_tool(tool, dict(arguments))
    responses: types.InputResponses | None = None
    state: str | None = None
    for number in count():
        send = functools.partial(_sent, client, tool, arguments, relist, responses, state)
        try:
            record = await runtime.step_result("mcp input required", f"{tool} {number}", send)
        except _Answered as answered:
            return answered.result
        required = InputRequiredResult.model_validate(record)
        if not runtime.may_sleep():
            repair = 'ask before the call, with approve=; or, if a call may be repeated, effect="idempotent"'
            text = "the server requires input, which cannot be waited for inside an effect that must not be repeated"
            raise CannotAsk(text, where=f"tool {tool}", repair=repair)
        asked = [
            _response(runtime, f"{tool} {number} {key}", each) for key, each in (required.input_requests or {}).items()
        ]
        responses = dict(zip(required.input_requests or {}, await asyncio.gather(*asked), strict=True)) or None
        if not asked:
            await runtime.sleep_for(min(2.0 ** min(number, 9), _LONGEST_SECONDS), f"{tool} {number}")
        state = required.request_state
    raise AssertionError


async def _sent(  # noqa: PLR0913 - a request and the answers to the last one
    client: Client,
    tool: str,
    arguments: Mapping[str, object],
    relist: Callable[[], Awaitable[object]],
    responses: types.InputResponses | None,
    state: str | None,
) -> StepResult:
    """Send a call, and return the record of what the server requires. Raises: _Answered: It requires nothing."""
    from mcp import MCPError  # noqa: PLC0415 - loaded by now
    from mcp.types import HEADER_MISMATCH, CallToolResult  # noqa: PLC0415

    async def send() -> types.CallToolResult | types.InputRequiredResult:
        return await client.session.call_tool(
            tool, dict(arguments), input_responses=responses, request_state=state, allow_input_required=True
        )

    try:
        found = await send()
    except MCPError as error:
        if error.code != HEADER_MISMATCH:
            raise
        await relist()
        found = await send()
    if isinstance(found, CallToolResult):
        raise _Answered(found)
    text = found.model_dump_json(by_alias=True, exclude_none=True)
    return StepResult(found.model_dump(mode="json", by_alias=True, exclude_none=True), len(text))


async def _response(runtime: RunRuntime, identity: str, request: types.InputRequest) -> types.InputResponse:
    """Ask a person what a server wants to know, and return the answer."""
    from mcp.types import ElicitRequest, ElicitRequestFormParams, ElicitResult  # noqa: PLC0415 - loaded by now

    if not isinstance(request, ElicitRequest):
        raise CannotAsk(f"the server requires {request.method}, which is not supported", where=f"tool {identity}")
    form, params = isinstance(request.params, ElicitRequestFormParams), request.params
    if isinstance(params, ElicitRequestFormParams):
        schema = {"anyOf": [params.requested_schema, {"enum": ["decline"]}]}
        question = Question(params.message, schema, _as_given, None, None)
    else:
        text = f"{params.message}\n\nOpen {params.url}, and answer accept when it is done."
        question = Question(text, {"enum": ["accept", "decline"]}, _as_given, None, None)

    async def ask(*, was_asked: bool) -> Question:  # noqa: ARG001 - of the protocol
        return question

    answer = await runtime.approved(identity, ("mcp answer", identity), ask)
    if answer == "decline":
        return ElicitResult(action="decline")
    return ElicitResult(action="accept", content=answer if form else None)


def _as_given(record: object) -> object:
    return record


__all__ = ["CannotAsk", "refuse_to_ask", "result_of"]
