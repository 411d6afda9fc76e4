"""Answers of an MCP server that ask for more before the result: for the input of a person, or for time.

A server of the revision 2026-07-28 has three ways to answer a call without its result:

- "Input required" with questions, and a state that the client sends back together with the answers.
- "Input required" with only a state, so that the client asks again later.
- A task, whose state the client requests until the task is over.

Each of these answers is recorded below the record of the tool call, and each question becomes a question of the run.
The call therefore continues where it was, even in another process and days later.
"""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final

from graphengine.agents.node_scope import Question
from graphengine.agents.runtime import runtime_here
from graphengine.errors import GraphEngineError
from graphengine.kernel.extension import StepResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from mcp import Client, types
    from mcp.shared.dispatcher import ProgressFnT

    from graphengine.agents.mcp_tasks import UnfinishedCall
    from graphengine.agents.runtime import RunRuntime

_LONGEST_SECONDS: Final = 60.0


class CannotAsk(GraphEngineError):
    """An MCP server needs input during a tool call that the run cannot give.

    Either the kind of input is not supported, or the call must not be repeated and so cannot wait for a person.
    """

    code = "mcp_input"


class _ResultCame(Exception):
    def __init__(self, result: types.CallToolResult) -> None:
        self.result = result


async def call_mcp_tool(
    client: Client,
    tool: str,
    arguments: Mapping[str, object],
    relist: Callable[[], Awaitable[object]],
    on_progress: Callable[[], object],
) -> types.CallToolResult:
    """Call a tool of an MCP server and return its result, after answering the questions that the server asks.

    If a person has to be asked first, the attempt ends and this function never returns.

    Args:
        client: The connected client.
        tool: The name of the tool at the server.
        arguments: The arguments of the call.
        relist: Lists the tools again. Called if the server reports that the called tool differs from the listed one.
        on_progress: Called whenever the server reports that it is working.

    Raises:
        CannotAsk: The server requires something that cannot be supplied. Errors of the client are raised as well.
    """

    async def progressed(progress: float, total: float | None, message: str | None) -> None:
        del progress, total, message
        on_progress()

    runtime = runtime_here()
    if runtime is None:
        return await client.call_tool(tool, dict(arguments), progress_callback=progressed)
    from graphengine.agents.mcp_tasks import UnfinishedCall  # noqa: PLC0415 - it needs the package

    sending, pending, known = _Sending(client, tool, arguments, relist, progressed), UnfinishedCall(), set[str]()
    responses: types.InputResponses | None = None
    for number in count():
        send = functools.partial(sending.send, pending, responses)
        try:
            record = await runtime.step_result("mcp input required", f"{tool} {number}", send)
        except _ResultCame as answered:
            return answered.result
        on_progress()
        pending = UnfinishedCall.model_validate(record)
        asked = {key: each for key, each in (pending.input_requests or {}).items() if key not in known}
        if (asked or pending.task_id is None) and not runtime.may_sleep():
            repair = 'ask before the call, with approve=. Or, if the call may be repeated, set effect="idempotent"'
            text = "the MCP server asks for input, but the run cannot wait during a call that must not be repeated"
            raise CannotAsk(text, where=f"tool {tool}", repair=repair)
        # In a task, the same key always refers to the same question.
        known |= asked.keys() if pending.task_id is not None else set()
        asking = [_ask_person(runtime, f"{tool} {number} {key}", each) for key, each in asked.items()]
        responses = dict(zip(asked, await asyncio.gather(*asking), strict=True)) or None
        if not asked:
            least = (pending.poll_interval_ms or 0) / 1000
            pause = max(least, min(2.0 ** min(number, 9), _LONGEST_SECONDS))
            if runtime.may_sleep():  # the work continues at the server, so an item of a map keeps its slot
                await runtime.sleep_for(pause, f"{tool} {number}", keeps_slot=True)
            else:
                await asyncio.sleep(pause)
                on_progress()
    raise AssertionError


@dataclass(frozen=True, slots=True)
class _Sending:
    client: Client
    tool: str
    arguments: Mapping[str, object]
    relist: Callable[[], Awaitable[object]]
    progressed: ProgressFnT

    async def send(self, pending: UnfinishedCall, responses: types.InputResponses | None) -> StepResult:
        """Send a tool call to the server, or continue a call with the answers of a person.

        If the server needs more input or time, the returned value is recorded, so that another process can continue the
        call.

        Raises:
            _ResultCame: The server has returned the result.
        """
        from mcp import MCPError  # noqa: PLC0415 - loaded by now
        from mcp.types import HEADER_MISMATCH, CallToolResult  # noqa: PLC0415

        try:
            found = await self._fetch_result(pending, responses)
        except MCPError as error:
            if error.code != HEADER_MISMATCH:
                raise
            await self.relist()
            found = await self._fetch_result(pending, responses)
        if isinstance(found, CallToolResult):
            raise _ResultCame(found)
        text = found.model_dump_json(by_alias=True, exclude_none=True)
        return StepResult(found.model_dump(mode="json", by_alias=True, exclude_none=True), len(text))

    async def _fetch_result(self, pending: UnfinishedCall, responses: types.InputResponses | None) -> types.Result:
        from graphengine.agents.mcp_tasks import task_result  # noqa: PLC0415 - it needs the package

        session = self.client.session
        if pending.task_id is not None:
            return await task_result(session, pending.task_id, responses)
        return await session.call_tool(
            self.tool,
            dict(self.arguments),
            progress_callback=self.progressed,
            input_responses=responses,
            request_state=pending.request_state,
            allow_input_required=True,
            allow_claimed=True,
        )


async def _ask_person(runtime: RunRuntime, identity: str, request: types.InputRequest) -> types.InputResponse:
    """Ask a person the question that an MCP server asked, and return the answer in the form that the server expects.

    The question becomes a question of the run, which waits until the person has answered.
    """
    from mcp.types import ElicitRequest, ElicitRequestFormParams, ElicitResult  # noqa: PLC0415 - loaded by now

    if not isinstance(request, ElicitRequest):
        text = f"the MCP server sent the request {request.method!r}, which is not supported"
        raise CannotAsk(text, where=f"tool {identity}")
    form, params = isinstance(request.params, ElicitRequestFormParams), request.params
    if isinstance(params, ElicitRequestFormParams):
        schema = {"anyOf": [params.requested_schema, {"enum": ["decline"]}]}
        question = Question(params.message, schema, _as_given, None, None)
    else:
        text = f"{params.message}\n\nOpen {params.url}, and answer accept when it is done."
        question = Question(text, {"enum": ["accept", "decline"]}, _as_given, None, None)

    async def ask(*, was_asked: bool) -> Question:  # noqa: ARG001 - required by the protocol
        return question

    answer = await runtime.approved(identity, ("mcp answer", identity), ask)
    if answer == "decline":
        return ElicitResult(action="decline")
    return ElicitResult(action="accept", content=answer if form else None)


def _as_given(record: object) -> object:
    return record


__all__ = ["CannotAsk", "call_mcp_tool"]
