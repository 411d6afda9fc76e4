"""The tasks extension of MCP (`io.modelcontextprotocol/tasks`): a server answers a call with the id of a task.

The `mcp` package supports extensions in general, but contains no client for this one. This module is loaded together
with the package.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

from mcp import MCPError, types
from mcp.client.extension import ClientExtension, ResultClaim

from graphengine.agents.mcp_connection import is_closed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp.client import ClientSession
    from mcp.client.extension import ClaimContext


class TaskFailed(Exception):
    """Raised when a task of an MCP server ends without a result or can no longer be followed.

    It is then unknown whether the tool call took effect.
    """


class CreatedTask(types.Result):
    """The answer of an MCP server that carries out a tool call in the background, as a task with an id."""

    result_type: Literal["task"] = "task"
    task_id: str
    poll_interval_ms: int | None = None


class UnfinishedCall(types.Result):
    """The record of a tool call to which an MCP server has not given a result yet.

    Attributes:
        task_id: The id of the task as which the call continues; None if the call is not a task.
        input_requests: The questions that the server asks.
        request_state: The state to send back with the next request.
        poll_interval_ms: How long the client should wait before the next request, in milliseconds.
    """

    task_id: str | None = None
    input_requests: types.InputRequests | None = None
    request_state: str | None = None
    poll_interval_ms: int | None = None


class _Found(UnfinishedCall):
    status: str
    status_message: str | None = None
    result: dict[str, Any] | None = None
    error: types.ErrorData | None = None


class _TaskParams(types.RequestParams):
    task_id: str
    input_responses: types.InputResponses | None = None


class _TaskRequest(types.Request[_TaskParams, str]):
    name_param = "taskId"


async def task_result(
    session: ClientSession, task_id: str, responses: types.InputResponses | None
) -> types.CallToolResult | UnfinishedCall:
    """Send the answers of a person to a task of the server, and return its result, or its state if it is still running.

    Raises:
        TaskFailed: The task ended without a result, or the server no longer knows the task.
        MCPError: The connection is closed.
    """
    try:
        if responses:
            given = _TaskParams(task_id=task_id, input_responses=responses)
            await session.send_request(_TaskRequest(method="tasks/update", params=given), types.EmptyResult)
        request = _TaskRequest(method="tasks/get", params=_TaskParams(task_id=task_id))
        found = await session.send_request(request, _Found)
    except MCPError as error:
        if is_closed(error):
            raise
        text = f"the MCP server did not return the state of its task {task_id!r}: {error.error.message}"
        raise TaskFailed(text) from error
    if found.status in ("failed", "cancelled"):
        why = found.error.message if found.error is not None else found.status_message
        raise TaskFailed(f"task {task_id!r} of the MCP server is {found.status}: {why or 'the server gave no reason'}")
    return types.CallToolResult.model_validate(found.result) if found.status == "completed" else found


async def _poll_outside_run(task: CreatedTask, ctx: ClaimContext) -> types.CallToolResult:
    while True:
        found = await task_result(ctx.session, task.task_id, None)
        if isinstance(found, types.CallToolResult):
            return found
        if found.input_requests:
            text = f"the task {task.task_id!r} of the MCP server asks for input, but outside a run nobody can be asked"
            raise TaskFailed(text)
        await asyncio.sleep((found.poll_interval_ms or 1000) / 1000)


class Tasks(ClientExtension):
    """Declares to MCP servers that this client supports tasks, so that a server may answer a call with a task."""

    identifier = "io.modelcontextprotocol/tasks"

    def claims(self) -> Sequence[ResultClaim[Any]]:
        return (ResultClaim(result_type="task", model=CreatedTask, resolve=_poll_outside_run),)


__all__ = ["CreatedTask", "TaskFailed", "Tasks", "UnfinishedCall", "task_result"]
